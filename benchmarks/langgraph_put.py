"""One LangGraph put beside its AsyncSqliteSaver, and in a thread of 10,000 messages beside a small one.

A put as a graph makes it: the next checkpoint of a thread with twenty channels, one of which changed; SQLite in WAL
with synchronous=FULL on both sides, theirs by default, at 1, 16 and 64 tasks, each in a thread of its own. Then the
same with a channel of 10,000 messages in the thread that did not change.
Goals: four times the rate of theirs at 64 tasks, and the long thread within 1.5 times the latency of the small one.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver, Checkpoint, create_checkpoint, empty_checkpoint
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from benchmarks.effort import Effort
from benchmarks.finding import Finding, ratio
from benchmarks.pairs import NO_GOAL, Goal, Sample, rotate
from holdfast import Holdfast
from holdfast.adapters.langgraph import HoldfastSaver

CHANNELS = 20
MESSAGES = 10_000


@asynccontextmanager
async def ours(folder: Path) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    """Holdfast on a file."""
    async with Holdfast.open(f"sqlite:///{folder / 'ours.db'}") as hold:
        yield HoldfastSaver(hold)


@asynccontextmanager
async def theirs(folder: Path) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    """LangGraph's own on a file."""
    async with AsyncSqliteSaver.from_conn_string(str(folder / "theirs.db")) as saver:
        yield saver


def measure(effort: Effort) -> list[Finding]:
    """Rates beside AsyncSqliteSaver, and the long thread beside the small one."""
    findings: list[Finding] = []
    for tasks in effort.size((1, 16, 64), quick=(64,)):
        runs = [partial(_measure, saver, tasks, effort, messages=0) for saver in (ours, theirs)]
        mine, others = rotate(runs, rounds=effort.rounds, warm=effort.size(1, quick=0))
        names = (f"put, {tasks} task{'s' if tasks > 1 else ''}", "AsyncSqliteSaver")
        goal = Goal(at_least=4.0) if tasks == 64 else NO_GOAL
        findings.append(ratio(names, mine, others, figure="rate", goal=goal))
    messages = effort.size(MESSAGES, quick=50)
    runs = [partial(_measure, ours, 1, effort, messages=count) for count in (messages, 10)]
    long, small = rotate(runs, rounds=effort.rounds, warm=effort.size(1, quick=0))
    findings.append(
        ratio(("put, one small channel", "10 messages"), long, small, figure="p50_us", goal=Goal(at_most=1.5))
    )
    return findings


def _measure(
    saver: Callable[[Path], AbstractAsyncContextManager[BaseCheckpointSaver[Any]]],
    tasks: int,
    effort: Effort,
    *,
    messages: int,
) -> Sample:
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_run(saver, Path(folder), tasks, effort, messages))


async def _run(saver: Any, folder: Path, tasks: int, effort: Effort, messages: int) -> Sample:
    latencies: list[float] = []
    async with saver(folder) as opened:
        threads = [await _begin(opened, f"thread-{number}", messages) for number in range(tasks)]
        start = time.perf_counter()
        end = start + effort.run_s
        await asyncio.gather(*(_put_on(opened, *thread, end, latencies) for thread in threads))
        return Sample.of(latencies, elapsed_s=time.perf_counter() - start)


async def _begin(saver: BaseCheckpointSaver[Any], thread: str, messages: int) -> tuple[Any, Checkpoint]:
    checkpoint = empty_checkpoint()
    values: dict[str, Any] = {f"key{number:02}": number for number in range(CHANNELS)}
    if messages:
        values["messages"] = [
            {"role": "user", "content": f"message {number:05} " + "x" * 80} for number in range(messages)
        ]
    checkpoint["channel_values"] = values
    checkpoint["channel_versions"] = dict.fromkeys(values, f"{1:032}.0")
    config: Any = {"configurable": {"thread_id": thread, "checkpoint_ns": ""}}
    config = await saver.aput(config, checkpoint, {"source": "input", "step": -1}, checkpoint["channel_versions"])
    return config, checkpoint


async def _put_on(
    saver: BaseCheckpointSaver[Any], config: Any, checkpoint: Checkpoint, end: float, latencies: list[float]
) -> None:
    step = 0
    while (begun := time.perf_counter()) < end:
        step += 1
        checkpoint = create_checkpoint(checkpoint, None, step)
        version = f"{step + 1:032}.0"
        checkpoint["channel_values"] = {**checkpoint["channel_values"], "key03": step}
        checkpoint["channel_versions"] = {**checkpoint["channel_versions"], "key03": version}
        config = await saver.aput(config, checkpoint, {"source": "loop", "step": step}, {"key03": version})
        latencies.append(time.perf_counter() - begun)
