"""The 99th percentiles of a hundred concurrent sessions on SQLite.

A hundred tasks, each with a session of its own, draw from the same mixture: state is set, changed and merged;
sessions are created and updated, messages added; keys, snapshots, messages, records and pages are read. Once without
any pause: nobody waits but for the store, and this is the latency at full load. Once with 50 ms between the acts of
a session, on average: about 2,000 acts a second. Goals: state and session writes under 20 ms, reads under 10 ms. A
read runs on the event loop as soon as it is called; what it waits before that shows as the loop's lag.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from benchmarks.effort import Effort
from benchmarks.finding import Finding, absolute, ratio, told
from benchmarks.load import KEYS, Load, key_name, value_of
from benchmarks.pairs import Goal, Sample, medians, rotate
from benchmarks.reference_sqlite import SHAPES
from benchmarks.reference_sqlite import measure as measure_by_hand
from benchmarks.stores import Template, durable, grow_log, handles
from holdfast import Holdfast
from holdfast.handles.session import Session

SESSIONS = 100
PAUSE_S = 0.05
KINDS = {"state writes": Goal(at_most=20), "session writes": Goal(at_most=20), "reads": Goal(at_most=10)}

Act = Callable[[Holdfast, Session, random.Random], Awaitable[object]]


def _key(pick: random.Random) -> str:
    return key_name(pick.randrange(KEYS))


ACTS: list[tuple[str, int, Act]] = [
    ("state writes", 25, lambda hold, s, pick: s.state.set(_key(pick), value_of(pick.randrange(10**9)).decode())),
    ("state writes", 5, lambda hold, s, pick: s.state.mutate("count", lambda n: n + 1, int, default=0)),
    ("state writes", 5, lambda hold, s, pick: s.state.merge("map", {_key(pick): pick.random()})),
    ("session writes", 10, lambda hold, s, pick: s.messages.add("user", "m" * 200)),
    ("session writes", 5, lambda hold, s, pick: s.update(metadata={_key(pick): pick.random()})),
    ("session writes", 5, lambda hold, s, pick: hold.sessions.create(user="ada", tags=["new"])),
    ("reads", 25, lambda hold, s, pick: s.state.get(_key(pick))),
    ("reads", 5, lambda hold, s, pick: s.state.snapshot()),
    ("reads", 5, lambda hold, s, pick: s.messages.last(10)),
    ("reads", 5, lambda hold, s, pick: hold.sessions.get(s.id)),
    ("reads", 5, lambda hold, s, pick: hold.sessions.list(limit=20)),
]
"""(kind, weight, what is done)."""

Mixed = dict[str, Sample]


def measure(effort: Effort) -> list[Finding]:
    """p99 of each kind without and with pauses; and of plain sets from a hundred tasks beside three trees by hand."""
    count = effort.size(SESSIONS, quick=5)
    grow = not effort.quick
    load = Load(count, sessions=count, run_s=max(2 * effort.run_s, 0.1), warm_s=effort.size(0.2, quick=0.0))
    with Template(sessions=count) as template:
        busy, paused, by_hand = rotate(
            [
                lambda: _measure_mixture(template, load, grow=grow, pause_s=0),
                lambda: _measure_mixture(template, load, grow=grow, pause_s=effort.size(PAUSE_S, quick=0.002)),
                lambda: {"sets": measure_by_hand(SHAPES["trees"], load, grow=grow)},
            ],
            rounds=effort.rounds,
            warm=effort.size(1, quick=0),
        )
    sets = [one["sets"] for one in by_hand]
    return [
        *_told(f"{count} sessions, no pauses", busy, sets),
        *_told(f"{count} sessions, {PAUSE_S * 1000:.0f} ms between acts", paused, sets),
    ]


def _told(what: str, mixed: Sequence[Mixed], by_hand: Sequence[Sample]) -> list[Finding]:
    findings = []
    for kind, goal in KINDS.items():
        samples = [one[kind] for one in mixed]
        p99 = [one.p99_us / 1000 for one in samples]
        findings.append(absolute(what, f"p99 of {kind}", p99, unit="ms", goal=goal, ours=told(medians(samples))))
    findings.append(absolute(what, "p99 of the loop's lag", [one["lag"].p99_us / 1000 for one in mixed], unit="ms"))
    writes = [one["state writes"] for one in mixed]
    return [
        *findings,
        ratio((f"{what}, state writes", "three trees, busy with sets"), writes, by_hand, figure="p99_us"),
    ]


def _measure_mixture(template: Template, load: Load, *, grow: bool, pause_s: float) -> Mixed:
    path = template.copy()
    try:
        return asyncio.run(_run(path, load, grow=grow, pause_s=pause_s))
    finally:
        shutil.rmtree(path.parent)


async def _run(path: Path, load: Load, *, grow: bool, pause_s: float) -> Mixed:
    async with Holdfast.open(durable(path)) as hold:
        sessions = await handles(hold, range(load.sessions))
        if grow:
            await grow_log(path, sessions)
        return await mix(hold, list(sessions.values()), load, pause_s=pause_s)


async def mix(hold: Holdfast, sessions: list[Session], load: Load, *, pause_s: float) -> Mixed:
    """Let every session act for the time of the load, with pauses of this mean; latencies by kind, the loop's lag."""
    await asyncio.gather(*(session.messages.add("user", "hello") for session in sessions))
    clock = time.perf_counter
    begins = clock() + load.warm_s
    ends = begins + load.run_s
    latencies: dict[str, list[float]] = defaultdict(list)
    weights = [weight for _, weight, _ in ACTS]

    async def busy(number: int, session: Session) -> None:
        pick = random.Random(load.seed * 1_000 + number)
        await asyncio.sleep(pause_s * pick.random())
        first = [ACTS[(number + place) % len(ACTS)] for place in range(len(ACTS))]  # everything at least once
        while clock() < ends or first:
            kind, _, act = first.pop() if first else pick.choices(ACTS, weights)[0]
            before = clock()
            await act(hold, session, pick)
            if (after := clock()) >= begins:
                latencies[kind].append(after - before)
            await asyncio.sleep(2 * pause_s * pick.random())

    async def lag() -> None:
        while True:
            before = clock()
            await asyncio.sleep(0.001)
            if (after := clock()) >= begins:
                latencies["lag"].append(after - before - 0.001)

    watching = asyncio.create_task(lag())
    await asyncio.gather(*(busy(number, session) for number, session in enumerate(sessions)))
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    kinds = [*KINDS, "lag"]
    return {kind: Sample.of(latencies[kind], elapsed_s=load.run_s) for kind in kinds}
