"""A full store: StoreFull for what does not fit, everything acknowledged kept, reading and removing going on."""

from __future__ import annotations

from pathlib import Path

import apsw

from holdfast.backends.sqlite import SqliteKernel
from holdfast.errors import StoreFull
from holdfast.kernel.commit import Commit, Committed, Retention, ScopeCommit
from tests.unit.backends.sqlite.drafts import NOW_US, Lane, applied, finished, sent, start, value_of
from tests.unit.backends.sqlite.faulty import FaultyVfs

LIMITED_CHILD = """
import asyncio, resource, sys
from holdfast.backends.sqlite import SqliteKernel
from holdfast.errors import StoreFull
from holdfast.kernel.commit import Committed, Retention, ScopeCommit
from tests.unit.backends.sqlite.drafts import NOW_US, Lane, applied, sent, value_of

async def main(path):
    kernel = await SqliteKernel.open(path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, resource.RLIM_INFINITY))
    lane, kept = Lane(), []
    for n in range(400):
        outcome = await sent(kernel, lane.put(f"s/{n}", "k", bytes(5_000)))
        if isinstance(outcome, StoreFull):
            break
        kept.append(n)
    assert 0 < len(kept) < 400, kept
    for n in kept:
        assert await value_of(kernel, f"s/{n}", "k") == bytes(5_000)
    for n in kept[::2]:
        assert await applied(kernel, lane.commit(ScopeCommit(f"s/{n}", drop=True))) == {f"s/{n}": 2}
    swept = await kernel.sweep(now_us=NOW_US, retention=Retention())
    assert swept.cells == len(kept[::2]), swept
    for n in kept[: len(kept) // 3]:
        assert isinstance(await sent(kernel, lane.put(f"t/{n}", "k", bytes(5_000))), Committed)
    for n in kept[1::2]:
        assert await value_of(kernel, f"s/{n}", "k") == bytes(5_000)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    again = await sent(kernel, lane.put("s/again", "k", b"fits now"))
    assert again.seqs == {"s/again": 1}, again
    print(len(await kernel.scopes()))
    await kernel.close()

asyncio.run(main(sys.argv[1]))
"""


async def filled(kernel: SqliteKernel, lane: Lane) -> int:
    """How many scopes of one large cell were taken before the store was full."""
    for n in range(10_000):
        outcome = await sent(kernel, lane.put(f"s/{n:04d}", "k", bytes(20_000), expires_us=NOW_US + 10))
        if not isinstance(outcome, Committed):
            assert isinstance(outcome, StoreFull), outcome
            return n
    raise AssertionError("the store never filled up")


async def test_a_full_store_keeps_what_it_acknowledged_and_reads_on(tmp_path: Path) -> None:
    """G6, G7: the commit that did not fit left no trace."""
    kernel = await SqliteKernel.open(tmp_path / "store.db", max_pages=300)
    lane = Lane()
    kept = await filled(kernel, lane)
    assert kept > 10
    assert await value_of(kernel, f"s/{kept:04d}", "k") is None
    for n in range(kept):
        assert await value_of(kernel, f"s/{n:04d}", "k") == bytes(20_000)
    assert len(await kernel.scopes()) == kept
    await kernel.close()


async def test_removing_goes_on_in_a_full_store_and_makes_room(tmp_path: Path) -> None:
    """G16: drops and sweeps work where puts do not, and what they free is used again."""
    kernel = await SqliteKernel.open(tmp_path / "store.db", max_pages=300)
    lane = Lane()
    kept = await filled(kernel, lane)
    assert await applied(kernel, lane.commit(ScopeCommit("s/0000", drop=True))) == {"s/0000": 2}
    swept = await kernel.sweep(now_us=NOW_US + 5, retention=Retention())
    assert swept.cells == 1
    swept = await kernel.sweep(now_us=NOW_US + 10, retention=Retention())
    assert swept.cells == kept - 1
    assert await applied(kernel, lane.put("s/new", "k", bytes(20_000))) == {"s/new": 1}
    await kernel.close()


async def test_in_a_full_store_every_scope_can_be_dropped(tmp_path: Path) -> None:
    """G16: the record of a drop needs a page now and then; the last ones are left to it."""
    kernel = await SqliteKernel.open(tmp_path / "store.db", max_pages=300)
    lane = Lane()
    kept = await filled(kernel, lane)
    n = kept
    while isinstance(await sent(kernel, lane.put(f"t/{n}", "k", b"small")), Committed):
        n += 1
    for at in range(kept):
        assert await applied(kernel, lane.commit(ScopeCommit(f"s/{at:04d}", drop=True))) == {f"s/{at:04d}": 2}
    for at in range(kept, n):
        assert await applied(kernel, lane.commit(ScopeCommit(f"t/{at}", drop=True))) == {f"t/{at}": 2}
    swept = await kernel.sweep(now_us=NOW_US, retention=Retention(tombstone_us=0))
    assert (swept.cells, swept.scopes, swept.more) == (n, n, False)
    assert await applied(kernel, lane.put("s/new", "k", bytes(20_000))) == {"s/new": 1}
    await kernel.close()


async def test_in_a_batch_on_a_full_store_what_removes_is_applied(tmp_path: Path) -> None:
    """G7: drops and deletes do not fail with the writes they were sent with."""
    kernel = await SqliteKernel.open(tmp_path / "store.db", max_pages=300)
    lane = Lane()
    await filled(kernel, lane)
    batch = [
        lane.put("s/a", "k", bytes(100_000)),
        lane.commit(ScopeCommit("s/0000", drop=True)),
        lane.commit(ScopeCommit("s/0001", deletes=("k",))),
    ]
    assert [type(outcome) for outcome in await kernel.commit(batch)] == [StoreFull, Committed, Committed]
    await kernel.close()


async def test_in_a_batch_only_what_does_not_fit_fails(tmp_path: Path) -> None:
    """G7: a batch is taken apart, so a small commit is not refused for its large neighbour."""
    kernel = await SqliteKernel.open(tmp_path / "store.db", max_pages=200)
    lane = Lane()
    batch = [lane.put("s/a", "k", b"small"), lane.put("s/b", "k", bytes(2_000_000)), lane.put("s/c", "k", b"small")]
    outcomes = await kernel.commit(batch)
    assert [type(outcome) for outcome in outcomes] == [Committed, StoreFull, Committed]
    assert await kernel.scopes() == ("s/a", "s/c")
    await kernel.close()


async def test_a_disk_without_room_for_the_log_is_full(tmp_path: Path) -> None:
    """The write of the log fails as on a full disk; when there is room again, the store goes on."""
    vfs = FaultyVfs()
    kernel = await SqliteKernel.open(tmp_path / "store.db", vfs=vfs.name)
    lane = Lane()
    await applied(kernel, lane.put("s/1", "k", b"kept"))

    def refuse(kind: str) -> None:
        if kind == "log":
            raise apsw.FullError("no room")

    vfs.on_write = refuse
    assert isinstance(await sent(kernel, lane.put("s/1", "k", b"lost")), StoreFull)
    assert await value_of(kernel, "s/1", "k") == b"kept"
    vfs.on_write = lambda kind: None
    assert await applied(kernel, lane.put("s/1", "k", b"more")) == {"s/1": 2}
    await kernel.close()


async def test_a_file_size_limit_is_a_full_store(tmp_path: Path) -> None:
    """A limit or quota of the system reaches SQLite as an I/O error; it is told from a failing disk by its errno.

    G16: under the limit, what is dropped and swept is room for what comes.
    """
    scopes = int(finished(start(LIMITED_CHILD, tmp_path / "store.db")))
    kernel = await SqliteKernel.open(tmp_path / "store.db")
    assert len(await kernel.scopes()) == scopes
    await kernel.close()


async def test_a_commit_refused_for_lack_of_room_may_be_sent_again_under_a_new_id(tmp_path: Path) -> None:
    kernel = await SqliteKernel.open(tmp_path / "store.db", max_pages=200)
    lane = Lane()
    large: Commit = lane.put("s/a", "k", bytes(2_000_000))
    assert isinstance(await sent(kernel, large), StoreFull)
    assert await applied(kernel, lane.put("s/a", "k", b"small")) == {"s/a": 1}
    await kernel.close()


async def test_a_commit_that_found_no_space_at_any_write_is_applied_once_when_it_is_sent_again(tmp_path: Path) -> None:
    """G5, G6: StoreFull is sure. The same id sent again is a first time, and once more a repeat."""
    vfs = FaultyVfs()
    kernel = await SqliteKernel.open(tmp_path / "store.db", vfs=vfs.name)
    lane = Lane()
    writes = left = 0

    def refuse(kind: str) -> None:
        nonlocal writes
        writes += kind == "log"
        if kind == "log" and writes > left:
            raise apsw.FullError("no room")

    while writes <= 200:
        commit = lane.put(f"s/{left}", "k", bytes(20_000))
        writes = 0
        vfs.on_write = refuse
        outcome = await sent(kernel, commit)
        vfs.on_write = lambda kind: None
        if isinstance(outcome, Committed):
            break
        assert isinstance(outcome, StoreFull)
        assert f"s/{left}" not in await kernel.scopes()
        assert await sent(kernel, commit) == Committed({f"s/{left}": 1})
        assert await sent(kernel, commit) == Committed({f"s/{left}": 1}, replayed=True)
        left += 1
    assert left > 10
    await kernel.close()
    kernel = await SqliteKernel.open(tmp_path / "store.db")
    assert len(await kernel.scopes()) == left + 1
    await kernel.close()
