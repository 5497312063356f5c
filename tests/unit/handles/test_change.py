"""The change stream: every change once, in order, from anywhere to anywhere, resumable after any cut."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest

from holdfast import Change, Changes, Config, Holdfast, NotFound, Scope, Session
from holdfast.errors import Closed, Compacted, Diverged, HoldfastError, InvalidId, InvalidValue
from holdfast.kernel.commit import stamp
from holdfast.model.cause import Cause
from holdfast.model.change import KINDS
from holdfast.model.config import ChangesConfig
from holdfast.testing.clock import ManualClock
from tests.unit.stores import Stores


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s", user="ada")


async def take(changes: AsyncIterator[Change], count: int) -> list[Change]:
    return [await asyncio.wait_for(anext(changes), 10) for _ in range(count)]


def told(change: Change) -> tuple[Any, ...]:
    return (change.kind, change.op, change.key, change.value)


async def is_silent(changes: Changes) -> bool:
    """Whether nothing comes, for as long as everything else takes to come."""
    try:
        await asyncio.wait_for(anext(changes), 0.2)
    except TimeoutError:
        return True
    return False


# --- what is told ----------------------------------------------------------------------------------------------------


async def test_every_kind_of_change_is_told_in_the_order_of_the_commits(hold: Holdfast, clock: ManualClock) -> None:
    with hold.acting(by="ada", trace_id="t1"):
        s = await hold.sessions.create(id="s", user="ada")
    clock.advance(1)
    await s.state.set("a", [1])
    await s.temp.set("a", 2)
    await s.runtime.set("step", None)
    await s.messages.add("user", "hello")
    await s.log("note", {"x": 1})
    await s.state.delete("a", "missing")
    await s.runtime.clear("step")
    await s.state.update({"b": 1, "c": 2})
    await s.state.clear()
    await hold.state(Scope.session("s"), namespace="n/s").set("a", 3)
    await s.update(tags=["t"])
    await hold.sessions.delete("s")
    async with hold.changes([Scope.session("s")], after="beginning") as changes:
        found = await take(changes, 15)
    assert [told(change)[:3] for change in found] == [
        ("session", "set", "s"),
        ("event", "append", stamp(1, 0)),
        ("state", "set", "a"),
        ("temp", "set", "a"),
        ("runtime", "set", "step"),
        ("message", "append", stamp(5, 0)),
        ("event", "append", stamp(6, 0)),
        ("state", "delete", "a"),
        ("runtime", "delete", "step"),
        ("state", "set", "b"),
        ("state", "set", "c"),
        ("state", "clear", None),
        ("state", "set", "a"),
        ("session", "set", "s"),
        ("session", "delete", "s"),
    ]
    assert [change.seq for change in found] == [1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 10, 11, 12, 13]
    assert [change.namespace for change in found if change.namespace] == ["n/s"]
    assert [change.value for change in found[2:5]] == [[1], 2, None]
    assert (found[1].value["type"], found[5].value["content"], found[6].value["data"]) == ("start", "hello", {"x": 1})
    assert (found[0].by, found[0].cause) == (found[1].by, found[1].cause) == ("ada", Cause("ada", "t1"))
    assert (found[2].by, found[2].cause) == (None, Cause())
    assert (found[2].at - found[0].at).total_seconds() == 1
    assert {change.session for change in found} == {"s"}
    assert len({change.cursor for change in found}) == 15


async def test_a_commit_of_another_process_is_told_too(stores: Stores) -> None:
    hold, other = await stores.open(), await stores.open()
    s = await hold.sessions.create(id="s")
    async with s.changes() as changes:
        theirs = await other.sessions.open("s")
        for n in range(20):
            await theirs.state.set("n", n)
        assert [change.value for change in await take(changes, 20)] == list(range(20))


async def test_only_the_kinds_asked_for_are_told(s: Session) -> None:
    async with s.changes(kinds={"runtime", "message"}) as changes:
        await s.state.set("a", 1)
        await s.runtime.set("a", 1)
        await s.log("note")
        await s.messages.add("user", "x")
        assert [change.kind for change in await take(changes, 2)] == ["runtime", "message"]


async def test_every_kind_that_a_change_can_have_may_be_asked_for(s: Session) -> None:
    """Also those of which nothing is written yet: they let nothing else through."""
    async with s.changes(kinds={"runtime", "run"}) as changes:
        await s.state.set("a", 1)
        await s.runtime.set("a", 1)
        assert (await anext(changes)).kind == "runtime"
    assert {
        "session", "state", "temp", "runtime", "run", "variable", "interaction", "message", "event", "memory",
        "checkpoint", "module",
    } == KINDS  # fmt: skip


async def test_now_is_the_moment_the_block_is_entered(s: Session) -> None:
    await s.state.set("before", 1)
    changes = s.changes()
    await s.state.set("still before", 1)
    async with changes:
        await s.state.set("after", 1)
        assert [change.key for change in await take(changes, 1)] == ["after"]


async def test_conflicting_and_rolled_back_writes_are_not_told(s: Session) -> None:
    async with s.changes() as changes:
        async with s.transaction() as tx:
            await tx.state.set("a", 1)
            tx.rollback()
        with pytest.raises(HoldfastError):
            await s.state.set("a", 1, if_version=3)
        await s.state.set("b", 1)
        assert [change.key for change in await take(changes, 1)] == ["b"]


async def test_under_concurrent_writers_the_stream_is_the_log(stores: Stores) -> None:
    holds = [await stores.open() for _ in range(3)]
    s = await holds[0].sessions.create(id="s")
    async with s.changes() as changes:
        sessions = [await hold.sessions.open("s") for hold in holds]
        await asyncio.gather(*[sessions[n % 3].state.set("n", n) for n in range(90)])
        found = await take(changes, 90)
    assert [change.seq for change in found] == list(range(2, 92))
    assert [change.value for change in found][::-1] == [
        past.value for past in (await s.state.history("n", limit=99)).items
    ]


# --- cuts and resumption ---------------------------------------------------------------------------------------------


async def test_a_cut_anywhere_also_inside_a_commit_of_five_changes_loses_and_doubles_nothing(s: Session) -> None:
    await s.state.set("first", 0)
    async with s.transaction() as tx:
        for n in range(5):
            await tx.state.set(f"k{n}", n)
    await s.state.set("last", 9)
    async with s.changes(after="beginning") as changes:
        everything = await take(changes, 9)
    for cut in range(9):
        async with s.changes(after=everything[cut].cursor) as changes:
            rest = await take(changes, len(everything) - cut - 1)
            assert rest == everything[cut + 1 :]
            await s.state.set("more", cut)
            everything += await take(changes, 1)


async def test_a_reader_cut_off_after_every_single_change_sees_each_once(stores: Stores) -> None:
    hold = await stores.open()
    s = await hold.sessions.create(id="s")
    for n in range(4):
        await s.state.update({f"k{n}-{m}": m for m in range(3)})
    cursor, seen = "beginning", []
    for _ in range(14):
        async for change in s.changes(after=cursor):
            seen.append((change.seq, change.key))
            cursor = change.cursor
            break
    assert len(seen) == len(set(seen)) == 14
    assert seen[2:] == [(n + 2, f"k{n}-{m}") for n in range(4) for m in range(3)]


async def test_a_cursor_resumes_in_another_process(stores: Stores) -> None:
    hold = await stores.open()
    s = await hold.sessions.create(id="s")
    await s.state.update({"a": 1, "b": 2})
    async with s.changes(after="beginning") as changes:
        cursor = (await take(changes, 3))[-1].cursor
    theirs = await (await stores.open()).sessions.open("s")
    async with theirs.changes(after=cursor) as changes:
        assert [change.key for change in await take(changes, 1)] == ["b"]


async def test_a_place_that_a_sweep_trimmed_is_compacted_and_the_beginning_is_what_is_kept(stores: Stores) -> None:
    hold = await stores.open(config=Config(changes=ChangesConfig(retention_age=None, retention_count=2)))
    s = await hold.sessions.create(id="s")
    async with s.changes(after="beginning") as changes:
        first = (await take(changes, 2))[-1]
        for n in range(5):
            await s.state.set("n", n)
        await take(changes, 5)
    await hold.sweep()
    with pytest.raises(Compacted):
        async with s.changes(after=first.cursor):
            pass
    async with s.changes(after="beginning") as changes:
        assert [change.value for change in await take(changes, 2)] == [3, 4]


async def test_a_cursor_of_another_scope_or_history_has_diverged(hold: Holdfast, s: Session) -> None:
    other = await hold.sessions.create(id="other")
    for session in (s, other):
        for n in range(3):
            await session.state.set("n", n)
    async with other.changes(after="beginning") as changes:
        cursor = (await take(changes, 4))[-1].cursor
    seq, rest = cursor.split(".", 1)
    for wrong in (cursor, f"{int(seq) + 9}.{rest}"):
        with pytest.raises(Diverged):
            async with s.changes(after=wrong):
                pass


# --- the end of a session --------------------------------------------------------------------------------------------


async def test_the_stream_ends_after_the_sessions_deletion(hold: Holdfast, s: Session) -> None:
    async with s.changes() as changes:
        await s.state.set("a", 1)
        await hold.sessions.delete("s")
        await hold.sessions.create(id="s", user="bob")
        found = [change async for change in changes]
    assert [told(change)[:3] for change in found] == [("state", "set", "a"), ("session", "delete", "s")]
    with pytest.raises(StopAsyncIteration):
        await anext(changes)


async def test_the_stream_of_a_recreated_session_tells_of_its_own_life_only(hold: Holdfast, s: Session) -> None:
    await s.state.set("secret of the first life", 1)
    await hold.sessions.delete("s")
    again = await hold.sessions.create(id="s", user="bob")
    await again.state.set("b", 1)
    async with again.changes(after="beginning") as changes:
        assert [change.key for change in await take(changes, 3)] == ["s", stamp(again.version, 0), "b"]
    assert [change.op async for change in s.changes(after="beginning")] == ["set", "append", "set", "delete"]


async def test_the_stream_from_now_on_of_a_deleted_session_is_not_found(hold: Holdfast, s: Session) -> None:
    await hold.sessions.delete("s")
    for _ in range(2):
        with pytest.raises(NotFound):
            await asyncio.wait_for(anext(s.changes()), 5)
        await hold.sessions.open("s")


# --- several scopes, and a user's ------------------------------------------------------------------------------------


async def test_several_scopes_are_merged_and_each_is_in_order(hold: Holdfast) -> None:
    scopes = [Scope.user("ada"), Scope.global_("flags"), Scope.agent("bot")]
    async with hold.changes(scopes) as changes:
        await asyncio.gather(*[hold.state(scopes[n % 3]).set("n", n) for n in range(60)])
        await hold.state(Scope.user("bob")).set("n", 1)
        found = await take(changes, 60)
    for scope in scopes:
        assert [change.seq for change in found if change.scope == scope] == list(range(1, 21))
        assert all(change.session is None for change in found)


async def test_several_scopes_resume_each_at_its_own_cursor(hold: Holdfast) -> None:
    one, other, unseen = Scope.user("ada"), Scope.user("bob"), Scope.user("eve")
    for n in range(3):
        for scope in (one, other, unseen):
            await hold.state(scope).set("n", n)
    cursors: dict[Scope, str] = {}
    async with hold.changes([one], after="beginning") as changes:
        cursors[one] = (await take(changes, 1))[0].cursor
    async with hold.changes([other], after="beginning") as changes:
        cursors[other] = (await take(changes, 2))[1].cursor
    async with hold.changes([one, other, unseen], after=cursors) as changes:
        found = await take(changes, 6)
    seen = [("ada", 1), ("ada", 2), ("bob", 2)]
    assert sorted((change.scope.id, change.value) for change in found) == [*seen, *(("eve", n) for n in range(3))]


async def test_following_a_user_tells_of_their_scope_and_their_present_and_future_sessions_and_no_others(
    hold: Holdfast, s: Session
) -> None:
    await s.state.set("before", 1)
    bobs = await hold.sessions.create(id="bobs", user="bob")
    async with hold.changes(user="ada") as changes:
        await s.state.set("a", 1)
        await bobs.state.set("secret", 1)
        await hold.state(Scope.user("ada")).set("b", 2)
        await hold.state(Scope.user("bob")).set("secret", 1)
        new = await hold.sessions.create(id="new", user="ada")
        await new.state.set("c", 3)
        found = await take(changes, 5)
        assert {(str(change.scope), change.key) for change in found} == {
            ("session/s", "a"), ("user/ada", "b"),
            ("session/new", "new"), ("session/new", stamp(1, 0)), ("session/new", "c"),
        }  # fmt: skip
        await hold.sessions.delete("new")
        assert told((await take(changes, 1))[0])[:3] == ("session", "delete", "new")
        stolen = await hold.sessions.create(id="new", user="bob")
        await stolen.state.set("secret", 1)
        assert await is_silent(changes)
        await hold.sessions.delete("new")
        again = await hold.sessions.create(id="new", user="ada")
        await again.state.set("d", 4)
        assert [(change.scope.id, change.key) for change in await take(changes, 3)] == [
            ("new", "new"), ("new", stamp(again.version, 0)), ("new", "d")
        ]  # fmt: skip


async def test_following_a_user_from_the_beginning_tells_of_what_they_have_now(hold: Holdfast, s: Session) -> None:
    await hold.state(Scope.user("ada")).set("u", 1)
    once_bobs = await hold.sessions.create(id="x", user="bob")
    await once_bobs.state.set("secret", 1)
    await hold.sessions.delete("x")
    await hold.sessions.create(id="x", user="ada")
    async with hold.changes(user="ada", after="beginning", kinds=["session", "state"]) as changes:
        found = {(change.scope.id, change.key) for change in await take(changes, 3)}
    assert found == {("s", "s"), ("ada", "u"), ("x", "x")}


async def test_sessions_created_while_a_user_stream_opens_are_not_missed(stores: Stores) -> None:
    for _ in range(5):
        hold, rival = await stores.open(), await stores.open()
        user = f"u{id(hold)}"

        async def create(hold: Holdfast = rival, user: str = user) -> None:
            for _ in range(10):
                await hold.sessions.create(user=user)

        changes = hold.changes(user=user)
        creating = asyncio.create_task(create())
        async with changes:
            await creating
            present = {session.id async for session in hold.sessions.iterate(user=user)}
            marker = await hold.sessions.create(user=user)
            seen: set[str] = set()
            while marker.id not in seen:
                seen.add(str((await take(changes, 1))[0].session))
        assert len(present) == 10
        assert seen - {marker.id} <= present


# --- followers -------------------------------------------------------------------------------------------------------


async def test_many_followers_get_everything_and_a_slow_one_hinders_nobody(stores: Stores) -> None:
    hold = await stores.open(config=Config(changes=ChangesConfig(queue_max=5)))
    s = await hold.sessions.create(id="s")
    streams = [s.changes() for _ in range(10)]
    for stream in streams:
        await stream.__aenter__()
    for n in range(40):
        await s.state.set("n", n)
    for stream in streams:
        assert [change.value for change in await take(stream, 40)] == list(range(40))
        await stream.aclose()


async def test_waiting_with_a_timeout_again_and_again_loses_nothing(s: Session) -> None:
    seen: list[Any] = []
    async with s.changes() as changes:

        async def read() -> None:
            while len(seen) < 50:
                try:
                    seen.append((await asyncio.wait_for(anext(changes), 0.0005)).value)
                except TimeoutError:
                    continue

        reading = asyncio.create_task(read())
        for n in range(50):
            await s.state.set("n", n)
        await asyncio.wait_for(reading, 20)
    assert seen == list(range(50))


async def test_a_stream_left_by_break_and_forgotten_follows_no_more(s: Session) -> None:
    feed = s._store.feed()
    await s.state.set("a", 1)
    async for _ in s.changes(after="beginning"):
        break
    gc.collect()
    for _ in range(20):
        await asyncio.sleep(0)
    assert not feed._followers
    async with s.changes(), s.changes():
        assert len(feed._followers["session/s"]) == 2
    assert not feed._followers


async def test_closing_the_stream_ends_the_wait_of_its_reader(s: Session) -> None:
    changes = s.changes()
    reading = asyncio.create_task(anext(changes))  # type: ignore[arg-type]
    await asyncio.sleep(0.05)
    await changes.aclose()
    with pytest.raises(StopAsyncIteration):
        await asyncio.wait_for(reading, 5)
    with pytest.raises(Closed):
        async with changes:
            pass


async def test_closing_a_stream_that_is_still_opening_ends_it_too(s: Session) -> None:
    """Whoever waits for its first change is told the end, and nothing is followed for nobody."""
    changes = s.changes()
    reading = asyncio.create_task(anext(changes))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    await changes.aclose()
    with pytest.raises(StopAsyncIteration):
        await asyncio.wait_for(reading, 5)


async def test_closing_the_store_ends_every_stream_with_closed(stores: Stores) -> None:
    hold = await stores.open()
    s = await hold.sessions.create(id="s")
    changes = s.changes()
    reading = asyncio.create_task(anext(changes))  # type: ignore[arg-type]
    await asyncio.sleep(0.05)
    await hold.close()
    with pytest.raises(Closed):
        await asyncio.wait_for(reading, 5)
    with pytest.raises(Closed):
        await anext(s.changes())


@pytest.mark.parametrize("after", ["", "x", "later", "1.2", -1, 1.5, None, object(), b"now", ["now"], True])
async def test_a_place_that_is_none_is_refused_at_the_call(hold: Holdfast, s: Session, after: Any) -> None:
    for call in (s.changes, lambda after: hold.changes([Scope.user("ada")], after=after)):
        with pytest.raises(InvalidValue):
            call(after=after)  # type: ignore[operator]


@pytest.mark.parametrize("kinds", ["state", {"nope"}, 3, [3], [["state"]], {"state": 1, "x": 1}])
async def test_kinds_that_are_none_are_refused_at_the_call(s: Session, kinds: Any) -> None:
    with pytest.raises(InvalidValue):
        s.changes(kinds=kinds)


async def test_bad_scopes_users_and_cursors_are_refused_at_the_call(hold: Holdfast, s: Session) -> None:
    async with s.changes(after="beginning") as changes:
        cursor = (await take(changes, 1))[0].cursor
    bad: list[Any] = [
        lambda: hold.changes(),
        lambda: hold.changes([Scope("nope", "x")]),  # type: ignore[arg-type]
        lambda: hold.changes([Scope.user("")]),
        lambda: hold.changes(["user/ada"]),  # type: ignore[list-item]
        lambda: hold.changes("ab"),  # type: ignore[arg-type]
        lambda: hold.changes(user=3),  # type: ignore[arg-type]
        lambda: hold.changes([Scope.user("a"), Scope.user("b")], after=cursor),
        lambda: hold.changes(user="ada", after=cursor),
        lambda: hold.changes(user="ada", after={"user/ada": cursor}),  # type: ignore[dict-item]
        lambda: hold.changes(user="ada", after={Scope.user("ada"): "x"}),
    ]
    for call in bad:
        with pytest.raises((InvalidValue, InvalidId, TypeError)):
            call()
