"""Erasing a user: everything of theirs is gone for good, and nothing of anybody else's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from contextvars import Context
from pathlib import Path
from typing import Any

import apsw
import pytest

from holdfast import Config, Holdfast, LeaseLost, NotFound, RuntimeConfig, Scope
from holdfast.backends.memory.kernel import _trim
from holdfast.backends.sqlite import SqliteKernel
from holdfast.errors import Compacted, InvalidId, Unavailable, UseTransaction
from holdfast.kernel.commit import Read
from holdfast.kernel.contract import Kernel
from holdfast.model.erasure import ErasureReport
from holdfast.operations import erase
from holdfast.system import SystemIds
from holdfast.testing.clock import ManualClock
from holdfast.wrappers.around import Around, Verb
from tests.unit.handles import canary
from tests.unit.handles.canary import CANARY, fill
from tests.unit.stores import StillClock, Stores


@asynccontextmanager
async def stores_of(backend: str, folder: Path) -> AsyncIterator[Stores]:
    stores = Stores(backend, folder)
    try:
        yield stores
    finally:
        await stores.close()


NAME = "ada-51d7"
DAY_S = 86_400


# --- what is gone ----------------------------------------------------------------------------------------------------


async def test_sessions_of_every_status_and_the_users_scope_are_gone(hold: Holdfast, clock: ManualClock) -> None:
    """G23: active, paused, ended, expired; values, all namespaces. A second call finds nothing."""
    ids = [f"s{number}" for number in range(4)]
    for id in ids:
        s = await hold.sessions.create(id=id, user="ada", ttl="1h" if id == "s3" else None)
        await s.messages.add("user", "hello")
    first, second = [await hold.sessions.get(id) for id in ids[1:3]]
    assert first is not None
    assert second is not None
    await first.pause()
    await second.complete()
    clock.advance(3600)
    await hold.state(Scope.user("ada")).set("name", "Ada")
    await hold.state(Scope.user("ada"), "prefs").set("theme", "dark")

    report = await hold.erase(user="ada")

    assert (report.sessions, report.scopes) == (4, 5)
    assert report.records > 0
    assert [await hold.sessions.get(id) for id in ids] == [None] * 4
    assert (await hold.sessions.list(user="ada", expired=True)).items == ()
    assert await hold.state(Scope.user("ada")).get("name") is None
    assert await hold.state(Scope.user("ada"), "prefs").get("theme") is None
    assert await hold.erase(user="ada") == ErasureReport(scrubbed=report.scrubbed)


async def test_runs_of_the_user_that_are_alone_are_gone_too(hold: Holdfast) -> None:
    """Those that go on, and what those that were deleted before have left; not those of others."""
    for id, user in (("going", "ada"), ("gone", "ada"), ("bos", "bo"), ("bos-gone", "bo"), ("nobodys", None)):
        run = await hold.runs.start("nightly", id=id, nodes=["a"], user=user)
        await run.progress("a", "completed", output="secret")
        if "gone" in id:
            async with hold.transaction() as tx:
                tx._current().drop(f"run/{id}")
    log = await hold._store.kernel.log("run/bos-gone")
    report = await hold.erase(user="ada")
    assert (report.scopes, await hold.runs.get("going")) == (2, None)
    assert sorted(run.id for run in (await hold.runs.list()).items) == ["bos", "nobodys"]
    assert await hold._store.kernel.log("run/bos-gone") == log
    assert await hold.erase(user="ada") == ErasureReport(scrubbed=report.scrubbed)


async def test_nothing_of_anybody_else_is_touched(hold: Holdfast) -> None:
    """Isolation: sessions of others and of nobody, other scopes, and what is left of others' deleted sessions."""
    await fill(hold, "ada")
    bos = await hold.sessions.create(id="bos", user="bo")
    nobodys = await hold.sessions.create(id="nobodys")
    for s in (bos, nobodys):
        await s.state.set("k", 1)
        await s.messages.add("user", "hello")
    await hold.state(Scope.user("bo")).set("k", 1)
    await hold.state(Scope.user("ada2")).set("k", 1)
    await hold.sessions.create(id="gone", user="bo")
    await hold.sessions.delete("gone")
    log = await hold._store.kernel.log("session/gone")
    before = [(s.version, await s.state.snapshot(), await s.messages.list()) for s in (bos, nobodys)]

    await hold.erase(user="ada")

    assert [(s.version, await s.state.snapshot(), await s.messages.list()) for s in (bos, nobodys)] == before
    assert await hold.state(Scope.user("bo")).get("k") == 1
    assert await hold.state(Scope.user("ada2")).get("k") == 1
    assert await hold._store.kernel.log("session/gone") == log


async def test_a_user_of_whom_there_is_nothing_leaves_an_empty_report(hold: Holdfast) -> None:
    """And nothing is written: not even that somebody asked."""
    await hold.sessions.create(user="bo")
    position = (await hold._store.kernel.moved()).position
    assert await hold.erase(user="ada") == ErasureReport()
    assert (await hold._store.kernel.moved(position)).scopes == ()
    with pytest.raises(InvalidId):
        await hold.erase(user="")


async def test_an_id_that_had_many_owners_is_purged_if_the_user_was_one_of_them(hold: Holdfast) -> None:
    """And the life it has now is not touched."""
    for id, users in (("a", ("bo", "ada", "cy", "dee")), ("b", ("bo", "cy", "dee")), ("c", ("bo", "cy"))):
        for user in users[:-1]:
            await hold.sessions.create(id=id, user=user)
            await hold.sessions.delete(id)
        await (await hold.sessions.create(id=id, user=users[-1])).state.set("k", 1)
    await hold.sessions.delete("c")
    kernel = hold._store.kernel
    report = await hold.erase(user="ada")
    assert (report.sessions, report.scopes, report.records) == (0, 1, 5)
    floors = [view.head.floor for view in await kernel.read([Read(f"session/{id}") for id in "abc"], now_us=0)]
    assert floors == [6, 1, 1]
    for id in "ab":
        s = await hold.sessions.get(id)
        assert s is not None
        assert await s.state.get("k") == 1


# --- the canary ------------------------------------------------------------------------------------------------------


async def _fill_and_erase(hold: Holdfast, clock: ManualClock) -> ErasureReport:
    """Sessions that live, have expired, were deleted, swept, one made anew by bo; and then none of ada's."""
    await fill(hold, NAME)
    await fill(hold, NAME, id="deleted before")
    await hold.sessions.delete("deleted before")
    with hold.acting(by=f"{CANARY}-deletes"):
        await fill(hold, NAME, id="taken over")
        await hold.sessions.delete("taken over")
    await (await hold.sessions.create(id="taken over", user="bo")).state.set("k", "bos")
    await hold.sweep()
    await fill(hold, NAME, id="deleted after the sweep")
    await hold.sessions.delete("deleted after the sweep")
    s = await fill(hold, NAME, id="expired")
    await hold.sessions.create(id="never used", user=NAME, ttl="1h")
    clock.advance(3 * 3600)
    assert await hold.sessions.get(s.id) is not None  # it ended before its time
    report = await hold.erase(user=NAME)
    taken_over = await hold.sessions.get("taken over")
    assert taken_over is not None
    assert (await taken_over.state.snapshot()).values == {"k": "bos"}
    return report


async def test_no_byte_of_it_is_left_in_the_files_of_a_sqlite_store(tmp_path: Path) -> None:
    """G23: not in the file, nor in its log, free pages or side files; what was overwritten and deleted included."""
    async with stores_of("sqlite", tmp_path) as stores:
        hold = await stores.open()
        await fill(hold, NAME)
        assert "store.db-wal" in canary.in_files(tmp_path)
        report = await _fill_and_erase(hold, stores.clock)
        assert report.scrubbed
        assert canary.in_files(tmp_path) == []
    assert canary.in_files(tmp_path) == []


async def test_while_a_reader_elsewhere_holds_the_log_the_report_says_so_and_the_next_one_scrubs(
    tmp_path: Path,
) -> None:
    """G21: what a reader that stands still might yet read cannot be cut off."""
    path = tmp_path / "store.db"
    async with Holdfast.over(await SqliteKernel.open(path, busy_timeout_s=0.05), clock=StillClock()) as hold:
        await fill(hold, NAME)
        reader = apsw.Connection(str(path))
        reader.execute("BEGIN; SELECT count(*) FROM log").fetchall()
        report = await hold.erase(user=NAME)
        assert (report.sessions, report.scrubbed) == (1, False)
        assert canary.in_files(tmp_path) != []
        reader.close()
        assert await hold.erase(user=NAME) == ErasureReport()
        assert canary.in_files(tmp_path) == []


async def test_no_row_of_it_is_left_in_the_tables_of_postgresql(tmp_path: Path) -> None:
    """G23; of the server's own files nobody but its operator can tell, and the report says so."""
    async with stores_of("postgres", tmp_path) as stores:
        hold = await stores.open()
        await fill(hold, NAME)
        assert stores._postgres is not None
        assert {"cells", "log", "entries"} <= set(await canary.in_tables(stores._postgres))
        report = await _fill_and_erase(hold, stores.clock)
        assert not report.scrubbed
        assert await canary.in_tables(stores._postgres) == []


@pytest.mark.parametrize("backend", ["memory", "weakest"])
async def test_no_object_of_it_is_left_in_memory(tmp_path: Path, backend: str) -> None:
    """G23: neither in the store nor in what is around it, its cache included."""
    async with stores_of(backend, tmp_path) as stores:
        hold = await stores.open()
        await fill(hold, NAME)
        assert canary.in_memory(hold._store.kernel)
        assert (await _fill_and_erase(hold, stores.clock)).scrubbed
        assert canary.in_memory(hold._store.kernel) == []


async def test_what_nobody_can_tell_whose_it_was_goes_too(tmp_path: Path) -> None:
    """Of a deleted session whose first records were trimmed the log no longer says whose it was."""
    async with stores_of("memory", tmp_path) as stores:
        hold = await stores.open()
        s = await fill(hold, NAME, id="trimmed")
        await hold.sessions.delete(s.id)
        kernel = hold._store.kernel
        data = stores._memory.space("default").scopes["session/trimmed"]
        place = next(place for place, record in enumerate(data.records) if CANARY.encode() in record.body) + 1
        _trim(data, place)
        assert canary.in_memory(kernel)
        await hold.erase(user=NAME)
        assert canary.in_memory(kernel) == []


async def test_the_users_name_stays_as_that_of_a_tombstone_until_a_sweep(tmp_path: Path) -> None:
    """As the documentation says: for thirty days, and in nothing else but others' scopes."""
    async with stores_of("sqlite", tmp_path) as stores:
        hold = await stores.open()
        await fill(hold, NAME)
        with hold.acting(by=NAME):
            await fill(hold, NAME)
        await hold.erase(user=NAME)
        left = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        assert left["store.db"].count(NAME.encode()) == left["store.db"].count(f"user/{NAME}".encode()) > 0
        stores.clock.advance(31 * DAY_S)
        await hold.sweep()
        await hold.sessions.create(user="bo")
        await hold.erase(user="bo")  # scrubs
        assert canary.in_files(tmp_path, NAME) == []


# --- beside whoever is at work ---------------------------------------------------------------------------------------


async def test_what_is_under_way_in_a_session_is_told_that_it_is_gone(hold: Holdfast) -> None:
    """G11: a turn, a claim and a handle get NotFound or LeaseLost, and bring nothing back."""
    s = await hold.sessions.create(id="s", user="ada")
    with pytest.raises((NotFound, LeaseLost)):
        async with s.turn(request_id="r") as turn:
            await turn.state.set("k", 1)
            await asyncio.create_task(hold.erase(user="ada"), context=Context())  # by somebody else
    with pytest.raises(NotFound):
        await s.state.set("k", 1)
    s = await hold.sessions.create(id="s", user="ada")
    with pytest.raises((NotFound, LeaseLost)):
        async with s.claim():
            await hold.erase(user="ada")
            await s.state.set("k", 1)
    assert await hold.sessions.get("s") is None


async def test_inside_a_transaction_on_what_it_would_erase_it_refuses(hold: Holdfast) -> None:
    """As every write past a transaction does, before anything is removed."""
    s = await hold.sessions.create(id="s", user="ada")
    await hold.sessions.create(id="t", user="ada")
    async with s.transaction() as tx:
        await tx.state.set("k", 1)
        with pytest.raises(UseTransaction):
            await hold.erase(user="ada")
    assert len((await hold.sessions.list(user="ada")).items) == 2
    assert await s.state.get("k") == 1


async def test_runtime_state_that_waits_is_not_written_afterwards(hold: Holdfast, stores: Stores) -> None:
    """What a process has in hand for a session that is erased is thrown away."""
    other = await stores.open(config=Config(runtime=RuntimeConfig(persistence="batched", batch_size=50)))
    s = await other.sessions.create(id="s", user="ada")
    await s.runtime.set("k", CANARY)
    await hold.erase(user="ada")
    with suppress(NotFound):  # raised unless it went out by itself meanwhile
        await s.runtime.flush()
    assert await hold.sessions.get("s") is None
    assert (await hold._store.kernel.log("session/s", reverse=True))[0].op == "drop"


async def test_of_an_encrypted_store_it_is_gone_as_well(tmp_path: Path) -> None:
    """The last record is sealed anew without its cause: followers can still read it."""
    async with stores_of("encrypted", tmp_path) as stores:
        hold = await stores.open()
        with hold.acting(by="ada"):
            for id in ("s", "t"):
                await (await hold.sessions.create(id=id, user="ada")).state.set("k", 1)
            await hold.sessions.delete("s")
        report = await hold.erase(user="ada")
        assert (report.sessions, report.scopes, report.scrubbed) == (1, 2, True)
        for id in ("s", "t"):
            [record] = await hold._store.kernel.log(f"session/{id}", reverse=True)
            assert (record.op, record.cause) == ("drop", b"")
            assert b"delete" in record.body


async def test_a_follower_sees_the_end_of_each_and_no_name(hold: Holdfast) -> None:
    """A session deleted, state cleared, and not by whom."""
    s = await hold.sessions.create(id="s", user="ada")
    await s.user_state.set("k", 1)
    async with hold.changes([Scope.user("ada"), Scope.session("s")]) as changes:
        first = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)
        with hold.acting(by="ada"):
            await hold.erase(user="ada")
        told = {await first, await anext(changes)}
    assert {(str(one.scope), one.kind, one.op, one.by) for one in told} == {
        ("session/s", "session", "delete", None),
        ("user/ada", "state", "clear", None),
    }


async def test_a_follower_that_was_not_as_far_is_told_so(tmp_path: Path) -> None:
    """G13: what it missed is gone, and it does not go on as if it had seen it."""
    async with stores_of("memory", tmp_path) as stores:
        hold = await stores.open()
        s = await hold.sessions.create(user="ada")
        for number in range(600):
            await s.state.set("k", number)
        async with s.changes(after=0) as changes:
            assert (await anext(changes)).seq == 1
            await hold.erase(user="ada")
            with pytest.raises(Compacted):
                while True:
                    await anext(changes)


class Meanwhile(Around):
    """A kernel that lets something happen once, before a verb."""

    def __init__(self, inside: Kernel, verb: Verb, happens: Callable[[], Awaitable[object]]) -> None:
        super().__init__(inside)
        self.verb, self.happens = verb, happens
        self.happened = False

    async def call(self, verb: Verb, send: Callable[[], Awaitable[Any]]) -> Any:
        if verb == self.verb and not self.happened:
            self.happened = True
            await self.happens()
        return await send()


@pytest.mark.parametrize("verb", ["ended", "purge", "find"])
async def test_a_session_that_is_made_meanwhile_is_erased_too(tmp_path: Path, verb: Verb) -> None:
    """It goes on until it finds none."""
    async with stores_of("memory", tmp_path) as stores:
        others = await stores.open()
        await others.sessions.create(user="ada")
        hold = Holdfast.over(
            Meanwhile(await stores.kernel(), verb, lambda: others.sessions.create(user="ada")), clock=StillClock()
        )
        assert (await hold.erase(user="ada")).sessions == 2
        assert (await others.sessions.list(user="ada")).items == ()
        await hold.close()


async def test_two_erasures_at_once_agree(hold: Holdfast) -> None:
    """Each session is deleted once, whoever does it; a scrub is owed only where it cannot be complete."""
    for _ in range(5):
        await fill(hold, "ada")
    one, other = await asyncio.gather(hold.erase(user="ada"), hold.erase(user="ada"))
    assert one.sessions + other.sessions == 5
    assert (await hold.sessions.list(user="ada")).items == ()
    assert one.scrubbed == other.scrubbed == ("erasure/owed" not in await hold._store.kernel.scopes())


# --- interrupted -----------------------------------------------------------------------------------------------------


class Stopping(Around):
    """A kernel that refuses for ever after so many calls, as if the process had died there; it counts the scrubs."""

    def __init__(self, inside: Kernel, left: int) -> None:
        super().__init__(inside)
        self.left = left
        self.scrubs = 0

    async def call(self, verb: Verb, send: Callable[[], Awaitable[Any]]) -> Any:
        if self.left == 0:
            raise Unavailable("this process is gone")
        self.left -= 1
        self.scrubs += verb == "scrub"
        return await send()


class Slow(Around):
    """A kernel whose purges take more than a minute each, in which something else happens."""

    def __init__(self, inside: Kernel, clock: ManualClock, meanwhile: Callable[[], Awaitable[object]]) -> None:
        super().__init__(inside)
        self.purges = 0
        self._clock = clock
        self._meanwhile = meanwhile

    async def call(self, verb: Verb, send: Callable[[], Awaitable[Any]]) -> Any:
        if verb == "purge":
            self.purges += 1
            self._clock.advance(61)
            await self._meanwhile()
        return await send()


async def _erase(hold: Holdfast, _: StillClock) -> None:
    await hold.erase(user="ada")


async def _sweep(hold: Holdfast, clock: StillClock) -> None:
    """A while later, by any process; where nothing had been removed before it was cut, nobody knows of the erasure."""
    clock.advance(601)
    views = await hold._store.kernel.read([Read(erase.SCOPE)], now_us=0)
    if not views[0].head.live:
        await hold.erase(user="ada")
    await hold.sweep()
    views = await hold._store.kernel.read([Read(erase.SCOPE)], now_us=0)
    assert not views[0].head.live  # it is at its end


FINISH = {"another call": _erase, "a sweep": _sweep}


async def _interrupted(stores: Stores, calls: int, finish: str) -> tuple[bool, Stopping, Stopping]:
    """An erasure that ends after so many calls, and what finishes it; whether the first was at its end, and both
    kernels."""
    hold = await stores.open()
    s = await hold.sessions.create(id="s", user="ada")
    await s.state.set("k", CANARY)
    with hold.acting(by=CANARY):
        await hold.sessions.delete("s")
    s = await hold.sessions.create(id="t", user="ada")
    await s.state.set("k", CANARY)
    await s.user_state.set("k", CANARY)
    kernels = Stopping(await stores.kernel(), calls), Stopping(await stores.kernel(), -1)
    ended = []
    for kernel, work in zip(kernels, (_erase, FINISH[finish]), strict=True):
        clock = StillClock()
        opened = Holdfast.over(kernel, clock=clock)
        try:
            await work(opened, clock)
            ended.append(kernel)
        except Unavailable:
            pass
        kernel.left = -1
        await opened.close()
    return len(ended) == 2, *kernels


@pytest.mark.parametrize("finish", FINISH)
async def test_interrupted_at_any_call_it_is_finished_by_the_next_or_by_a_sweep(tmp_path: Path, finish: str) -> None:
    """G23: whatever the last call was that arrived, calling again leaves nothing, and nor does a sweep. Once anything
    was removed, the files are scrubbed after it."""
    for calls in range(1_000):
        async with stores_of("memory", tmp_path) as stores:
            is_done, first, second = await _interrupted(stores, calls, finish)
            assert canary.in_memory(first) == []
            assert is_done or second.scrubs, f"not scrubbed after {calls} calls"
        if is_done:
            break
    assert calls > 20
    assert (first.scrubs, second.scrubs) == (1, 0)


@pytest.mark.parametrize("finish", FINISH)
@pytest.mark.parametrize("calls", [4, 9, 14, 19])
async def test_nor_is_any_byte_left_in_the_files(tmp_path: Path, calls: int, finish: str) -> None:
    """G23: the same on a disk."""
    async with stores_of("sqlite", tmp_path) as stores:
        await _interrupted(stores, calls, finish)
        assert canary.in_files(tmp_path) == canary.in_files(tmp_path, '["ada"') == []  # nor the note that named them


@pytest.mark.parametrize("calls", range(7, 20, 3))
async def test_what_the_user_made_after_a_call_that_was_cut_is_no_business_of_a_sweep(
    tmp_path: Path, calls: int
) -> None:
    """Who comes back after an erasure that crashed loses nothing by what goes on in the background."""
    async with stores_of("memory", tmp_path) as stores:
        hold = await stores.open()
        s = await hold.sessions.create(id="s", user="ada")
        await s.user_state.set("k", CANARY)
        cut = Holdfast.over(Stopping(await stores.kernel(), calls), clock=stores.clock)
        with pytest.raises(Unavailable):
            await cut.erase(user="ada")
        stores.clock.advance(30)
        anew = await hold.sessions.create(id="anew", user="ada")
        came_to_their_scope = await anew.user_state.get("k") is None
        if came_to_their_scope:
            await anew.user_state.set("k", "new")
        stores.clock.advance(601)
        await hold.sweep()
        assert await hold.sessions.get("s") is None
        assert await hold.sessions.get("anew") is not None
        assert await anew.user_state.get("k") == ("new" if came_to_their_scope else None)


async def test_an_erasure_that_takes_long_is_joined_by_no_sweep(tmp_path: Path) -> None:
    """It says that somebody works on it as it goes."""
    async with stores_of("memory", tmp_path) as stores:
        hold = await stores.open()
        for number in range(100):
            await hold.sessions.create(id=f"s{number}", user="ada")
        watching = Stopping(await stores.kernel(), -1)
        sweeps = Holdfast.over(watching, clock=stores.clock, ids=SystemIds())
        slow = Slow(await stores.kernel(), stores.clock, sweeps.sweep)
        erasing = Holdfast.over(slow, clock=stores.clock)
        assert (await erasing.erase(user="ada")).sessions == 100
        assert slow.purges > 20
        assert watching.scrubs == 0
        await sweeps.close()
        await erasing.close()


async def test_a_sweep_leaves_an_erasure_alone_that_may_be_under_way(tmp_path: Path) -> None:
    """Ten minutes; then one of those who sweep takes it on, and not each of them."""
    async with stores_of("memory", tmp_path) as stores:
        hold = await stores.open()
        await (await hold.sessions.create(id="s", user="ada")).state.set("k", CANARY)
        cut = Holdfast.over(Stopping(await stores.kernel(), 7), clock=stores.clock)
        with pytest.raises(Unavailable):
            await cut.erase(user="ada")
        kernel = Stopping(await stores.kernel(), -1)
        sweeps = Holdfast.over(kernel, clock=stores.clock, ids=SystemIds())
        stores.clock.advance(599)
        await sweeps.sweep()
        assert kernel.scrubs == 0
        stores.clock.advance(1)
        await asyncio.gather(sweeps.sweep(), hold.sweep(), sweeps.sweep())
        assert kernel.scrubs <= 1
        assert canary.in_memory(kernel) == []
        await sweeps.close()


async def test_a_scrub_that_was_in_vain_is_left_to_the_next_erasure(tmp_path: Path) -> None:
    """It holds writers up, so no sweep tries again and again what somebody who reads the log stands in the way of."""
    path = tmp_path / "store.db"
    clock = StillClock()
    async with Holdfast.over(await SqliteKernel.open(path, busy_timeout_s=0.05), clock=clock) as hold:
        await fill(hold, NAME)
        reader = apsw.Connection(str(path))
        reader.execute("BEGIN; SELECT count(*) FROM log").fetchall()
        assert not (await hold.erase(user=NAME)).scrubbed
        reader.close()
        clock.advance(3600)
        await hold.sweep()
        assert canary.in_files(tmp_path) != []
        assert (await hold.erase(user="bo")).scrubbed
        assert canary.in_files(tmp_path) == []


async def test_scrubs_in_vain_leave_one_note_however_many_erasures(tmp_path: Path) -> None:
    """Some servers never scrub all of it: their notes must not become more than a commit may write."""

    class Vain(Around):
        async def scrub(self) -> bool:
            await super().scrub()
            return False

    async with stores_of("memory", tmp_path) as stores:
        hold = Holdfast.over(Vain(await stores.kernel()), clock=stores.clock)
        for name in ("ada", "bo", "cy"):
            await hold.sessions.create(user=name)
            assert not (await hold.erase(user=name)).scrubbed
        assert [noted.note.in_vain for noted in await erase.notes(hold._store.work())] == [True]
        await hold.close()
