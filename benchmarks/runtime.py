"""Runtime state that is batched: the 99th percentile of a hundred sessions on SQLite that show their progress.

Each session writes one of five keys every 20 ms on average, and once in fifty writes sets state, whose commit carries
what waits. The same once more with runtime state that is durable on return. Goal: a batched write under 5 ms at the
99th percentile.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import time
from collections.abc import Sequence

from benchmarks.effort import Effort
from benchmarks.finding import Finding, absolute, ratio, told
from benchmarks.load import value_of
from benchmarks.pairs import NO_GOAL, Goal, Sample, medians, rotate
from benchmarks.stores import Template, durable, handles
from holdfast import Config, Holdfast, RuntimeConfig, Session

SESSIONS = 100
PAUSE_S = 0.02
STATE_EVERY = 50
GOAL = Goal(at_most=5)


def measure(effort: Effort) -> list[Finding]:
    """p99 of `runtime.set`, batched and immediate."""
    count = effort.size(SESSIONS, quick=5)
    run_s = max(3 * effort.run_s, 0.1)
    with Template(sessions=count) as template:
        batched, immediate = rotate(
            [
                lambda: _measure(template, count, "batched", run_s),
                lambda: _measure(template, count, "immediate", run_s),
            ],
            rounds=effort.rounds,
            warm=effort.size(1, quick=0),
        )
    return [
        _told(f"{count} sessions, batched", batched, GOAL),
        _told(f"{count} sessions, immediate", immediate, NO_GOAL),
        ratio((f"{count} sessions, batched", "immediate"), batched, immediate, figure="p99_us"),
    ]


def _told(what: str, samples: Sequence[Sample], goal: Goal) -> Finding:
    p99 = [sample.p99_us / 1000 for sample in samples]
    return absolute(what, "p99 of runtime.set", p99, unit="ms", goal=goal, ours=told(medians(samples)))


def _measure(template: Template, count: int, persistence: str, run_s: float) -> Sample:
    path = template.copy()
    try:
        return asyncio.run(_run(durable(path), count, persistence, run_s))
    finally:
        shutil.rmtree(path.parent)


async def _run(url: str, count: int, persistence: str, run_s: float) -> Sample:
    config = Config(runtime=RuntimeConfig(persistence=persistence))  # type: ignore[arg-type]
    latencies: list[float] = []
    clock = time.perf_counter
    async with Holdfast.open(url, config=config) as hold:
        sessions = await handles(hold, range(count))
        ends = clock() + run_s

        async def show(number: int, session: Session) -> None:
            pick = random.Random(number)
            done = 0
            while clock() < ends:
                await asyncio.sleep(2 * PAUSE_S * pick.random())
                done += 1
                before = clock()
                await session.runtime.set(f"step{done % 5}", value_of(number * 100_000 + done).decode())
                latencies.append(clock() - before)
                if done % STATE_EVERY == 0:
                    await session.state.set("step", done)

        await asyncio.gather(*(show(number, session) for number, session in enumerate(sessions.values())))
    return Sample.of(latencies, elapsed_s=run_s)
