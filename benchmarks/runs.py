"""Runs: a step that is remembered, progress beside `state.set`, and taking up a paused run of a thousand nodes.

On SQLite with synchronous=FULL. A remembered step is read by an opening that has not seen it, one call after the other;
goal: under 100 µs at the median. Progress and `state.set` alternate in rounds, from one task and from 64, each on a
session of its own; goal: at least half the rate. Taking up begins with opening the store, as in a new process whose
imports are done, and ends when the nodes that may begin are known; goal: under 20 ms.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks.effort import Effort
from benchmarks.finding import Finding, absolute, ratio_of
from benchmarks.pairs import NO_GOAL, Goal
from benchmarks.stores import durable
from holdfast import Holdfast, Run, Session

STEPS = 500
NODES = 1_000
TASKS = (1, 64)
MOVES = ("running", "completed", "ready")

Call = Callable[[int], Awaitable[object]]


def measure(effort: Effort) -> list[Finding]:
    """All three, each in a store of its own."""
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        return asyncio.run(_measure(Path(folder), effort))


async def _measure(folder: Path, effort: Effort) -> list[Finding]:
    findings = [await _remembered(folder / "steps.db", effort)]
    for tasks in effort.size(TASKS, quick=(1, 4)):
        findings.append(await _progress(folder / f"progress{tasks}.db", tasks, effort))
    return findings + await _taken_up(folder / "paused.db", effort)


async def _remembered(path: Path, effort: Effort) -> Finding:
    steps = effort.size(STEPS, quick=10)
    async with Holdfast.open(durable(path), background=False) as hold:
        s = await hold.sessions.create(id="s")
        run = await s.runs.start("agent", id="r")
        for n in range(steps):
            await run.step("price", lambda: {"to": "KIX", "cents": 90_000}, key=n)
    medians: list[float] = []
    for _ in range(effort.rounds):
        async with Holdfast.open(durable(path), background=False) as hold:
            run = await _get(hold)
            await run.step("price", dict, key=0)
            took = [await _timed(run.step("price", dict, key=n)) for n in range(1, steps)]
        medians.append(_median(took) * 1_000_000)
    return absolute("a remembered step, read back", "p50", medians, unit="µs", goal=Goal(at_most=100))


async def _progress(path: Path, tasks: int, effort: Effort) -> Finding:
    async with Holdfast.open(durable(path), background=False) as hold:
        sessions = [await hold.sessions.create(id=f"s{n}") for n in range(tasks)]
        runs = [await s.runs.start("agent", nodes={"search": [], "pay": ["search"]}) for s in sessions]
        moves, sets = [_moves(run) for run in runs], [_sets(s) for s in sessions]
        ratios, ours, theirs = [], [], []
        for _ in range(effort.rounds):
            theirs.append(await _rate(sets, effort.run_s))
            ours.append(await _rate(moves, effort.run_s))
            ratios.append(ours[-1] / theirs[-1])
    what = f"progress, {tasks} task{'s' if tasks > 1 else ''}"
    told = [f"{_median(rates):,.0f}/s" for rates in (ours, theirs)]
    return ratio_of(what, "rate / state.set", ratios, goal=Goal(at_least=0.5), ours=told[0], theirs=told[1])


def _sets(s: Session) -> Call:
    return lambda n: s.state.set("node", "x" * 100)


def _moves(run: Run) -> Call:
    at = 0

    async def move(n: int) -> None:
        nonlocal at
        status, at = MOVES[at % 3], at + 1
        await run.progress("search", status, output="x" * 80 if status == "completed" else None)

    return move


async def _rate(calls: list[Call], run_s: float) -> float:
    """How many calls a second several tasks make, one after the other each."""
    made, begun = 0, time.perf_counter()

    async def drive(call: Call) -> None:
        nonlocal made
        n = 0
        while time.perf_counter() - begun < run_s:
            await call(n)
            n += 1
        made += n

    await asyncio.gather(*(drive(call) for call in calls))
    return made / (time.perf_counter() - begun)


async def _taken_up(path: Path, effort: Effort) -> list[Finding]:
    nodes = effort.size(NODES, quick=50)
    names = [f"node{n}" for n in range(nodes)]
    async with Holdfast.open(durable(path), background=False) as hold:
        s = await hold.sessions.create(id="s")
        after = {name: names[max(n - 3, 0) : n] for n, name in enumerate(names)}
        run = await s.runs.start("agent", id="r", nodes=after, input={"to": "KIX"})
        for first in range(0, nodes // 2, 50):
            await run.progress(
                {name: {"status": "completed", "output": 1} for name in names[first : min(first + 50, nodes // 2)]}
            )
        await run.pause("for the night")
    opened, resumed = [], []
    for _ in range(effort.rounds):
        begun = time.perf_counter()
        async with Holdfast.open(durable(path), background=False) as hold:
            there = time.perf_counter()
            run = await _get(hold)
            await run.resume()
            assert run.ready_nodes()
            ready = time.perf_counter()
            await run.pause("again")
        opened.append((ready - begun) * 1000)
        resumed.append((ready - there) * 1000)
    of = f"a paused run of {nodes:,} nodes"
    return [
        absolute(f"taking up {of}, with opening the store", "p50", opened, unit="ms", goal=Goal(at_most=20)),
        absolute(f"taking up {of}", "p50", resumed, unit="ms", goal=NO_GOAL),
    ]


async def _get(hold: Holdfast) -> Run:
    run = await hold.runs.get("r")
    assert run is not None
    return run


async def _timed(call: Awaitable[object]) -> float:
    begun = time.perf_counter()
    await call
    return time.perf_counter() - begun


def _median(several: list[float]) -> float:
    return sorted(several)[len(several) // 2]
