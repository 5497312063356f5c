"""A kernel behind an exact cache answers as the bare one does, whatever happens to the store and whoever does it.

Two caches and a bare kernel on one store. Commits of every kind through any of them, whose replies may be lost; drops,
sweeps, clocks that go forward and back; reads that are held back while others commit, and are finished or cancelled.
After most steps both caches are asked for the same as the bare kernel, twice, so that the second answer comes from
memory.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from holdfast.backends.memory import MemoryKernel, MemoryStore
from holdfast.backends.sqlite import SqliteKernel
from holdfast.errors import Indeterminate, Unavailable
from holdfast.kernel.commit import (
    Absent,
    Append,
    Commit,
    CommitId,
    Outcome,
    Put,
    Range,
    Read,
    Retention,
    ScopeCommit,
    View,
    stamp,
)
from holdfast.kernel.contract import Kernel
from holdfast.testing.clock import settle
from holdfast.wrappers.around import Around
from holdfast.wrappers.caching import Exact

SCOPES = ("session/a", "user/b", "user/c")
KEYS = ("k", "l", "m/" + stamp(2, 0))
START_US = 1_000_000


class Line(Around):
    """What is between a cache and the store: one answer may be held back, and replies to commits lost."""

    def __init__(self, inside: Kernel) -> None:
        super().__init__(inside)
        self.holds_next = False
        self.held: list[asyncio.Event] = []
        self.landed = asyncio.Event()
        self.fate = "arrives"

    async def read(self, reads: Sequence[Read], *, now_us: int) -> list[View]:
        views = await super().read(reads, now_us=now_us)
        await self._hold()
        return views

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        holds, self.holds_next = self.holds_next, False
        try:
            if self.fate == "not sent":
                raise Unavailable("not sent")
            outcomes = await super().commit(commits)
        finally:
            self.landed.set()
        self.holds_next = holds
        await self._hold()
        if self.fate == "reply lost":
            raise Indeterminate("the reply was lost")
        return outcomes

    async def _hold(self) -> None:
        if self.holds_next:
            self.holds_next = False
            self.held.append(asyncio.Event())
            await self.held[-1].wait()


scopes, keys = st.sampled_from(SCOPES), st.sampled_from(KEYS)
lifetimes = st.sampled_from([None, None, 5, 20])


@st.composite
def parts(draw: Any) -> ScopeCommit:
    """What a commit does to one scope; lifetimes are made moments when it is sent."""
    need = draw(st.sampled_from(["create", "create", "create", "must_exist", "must_not_exist"]))
    checks = draw(st.sampled_from([(), (), (Absent("k"),)]))
    if draw(st.integers(0, 5)) == 0:
        return ScopeCommit(draw(scopes), need, checks=checks, drop=True)
    values = draw(st.dictionaries(keys, st.tuples(st.binary(max_size=3), lifetimes), max_size=2))
    puts = tuple(Put(key, value, lifetime) for key, (value, lifetime) in values.items())
    deletes = tuple(key for key in draw(st.lists(keys, max_size=1)) if key not in values)
    appends = (Append("m/", b"x"),) * draw(st.integers(0, 1))
    return ScopeCommit(
        draw(scopes), need, checks=checks, puts=puts, appends=appends, deletes=deletes, body=draw(st.binary(max_size=1))
    )


whole = st.lists(parts(), min_size=1, max_size=2, unique_by=lambda part: part.scope)
who = st.sampled_from(["bare", "one", "two"])
fates = st.sampled_from(["arrives", "arrives", "arrives", "reply lost", "not sent"])
retentions = st.sampled_from([Retention(), Retention(count=1), Retention(tombstone_us=0)])
ways = {
    "commit": st.tuples(st.just("commit"), who, st.lists(whole, min_size=1, max_size=2), fates, st.booleans()),
    "sweep": st.tuples(st.just("sweep"), who, retentions),
    "time": st.tuples(st.just("time"), st.integers(-25, 25)),
    "read": st.tuples(st.just("hold back"), st.sampled_from(["one", "two"]), scopes, st.lists(keys, max_size=2)),
    "hold": st.tuples(st.just("hold back the next")),
    "let go": st.tuples(st.just("let go"), st.booleans()),
}
steps = st.sampled_from([*ways, *["commit"] * 6]).flatmap(ways.__getitem__)


class World:
    """One store and three ways to it."""

    def __init__(self, kernels: Sequence[Kernel], *, entries_max: int) -> None:
        self.bare = kernels[0]
        self.lines = {"one": Line(kernels[1]), "two": Line(kernels[2])}
        self.caches = {
            name: Exact(line, entries_max=entries_max, bytes_max=100_000) for name, line in self.lines.items()
        }
        self.now_us = START_US
        self.under_way: list[asyncio.Future[Any]] = []
        self.sent = dict.fromkeys(["bare", *self.lines], 0)

    async def play(self, script: list[tuple[Any, ...]]) -> None:
        """Do what the script says, and compare after every step."""
        for step in script:
            match step:
                case ("commit", name, commits, fate, looked_at):
                    await self.commit(name, commits, fate)
                    if not looked_at:
                        continue  # so that the next one comes upon a cache that has not caught up
                case ("sweep", name, retention):
                    await self.kernel(name).sweep(now_us=self.now_us, retention=retention)
                case ("time", by):
                    self.now_us += by
                case ("hold back", name, scope, asked):
                    self.lines[name].holds_next = True
                    read = [Read(scope, tuple(asked), (Range("", 10),))]
                    await self.begin(self.caches[name].read(read, now_us=self.now_us), self.lines[name])
                case ("hold back the next",):
                    self.lines["one"].holds_next = True
                case ("let go", cancelled):
                    await self.let_go(cancelled=cancelled)
            await self.compare()
        await self.let_go(cancelled=False)
        await self.compare()
        for kernel in (self.bare, *self.caches.values()):
            await kernel.close()

    def kernel(self, name: str) -> Kernel:
        return self.bare if name == "bare" else self.caches[name]

    async def commit(self, name: str, commits: list[list[ScopeCommit]], fate: str) -> None:
        line = self.lines.get(name)
        if line is not None:
            line.fate = fate
            line.landed.clear()
        batch = []
        for of_scopes in commits:
            self.sent[name] += 1
            dated = tuple(self.dated(part) for part in of_scopes)
            batch.append(Commit(dated, self.now_us, name.encode(), CommitId(name, self.sent[name])))
        await self.begin(self.kernel(name).commit(batch), line)
        if line is not None:
            await line.landed.wait()

    def dated(self, part: ScopeCommit) -> ScopeCommit:
        puts = [
            put if put.expires_us is None else replace(put, expires_us=self.now_us + put.expires_us)
            for put in part.puts
        ]
        return replace(part, puts=tuple(puts))

    async def begin(self, call: Any, line: Line | None) -> None:
        """Begin a call, and finish it unless its answer is held back."""
        task = asyncio.ensure_future(call)
        if line is None or not line.holds_next:
            await asyncio.wait([task])
        else:
            await settle()
        self.under_way.append(task)

    async def let_go(self, *, cancelled: bool) -> None:
        if cancelled:
            for task in self.under_way:
                task.cancel()
        for line in self.lines.values():
            line.holds_next = False
            for held in line.held:
                held.set()
            line.held.clear()
        for task in self.under_way:
            with contextlib.suppress(Unavailable, Indeterminate, asyncio.CancelledError):
                await task
        await settle()
        self.under_way.clear()

    async def compare(self) -> None:
        """Both caches answer as the bare kernel, from memory too."""
        asked = [[Read(scope, KEYS)] for scope in SCOPES] + [[Read(scope, KEYS[:1]) for scope in SCOPES]]
        asked += [[Read(SCOPES[0])], [Read(SCOPES[1], (), (Range("", 10),)), Read(SCOPES[0], KEYS)]]
        for name, cache in self.caches.items():
            holds, self.lines[name].holds_next = self.lines[name].holds_next, False
            for reads in asked:
                expected = await self.bare.read(reads, now_us=self.now_us)
                for time in ("first", "second"):
                    assert await cache.read(reads, now_us=self.now_us) == expected, f"{name}, the {time} time"
            self.lines[name].holds_next = holds


patient = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def play_on_memory(script: list[tuple[Any, ...]], entries_max: int) -> None:
    async def main() -> None:
        store = MemoryStore()
        await World([MemoryKernel(store) for _ in range(3)], entries_max=entries_max).play(script)

    asyncio.run(main())


@settings(patient, max_examples=60)
@given(script=st.lists(steps, min_size=6, max_size=25), entries_max=st.sampled_from([3, 8, 1000]))
def test_a_cached_memory_answers_as_the_bare_one(script: list[tuple[Any, ...]], entries_max: int) -> None:
    """G6, G8, G12: exact through other openings' commits, lost replies, drops, sweeps and clocks set back."""
    play_on_memory(script, entries_max)


@settings(patient, max_examples=10)
@given(script=st.lists(steps, min_size=6, max_size=15), entries_max=st.sampled_from([8, 1000]))
def test_a_cached_sqlite_answers_as_the_bare_one(script: list[tuple[Any, ...]], entries_max: int) -> None:
    """The same, opened three times on one file as three processes have it."""

    async def main(path: Path) -> None:
        kernels = [await SqliteKernel.open(path, durability="process") for _ in range(3)]
        await World(kernels, entries_max=entries_max).play(script)

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(Path(folder) / "store.db"))


@pytest.mark.soak
@settings(patient, max_examples=5_000)
@given(script=st.lists(steps, max_size=60), entries_max=st.sampled_from([3, 8, 1000]))
def test_long_scripts_find_no_difference(script: list[tuple[Any, ...]], entries_max: int) -> None:
    play_on_memory(script, entries_max)
