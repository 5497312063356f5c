"""A cut: many cells of one moment, whoever is writing between the reads that it takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from random import Random

import pytest

from holdfast.backends.memory import MemoryKernel
from holdfast.errors import Conflict
from holdfast.kernel import cut as module
from holdfast.kernel.commit import Commit, CommitId, Put, Read, Retention, ScopeCommit, View
from holdfast.kernel.cut import Cut, Since, Wanted, cut
from holdfast.kernel.limits import PAGE_BYTES
from holdfast.kernel.reads import Reads
from holdfast.kernel.writer import Writer
from holdfast.testing.clock import ManualClock, SeededIds
from holdfast.wrappers.around import Around


class Busy(Around):
    """A kernel in which somebody writes before each read is answered."""

    def __init__(self, inside: MemoryKernel, write: Callable[[], Awaitable[None]]) -> None:
        super().__init__(inside)
        self.write = write

    async def read(self, reads: Sequence[Read], *, now_us: int) -> list[View]:
        await self.write()
        return await self.inside.read(reads, now_us=now_us)


class Store:
    """One scope that is written at random, and what it held after each commit."""

    def __init__(self, seed: int) -> None:
        self.kernel = MemoryKernel()
        self.random = Random(seed)
        self.now: dict[str, bytes] = {}
        self.then: dict[int, dict[str, bytes]] = {}
        self.seq = 0
        self.left = 0

    async def write(self) -> None:
        if not self.left:
            return
        self.left -= 1
        keys = self.random.sample([f"a/{n}" for n in range(8)] + ["b/x", "key", "other"], 3)
        gone = tuple(key for key in keys[:1] if key in self.now)
        puts = tuple(Put(key, b"%d" % self.random.randrange(10**6)) for key in keys if key not in gone)
        part = ScopeCommit("s", "create", puts=puts, deletes=gone)
        self.seq += 1
        await self.kernel.commit([Commit((part,), 1_000_000, id=CommitId("00000000000000aa", self.seq))])
        self.now = {key: value for key, value in self.now.items() if key not in gone}
        self.now |= {put.key: put.value for put in puts}
        self.then[self.seq] = {key: value for key, value in self.now.items() if key != "other"}

    async def cut(self, since: Since | None, *, writes: int) -> Cut:
        self.left = writes
        reads = Reads(Writer(Busy(self.kernel, self.write), clock=ManualClock(2_000_000), ids=SeededIds()), None)
        heads = [view.head for view in await reads.peek([Read("s")])]
        return (await cut(reads, [Wanted("s", ("a/", "b/"), ("key",), since)], heads))[0]


def values(found: Cut) -> dict[str, bytes]:
    return {key: cell.value for key, cell in found.cells.items() if cell is not None}


@pytest.mark.parametrize("seed", range(12))
async def test_a_cut_is_what_was_there_at_its_moment(seed: int) -> None:
    """G8, over as many reads as it takes: never a mixture."""
    store = Store(seed)
    store.left = 20
    for _ in range(20):
        await store.write()
    whole = await store.cut(None, writes=seed % 6)
    assert (values(whole), whole.whole) == (store.then[whole.head.seq], True)
    since = await store.cut(Since(whole.head.seq, whole.head.epoch), writes=4)
    assert not since.whole
    gone = {key for key, cell in since.cells.items() if cell is None}
    merged = {key: value for key, value in values(whole).items() if key not in gone} | values(since)
    assert merged == store.then[since.head.seq]


async def test_what_the_log_does_not_tell_any_more_is_read_whole() -> None:
    store = Store(1)
    store.left = 9
    for _ in range(9):
        await store.write()
    await store.kernel.sweep(now_us=3_000_000, retention=Retention(count=2))
    found = await store.cut(Since(3, 0), writes=0)
    assert (values(found), found.whole) == (store.then[9], True)


async def test_another_life_is_read_whole() -> None:
    store = Store(1)
    store.left = 2
    await store.write()
    await store.write()
    drop = Commit((ScopeCommit("s", drop=True),), 1_000_000, id=CommitId("00000000000000aa", 3))
    await store.kernel.commit([drop])
    store.seq, store.now, store.left = 3, {}, 1
    await store.write()
    found = await store.cut(Since(2, 0), writes=0)
    assert (values(found), found.whole, found.head.epoch) == (store.then[4], True, 1)


async def test_a_scope_that_is_not_there_has_nothing() -> None:
    found = await Store(1).cut(None, writes=0)
    assert (found.cells, found.whole, found.head.live) == ({}, True, False)


async def test_what_never_stands_still_has_no_moment() -> None:
    store = Store(1)
    store.left = 1
    await store.write()
    with pytest.raises(Conflict):
        await store.cut(None, writes=module.ROUNDS + 2)


async def test_more_than_a_page_is_read_in_pages() -> None:
    store, large = Store(5), b"x" * (PAGE_BYTES // 2)
    puts = tuple(Put(f"a/large{n}", large) for n in range(5))
    first = Commit((ScopeCommit("s", "create", puts=puts),), 1_000_000, id=CommitId("00000000000000aa", 1))
    await store.kernel.commit([first])
    store.seq, store.now = 1, {put.key: put.value for put in puts}
    found = await store.cut(None, writes=4)
    assert values(found) == store.then[found.head.seq]
    assert len(found.cells) > 5
