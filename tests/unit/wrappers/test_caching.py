"""A cache around a kernel: what it answers, what it asks for, what it forgets."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from random import Random

import pytest

from holdfast import CacheConfig, Config, Holdfast, Scope
from holdfast.backends.memory import MemoryKernel, MemoryStore
from holdfast.errors import Closed, Indeterminate, Unavailable
from holdfast.kernel.commit import Commit, CommitId, Moved, Outcome, Put, Range, Read, Retention, ScopeCommit, View
from holdfast.kernel.contract import Kernel
from holdfast.testing.clock import ManualClock
from holdfast.wrappers.around import Around
from holdfast.wrappers.caching import Bounded, Caching, Exact
from holdfast.wrappers.stack import cache_around
from holdfast.wrappers.weakest import Weakened

A, B = "user/a", "user/b"


class Counted(Around):
    """Counts what it is asked, and fails when it is told to."""

    def __init__(self, inside: Kernel) -> None:
        super().__init__(inside)
        self.asked: list[str] = []
        self.problem: Exception | None = None

    async def read(self, reads: Sequence[Read], *, now_us: int) -> list[View]:
        self.asked.append("read")
        return await super().read(reads, now_us=now_us)

    async def moved(self, after: str | None = None, *, limit: int = 1000) -> Moved:
        self.asked.append("moved")
        if self.problem is not None:
            raise self.problem
        return await super().moved(after, limit=limit)

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        outcomes = await super().commit(commits)
        if self.problem is not None:
            raise self.problem
        return outcomes


class Pair:
    """A cached kernel, and another opening of the same store."""

    def __init__(self, *, entries_max: int = 1000, bytes_max: int = 10**6, ttl_s: float | None = None) -> None:
        store = MemoryStore()
        self.clock = ManualClock()
        self.line = Counted(MemoryKernel(store))
        self.other = MemoryKernel(store)
        self.kernel: Exact | Bounded
        if ttl_s is None:
            self.kernel = Exact(self.line, entries_max=entries_max, bytes_max=bytes_max)
        else:
            fresh = frozenset({"alive"})
            self.kernel = Bounded(
                self.line, clock=self.clock, ttl_s=ttl_s, fresh=fresh, entries_max=entries_max, bytes_max=bytes_max
            )
        self._n = 0

    async def put(self, scope: str, *puts: Put, kernel: Kernel | None = None, **asks: object) -> Outcome:
        self._n += 1
        part = ScopeCommit(scope, "create", puts=puts, **asks)  # type: ignore[arg-type]
        commit = Commit((part,), self.clock.now_us(), id=CommitId(f"{kernel is None}", self._n))
        return (await (kernel or self.kernel).commit([commit]))[0]

    async def value(self, scope: str, key: str, *, now_us: int = 0) -> bytes | None:
        [view] = await self.kernel.read([Read(scope, (key,))], now_us=now_us)
        return view.cells[key].value if key in view.cells else None


async def test_what_was_read_is_answered_from_memory_and_absence_too() -> None:
    pair = Pair()
    await pair.put(A, Put("k", b"1"), kernel=pair.other)
    for _ in range(5):
        assert (await pair.value(A, "k"), await pair.value(A, "none"), await pair.value(B, "k")) == (b"1", None, None)
    assert pair.line.asked == ["moved", "read", "read", "read"]
    assert (pair.kernel.hits, pair.kernel.misses) == (12, 3)


async def test_what_somebody_else_commits_is_in_the_next_read_and_costs_only_its_own_scope() -> None:
    """G6: exact."""
    pair = Pair()
    await pair.value(A, "k")
    await pair.value(B, "k")
    await pair.put(A, Put("k", b"1"), kernel=pair.other)
    pair.line.asked.clear()
    assert await pair.value(B, "k") is None
    assert await pair.value(A, "k") == b"1"
    assert pair.line.asked == ["moved", "read"]


async def test_what_was_committed_here_is_read_from_memory() -> None:
    pair = Pair()
    await pair.put(A, Put("k", b"1"))
    await pair.value(A, "k")
    await pair.put(A, Put("k", b"2"), Put("l", b"3"))
    pair.line.asked.clear()
    assert (await pair.value(A, "k"), await pair.value(A, "l")) == (b"2", b"3")
    assert pair.line.asked == ["moved"]


async def test_a_commit_upon_somebody_elses_does_not_hide_it() -> None:
    """Only what follows directly on what is remembered may be added to it."""
    pair = Pair()
    await pair.put(A, Put("k", b"1"), Put("l", b"1"))
    assert await pair.value(A, "l") == b"1"
    await pair.put(A, Put("l", b"2"), kernel=pair.other)
    await pair.put(A, Put("k", b"3"))
    assert (await pair.value(A, "k"), await pair.value(A, "l")) == (b"3", b"2")


async def test_an_expired_cell_is_absent_from_its_microsecond_on_and_there_again_if_the_clock_is_set_back() -> None:
    """G12: the time of the caller decides, from memory as in the store."""
    pair = Pair()
    await pair.put(A, Put("k", b"1", 100), kernel=pair.other)
    for now_us, expected in ((99, b"1"), (100, None), (50, b"1"), (1000, None), (99, b"1")):
        assert await pair.value(A, "k", now_us=now_us) == expected
    assert pair.line.asked.count("read") == 1


async def test_a_cell_that_was_found_expired_is_asked_for_when_the_clock_is_set_back() -> None:
    pair = Pair()
    await pair.put(A, Put("k", b"1", 100), kernel=pair.other)
    assert [await pair.value(A, "k", now_us=now_us) for now_us in (100, 150, 99, 120)] == [None, None, b"1", None]
    assert pair.line.asked.count("read") == 2


async def test_another_openings_sweep_is_noticed() -> None:
    """G16: floors and what expired are never those of before."""
    pair = Pair()
    await pair.put(A, Put("k", b"1", 100), kernel=pair.other)
    await pair.put(A, Put("l", b"1"), kernel=pair.other)
    assert await pair.value(A, "k", now_us=1) == b"1"
    await pair.other.sweep(now_us=100, retention=Retention(count=1))
    [view] = await pair.kernel.read([Read(A, ("k",))], now_us=1)
    assert (view.cells, view.head.floor) == ({}, 2)


async def test_ranges_are_always_asked_for() -> None:
    pair = Pair()
    for _ in range(2):
        await pair.kernel.read([Read(A, ("k",), (Range("", 5),))], now_us=0)
    assert pair.line.asked.count("read") == 2


async def test_a_store_that_cannot_be_asked_what_moved_is_read() -> None:
    pair = Pair()
    await pair.value(A, "k")
    await pair.put(A, Put("k", b"1"), kernel=pair.other)
    pair.line.problem = Unavailable("not now")
    assert [await pair.value(A, "k") for _ in range(2)] == [b"1", b"1"]
    assert pair.kernel.hits == 0


async def test_more_moves_than_are_followed_make_it_forget_everything() -> None:
    pair = Pair()
    await pair.value(A, "k")
    for n in range(300):
        await pair.put(f"user/{n}", Put("k", b"1"), kernel=pair.other)
    await pair.put(A, Put("k", b"1"), kernel=pair.other)
    assert await pair.value(A, "k") == b"1"
    assert pair.kernel.figures()["entries"] == 2


@pytest.mark.parametrize(("bounds", "left"), [({"entries_max": 10}, 10), ({"bytes_max": 3_000}, 6)])
async def test_what_is_longest_unused_is_forgotten_first(bounds: dict[str, int], left: int) -> None:
    """The cells and absences kept are bounded by their number, and by their bytes."""
    pair = Pair(**bounds)
    for n in range(20):
        await pair.put(f"user/{n}", Put("k", b"x" * 150), kernel=pair.other)
    for n in range(20):
        await pair.value(f"user/{n}", "k")
        await pair.value("user/0", "k")
    figures = pair.kernel.figures()
    assert (figures["entries"] <= left, figures["bytes"] <= 10**6) == (True, True)
    pair.line.asked.clear()
    await pair.value("user/0", "k")
    await pair.value("user/19", "k")
    assert pair.line.asked == []
    await pair.value("user/1", "k")
    assert pair.line.asked == ["read"]


async def test_one_scope_of_more_than_the_bound_is_not_kept() -> None:
    pair = Pair(entries_max=5)
    await pair.kernel.read([Read(A, tuple("abcdefgh"))], now_us=0)
    assert pair.kernel.figures()["entries"] == 0


async def test_a_closed_kernel_answers_nothing_from_memory() -> None:
    """G20."""
    for pair in (Pair(), Pair(ttl_s=10)):
        await pair.value(A, "k")
        await pair.kernel.close()
        with pytest.raises(Closed):
            await pair.value(A, "k")


async def test_readers_in_other_threads_see_a_value_only_grow() -> None:
    """G6: any thread and event loop, while another opening writes."""
    pair = Pair()
    seen: dict[int, list[int]] = {0: [], 1: []}
    done = threading.Event()

    async def look(found: list[int]) -> None:
        while not done.is_set():
            found.append(int(await pair.value(A, "k") or b"0"))

    readers = [threading.Thread(target=asyncio.run, args=(look(found),)) for found in seen.values()]
    for reader in readers:
        reader.start()
    for n in range(1, 300):
        await pair.put(A, Put("k", str(n).encode()), kernel=pair.other if n % 2 else None)
        assert await pair.value(A, "k") == str(n).encode()
    done.set()
    for reader in readers:
        reader.join()
    assert all(found == sorted(found) for found in seen.values())


# --- bounded --------------------------------------------------------------------------------------


async def test_a_bounded_cache_may_lag_by_its_ttl_and_no_more() -> None:
    pair = Pair(ttl_s=10)
    assert await pair.value(A, "k") is None
    await pair.put(A, Put("k", b"1"), kernel=pair.other)
    pair.clock.advance(10)
    assert await pair.value(A, "k") is None
    pair.clock.advance(0.001)
    assert await pair.value(A, "k") == b"1"


async def test_a_bounded_cache_shows_what_was_committed_here_at_once() -> None:
    pair = Pair(ttl_s=10)
    await pair.value(A, "k")
    await pair.put(A, Put("k", b"1"))
    assert await pair.value(A, "k") == b"1"
    await pair.put(A, Put("k", b"2"))
    pair.line.asked.clear()
    assert await pair.value(A, "k") == b"2"
    assert pair.line.asked == []


async def test_a_bounded_cache_never_answers_for_cells_that_must_be_fresh() -> None:
    """A session's deadline, its record and whose turn it is are never stale."""
    pair = Pair(ttl_s=10)
    assert await pair.value(A, "alive") is None
    await pair.put(A, Put("alive", b"1"), kernel=pair.other)
    assert await pair.value(A, "alive") == b"1"
    await pair.put(A, Put("alive", b"2"), kernel=pair.other)
    [view] = await pair.kernel.read([Read(A, ("k", "alive"))], now_us=0)
    assert view.cells["alive"].value == b"2"


async def test_a_bounded_cache_forgets_what_a_conflict_or_a_lost_reply_shows_to_be_doubtful() -> None:
    pair = Pair(ttl_s=10)
    await pair.value(A, "k")
    await pair.put(A, Put("k", b"1"), kernel=pair.other)
    await pair.put(A, Put("k", b"2"), epoch=7)
    assert await pair.value(A, "k") == b"1"
    pair.line.problem = Indeterminate("the reply was lost")
    with pytest.raises(Indeterminate):
        await pair.put(A, Put("k", b"3"))
    pair.line.problem = None
    assert await pair.value(A, "k") == b"3"


async def test_a_bounded_cache_never_puts_a_cut_together() -> None:
    """G8: several scopes are read as one."""
    pair = Pair(ttl_s=10)
    reads = [Read(A, ("k",)), Read(B, ("k",))]
    await pair.kernel.read(reads, now_us=0)
    await pair.put(A, Put("k", b"1"), kernel=pair.other)
    views = await pair.kernel.read(reads, now_us=0)
    assert [set(view.cells) for view in views] == [{"k"}, set()]


# --- which one ------------------------------------------------------------------------------------


def test_a_kernel_without_a_mark_has_a_cache_only_if_a_ttl_is_given() -> None:
    memory = MemoryKernel()
    weak = Weakened(MemoryKernel(), random=Random(1))

    def around(kernel: Kernel, ttl_s: float | None) -> Caching | None:
        config = Config(cache=CacheConfig(ttl=ttl_s))
        return cache_around(kernel, config, clock=ManualClock(), fresh=frozenset())

    assert isinstance(around(memory, None), Exact)
    assert isinstance(around(memory, 5), Exact)
    assert around(weak, None) is None
    assert isinstance(around(weak, 5), Bounded)


async def test_the_switch_of_the_configuration_turns_it_off() -> None:
    """Config.cache.enabled."""
    asked = {}
    for enabled in (True, False):
        line = Counted(MemoryKernel())
        async with Holdfast.over(line, config=Config(cache=CacheConfig(enabled=enabled))) as hold:
            session = await hold.sessions.create()
            await session.state.set("k", 1)
            await session.state.get("k")
            line.asked.clear()
            for _ in range(3):
                await session.state.get("k")
        asked[enabled] = line.asked
    assert asked == {True: [], False: ["read"] * 3}


@pytest.mark.parametrize("bounds", [{"entries_max": 5}, {"bytes_max": 2_000}])
async def test_the_bounds_of_the_configuration_are_those_of_the_cache(bounds: dict[str, int]) -> None:
    for given in ({}, bounds):
        async with Holdfast.over(MemoryKernel(), config=Config(cache=CacheConfig(**given))) as hold:
            for n in range(50):
                scope = hold.state(Scope.user(f"u{n}"))
                await scope.set("a", n)
                assert await scope.get("a") == n
            kept = (await hold.stats()).cache
            assert (kept.entries >= 50) is not bool(given)
            assert kept.entries <= given.get("entries_max", kept.entries)
            assert kept.bytes <= given.get("bytes_max", kept.bytes)
