"""A thousand active sessions among a thousand, and among a million.

Both stores stay open and are measured in turn: `set`, `get` and a page of fifty sessions of one user, from one task,
on a thousand active sessions of twenty keys spread over the whole store. Goal: at most 1.5 times the latency. Then
64 tasks write at random over *all* sessions, one key each; beside it three hand-written B-trees of the same
sessions and keys do the same, and what counts is how far each falls from the small store to the large one.

The stores are made by transactions that create forty sessions each, without a barrier per commit. A million sessions
take some three minutes and 1.2 GB in the temporary folder, the hand-written store half as much; the time is printed.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import apsw

from benchmarks.effort import Effort
from benchmarks.finding import Finding, ratio, ratio_of
from benchmarks.load import KEYS, Load, drive, key_name, session_name, value_of
from benchmarks.pairs import Goal, Sample, rotate
from benchmarks.pumps import TickPump
from benchmarks.reference_sqlite import Checkpointer, Trees, connect
from benchmarks.state_get import timed
from benchmarks.stores import TASKS, durable, grow_log, handles, relaxed
from holdfast import Holdfast, Scope
from holdfast.handles.session import Session

ACTIVE = 1_000
USERS = 20
PAGE = 50
PER_COMMIT = 15  # a session is five writes, and a commit has at most 90
GOAL = Goal(at_most=1.5)


class Ours:
    """An open store with `sessions` sessions, `active` of which have all their keys."""

    def __init__(self, runner: asyncio.Runner, path: Path, *, sessions: int, active: int) -> None:
        self.sessions = sessions
        self.runner = runner
        begun = time.perf_counter()
        runner.run(self._make(path, active))
        self.made_s = time.perf_counter() - begun
        self.megabytes = path.stat().st_size / 1e6
        self.hold, self.active = runner.run(self._open(path, active))

    async def _make(self, path: Path, active: int) -> None:
        async with Holdfast.open(relaxed(path)) as hold:
            left = iter(range(0, self.sessions, PER_COMMIT))

            async def task() -> None:
                for first in left:
                    await create_many(hold, range(first, min(first + PER_COMMIT, self.sessions)))

            await asyncio.gather(*(task() for _ in range(TASKS // 2)))
            values = {key_name(k): value_of(k).decode() for k in range(KEYS)}
            for number in self._active(active):
                await hold.state(Scope.session(session_name(number))).update(values)

    async def _open(self, path: Path, active: int) -> tuple[Holdfast, list[Session]]:
        hold = await Holdfast.open(durable(path))
        return hold, list((await handles(hold, self._active(active))).values())

    def _active(self, active: int) -> range:
        return range(0, self.sessions, self.sessions // active)

    def grow(self, path: Path) -> None:
        self.runner.run(grow_log(path, {session.id: session for session in self.active}))

    def set(self, acts: int) -> Sample:
        pick = random.Random(1)
        return self._timed(
            lambda n: pick.choice(self.active).state.set(key_name(n % KEYS), value_of(time.monotonic_ns()).decode()),
            acts,
        )

    def get(self, acts: int) -> Sample:
        pick = random.Random(1)
        return self._timed(lambda n: pick.choice(self.active).state.get(key_name(n % KEYS)), acts)

    def page(self, acts: int) -> Sample:
        return self._timed(lambda n: self.hold.sessions.list(user=f"user-{n % USERS}", limit=PAGE), acts)

    def _timed(self, call: Callable[[int], Awaitable[object]], acts: int) -> Sample:
        async def run() -> Sample:
            return await timed(call, acts)

        return self.runner.run(run())

    def random_writes(self, load: Load) -> Sample:
        async def put(name: str, _key: str, value: bytes) -> None:
            await self.hold.state(Scope.session(name)).set(key_name(0), value.decode())

        return self.runner.run(drive(put, load))

    def close(self) -> None:
        self.runner.run(self.hold.close())


async def create_many(hold: Holdfast, numbers: range) -> None:
    """Create these sessions, of one user in twenty, with one key each, in one commit."""
    async with hold.transaction() as tx:
        for number in numbers:
            session = await tx.sessions.create(id=session_name(number), user=f"user-{number % USERS}")
            await session.state.set(key_name(0), value_of(number).decode())


class ByHand:
    """Three B-trees with `sessions` sessions of one key, open, with the writer and checkpoints of the reference."""

    def __init__(self, runner: asyncio.Runner, path: Path, *, sessions: int) -> None:
        self.runner = runner
        self.sessions = sessions
        self.db: apsw.Connection = connect(path)
        self.trees = OneKey(self.db, bulk=True)
        self.trees.fill(sessions, grow=False)
        self.checkpointer = self.trees.checkpointer = Checkpointer(path, self.db)

    def random_writes(self, load: Load) -> Sample:
        async def run() -> Sample:
            pump = TickPump(self.trees.apply)
            sample = await drive(lambda name, _key, value: pump.submit((name, key_name(0), value)), load)
            await pump.close()
            return sample

        return self.runner.run(run())

    def close(self) -> None:
        self.checkpointer.close()
        self.db.close()


class OneKey(Trees):
    """The three trees with one key in each session."""

    def _fill(self) -> None:
        self.db.executemany("INSERT INTO head VALUES(?, 1)", ((s,) for s in self.heads))
        self.db.executemany("INSERT INTO cell VALUES(?, ?, 1, ?)", ((s, key_name(0), value_of(0)) for s in self.heads))
        self.db.executemany("INSERT INTO log VALUES(?, 1, 0, 'created', x'')", ((s,) for s in self.heads))


def measure(effort: Effort) -> list[Finding]:
    """Latency of one task in both stores, then the fall of random writes over everything."""
    active = effort.size(ACTIVE, quick=20)
    sizes = (active, max(effort.sessions, active))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="holdfast-bench-")))
        runner = stack.enter_context(asyncio.Runner())
        ours: list[Ours] = []
        for size in sizes:
            path = folder / f"ours-{len(ours)}.db"
            ours.append(Ours(runner, path, sessions=size, active=active))
            stack.callback(ours[-1].close)
            if not effort.quick:
                ours[-1].grow(path)
        print(f"  {sizes[1]:,} sessions made in {ours[1].made_s:,.0f} s, {ours[1].megabytes:,.0f} MB", flush=True)
        findings = _one_task(ours[0], ours[1], effort)
        by_hand: list[ByHand] = []
        for size in sizes:
            by_hand.append(ByHand(runner, folder / f"hand-{len(by_hand)}.db", sessions=size))
            stack.callback(by_hand[-1].close)
        return findings + _random_writes(ours, by_hand, effort)


def _one_task(small: Ours, large: Ours, effort: Effort) -> list[Finding]:
    acts: list[tuple[str, int, Callable[[Ours, int], Sample]]] = [
        ("state.set", effort.size(1_500, quick=10), Ours.set),
        ("state.get", effort.size(5_000, quick=10), Ours.get),
        ("list page", effort.size(200, quick=5), Ours.page),
    ]
    findings = []
    for name, count, act in acts:
        of_large, of_small = rotate([partial(act, large, count), partial(act, small, count)], rounds=effort.rounds)
        names = (f"{name} among {large.sessions:,} sessions", f"among {small.sessions:,}")
        findings.append(ratio(names, of_large, of_small, figure="p50_us", goal=GOAL))
    return findings


def _random_writes(ours: list[Ours], by_hand: list[ByHand], effort: Effort) -> list[Finding]:
    warm_s = effort.size(0.2, quick=0.01)

    def load(sessions: int) -> Load:
        # Another seed each time: no run may find the pages of the one before it warm.
        return Load(64, sessions=sessions, run_s=effort.run_s, warm_s=warm_s, seed=time.monotonic_ns())

    small, large, hand_small, hand_large = rotate(
        [lambda side=side: side.random_writes(load(side.sessions)) for side in (*ours, *by_hand)],  # type: ignore[misc]
        rounds=effort.rounds,
    )
    what = f"random writes, 64 tasks, {ours[1].sessions:,} sessions"
    ours_fall = [a.rate / b.rate for a, b in zip(large, small, strict=True)]
    hand_fall = [a.rate / b.rate for a, b in zip(hand_large, hand_small, strict=True)]
    other = f"among {ours[0].sessions:,}"
    return [
        ratio((what, other), large, small, figure="rate"),
        ratio((f"{what}, three trees", other), hand_large, hand_small, figure="rate"),
        ratio((what, "three trees"), large, hand_large, figure="rate"),
        ratio_of(what, "what is left / of three trees", [a / b for a, b in zip(ours_fall, hand_fall, strict=True)],
                 ours=f"{statistics.median(ours_fall):.2f} left", theirs=f"{statistics.median(hand_fall):.2f} left"),
    ]  # fmt: skip
