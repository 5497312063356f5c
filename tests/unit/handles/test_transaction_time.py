"""When a transaction is: its reads are at the time they are made, and all that it writes is at its commit (G12)."""

from __future__ import annotations

import pytest

from holdfast import Conflict, Holdfast, Scope, Session
from holdfast.handles.transaction import SessionTransaction
from holdfast.model.moment import to_datetime
from tests.unit.stores import StillClock, Stores

TTL_S = 3600  # what `state.temp_ttl` is by default
NOTHING_S = 0.000_001


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s", user="ada")


@pytest.mark.parametrize("way", ["get", "has", "keys", "snapshot", "mutate"])
@pytest.mark.parametrize("expired", [False, True])
async def test_what_was_read_and_has_expired_by_the_commit_is_a_conflict(
    s: Session, clock: StillClock, way: str, expired: bool
) -> None:
    await s.temp.set("t", 1)
    clock.advance(TTL_S - 1)

    async def block() -> None:
        async with s.transaction() as tx:
            match way:
                case "get":
                    assert await tx.temp.get("t") == 1
                case "has":
                    assert await tx.temp.has("t")
                case "keys":
                    assert await tx.temp.keys() == ["t"]
                case "snapshot":
                    assert (await tx.temp.snapshot()).values == {"t": 1}
                case "mutate":
                    assert await tx.temp.mutate("t", lambda t: t + 1) == 2
            clock.advance(1 if expired else 1 - NOTHING_S)
            await tx.state.set("done", 1)

    if not expired:
        await block()
        assert await s.state.get("done") == 1
        return
    with pytest.raises(Conflict) as conflict:
        await block()
    assert (conflict.value.what, conflict.value.key, conflict.value.found) == ("unchanged", "temp//t", None)
    assert await s.state.keys() == []


async def test_transact_reads_again_what_had_expired(s: Session, clock: StillClock) -> None:
    await s.temp.set("t", 1)
    seen: list[object] = []

    async def fn(tx: SessionTransaction) -> None:
        seen.append(await tx.temp.get("t"))
        clock.advance(TTL_S)
        await tx.state.set("seen", seen[-1])

    await s.transact(fn)
    assert (seen, await s.state.get("seen", default="never")) == ([1, None], None)


async def test_what_had_expired_when_it_was_read_stays_absent(s: Session, clock: StillClock) -> None:
    await s.temp.set("t", 1)
    async with s.transaction() as tx:
        clock.advance(TTL_S)
        assert await tx.temp.get("t") is None
        assert await tx.temp.keys() == []
        clock.advance(TTL_S)
        await tx.state.set("done", 1)
    assert await s.state.get("done") == 1


async def test_what_is_absent_when_read_stays_so_for_the_transaction_when_the_clock_is_set_back(
    s: Session, clock: StillClock
) -> None:
    """G12: it is judged at the latest time at which it read, by the clock as it was then."""
    await s.temp.set("t", 1)
    async with s.transaction() as tx:
        clock.jump(TTL_S)
        assert await tx.temp.get("t") is None
        clock.jump(-TTL_S)
        assert await tx.temp.keys() == []
        await tx.state.set("n", 0)
    assert await s.temp.get("t") == 1


async def test_temporary_state_lives_from_the_commit_on_however_long_the_block_took(
    s: Session, clock: StillClock
) -> None:
    async with s.transaction() as tx:
        await tx.temp.set("t", 1)
        clock.advance(2 * TTL_S)
        assert await tx.temp.get("t") == 1, "it is not set yet, so it cannot expire"
    clock.advance(TTL_S - NOTHING_S)
    assert await s.temp.get("t") == 1
    clock.advance(NOTHING_S)
    assert await s.temp.get("t") is None


async def test_conditions_of_a_version_are_judged_at_the_commit(s: Session, clock: StillClock) -> None:
    version = await s.temp.set("t", 1)
    with pytest.raises(Conflict):
        async with s.transaction() as tx:
            await tx.temp.set("t", 2, if_version=version)
            clock.advance(TTL_S)
    async with s.transaction() as tx:
        await tx.temp.set("t", 3, if_version=0)
        clock.advance(TTL_S)
    assert await s.temp.get("t") == 3


async def test_records_tell_the_time_of_the_commit_so_their_order_is_that_of_the_log(
    stores: Stores, s: Session, clock: StillClock
) -> None:
    """A transaction that began earlier and ended later is later."""
    rival = (await stores.open()).state(Scope.session("s"))
    async with s.transaction() as tx:
        await tx.state.set("a", "long")
        clock.advance(60)
        await rival.set("a", "short")
        between_us = clock.now_us()
        clock.advance(60)
    history = await s.state.history("a")
    assert [(past.value, past.at) for past in history.items] == [
        ("long", to_datetime(clock.now_us())),
        ("short", to_datetime(between_us)),
    ]
    assert (await s.refresh()).last_activity == to_datetime(clock.now_us())


async def test_what_a_transaction_writes_in_a_record_is_dated_by_the_call(hold: Holdfast, clock: StillClock) -> None:
    async with hold.transaction() as tx:
        clock.advance(60)
        called_us = clock.now_us()
        await tx.sessions.create(id="new")
        clock.advance(60)
    made = await hold.sessions.get("new")
    assert made is not None
    assert (made.created_at, made.last_activity) == (to_datetime(called_us), to_datetime(clock.now_us()))
