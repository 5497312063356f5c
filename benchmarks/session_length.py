"""A session of a hundred thousand messages beside one of ten: what it costs to add one more, and to take it up again.

On SQLite, from one task. Goals: a message or an event added to the long one at most 1.3 times what it costs in the
short one; `context()` of the long one at most 2 ms at the median, with twenty keys of state and a full ten events.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks.effort import Effort
from benchmarks.finding import Finding, absolute, ratio
from benchmarks.load import KEYS, key_name, value_of
from benchmarks.pairs import Goal, Sample, rotate
from benchmarks.state_get import timed
from benchmarks.stores import durable
from holdfast import Holdfast, Usage
from holdfast.handles.session import Session

LONG = 100_000
SHORT = 10
TEXT = "m" * 200
PER_COMMIT = 80
SAME = Goal(at_most=1.3)

Act = Callable[[Session, int], Awaitable[object]]


def measure(effort: Effort) -> list[Finding]:
    """Both sessions in turn, act by act."""
    long = effort.size(LONG, quick=200)
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder, asyncio.Runner() as runner:
        hold, of_long, of_short = runner.run(_open(Path(folder) / "store.db", long))
        try:
            return _compare(runner, of_long, of_short, long, effort)
        finally:
            runner.run(hold.close())


async def _open(path: Path, long: int) -> tuple[Holdfast, Session, Session]:
    hold = await Holdfast.open(durable(path))
    return hold, await _grown(hold, "long", long), await _grown(hold, "short", SHORT)


async def _grown(hold: Holdfast, id: str, messages: int) -> Session:
    session = await hold.sessions.create(id=id, task="Plan a trip")
    await session.state.update({key_name(k): value_of(k).decode() for k in range(KEYS)})
    for first in range(0, messages, PER_COMMIT):
        many = min(PER_COMMIT, messages - first)
        await session.messages.add_many([{"role": "user", "content": TEXT}] * many)
    for _ in range(12):
        await session.iterate(reserve=Usage(tokens=10))
    return session


def _compare(runner: asyncio.Runner, long: Session, short: Session, count: int, effort: Effort) -> list[Finding]:
    acts: list[tuple[str, int, Act, Goal]] = [
        ("messages.add", 300, lambda s, n: s.messages.add("user", f"{n}{TEXT}"), SAME),
        ("s.log", 300, lambda s, n: s.log("note", {"n": n}), SAME),
        ("context", 300, lambda s, n: s.context(), Goal()),
    ]
    findings = []
    for name, often, act, goal in acts:
        of_long, of_short = rotate(
            [lambda s=s, act=act, often=often: runner.run(_timed(s, act, effort.size(often, quick=5)))  # type: ignore[misc]
             for s in (long, short)],
            rounds=effort.rounds,
        )  # fmt: skip
        what = f"{name}, {count:,} messages"
        findings.append(ratio((what, f"of {SHORT}"), of_long, of_short, figure="p50_us", goal=goal))
        if name == "context":
            p50_ms = [one.p50_us / 1000 for one in of_long]
            findings.append(absolute(what, "p50", p50_ms, unit="ms", goal=Goal(at_most=2)))
    return findings


async def _timed(session: Session, act: Act, often: int) -> Sample:
    return await timed(lambda n: act(session, n), often)
