"""Figures of a hundred thousand sessions: `sessions.stats`, from what the entries of one index carry.

Nine sessions in ten have ended, each with one iteration in one of five phases. Everything is in the page cache. Goal:
all figures of all sessions in at most 300 ms at the median; beside it those of one user in twenty, and of one mode.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks.effort import Effort
from benchmarks.finding import Finding, absolute
from benchmarks.load import session_name
from benchmarks.pairs import Goal, rotate
from benchmarks.stores import durable, relaxed
from holdfast import Holdfast, Usage

SESSIONS = 100_000
USERS = 20
PHASES = ("search", "read", "plan", "write", "check")
PER_COMMIT = 8
TASKS = 16
GOAL = Goal(at_most=300)


def measure(effort: Effort) -> list[Finding]:
    """Make the sessions, then ask for each kind of figures in turn."""
    count = effort.size(SESSIONS, quick=100)
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder, asyncio.Runner() as runner:
        path = Path(folder) / "store.db"
        runner.run(_make(path, count))
        hold = runner.run(_open(path))
        try:
            return _ask(runner, hold, count, effort)
        finally:
            runner.run(hold.close())


async def _open(path: Path) -> Holdfast:
    return await Holdfast.open(durable(path))


async def _make(path: Path, count: int) -> None:
    async with Holdfast.open(relaxed(path)) as hold:
        left = iter(range(0, count, PER_COMMIT))

        async def task() -> None:
            for first in left:
                await _make_some(hold, range(first, min(first + PER_COMMIT, count)))

        await asyncio.gather(*(task() for _ in range(TASKS)))


async def _make_some(hold: Holdfast, numbers: range) -> None:
    async with hold.transaction() as tx:
        for number in numbers:
            session = await tx.sessions.create(
                id=session_name(number), user=f"user-{number % USERS}", mode="planner" if number % 3 else "reviewer"
            )
            phase = {"phase": PHASES[number % len(PHASES)]}
            await session.iterate(data=phase, reserve=Usage(tokens=3_120, cost="0.0182", wall_time=1 + number % 60))
            if number % 10:
                await (session.complete() if number % 7 else session.fail("no"))


def _ask(runner: asyncio.Runner, hold: Holdfast, count: int, effort: Effort) -> list[Finding]:
    async def timed_ms(ask: Callable[[], Awaitable[object]]) -> float:
        before = time.perf_counter()
        await ask()
        return (time.perf_counter() - before) * 1000

    asked: list[tuple[str, Callable[[], Awaitable[object]], Goal]] = [
        ("stats", lambda: hold.sessions.stats(), GOAL),
        ("stats of one mode", lambda: hold.sessions.stats(mode="planner"), GOAL),
        ("stats of one user in twenty", lambda: hold.sessions.stats(user="user-3"), GOAL),
    ]
    took = rotate([lambda ask=ask: runner.run(timed_ms(ask)) for _, ask, _ in asked], rounds=effort.rounds)  # type: ignore[misc]
    return [
        absolute(f"{name}, {count:,} sessions", "median", values, unit="ms", goal=goal)
        for (name, _, goal), values in zip(asked, took, strict=True)
    ]
