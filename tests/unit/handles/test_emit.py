"""What is emitted arrives live among the changes, and is kept nowhere."""

import asyncio
from contextvars import Context

import pytest

from holdfast import Change, Config, Holdfast, LeaseLost, Scope, Session
from holdfast.errors import Closed, InvalidId, InvalidValue, NotFound, TooLarge
from holdfast.kernel.live import LIVE_MAX
from holdfast.model.config import ChangesConfig
from tests.unit.stores import Stores


async def emitted(changes: object, hold: Holdfast, key: str, value: object) -> Change:
    """Emit until it arrives: any signal may be lost."""
    session = await hold.sessions.open("s")
    arriving = asyncio.ensure_future(anext(changes))  # type: ignore[call-overload]
    while not arriving.done():
        await session.emit(key, value)
        await asyncio.wait([arriving], timeout=0.01)
    return await arriving  # type: ignore[no-any-return]


async def test_what_is_emitted_arrives_at_followers_of_another_process(stores: Stores, hold: Holdfast) -> None:
    """G22: as a change with op "emit", the key and value given, and who did it; no seq is taken."""
    other = await stores.open()
    s = await hold.sessions.create(id="s")
    seen = await other.sessions.open("s")
    async with seen.changes() as changes:
        with hold.acting(by="ada"):
            told = await emitted(changes, hold, "token", {"text": "Your"})
    assert (told.kind, told.op, told.key, told.value) == ("runtime", "emit", "token", {"text": "Your"})
    assert (told.seq, told.by, told.session) == (s.version, "ada", "s")
    assert (await s.state.snapshot()).version == s.version


@pytest.mark.parametrize("stores", ["memory", "sqlite", "postgres"], indirect=True)
async def test_what_is_emitted_as_soon_as_a_follower_is_inside_its_block_arrives(
    stores: Stores, hold: Holdfast
) -> None:
    """Whoever has entered is heard by: a client that opens its stream and then sends loses no first token."""
    other = await stores.open()
    s = await hold.sessions.create(id="s")
    seen = await other.sessions.open("s")
    for number in range(20):
        async with seen.changes() as changes:
            await s.emit("token", number)
            async with asyncio.timeout(10):
                assert (await anext(changes)).value == number


async def test_resuming_after_what_was_emitted_loses_nothing(stores: Stores, hold: Holdfast) -> None:
    """Its cursor is the place it arrived at, before and after the first change that was delivered."""
    s = await hold.sessions.create(id="s")
    async with s.changes() as changes:
        early = await emitted(changes, hold, "token", 1)
        await s.state.update({"a": 1, "b": 2})
        while (change := await anext(changes)).op == "emit":
            pass
        first = change
        while (change := await anext(changes)).op == "emit":
            pass
        late = await emitted(changes, hold, "token", 2)
    await s.state.set("c", 3)
    for place, keys in ((early, ["a", "b", "c"]), (first, ["b", "c"]), (late, ["c"])):
        async with s.changes(after=place.cursor, kinds={"state"}) as changes:
            assert [(await anext(changes)).key for _ in keys] == keys
        async with hold.changes([Scope.session("s")], after={place.scope: place.cursor}, kinds={"state"}) as changes:
            assert [(await anext(changes)).key for _ in keys] == keys


async def test_kinds_choose_among_what_is_emitted(hold: Holdfast) -> None:
    s = await hold.sessions.create(id="s")
    async with s.changes(kinds={"event"}) as changes:
        arriving = asyncio.ensure_future(anext(changes))
        while not arriving.done():
            await s.emit("token", 1)
            await s.emit("progress", 2, kind="event")
            await asyncio.wait([arriving], timeout=0.01)
        assert (await arriving).key == "progress"


async def test_a_later_session_of_the_same_id_is_not_told_to_followers_of_the_first(hold: Holdfast) -> None:
    """A session's stream ends with it; what is emitted in the next one is for others."""
    s = await hold.sessions.create(id="s")
    async with s.changes(after="beginning", kinds={"session", "runtime"}) as changes:
        await anext(changes)
        await hold.sessions.delete("s")
        again = await hold.sessions.create(id="s")
        for _ in range(20):
            await again.emit("token", 1)
        assert [change.op async for change in changes] == ["delete"]


async def test_a_follower_who_does_not_read_keeps_a_bounded_number(spanning: Stores) -> None:
    """More than so many are lost to it, and what is kept arrives all the same, exactly once."""
    hold = await spanning.open(config=Config(changes=ChangesConfig(queue_max=10)))
    s = await hold.sessions.create(id="s")
    async with s.changes() as changes:
        for number in range(3 * LIVE_MAX):
            await s.emit("token", number)
            if number % 100 == 0:
                await s.state.set("n", number)
                await asyncio.sleep(0)
        await s.state.set("n", "end")
        told, kept = [], []
        async for change in changes:
            (told if change.op == "emit" else kept).append(change.value)
            if change.value == "end":
                break
    assert kept == [*range(0, 3 * LIVE_MAX, 100), "end"]
    assert 0 < len(told) <= 2 * LIVE_MAX
    assert told == sorted(told)


async def test_a_transaction_emits_at_once_whatever_becomes_of_it(hold: Holdfast) -> None:
    s = await hold.sessions.create(id="s")
    async with s.changes() as changes, s.transaction() as tx:
        arriving = asyncio.ensure_future(anext(changes))
        while not arriving.done():
            await tx.emit("token", 1)
            await asyncio.wait([arriving], timeout=0.01)
        assert (await arriving).value == 1
        tx.rollback()


async def test_nothing_is_emitted_through_a_transaction_or_turn_that_has_ended(hold: Holdfast) -> None:
    s = await hold.sessions.create(id="s")
    async with s.transaction() as tx:
        await tx.state.set("a", 1)
    async with hold.transaction() as wide:
        surface = wide.session("s")
    async with s.turn(request_id="r") as turn:
        turn.output = 1
    for ended in (tx, surface, turn):
        with pytest.raises(Closed):
            await ended.emit("token", 1)


async def test_a_turn_that_is_known_to_be_over_emits_nothing_more(stores: Stores, hold: Holdfast) -> None:
    """Followers see no tokens of two answers."""
    s = await hold.sessions.create(id="s")
    other = await (await stores.open()).sessions.open("s")
    with pytest.raises(LeaseLost):
        async with s.turn(request_id="one") as turn:
            await asyncio.create_task(superseded(other), context=Context())
            with pytest.raises(LeaseLost):
                await turn.step("ask", lambda: 1)
            with pytest.raises(LeaseLost):
                await turn.emit("token", 1)


async def superseded(s: Session) -> None:
    async with s.turn(request_id="two", busy="supersede") as turn:
        turn.output = 2


async def test_what_cannot_be_emitted_is_refused(hold: Holdfast) -> None:
    s = await hold.sessions.create(id="s")
    with pytest.raises(InvalidValue, match="nan"):
        await s.emit("token", float("nan"))
    with pytest.raises(InvalidId):
        await s.emit("", 1)
    with pytest.raises(InvalidValue, match="no kind"):
        await s.emit("token", 1, kind="nothing")  # type: ignore[arg-type]
    with pytest.raises(TooLarge):
        await s.emit("token", "x" * 65_536)
    with pytest.raises(NotFound):
        async with hold.transaction() as tx:
            await tx.session("none").emit("token", 1)


async def test_nothing_is_emitted_in_a_session_known_to_be_over(stores: Stores, hold: Holdfast) -> None:
    """Expired, or deleted in this process; one that another process gave more time lives on."""
    gone, short = await hold.sessions.create(id="gone"), await hold.sessions.create(id="short", ttl=60)
    longer = await hold.sessions.create(id="longer", ttl=60)
    other = await stores.open()
    await (await other.sessions.open("longer")).extend(60)
    await hold.sessions.delete("gone")
    stores.clock.advance(60)
    for over in (gone, short):
        with pytest.raises(NotFound):
            await over.emit("token", 1)
    await longer.emit("token", 1)
