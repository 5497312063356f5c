"""Sweeping: small steps between batches, until the budget is used up, and room given back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast.backends.sqlite import SqliteKernel, SqliteStore, sweep
from holdfast.backends.sqlite.sweep import FREE_PAGES_MIN, STEP, Limits, Sweep
from holdfast.backends.sqlite.writer import Writer
from holdfast.kernel.commit import Append, CommitId, Committed, Entry, Put, Range, Read, Retention, ScopeCommit, Swept
from tests.unit.backends.sqlite.drafts import NOW_US, Lane, applied, sent, size_of, value_of

KEEP = Retention(tombstone_us=None)


async def many(kernel: SqliteKernel, lane: Lane, scope: str, count: int, *, value: bytes = b"v") -> None:
    """Append that many cells, each with an index entry."""
    for start in range(0, count, 500):
        entries = [(Entry("by", "x", f"{n:06d}"),) for n in range(start, min(count, start + 500))]
        appends = tuple(Append("m/", value, None, entry) for entry in entries)
        await applied(kernel, lane.commit(ScopeCommit(scope, "create", appends=appends)))


async def test_a_dropped_scope_is_swept_in_steps_and_shows_nothing_meanwhile(tmp_path: Path) -> None:
    """G15, G16: its cells and entries vanish with the drop; the sweep only frees what nobody sees."""
    store = await SqliteStore.open(tmp_path / "store.db", durability="process")
    kernel = await SqliteKernel.on(store)
    lane = Lane()
    count = 2 * STEP + 100
    await many(kernel, lane, "s/1", count)
    await applied(kernel, lane.commit(ScopeCommit("s/1", drop=True)))
    await applied(
        kernel, lane.commit(ScopeCommit("s/1", "create", puts=(Put("k", b"new", None, (Entry("by", "x", "000001"),)),)))
    )
    assert [found.key for found in await kernel.find("by", "x", now_us=NOW_US)] == ["k"]
    left = count
    while left:
        swept = await kernel.sweep(now_us=NOW_US, retention=KEEP, budget=STEP)
        assert swept == Swept(cells=min(left, STEP), more=swept.more)
        left -= swept.cells
    assert await kernel.sweep(now_us=NOW_US, retention=KEEP) == Swept()
    assert [found.key for found in await kernel.find("by", "x", now_us=NOW_US)] == ["k"]
    rows = await store.look(lambda cursor: cursor.execute("SELECT count(*) FROM cells WHERE epoch >= 0").fetchall())
    assert rows == [(1,)]
    rows = await store.look(lambda cursor: cursor.execute("SELECT count(*) FROM entries").fetchall())
    assert rows == [(1,)]
    await store.close()


async def test_the_sweep_of_one_space_leaves_the_others_alone(tmp_path: Path) -> None:
    """G9: a space's clock expires its own cells only."""
    store = await SqliteStore.open(tmp_path / "store.db")
    ada, bo = [await SqliteKernel.on(store, space=name) for name in ("ada", "bo")]
    for kernel in (ada, bo):
        await applied(kernel, Lane().put("s/1", "k", b"v", expires_us=NOW_US + 10))
        await applied(kernel, Lane("two").put("s/1", "j", b"v"))
    late = Retention(age_us=0, count=1, tombstone_us=0)
    assert await ada.sweep(now_us=NOW_US + 10, retention=late) == Swept(cells=1, records=1)
    assert await value_of(bo, "s/1", "k") == b"v"
    assert len(await bo.log("s/1")) == 2
    await store.close()


async def test_a_long_log_is_trimmed_within_the_budget_and_keeps_its_newest_record(tmp_path: Path) -> None:
    """G13, G16."""
    kernel = await SqliteKernel.open(tmp_path / "store.db", durability="process")
    lane = Lane()
    for _ in range(30):
        await kernel.commit([lane.put("s/1", "k", b"%d" % n) for n in range(50)])
    first = await kernel.sweep(now_us=NOW_US, retention=Retention(count=1), budget=700)
    assert first == Swept(records=700, more=True)
    assert (await kernel.read([Read("s/1")], now_us=NOW_US))[0].head.floor == 701
    second = await kernel.sweep(now_us=NOW_US, retention=Retention(count=1))
    assert second == Swept(records=799)
    assert [record.seq for record in await kernel.log("s/1", after=1_499)] == [1_500]
    assert await applied(kernel, lane.put("s/1", "k", b"next")) == {"s/1": 1_501}
    await kernel.close()


@pytest.mark.parametrize("after", [2, 3, 4, 5, 6])
async def test_a_scope_that_lives_and_ends_again_while_it_is_swept_is_a_young_tombstone(
    tmp_path: Path, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G11, G15: its versions and epochs go on, whenever between the look and the removal (before its records are
    removed, or before it is forgotten) another process revived it; and the newer life's log is whole."""
    monkeypatch.setattr(sweep, "STEPS_ON_FULL", (1, 1, 1, 1))  # so that one step ends before each of those
    begun = 0
    path, lane = tmp_path / "store.db", Lane()
    looking, other = await SqliteStore.open(path), await SqliteKernel.open(path)
    kernel = await SqliteKernel.on(looking)
    for _ in range(3):
        await applied(kernel, lane.put("s/1", "k", b"v"))
    await applied(kernel, lane.commit(ScopeCommit("s/1", drop=True)))
    late_us = NOW_US + 1_000

    async def act(work: Callable[[Writer], Any]) -> Any:
        nonlocal begun
        begun += 1
        if begun == after:
            await applied(other, lane.put("s/1", "k", b"second life"))
            await applied(other, lane.commit(ScopeCommit("s/1", drop=True), at_us=late_us))
        return await looking.act(work)

    retention = Retention(tombstone_us=1_000)
    space = await looking.space("default")
    swept = await Sweep(Limits(space.id, late_us, retention), 100, look=looking.look, act=act).run()
    assert begun > after
    assert swept.scopes == 0
    head = (await other.read([Read("s/1")], now_us=late_us))[0].head
    assert (head.live, head.seq, head.epoch) == (False, 6, 2), head
    assert [record.seq for record in await other.log("s/1", after=head.floor - 1)][-3:] == [4, 5, 6]
    assert await applied(kernel, lane.put("s/1", "k", b"third life")) == {"s/1": 7}
    await kernel.sweep(now_us=late_us + 1, retention=retention)
    assert [record.seq for record in await other.log("s/1", after=3)] == [4, 5, 6, 7]
    await other.close()
    await looking.close()


async def test_sweeping_what_another_process_swept_already_is_harmless(tmp_path: Path) -> None:
    kernels = [await SqliteKernel.open(tmp_path / "store.db") for _ in range(2)]
    lane = Lane()
    for n in range(10):
        await applied(kernels[0], lane.put("s/1", f"k{n}", b"v", expires_us=NOW_US + 1))
    first = await kernels[0].sweep(now_us=NOW_US + 1, retention=Retention(count=1))
    second = await kernels[1].sweep(now_us=NOW_US + 1, retention=Retention(count=1))
    assert first == Swept(cells=10, records=9)
    assert second == Swept()
    for kernel in kernels:
        await kernel.close()


async def test_commits_of_a_batch_before_a_trim_can_still_be_settled_or_are_indeterminate(tmp_path: Path) -> None:
    """G5: evidence that was trimmed is said to be gone, never taken for absence."""
    kernel = await SqliteKernel.open(tmp_path / "store.db")
    lane = Lane()
    commits = [lane.put("s/1", "k", b"%d" % n) for n in range(5)]
    await kernel.commit(commits)
    await kernel.sweep(now_us=NOW_US, retention=Retention(count=2))
    assert await sent(kernel, commits[4]) == Committed({"s/1": 5}, replayed=True)
    assert (await sent(kernel, commits[0])).code == "indeterminate"  # type: ignore[union-attr]
    assert await kernel.outcome("s/1", CommitId("w", 4)) == Committed({"s/1": 4}, replayed=True)
    await kernel.close()


async def test_room_that_became_free_is_given_back(tmp_path: Path) -> None:
    """When free pages are a good part of the file, sweeps shorten it bit by bit."""
    path = tmp_path / "store.db"
    kernel = await SqliteKernel.open(path, durability="process")
    lane = Lane()
    await many(kernel, lane, "s/1", 4_000, value=bytes(4_000))
    await applied(kernel, lane.put("s/2", "k", b"kept"))
    await applied(kernel, lane.commit(ScopeCommit("s/1", drop=True)))
    await kernel.sweep(now_us=NOW_US, retention=KEEP)
    before = dict(await kernel.stats())
    for _ in range(20):
        await kernel.sweep(now_us=NOW_US, retention=KEEP)
    after = dict(await kernel.stats())
    assert int(before["free_bytes"]) > FREE_PAGES_MIN * 4096
    assert int(after["file_bytes"]) < int(before["file_bytes"]) / 2
    await kernel.close()
    assert size_of(path) <= int(after["file_bytes"])
    again = await SqliteKernel.open(path)
    assert (await again.read([Read("s/2", (), (Range("", 5),))], now_us=NOW_US))[0].ranges[0][0].value == b"kept"
    await again.close()


async def test_many_small_trims_tombstones_and_ended_epochs_are_one_transaction_each(tmp_path: Path) -> None:
    """A transaction is a sync of the disk and a turn among the writers: a sweep of a hundred sessions that takes one of
    each falls behind what they write."""
    store = await SqliteStore.open(tmp_path / "store.db")
    kernel, lane = await SqliteKernel.on(store), Lane()
    for n in range(60):
        await kernel.commit([lane.put(f"s/{n}", "k", b"%d" % n) for _ in range(3)])
    await kernel.commit([lane.commit(ScopeCommit(f"s/{n}", drop=True)) for n in range(30)])
    acts = 0

    async def act(work: Callable[[Writer], Any]) -> Any:
        nonlocal acts
        acts += 1
        return await store.act(work)

    limits = Limits((await store.space("default")).id, NOW_US + 1, Retention(count=1, tombstone_us=1))
    swept = await Sweep(limits, 10_000, look=store.look, act=act).run()
    assert (swept.cells, swept.records, swept.scopes) == (30, 60, 30)
    assert acts <= 5, "one for expired cells, one for ended epochs, one for trims, two to give room back"
    await store.close()
