"""Runs: a step that is remembered, progress beside `state.set`, and taking up a paused run of a thousand nodes.

On SQLite with synchronous=FULL. A remembered step is read by an opening that has not seen it, one call after the other;
goal: under 100 µs at the median. Progress and `state.set` alternate in rounds, from one task and from 64, each on a
session of its own: node after node begins and is done, and after five hundred of them another run is started; or one
node goes through round after round, which writes the run's record too. Goal: at least half the rate. Taking up is done
by a new process each time, once what it imports is there (it opened another store before): from opening the store until
the nodes that may begin are known; goal: under 20 ms. It waits for the disk once, for its commit; what a `state.set` of
the same process takes after it stands beside.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks.effort import Effort
from benchmarks.finding import Finding, absolute, ratio_of
from benchmarks.pairs import Goal
from benchmarks.stores import durable
from holdfast import Holdfast, Run, Session

STEPS = 500
NODES = 1_000
TASKS = (1, 64)
MOVES = ("running", "completed", "ready")
LINE = {f"node{n}": [f"node{n - 1}"] if n else [] for n in range(500)}
STEPS_OF_LINE = [(name, status) for name in LINE for status in MOVES[:2]]

TAKER = """
import asyncio, json, sys
from time import perf_counter, process_time
from holdfast import Holdfast

async def main(url, other):
    async with Holdfast.open(other, background=False) as hold:  # imports what opening a store needs
        s = await hold.sessions.create()
        await (await s.runs.start("agent")).pause()
    begun, cpu = perf_counter(), process_time()
    async with Holdfast.open(url, background=False) as hold:
        opened = perf_counter()
        run = await hold.runs.get("r")
        await run.resume()
        ready = run.ready_nodes()
        done, spent = perf_counter(), process_time() - cpu
        assert ready
        s = await hold.sessions.get("s")
        before = perf_counter()
        await s.state.set("key", "x" * 100)
        took = perf_counter() - before
        await run.pause("again")
    print(json.dumps([1000 * s for s in (done - begun, done - opened, spent, took)]))

asyncio.run(main(*sys.argv[1:]))
"""

Call = Callable[[int], Awaitable[object]]


def measure(effort: Effort) -> list[Finding]:
    """All three, each in a store of its own."""
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        return asyncio.run(_measure(Path(folder), effort))


async def _measure(folder: Path, effort: Effort) -> list[Finding]:
    findings = [await _remembered(folder / "steps.db", effort)]
    for tasks in effort.size(TASKS, quick=(1, 4)):
        findings += await _progress(folder / f"progress{tasks}.db", tasks, effort)
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


async def _progress(path: Path, tasks: int, effort: Effort) -> list[Finding]:
    async with Holdfast.open(durable(path), background=False) as hold:
        sessions = [await hold.sessions.create(id=f"s{n}") for n in range(tasks)]
        runs = [await s.runs.start("agent", nodes={"search": [], "pay": ["search"]}) for s in sessions]
        sides = [[_sets(s) for s in sessions], [_line(s) for s in sessions], [_moves(run) for run in runs]]
        for side in sides[1:]:
            await asyncio.gather(*(call(0) for call in side))  # the first starts a run
        rates: list[list[float]] = [[], [], []]
        for number in range(effort.rounds):
            for place in range(len(sides)):
                at = (place + number) % len(sides)
                rates[at].append(await _rate(sides[at], effort.run_s))
    of, theirs = f"{tasks} task{'s' if tasks > 1 else ''}", f"{_median(rates[0]):,.0f}/s"
    return [
        ratio_of(f"progress{how}, {of}", "rate / state.set", [a / b for a, b in zip(rates[at], rates[0], strict=True)],
                 goal=Goal(at_least=0.5), ours=f"{_median(rates[at]):,.0f}/s", theirs=theirs)
        for at, how in ((1, ""), (2, ", round after round"))
    ]  # fmt: skip


def _sets(s: Session) -> Call:
    return lambda n: s.state.set("node", "x" * 100)


def _line(s: Session) -> Call:
    """One node after the other, of one run after the other."""
    run: Run | None = None
    at = len(STEPS_OF_LINE)

    async def move(n: int) -> None:
        nonlocal run, at
        if run is None or at == len(STEPS_OF_LINE):
            run, at = await s.runs.start("agent", nodes=LINE), 0
        name, status = STEPS_OF_LINE[at]
        at += 1
        await run.progress(name, status, output="x" * 80 if status == "completed" else None)

    return move


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
    other = path.with_name("other.db")
    rounds = [await asyncio.to_thread(_by_another, path, other) for _ in range(effort.rounds)]
    whole, resumed, cpu, beside = ([one[place] for one in rounds] for place in range(4))
    what = f"taking up a paused run of {nodes:,} nodes"
    told = [f"{_median(several):.3g} ms" for several in (whole, beside)]
    return [
        absolute(f"{what} in a new process", "p50", whole, unit="ms", goal=Goal(at_most=20), ours=told[0]),
        ratio_of(f"{what} in a new process", "p50 / its next state.set",
                 [one / other for one, other in zip(whole, beside, strict=True)], ours=told[0], theirs=told[1]),
        absolute(f"{what}, of it CPU time", "p50", cpu, unit="ms"),
        absolute(f"{what}, without opening the store", "p50", resumed, unit="ms"),
    ]  # fmt: skip


def _by_another(path: Path, other: Path) -> list[float]:
    """What a new process tells, in milliseconds: in all, without opening, its CPU time, and of a `state.set`."""
    command = [sys.executable, "-c", TAKER, durable(path), durable(other)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    told: list[float] = json.loads(answer)
    return told


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
