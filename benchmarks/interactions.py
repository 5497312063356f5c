"""How long until the answer to a question is there where it is waited for: in another process, on SQLite.

That process asks, and waits in `question.wait`, which follows the log of its session; the answer is given here, by
`hold.interactions.answer`. Goals: it has the answer within 50 ms of the call that gave it, at the median; and that call
returns within 200 ms, at the 99th percentile. Beside it a `state.set` of the same process, in the same round.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.effort import Effort
from benchmarks.finding import Finding, absolute, ratio, told
from benchmarks.pairs import Goal, Sample, medians
from benchmarks.stores import Template, durable
from holdfast import Holdfast

ROUND = 40
"""Questions in one round."""

SEEN, ANSWERED = Goal(at_most=50_000), Goal(at_most=200_000)

WAITER = """
import asyncio, sys
from time import perf_counter
from holdfast import Holdfast

async def main(url):
    async with Holdfast.open(url) as hold:
        session = await hold.sessions.create()
        while True:
            run = await session.runs.start("w", nodes=["pay"])
            question = await run.ask("Pay?", node="pay")
            waiting = asyncio.ensure_future(question.wait())
            await asyncio.sleep(0.01)  # it follows
            print(question.id, flush=True)
            await waiting
            print(perf_counter(), flush=True)

asyncio.run(main(sys.argv[1]))
"""


def measure(effort: Effort) -> list[Finding]:
    """p50 until the answer is seen, and p99 of the answer itself, beside a `state.set`."""
    with Template(sessions=20) as template:
        path = template.copy()
        try:
            rounds = asyncio.run(_run(path, effort))
        finally:
            shutil.rmtree(path.parent)
    seen, answers, sets = ([one[place] for one in rounds] for place in range(3))
    return [
        absolute("an answer, where it is waited for", "p50", [one.p50_us for one in seen], unit="µs", goal=SEEN,
                 ours=told(medians(seen))),
        absolute("interactions.answer", "p99", [one.p99_us for one in answers], unit="µs", goal=ANSWERED,
                 ours=told(medians(answers))),
        ratio(("an answer, where it is waited for", "state.set"), seen, sets, figure="p50_us"),
        ratio(("interactions.answer", "state.set"), answers, sets, figure="p99_us"),
    ]  # fmt: skip


async def _run(path: Path, effort: Effort) -> list[tuple[Sample, ...]]:
    rounds = []
    async with Holdfast.open(durable(path)) as hold, _waiting(path) as told:
        session = await hold.sessions.create()
        for _ in range(effort.rounds):
            taken: tuple[list[float], ...] = ([], [], [])
            for number in range(effort.size(ROUND, quick=2)):
                id = await told()
                began = time.perf_counter()
                await hold.interactions.answer(id, "approved")
                answered = time.perf_counter()
                seen = float(await told())  # by the same clock: it counts for all processes
                before = time.perf_counter()
                await session.state.set("key", f"{number}".ljust(100))
                for one, took in zip(
                    taken, (seen - began, answered - began, time.perf_counter() - before), strict=True
                ):
                    one.append(took)
            rounds.append(tuple([Sample.of(one, elapsed_s=sum(one)) for one in taken]))
    return rounds


@asynccontextmanager
async def _waiting(path: Path) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    """Another process that asks and waits; what it says, line by line: the id of a question, when it had the answer."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WAITER, durable(path), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    lines = process.stdout

    async def told() -> str:
        line = (await lines.readline()).decode().strip()
        assert line, "the process that waits has ended"
        return line

    try:
        yield told
    finally:
        process.kill()
        await process.wait()
