"""Callers of every kind: several threads and loops, callers that stop waiting, callers that close."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from holdfast.backends.sqlite import SqliteKernel, SqliteStore
from holdfast.errors import Closed, InvalidValue
from holdfast.kernel.commit import Append, Commit, CommitId, Committed, Put, Range, Read, Retention, ScopeCommit
from tests.unit.backends.sqlite.drafts import NOW_US, Lane, applied, value_of


async def test_threads_and_loops_share_one_kernel(tmp_path: Path) -> None:
    """G3, G4: four loops in four threads append to one scope; every append is there once, in one order."""
    kernel = await SqliteKernel.open(tmp_path / "store.db")
    failures: list[BaseException] = []

    async def append(lane: Lane, times: int) -> None:
        for _ in range(times):
            part = ScopeCommit("s/1", "create", appends=(Append("m/", lane.writer.encode()),))
            await applied(kernel, lane.commit(part))
            await kernel.read([Read("s/1", (), (Range("m/", 5, reverse=True),))], now_us=NOW_US)

    async def several(name: str) -> None:
        await asyncio.gather(*(append(Lane(f"{name}{n}"), 10) for n in range(5)))

    def run(name: str) -> None:
        try:
            asyncio.run(several(name))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(f"t{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    await asyncio.gather(*(asyncio.to_thread(thread.join) for thread in threads))
    assert failures == []
    view = (await kernel.read([Read("s/1", (), (Range("m/", 1_000),))], now_us=NOW_US))[0]
    assert view.head.seq == len(view.ranges[0]) == 200
    assert [cell.version for cell in view.ranges[0]] == list(range(1, 201))
    await kernel.close()


async def test_a_cancelled_caller_only_stops_waiting(tmp_path: Path) -> None:
    """The commit it sent lands whole, the others are answered, and the writer goes on."""
    release = threading.Event()
    reached = threading.Event()

    def hold(place: str) -> None:
        if place == "batch.begun":
            reached.set()
            assert release.wait(30)

    store = await SqliteStore.open(tmp_path / "store.db", failpoint=hold)
    release.set()
    kernel = await SqliteKernel.on(store)
    release.clear()
    reached.clear()
    lane = Lane()
    impatient = asyncio.ensure_future(kernel.commit([lane.put("s/1", "k", b"impatient")]))
    await asyncio.to_thread(reached.wait, 30)
    waiting = asyncio.ensure_future(kernel.commit([lane.put("s/1", "other", b"patient")]))
    await asyncio.sleep(0)
    impatient.cancel()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    assert isinstance((await waiting)[0], Committed)
    assert await value_of(kernel, "s/1", "k") == b"impatient"
    await store.close()


async def test_closing_finishes_what_was_sent_and_refuses_the_rest(tmp_path: Path) -> None:
    """G20."""
    path = tmp_path / "store.db"
    kernel = await SqliteKernel.open(path)
    lane = Lane()
    pending = [asyncio.ensure_future(kernel.commit([lane.put(f"s/{n}", "k", b"v")])) for n in range(50)]
    await asyncio.sleep(0)
    await asyncio.gather(kernel.close(), kernel.close())
    for commit in pending:
        assert isinstance((await commit)[0], Committed)
    for verb in (
        kernel.read([Read("s/1")], now_us=NOW_US),
        kernel.commit([lane.put("s/1", "k", b"v")]),
        kernel.commit([]),
        kernel.log("s/1"),
        kernel.moved(),
        kernel.find("by", "x", now_us=NOW_US),
        kernel.scopes(),
        kernel.sweep(now_us=NOW_US, retention=Retention()),
        kernel.outcome("s/1", CommitId("w", 1)),
        kernel.stats(),
    ):
        with pytest.raises(Closed):
            await verb
    with pytest.raises(Closed):
        kernel.watch(lambda: None)
    await kernel.close()
    again = await SqliteKernel.open(path)
    assert len(await again.scopes()) == 50
    await again.close()


async def test_closing_leaves_one_file_and_no_thread(tmp_path: Path) -> None:
    """The last to close checkpoints the log and removes it; only the side file of the turns stays."""
    kernel = await SqliteKernel.open(tmp_path / "store.db")
    await applied(kernel, Lane().put("s/1", "k", b"v"))
    await kernel.scopes(limit=1_000)
    await kernel.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store.db", "store.db-lock"]
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("holdfast-sqlite")] == []


async def test_a_kernel_of_a_shared_store_closes_without_it(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "store.db")
    one, two = [await SqliteKernel.on(store, space=name) for name in ("one", "two")]
    await one.close()
    with pytest.raises(Closed):
        await one.scopes()
    assert await applied(two, Lane().put("s/1", "k", b"v")) == {"s/1": 1}
    await store.close()
    with pytest.raises(Closed):
        await two.scopes()


async def test_watchers_are_woken_by_commits_of_their_space_until_they_leave(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "store.db")
    one, two = [await SqliteKernel.on(store, space=name) for name in ("one", "two")]
    loop = asyncio.get_running_loop()
    woken = asyncio.Event()
    leave = one.watch(lambda: loop.call_soon_threadsafe(woken.set) and None)
    lane = Lane()
    await applied(one, lane.put("s/1", "k", b"v"))
    await asyncio.wait_for(woken.wait(), 30)
    woken.clear()
    leave()
    leave()
    await applied(one, lane.put("s/1", "k", b"w"))
    await applied(two, lane.put("s/1", "k", b"w"))
    await store.act(lambda writer: None)
    assert not woken.is_set()
    await store.close()


async def test_what_cannot_be_bound_is_refused_alone(tmp_path: Path) -> None:
    """G7: a number beyond 64 bits fails its own commit, not its neighbours in the batch."""
    kernel = await SqliteKernel.open(tmp_path / "store.db")
    lane = Lane()
    good = [lane.put(f"s/{n}", "k", b"v") for n in range(2)]
    far = Commit((ScopeCommit("s/far", "create", puts=(Put("k", b"v", 2**70),)),), NOW_US, id=CommitId("w", 9))
    outcomes = await kernel.commit([good[0], far, good[1]])
    assert [type(outcome) for outcome in outcomes] == [Committed, InvalidValue, Committed]
    assert await kernel.scopes() == ("s/0", "s/1")
    await kernel.close()


async def test_a_failpoint_that_raises_fails_its_batch_and_leaves_no_trace(tmp_path: Path) -> None:
    """G1, G7: wherever a batch is interrupted before its barrier, none of it is there."""
    failing: set[str] = set()
    seen: list[str] = []

    def failpoint(place: str) -> None:
        seen.append(place)
        if place in failing:
            raise RuntimeError(place)

    kernel = await SqliteKernel.open(tmp_path / "store.db", failpoint=failpoint)
    lane = Lane()
    await applied(kernel, lane.put("s/1", "k", b"kept"))
    assert seen[-4:] == ["batch.begun", "batch.decided", "batch.written", "batch.committed"]
    for place in ("batch.begun", "batch.decided", "batch.written"):
        failing.add(place)
        outcome = (await kernel.commit([lane.put("s/1", "k", b"lost")]))[0]
        assert place in str(outcome)
        failing.clear()
        assert await value_of(kernel, "s/1", "k") == b"kept"
    assert await applied(kernel, lane.put("s/1", "k", b"next")) == {"s/1": 2}
    await kernel.close()
