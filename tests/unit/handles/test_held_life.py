"""The life of a session that is held: it lasts as long as its holder is believed in, and ends soon after."""

from __future__ import annotations

import pytest

from holdfast import Budget, BudgetExceeded, Config, Conflict, Holdfast, LeaseLost, NotFound, Session, SessionConfig
from holdfast.handles.keeper import keeper_of
from holdfast.model.moment import to_us
from tests.unit.handles.exclusive import apart, process, until
from tests.unit.stores import StillClock, Stores

TTL_S = 60
KEPT_S = TTL_S * 4 / 3
"""How long a held session lives at most after its holder was last heard of."""


async def go_by(hold: Holdfast, s: Session, clock: StillClock, seconds: float, *, step_s: float = TTL_S / 3) -> None:
    """Let time pass, in steps, and whoever holds the session beat in each."""
    keeper = keeper_of(hold._store)
    while seconds > 0:
        clock.advance(min(step_s, seconds))
        seconds -= step_s
        since_s = clock.monotonic_s()
        await until(lambda since_s=since_s: keeper._beaten_s >= since_s - TTL_S / 3 + 0.001 or not keeper._ttls_s)


def left_s(s: Session, clock: StillClock) -> float:
    assert s.expires_at is not None
    return (to_us(s.expires_at, "at") - clock.now_us()) / 1_000_000


@pytest.mark.parametrize("config", [SessionConfig(default_ttl=1), SessionConfig(idle_timeout=1)])
async def test_a_session_outlives_its_ttl_while_a_turn_is_under_way(stores: Stores, config: SessionConfig) -> None:
    """Its deadline does not take it from under who works in it, and what the turn came to is there afterwards."""
    hold = await stores.open(config=Config(session=config))
    s = await hold.sessions.create(id="s")
    async with s.turn(request_id="r", ttl=TTL_S) as turn:
        await turn.state.set("n", 1)
        await go_by(hold, s, stores.clock, 10 * TTL_S)
        other = await stores.open()
        assert (await other.sweep()).expired == 0
        assert await other.sessions.get("s") is not None
        assert [one.id for one in (await other.sessions.list()).items] == ["s"]
        turn.output = "done"
    assert await s.state.get("n") == 1
    async with s.turn(request_id="r") as again:
        assert (again.replayed, again.output) == (True, "done")


async def test_a_claim_keeps_a_session_and_a_crash_of_its_holder_keeps_it_no_longer_than_the_lease(
    stores: Stores, hold: Holdfast
) -> None:
    s = await hold.sessions.create(id="s", ttl=TTL_S / 2)
    clock = StillClock()
    holder = await process(stores, clock, seed=7)
    theirs = await holder.sessions.get("s")
    assert theirs is not None
    claim = theirs.claim(ttl=TTL_S)
    await claim.__aenter__()  # and then it is killed: this clock stands still, and its process beats no more
    stores.clock.advance(KEPT_S - 0.000_001)
    assert await hold.sessions.get("s") is not None
    stores.clock.advance(0.000_001)
    assert await hold.sessions.get("s") is None
    with pytest.raises(NotFound):
        await s.state.set("a", 1)
    assert (await hold.sweep()).expired == 1
    with pytest.raises(LeaseLost):
        await claim.__aexit__(None, None, None)
    await holder.close()


async def test_a_session_that_was_held_beyond_its_time_ends_soon_after_it_was_given_back(
    stores: Stores, hold: Holdfast
) -> None:
    """Not at once: whoever repeats the request in that time gets its answer."""
    s = await hold.sessions.create(id="s", ttl=1)
    async with s.claim(ttl=TTL_S):
        await go_by(hold, s, stores.clock, 5 * TTL_S)
    assert await hold.sessions.get("s") is not None
    stores.clock.advance(KEPT_S)
    assert await hold.sessions.get("s") is None


async def commits(stores: Stores) -> int:
    """How many commits the session had: claims tell nobody of theirs."""
    kernel = await stores.plain()
    seqs = [record.seq for record in await kernel.log("session/s")]
    await kernel.close()
    return len(seqs)


async def test_holding_a_session_that_lives_long_enough_costs_it_nothing(stores: Stores, hold: Holdfast) -> None:
    """No commit in its log but those that take it and give it back, and its deadline is where it was."""
    s = await hold.sessions.create(id="s", ttl="1h")
    before = s.expires_at
    async with s.claim(ttl=TTL_S):
        await go_by(hold, s, stores.clock, 10 * TTL_S)
    assert await commits(stores) == 3
    assert (await s.refresh()).expires_at == before


async def test_keeping_a_session_is_a_commit_for_two_thirds_of_the_lease_and_no_more(
    stores: Stores, hold: Holdfast
) -> None:
    s = await hold.sessions.create(id="s", ttl=1)
    async with s.claim(ttl=TTL_S):
        await go_by(hold, s, stores.clock, 10 * TTL_S)
    assert 3 + 9 <= await commits(stores) <= 3 + 16


async def test_what_was_prolonged_meanwhile_is_not_cut_short(stores: Stores, hold: Holdfast) -> None:
    """Another process extended it, which the holder does not know: it looks, and leaves that as it is."""
    s = await hold.sessions.create(id="s", ttl=TTL_S)
    async with s.claim(ttl=TTL_S):
        theirs = await (await stores.open()).sessions.get("s")
        assert theirs is not None
        await theirs.extend("1h")
        await go_by(hold, s, stores.clock, 3 * TTL_S)
        assert left_s(await s.refresh(), stores.clock) == pytest.approx(3600 + KEPT_S - 3 * TTL_S)


async def test_a_turn_may_extend_its_session_while_that_is_kept_alive_for_it(stores: Stores, hold: Holdfast) -> None:
    """A deadline that was only renewed since the turn read it is no conflict."""
    s = await hold.sessions.create(id="s", ttl=1)
    async with s.turn(request_id="r", ttl=TTL_S) as turn:
        await turn.extend("1h")
        await turn.touch()
        await go_by(hold, s, stores.clock, 2 * TTL_S)
        assert left_s(await s.refresh(), stores.clock) < 2 * TTL_S
    assert left_s(await s.refresh(), stores.clock) == pytest.approx(3600 + KEPT_S - 2 * TTL_S)


async def test_two_that_extend_one_session_still_both_do(stores: Stores, hold: Holdfast) -> None:
    s = await hold.sessions.create(id="s", ttl=TTL_S)
    with pytest.raises(Conflict):
        async with s.transaction() as tx:
            await tx.extend("1h")
            await apart(s.extend("2h"))
    assert left_s(await s.refresh(), stores.clock) == 2 * 3600 + TTL_S


async def test_a_session_that_timed_out_and_goes_on_under_a_claim_is_kept_too(stores: Stores) -> None:
    """The move that opens it again gives it a deadline anew, and sees that it is held."""
    hold = await stores.open(config=Config(session=SessionConfig(default_ttl=1)))
    s = await hold.sessions.create(id="s", budget=Budget(iterations=1))
    async with s.claim(ttl=TTL_S):
        await s.iterate()
        with pytest.raises(BudgetExceeded):
            await s.iterate()
        assert s.expires_at is None or (await s.refresh()).expires_at is None
        stores.clock.advance(TTL_S / 4)
        await s.resume(budget=Budget(iterations=5))
        stores.clock.advance(TTL_S / 4)
        assert await hold.sessions.get("s") is not None
