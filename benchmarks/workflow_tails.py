"""The 99th percentiles of runs, templates and answers on every backend: memory, SQLite and PostgreSQL.

One call after the other, in one process, each beside what it rests on in the same round. Resuming: a paused run of a
thousand nodes is looked up, resumed, and its nodes that may begin are known; beside it one `state.set`. A template: 200
characters with five variables of the run; beside it one `state.get`. An answer: the call that gives it; beside it one
`state.set`. Goals: 100 ms, 1 ms and 200 ms. PostgreSQL runs here too, with fsync, and is reached by a socket.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks.effort import Effort
from benchmarks.finding import Finding, absolute, ratio, told
from benchmarks.pairs import Goal, Sample, medians
from benchmarks.stores import durable
from benchmarks.templates import TEXT, VALUES
from holdfast import Holdfast, Session
from holdfast.testing.servers import PostgresServer

NODES = 1_000
GOALS = {
    "resuming": (Goal(at_most=100), "state.set"),
    "a template": (Goal(at_most=1), "state.get"),
    "an answer": (Goal(at_most=200), "state.set"),
}
"""Of each its goal in milliseconds, and what stands beside it."""

COUNTS = {"resuming": 40, "a template": 1_000, "an answer": 100}
"""Calls in one round."""

Call = Callable[[], Awaitable[object]]
Pair = tuple[Sample, Sample]
"""Something, and what stands beside it."""


def measure(effort: Effort) -> list[Finding]:
    """Each of them on each backend."""
    found = asyncio.run(_measure("memory", "memory://", effort))
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        found += asyncio.run(_measure("SQLite", durable(Path(folder) / "store.db"), effort))
    server = PostgresServer.start()
    try:
        found += asyncio.run(_measure("PostgreSQL", server.url(), effort))
    finally:
        server.stop()
    return found


async def _measure(backend: str, url: str, effort: Effort) -> list[Finding]:
    async with Holdfast.open(url, background=False) as hold:
        s = await hold.sessions.create(id="s", user="ada")
        stage = _Stage(hold, s, effort)
        await stage.make()
        measured = {"resuming": stage.resuming, "a template": stage.template, "an answer": stage.answer}
        pairs: dict[str, list[Pair]] = {what: [] for what in measured}
        for number in range(-1, effort.rounds):  # the first is not counted
            for what, one in measured.items():
                pair = await one(effort.size(COUNTS[what], quick=3))
                if number >= 0:
                    pairs[what].append(pair)
    return [finding for what in measured for finding in _told(f"{what}, {backend}", *GOALS[what], pairs[what])]


def _told(what: str, goal: Goal, beside: str, pairs: list[Pair]) -> list[Finding]:
    ours, theirs = [one for one, _ in pairs], [other for _, other in pairs]
    p99_ms = [one.p99_us / 1000 for one in ours]
    return [
        absolute(what, "p99", p99_ms, unit="ms", goal=goal, ours=told(medians(ours)), theirs=told(medians(theirs))),
        ratio((what, beside), ours, theirs, figure="p99_us"),
    ]


class _Stage:
    """A session with a paused run of many nodes, another with variables, and keys of state."""

    def __init__(self, hold: Holdfast, s: Session, effort: Effort) -> None:
        self._hold = hold
        self._s = s
        self._nodes = effort.size(NODES, quick=50)

    async def make(self) -> None:
        names = [f"node{n}" for n in range(self._nodes)]
        run = await self._s.runs.start("trip", id="long", nodes={n: names[max(at - 3, 0) : at] for at, n in
                                                                 enumerate(names)})  # fmt: skip
        for first in range(0, self._nodes // 2, 25):
            await run.progress({n: {"status": "completed", "output": 1} for n in names[first : first + 25]})
        await run.pause("for the night")
        self._letter = await self._s.runs.start("trip", id="letter", variables=VALUES)
        await self._s.state.set("key", "x" * 100)

    async def resuming(self, count: int) -> Pair:
        async def resume() -> None:
            run = await self._hold.runs.get("long")
            assert run is not None
            await run.resume()
            assert run.ready_nodes()

        async def back() -> None:
            run = await self._hold.runs.get("long")
            assert run is not None
            await run.pause("again")

        return await _timed(count, resume, self._set, between=back)

    async def template(self, count: int) -> Pair:
        async def resolve() -> None:
            await self._letter.variables.resolve(TEXT, missing="error")

        async def get() -> None:
            await self._s.state.get("key")

        return await _timed(count, resolve, get)

    async def answer(self, count: int) -> Pair:
        asked: list[str] = []

        async def ask() -> None:
            run = await self._s.runs.start("trip", nodes=["pay"])
            asked.append((await run.ask("Pay?", node="pay")).id)

        async def answer() -> None:
            await self._hold.interactions.answer(asked.pop(), "approved")

        await ask()
        return await _timed(count, answer, self._set, between=ask)

    async def _set(self) -> None:
        await self._s.state.set("key", "x" * 100)


async def _timed(count: int, call: Call, beside: Call, *, between: Call | None = None) -> Pair:
    """Both in turn, so often; what is done `between` is not measured."""
    latencies: tuple[list[float], list[float]] = ([], [])
    for _ in range(count):
        for taken, one in zip(latencies, (call, beside), strict=True):
            before = time.perf_counter()
            await one()
            taken.append(time.perf_counter() - before)
        if between is not None:
            await between()
    ours, theirs = (Sample.of(taken, elapsed_s=sum(taken)) for taken in latencies)
    return ours, theirs
