"""Exclusive use of a session: one holder at a time, in the order of arrival, fenced."""

import asyncio
from contextvars import Context
from functools import partial

import pytest

from holdfast import Busy, Holdfast, LeaseLost, Scope, Session
from holdfast.errors import Closed, InvalidValue, NotFound
from holdfast.handles.claim import Claim
from holdfast.kernel.commit import Read
from holdfast.services import claim
from tests.unit.handles.exclusive import apart, cells, leave_ticket, process, tickets, until
from tests.unit.stores import StillClock, Stores


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s", user="ada")


async def test_claims_of_one_session_never_overlap_in_any_process(stores: Stores, hold: Holdfast, s: Session) -> None:
    """What is read and written under a claim is not lost to another one."""
    holds = [hold, await stores.open()]
    inside = 0

    async def work(number: int) -> None:
        nonlocal inside
        session = await holds[number % 2].sessions.get("s")
        assert session is not None
        async with session.claim(worker=f"w{number}", wait=None):
            inside += 1
            assert inside == 1
            count = await session.state.get("n", int, default=0)
            await asyncio.sleep(0)
            await session.state.set("n", count + 1)
            inside -= 1

    await asyncio.gather(*(work(number) for number in range(8)))
    assert await s.state.get("n") == 8


async def test_who_waits_is_served_in_the_order_of_arrival_across_processes(
    stores: Stores, hold: Holdfast, s: Session
) -> None:
    other = await stores.open()
    order: list[int] = []

    async def work(number: int) -> None:
        session = await (hold, other)[number % 2].sessions.get("s")
        assert session is not None
        async with session.claim(wait=None):
            order.append(number)

    async with asyncio.TaskGroup() as group, s.claim():
        for number in range(5):
            group.create_task(work(number), context=Context())
            await until(lambda number=number: _waiting(stores, number + 1))  # type: ignore[misc]
    assert order == [0, 1, 2, 3, 4]
    assert await tickets(stores) == 0


async def _waiting(stores: Stores, count: int) -> bool:
    return await tickets(stores) == count


async def test_reject_raises_busy_at_once_and_says_who_has_it(stores: Stores, s: Session) -> None:
    other = await (await stores.open()).sessions.get("s")
    assert other is not None
    async with s.claim(worker="w1"):
        with pytest.raises(Busy) as busy:
            async with other.claim(busy="reject"):
                pass
        assert (busy.value.worker, busy.value.scope) == ("w1", "session/s")
        assert str(busy.value).startswith("session/s is held by the claim of 'w1' since 20")
    async with other.claim(busy="reject"):
        pass


async def test_who_waited_for_too_long_gets_busy_and_leaves_the_queue(stores: Stores, s: Session) -> None:
    other = await (await stores.open()).sessions.get("s")
    assert other is not None
    async with s.claim(worker="w1", ttl="1h"):
        waiting = apart(_enter(other, wait="10s"))
        await until(lambda: _waiting(stores, 1))
        stores.clock.advance(10)
        with pytest.raises(Busy, match="w1"):
            await waiting
        assert await tickets(stores) == 0


async def _enter(session: Session, **terms: object) -> None:
    async with session.claim(**terms):  # type: ignore[arg-type]
        pass


async def test_who_stops_waiting_leaves_the_queue(stores: Stores, s: Session) -> None:
    """Cancelled while it waits; the next in the queue is served."""
    other = await (await stores.open()).sessions.get("s")
    assert other is not None
    async with s.claim():
        first = apart(_enter(other, wait=None))
        await until(lambda: _waiting(stores, 1))
        second = apart(_enter(other, wait=None))
        await until(lambda: _waiting(stores, 2))
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert await tickets(stores) == 1
    await second


async def test_a_superseded_holder_can_write_by_no_handle(stores: Stores, hold: Holdfast, s: Session) -> None:
    """Every write of its task carries the fence, in the session and in a transaction; other tasks' do not."""
    other = await (await stores.open()).sessions.get("s")
    assert other is not None
    again = await hold.sessions.get("s")
    assert again is not None
    taken, done = asyncio.Event(), asyncio.Event()

    async def supersede() -> None:
        await taken.wait()
        async with other.claim(busy="supersede"):
            done.set()
            await other.state.set("by", "the second")

    superseding = apart(supersede())
    with pytest.raises(LeaseLost):
        async with s.claim(ttl="1h") as held:
            await s.state.set("by", "the first")
            held.check()
            taken.set()
            await done.wait()
            for write in (
                lambda: s.state.set("by", "the first, late"),
                lambda: again.state.set("by", "the first, late"),
                lambda: s.state.mutate("by", lambda old: f"{old}, late"),
                lambda: s.messages.add("user", "late"),
                lambda: s.update(tags=["late"]),
                lambda: hold.sessions.update("s", tags=["late"]),
                lambda: _transact(s),
            ):
                with pytest.raises(LeaseLost):
                    await write()
    await superseding
    assert await s.state.get("by") == "the second"
    assert await s.messages.last(1) == []
    await s.state.set("by", "whoever")  # outside nothing is fenced


async def _transact(session: Session) -> None:
    async with session.transaction() as tx:
        await tx.state.set("by", "the first, late")


async def test_a_claim_that_was_superseded_says_by_whom_where_it_ends(stores: Stores, s: Session) -> None:
    """Once that one has given it back too, nobody knows who it was."""
    younger = (await _fresh(stores)).claim(worker="w2", busy="supersede")
    with pytest.raises(LeaseLost, match="superseded by the claim of 'w2' since"):
        async with s.claim():
            await apart(_begin(younger))
    await younger.__aexit__(None, None, None)
    with pytest.raises(LeaseLost, match="given back"):
        async with s.claim():
            await apart(_enter(await _fresh(stores), busy="supersede"))


async def _begin(one: Claim) -> None:
    await one.__aenter__()


async def test_a_ttl_of_less_than_100_ms_is_refused(s: Session) -> None:
    """A commit alone may take as long."""
    for take in (s.claim, partial(s.turn, request_id="r")):
        with pytest.raises(InvalidValue, match="ttl must be 100 ms or longer, not '99ms'"):
            take(ttl="99ms")
        async with take(ttl="100ms"):
            pass


async def test_writes_to_other_scopes_carry_the_fence_where_the_backend_spans_them(spanning: Stores) -> None:
    hold = await spanning.open()
    s = await hold.sessions.create(id="s", user="ada")
    other = await (await spanning.open()).sessions.get("s")
    assert other is not None
    with pytest.raises(LeaseLost):
        async with s.claim():
            await s.user_state.set("n", 1)
            await apart(_enter(other, busy="supersede"))
            with pytest.raises(LeaseLost):
                await s.user_state.set("n", 2)
            with pytest.raises(LeaseLost):
                await hold.state(Scope.global_("flags")).set("n", 2)
    assert await s.user_state.get("n") == 1


async def test_a_dead_holder_is_waited_for_as_long_as_its_ttl_and_then_replaced(stores: Stores, s: Session) -> None:
    """Its beat stood still for that long by the clock of who waits; what it sends later is refused."""
    dead = await process(stores, StillClock(), 70)
    theirs = await dead.sessions.get("s")
    assert theirs is not None
    held = theirs.claim(ttl="30s")
    await held.__aenter__()
    waiting = apart(_enter(s, wait=None))
    await until(lambda: _waiting(stores, 1))
    stores.clock.advance(29)
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert not waiting.done()
    stores.clock.advance(2)
    await waiting
    with pytest.raises(LeaseLost):
        await theirs.state.set("late", True)
    await held.__aexit__(ValueError, ValueError(), None)
    await dead.close()


async def test_a_dead_holder_is_replaced_by_those_who_never_wait_too(stores: Stores, s: Session) -> None:
    """What was seen of its beat is remembered from one refusal to the next."""
    dead = await process(stores, StillClock(), 70)
    theirs = await dead.sessions.get("s")
    assert theirs is not None
    held = theirs.claim(ttl="30s")
    await held.__aenter__()
    for _ in range(2):
        with pytest.raises(Busy):
            await _enter(s, busy="reject")
        stores.clock.advance(15)
    await _enter(s, busy="reject")
    await held.__aexit__(ValueError, ValueError(), None)
    await dead.close()


@pytest.mark.parametrize("beats", [0, 1])
async def test_who_looks_for_the_first_time_replaces_a_holder_silent_for_two_ttls_and_ten_seconds(
    stores: Stores, s: Session, beats: int
) -> None:
    """By the wall, since its last beat or else its claim; what is younger is watched for a ttl first."""
    clock = StillClock()
    dead = await process(stores, clock, 70)
    theirs = await dead.sessions.get("s")
    assert theirs is not None
    held = theirs.claim(ttl="30s")
    await held.__aenter__()
    clock.advance(10 * beats)
    await until(lambda: _beats(stores, beats))
    stores.clock.advance(10 * beats + 70)
    with pytest.raises(Busy):
        await _enter(await _fresh(stores), busy="reject")
    stores.clock.advance(0.001)
    await _enter(await _fresh(stores), busy="queue", wait="1s")
    with pytest.raises(LeaseLost):
        await theirs.state.set("late", True)
    await held.__aexit__(ValueError, ValueError(), None)
    await dead.close()


async def _fresh(stores: Stores) -> Session:
    """The session, in a process that has seen nothing yet."""
    session = await (await stores.open()).sessions.get("s")
    assert session is not None
    return session


async def test_a_wall_that_is_behind_takes_nothing_and_one_that_jumped_ahead_is_held_off_by_the_fence(
    stores: Stores, s: Session
) -> None:
    """The holder it takes for gone is told, and nothing of both is mixed."""
    clock = StillClock()
    alive = await process(stores, clock, 70)
    theirs = await alive.sessions.get("s")
    assert theirs is not None
    with pytest.raises(LeaseLost):
        async with theirs.claim(ttl="30s"):
            stores.clock.jump(-100_000)
            with pytest.raises(Busy):
                await _enter(await _fresh(stores), busy="reject")
            stores.clock.jump(100_071)
            ahead = await _fresh(stores)
            await apart(_write(ahead, "the younger"))
            with pytest.raises(LeaseLost):
                await theirs.state.set("by", "the older")
    assert await s.state.get("by") == "the younger"
    await alive.close()


async def _write(session: Session, by: str) -> None:
    async with session.claim(busy="reject"):
        await session.state.set("by", by)


async def test_a_dead_ticket_and_a_dead_claim_are_watched_in_the_same_while(stores: Stores, s: Session) -> None:
    """So one ttl is enough to get past both."""
    dead = await process(stores, StillClock(), 70)
    theirs = await dead.sessions.get("s")
    assert theirs is not None
    held = theirs.claim(ttl="30s")
    await held.__aenter__()
    await leave_ticket(dead)
    waiting = apart(_enter(s, wait="31s"))
    await until(lambda: _waiting(stores, 2))
    for _ in range(31):
        stores.clock.advance(1)
        for _ in range(20):
            await asyncio.sleep(0.001)
    await waiting
    await held.__aexit__(ValueError, ValueError(), None)
    await dead.close()


async def test_a_holder_that_beats_is_not_replaced_however_long_it_works(stores: Stores, s: Session) -> None:
    clock = StillClock()
    busy = await process(stores, clock, 70)
    theirs = await busy.sessions.get("s")
    assert theirs is not None
    async with theirs.claim(ttl="30s"):
        waiting = apart(_enter(s, wait=None))
        await until(lambda: _waiting(stores, 1))
        for beats in range(1, 13):
            clock.advance(10)
            await until(lambda beats=beats: _beats(stores, beats))  # type: ignore[misc]
            stores.clock.advance(10)
            for _ in range(5):
                await asyncio.sleep(0.001)
            assert not waiting.done()
        await theirs.state.set("done", True)
    await waiting
    await busy.close()


async def _beats(stores: Stores, count: int) -> bool:
    kernel = await stores.plain()
    found = await kernel.find(claim.BEAT, "", now_us=0)
    views = await kernel.read([Read(one.scope) for one in found], now_us=0)
    await kernel.close()
    return sum(view.head.seq for view in views) >= count


async def test_a_holder_that_stood_still_for_its_ttl_stops_by_itself(stores: Stores, s: Session) -> None:
    """Before it asks anybody."""
    with pytest.raises(LeaseLost, match="renewed"):
        async with s.claim(ttl="30s") as held:
            stores.clock.advance(31)
            with pytest.raises(LeaseLost):
                held.check()
            await s.state.set("late", True)
    assert not await s.state.has("late")


async def test_a_ticket_of_a_dead_process_is_passed_over_and_removed(
    stores: Stores, hold: Holdfast, s: Session
) -> None:
    async with s.claim(ttl="1h"):
        await leave_ticket(hold)
        waiting = apart(_enter(s, wait=None))
        await until(lambda: _waiting(stores, 2))
    stores.clock.advance(1)
    await asyncio.sleep(0.01)
    assert not waiting.done()
    while not waiting.done():
        stores.clock.advance(31)
        await asyncio.wait([waiting], timeout=1)  # as long as it is not done it has yet to see the beat twice
    await waiting
    assert await tickets(stores) == 0


async def test_many_claims_of_a_process_beat_together(spanning: Stores) -> None:
    """One commit per interval, a third of the shortest ttl; nothing before that, and nothing is left after the end."""
    clock = StillClock()
    hold = await process(spanning, clock, 71)
    sessions = [await hold.sessions.create() for _ in range(10)]
    claims = [session.claim(ttl="30s") for session in sessions]
    for one in claims:
        await one.__aenter__()
    kernel = await spanning.plain()
    assert await kernel.find(claim.BEAT, "", now_us=0) == ()
    for beats in range(1, 10):
        clock.advance(10)
        await until(lambda beats=beats: _beats(spanning, beats))  # type: ignore[misc]
    [beat] = await kernel.find(claim.BEAT, "", now_us=0)
    assert (await kernel.read([Read(beat.scope)], now_us=0))[0].head.seq == 9
    for one in reversed(claims):
        await one.__aexit__(None, None, None)
    clock.advance(100)
    await asyncio.sleep(0.01)
    assert (await kernel.read([Read(beat.scope)], now_us=0))[0].head.seq == 9
    await hold.close()
    assert not (await kernel.read([Read(beat.scope)], now_us=0))[0].head.live


async def test_beats_that_a_killed_process_left_are_swept_a_day_later(stores: Stores, hold: Holdfast) -> None:
    clock = StillClock()
    killed = await process(stores, clock, 72)
    theirs = await killed.sessions.create(id="k")
    held = theirs.claim(ttl="30s")
    await held.__aenter__()
    clock.advance(10)
    await until(lambda: _beats(stores, 1))
    kernel = await stores.plain()
    await hold.sweep()
    assert await kernel.find(claim.BEAT, "", now_us=0)
    stores.clock.advance(2 * 86_400)
    await hold.sweep()
    assert not await kernel.find(claim.BEAT, "", now_us=0)
    await held.__aexit__(None, None, None)
    await kernel.close()
    await killed.close()


async def test_a_claim_shows_in_no_stream_and_leaves_nothing(stores: Stores, s: Session) -> None:
    async with s.claim() as held:
        await s.state.set("a", 1)
        token = held.token
    async with s.claim() as held:
        assert held.token > token
    async with s.changes(after=s.version) as changes:
        first = await anext(changes)
        await s.state.set("b", 2)
        assert (first.key, (await anext(changes)).key) == ("a", "b")
    kernel = await stores.plain()
    assert await cells(kernel, "session/s", claim.CELL) == ()
    await kernel.close()


async def test_a_task_that_holds_a_session_is_not_left_waiting_for_itself(s: Session) -> None:
    async with s.claim():
        with pytest.raises(Busy, match="already by the claim or turn") as busy:
            async with s.claim():
                pass
        assert not busy.value.retryable


async def test_what_cannot_be_claimed_is_refused(hold: Holdfast, s: Session) -> None:
    """NotFound for a deleted session; InvalidValue for terms that are none; a claim is used once, and as a block."""
    for terms in ({"busy": "wait"}, {"ttl": 0}, {"wait": "soon"}):
        with pytest.raises(InvalidValue):
            s.claim(**terms)  # type: ignore[arg-type]
    once = s.claim(worker="w")
    assert once.worker == "w"
    with pytest.raises(Closed):
        once.check()
    async with once:
        pass
    with pytest.raises(Closed):
        async with once:
            pass
    await hold.sessions.delete("s")
    with pytest.raises(NotFound):
        await _enter(s)


async def test_a_session_that_is_deleted_while_somebody_waits_for_it_is_not_found(stores: Stores, s: Session) -> None:
    other = await stores.open()
    theirs = await other.sessions.get("s")
    assert theirs is not None
    with pytest.raises(LeaseLost):
        async with s.claim(ttl="1h"):
            waiting = apart(_enter(theirs, wait=None))
            await until(lambda: _waiting(stores, 1))
            await other.sessions.delete("s")
            with pytest.raises(NotFound):
                await waiting
