"""How long until the answer to a question is there where it is waited for, in another opening of the same SQLite file.

Who waits follows the log from another connection, as another process does. Goals: it has the answer within 50 ms of
the call that gave it, at the median; and that call returns within 200 ms, at the 99th percentile.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path

from benchmarks.effort import Effort
from benchmarks.finding import Finding, absolute, told
from benchmarks.pairs import Goal, Sample, medians
from benchmarks.stores import Template, durable
from holdfast import Holdfast

ROUND = 40
"""Questions in one round."""

SEEN, ANSWERED = Goal(at_most=50_000), Goal(at_most=200_000)


def measure(effort: Effort) -> list[Finding]:
    """p50 until the answer is seen, and p99 of the answer itself."""
    with Template(sessions=20) as template:
        path = template.copy()
        try:
            rounds = asyncio.run(_run(path, effort))
        finally:
            shutil.rmtree(path.parent)
    seen, answers = ([one[place] for one in rounds] for place in range(2))
    return [
        absolute("an answer, where it is waited for", "p50", [one.p50_us for one in seen], unit="µs", goal=SEEN,
                 ours=told(medians(seen))),
        absolute("interactions.answer", "p99", [one.p99_us for one in answers], unit="µs", goal=ANSWERED,
                 ours=told(medians(answers))),
    ]  # fmt: skip


async def _run(path: Path, effort: Effort) -> list[tuple[Sample, ...]]:
    rounds = []
    async with Holdfast.open(durable(path)) as asking, Holdfast.open(durable(path)) as answering:
        session = await asking.sessions.create()
        for _ in range(effort.rounds):
            seen: list[float] = []
            answers: list[float] = []
            for _ in range(effort.size(ROUND, quick=2)):
                run = await session.runs.start("w", nodes=["pay"])
                question = await run.ask("Pay?", node="pay")
                waiting = asyncio.ensure_future(question.wait())
                await asyncio.sleep(0.01)  # it follows
                began = time.perf_counter()
                await answering.interactions.answer(question.id, "approved")
                answers.append(time.perf_counter() - began)
                await waiting
                seen.append(time.perf_counter() - began)
            rounds.append((Sample.of(seen, elapsed_s=sum(seen)), Sample.of(answers, elapsed_s=sum(answers))))
    return rounds
