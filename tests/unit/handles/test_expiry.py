"""Sessions that expire: there to the microsecond, and then gone from every verb, as a deleted one is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from holdfast import AlreadyExists, Config, Conflict, Holdfast, NotFound, Scope, Session, SessionConfig
from holdfast.errors import InvalidValue
from holdfast.testing.clock import ManualClock
from tests.unit.handles.verbs import SESSION, SURFACE
from tests.unit.stores import Stores

TTL_S = 3600
LAST = (TTL_S * 1_000_000 - 1) / 1_000_000
MICROSECOND = 0.000_001


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s", user="ada", ttl=TTL_S)


async def in_a_transaction(s: Session, _: Holdfast) -> None:
    async with s.transaction() as tx:
        await tx.state.get("a")


async def blindly_in_a_transaction(_: Session, hold: Holdfast) -> None:
    async with hold.transaction() as tx:
        await tx.session("s").messages.add("user", "hello")


async def read_in_a_transaction(_: Session, hold: Holdfast) -> None:
    async with hold.transaction() as tx:
        await tx.session("s").state.get("a")


async def followed(s: Session, _: Holdfast) -> None:
    async with s.changes():
        pass


def asked(verb: str) -> Callable[[Session, Holdfast], Awaitable[Any]]:
    return lambda s, _: (SURFACE | SESSION)[verb](s)


OF_AN_AGENT = "SessionSurface.agent_state"  # it only names the state of another scope

VERBS: dict[str, Callable[[Session, Holdfast], Awaitable[Any]]] = {
    **{verb: asked(verb) for verb in SURFACE | SESSION if verb != OF_AN_AGENT},
    "sessions.update": lambda s, hold: hold.sessions.update("s", tags=["t"]),
    "state.set, if_version": lambda s, hold: s.state.set("a", 1, if_version=0),
    "temp.set": lambda s, hold: s.temp.set("a", 1),
    "temp.get": lambda s, hold: s.temp.get("a"),
    "hold.state, get": lambda s, hold: hold.state(Scope.session("s")).get("a"),
    "hold.state, set": lambda s, hold: hold.state(Scope.session("s")).set("a", 1),
    "state_many": lambda s, hold: hold.state_many([Scope.session("s")]),
    "set_many": lambda s, hold: hold.set_many({Scope.session("s"): {"a": 1}}),
    "a transaction that reads": in_a_transaction,
    "a transaction over scopes that writes": blindly_in_a_transaction,
    "a transaction over scopes that reads": read_in_a_transaction,
    "changes": followed,
}
"""All that `verbs` knows, so one that comes later is tried too; and what is asked in another way."""


@pytest.mark.parametrize("verb", VERBS)
async def test_a_verb_finds_it_to_the_last_microsecond(
    hold: Holdfast, s: Session, clock: ManualClock, verb: str
) -> None:
    """G12: an expiry is exact."""
    await s.state.set("secret", 1)
    if verb == "SessionSurface.resume":
        await s.pause()
    if verb.startswith("SessionCheckpoints."):
        await s.checkpoint()
    clock.advance(LAST)
    assert s.expires_at == s.created_at + timedelta(seconds=TTL_S)
    await VERBS[verb](s, hold)


@pytest.mark.parametrize("verb", VERBS)
async def test_a_verb_finds_nothing_a_microsecond_later(
    hold: Holdfast, s: Session, clock: ManualClock, verb: str
) -> None:
    """G12: exactly as of a session that was deleted, and nothing of it is left."""
    await s.state.set("a", 1)
    clock.advance(TTL_S)
    with pytest.raises(NotFound):
        await VERBS[verb](s, hold)
    assert await hold.sessions.get("s") is None
    clock.jump(-MICROSECOND)
    assert (await s.refresh()).version == 1
    assert await s.state.get("a") == 1


@pytest.mark.parametrize("verb", VERBS)
async def test_another_opening_finds_nothing_either(stores: Stores, s: Session, clock: ManualClock, verb: str) -> None:
    other = await stores.open()
    clock.advance(LAST)
    theirs = await other.sessions.get("s")
    assert theirs is not None
    clock.advance(MICROSECOND)
    with pytest.raises(NotFound):
        await VERBS[verb](theirs, other)


async def test_get_and_lists_show_it_until_it_expires_and_those_of_expired_ones_from_then_on(
    hold: Holdfast, s: Session, clock: ManualClock
) -> None:
    await hold.sessions.create(id="t", user="ada")

    async def listed(**filters: Any) -> list[str]:
        found = [one.id for one in (await hold.sessions.list(order="oldest", **filters)).items]
        assert [one.id async for one in hold.sessions.iterate(order="oldest", **filters)] == found
        return found

    clock.advance(LAST)
    assert (await hold.sessions.get("s")) is not None
    assert await listed() == await listed(user="ada", status="active") == ["s", "t"]
    assert await listed(expired=True) == []
    clock.advance(MICROSECOND)
    assert (await hold.sessions.get("s")) is None
    assert await listed() == await listed(user="ada", status="active") == ["t"]
    assert await listed(expired=True) == await listed(user="ada", expired=True) == ["s"]
    assert await listed(user="bo", expired=True) == []


async def test_a_clock_that_goes_back_brings_back_what_is_not_swept(s: Session, clock: ManualClock) -> None:
    clock.jump(TTL_S)
    with pytest.raises(NotFound):
        await s.state.set("a", 1)
    clock.jump(-TTL_S)
    assert await s.state.set("a", 1) > 0
    clock.jump(-TTL_S)
    assert await s.state.get("a") == 1


# --- making one anew --------------------------------------------------------------------------------


async def test_create_and_open_make_a_new_session_of_an_id_that_has_expired(
    hold: Holdfast, s: Session, clock: ManualClock
) -> None:
    await s.state.set("a", 1)
    clock.advance(LAST)
    with pytest.raises(AlreadyExists):
        await hold.sessions.create(id="s")
    with pytest.raises(AlreadyExists):
        await hold.sessions.open("s", user="bo")
    clock.advance(MICROSECOND)
    mine = await hold.sessions.create(id="s", user="bo", ttl=60)
    assert (mine.user, await mine.state.get("a")) == ("bo", None)
    with pytest.raises(NotFound):
        await s.state.get("a")
    clock.advance(60)
    assert (await hold.sessions.open("s", user="cy")).user == "cy"
    assert await hold.sessions.list(expired=True) == await hold.sessions.list(user="nobody")


async def test_a_transaction_makes_a_new_session_of_an_id_that_has_expired(
    hold: Holdfast, s: Session, clock: ManualClock
) -> None:
    clock.advance(TTL_S)
    async with hold.transaction() as tx:
        with pytest.raises(NotFound):
            await tx.session("s").state.get("a")
        assert not await tx.sessions.delete("s")
        new = await tx.sessions.create(id="s", user="bo")
        await new.state.set("a", 2)
    found = await hold.sessions.get("s")
    assert found is not None
    assert (found.user, await found.state.get("a")) == ("bo", 2)


async def test_of_many_that_make_it_anew_one_does_and_all_get_that_one(
    stores: Stores, s: Session, clock: ManualClock
) -> None:
    clock.advance(TTL_S)
    holds = [await stores.open() for _ in range(4)]
    found = await asyncio.gather(*(hold.sessions.open("s", user="bo") for hold in holds for _ in range(3)))
    assert {(one.user, one.version, one.created_at) for one in found} == {("bo", found[0].version, found[0].created_at)}
    created = await asyncio.gather(*(hold.sessions.create(id="t") for hold in holds), return_exceptions=True)
    assert sum(isinstance(one, Session) for one in created) == 1


async def test_it_is_not_deleted_a_second_time(hold: Holdfast, s: Session, clock: ManualClock) -> None:
    clock.advance(TTL_S)
    assert not await hold.sessions.delete("s")
    async with hold.transaction() as tx:
        assert not await tx.sessions.delete("s")


# --- transactions ------------------------------------------------------------------------------------


async def test_a_transaction_that_saw_it_and_ends_after_it_expired_writes_nothing(
    hold: Holdfast, s: Session, clock: ManualClock
) -> None:
    """What was read and is no more is a conflict; what was only written to is not found."""
    with pytest.raises(Conflict):
        async with hold.transaction() as tx:
            await tx.session("s").state.get("a")
            await tx.state(Scope.session("s")).set("a", 1)
            clock.advance(TTL_S)
    clock.jump(-TTL_S)
    with pytest.raises(NotFound):
        async with hold.transaction() as tx:
            await tx.state(Scope.session("s")).set("a", 1)
            clock.advance(TTL_S)
    clock.jump(-TTL_S)
    assert await s.state.get("a") is None


async def test_a_transaction_that_found_it_expired_commits_only_if_it_still_is(
    stores: Stores, hold: Holdfast, s: Session, clock: ManualClock
) -> None:
    other = await stores.open()
    clock.advance(TTL_S)
    with pytest.raises(Conflict):
        async with hold.transaction() as tx:
            with pytest.raises(NotFound):
                await tx.session("s").state.get("a")
            await other.sessions.create(id="s")
    await hold.sessions.delete("s")
    async with hold.transaction() as tx:
        with pytest.raises(NotFound):
            await tx.session("s").state.get("a")


# --- moving the deadline ------------------------------------------------------------------------------


async def test_a_fixed_deadline_is_moved_by_extend_alone(hold: Holdfast, s: Session, clock: ManualClock) -> None:
    clock.advance(LAST)
    await s.state.set("a", 1)
    assert await s.touch() is s
    assert await hold.sessions.open("s") is not None
    assert s.expires_at == s.created_at + timedelta(seconds=TTL_S)
    assert await s.extend("1h") is s
    assert s.expires_at == s.created_at + timedelta(hours=2)
    clock.advance(TTL_S)
    assert await s.state.get("a") == 1
    clock.advance(MICROSECOND)
    assert await hold.sessions.get("s") is None


async def test_what_never_expires_is_left_so(hold: Holdfast, clock: ManualClock) -> None:
    s = await hold.sessions.create(id="s")
    version = (await s.state.snapshot()).version
    assert (await s.extend("1h")).expires_at is None
    await s.touch()
    clock.advance(10**7)
    assert (await s.state.snapshot()).version == version


@pytest.fixture
async def sliding(stores: Stores) -> Holdfast:
    return await stores.open(config=Config(session=SessionConfig(default_ttl="1h", extend_on_access=True)))


ACCESSES: dict[str, Callable[[Session, Holdfast], Awaitable[Any]]] = {
    "get": lambda s, hold: hold.sessions.get("s"),
    "open": lambda s, hold: hold.sessions.open("s"),
    "touch": lambda s, hold: s.touch(),
    "state.set": lambda s, hold: s.state.set("a", 1),
    "messages.add": lambda s, hold: s.messages.add("user", "hello"),
    "update": lambda s, hold: s.update(tags=["t"]),
    "hold.state": lambda s, hold: hold.state(Scope.session("s")).set("a", 1),
    "a transaction over scopes": blindly_in_a_transaction,
    "pause": lambda s, hold: s.pause(),
}


@pytest.mark.parametrize("known", ["known", "unknown"])
@pytest.mark.parametrize("access", ACCESSES)
async def test_an_access_prolongs_a_sliding_deadline_when_it_matters(
    stores: Stores, sliding: Holdfast, clock: ManualClock, access: str, known: str
) -> None:
    s = await sliding.sessions.create(id="s")
    hold = sliding if known == "known" else await stores.open()
    clock.advance(60)
    await ACCESSES[access](s, hold)
    assert (await s.refresh()).expires_at == s.created_at + timedelta(seconds=3600)
    clock.advance(MICROSECOND)
    await ACCESSES[access if access != "pause" else "update"](s, hold)
    assert (await s.refresh()).expires_at == s.created_at + timedelta(seconds=3660, microseconds=1)


async def test_reads_and_accesses_that_do_not_matter_cost_no_commit(sliding: Holdfast, clock: ManualClock) -> None:
    s = await sliding.sessions.create(id="s")
    before = (await sliding.stats()).writer.commits
    clock.advance(60)
    await s.touch()
    await sliding.sessions.get("s")
    clock.advance(1000)
    await s.state.get("a")
    await s.messages.last(10)
    assert (await sliding.stats()).writer.commits == before
    await sliding.sessions.get("s")
    assert (await sliding.stats()).writer.commits == before + 1


@pytest.mark.parametrize(("ttl", "matters"), [(960, 60), (16, 1), (3600, 60), (0.000_016, 0.000_001)])
async def test_a_deadline_moves_by_a_sixteenth_or_a_minute_and_not_by_less(
    sliding: Holdfast, clock: ManualClock, ttl: float, matters: float
) -> None:
    s = await sliding.sessions.create(id="s", ttl=ttl)
    first = s.expires_at
    clock.advance(matters)
    await s.state.set("a", 1)
    assert s.expires_at == first
    clock.advance(MICROSECOND)
    await s.state.set("a", 1)
    assert first is not None
    assert s.expires_at == first + timedelta(seconds=matters) + timedelta(microseconds=1)


async def test_an_idle_session_expires_before_its_time(stores: Stores, clock: ManualClock) -> None:
    hold = await stores.open(config=Config(session=SessionConfig(default_ttl="1h", idle_timeout="10m")))
    s = await hold.sessions.create(id="s")
    for _ in range(7):
        clock.advance(500)
        await s.touch()
    assert s.expires_at == s.created_at + timedelta(hours=1)
    clock.advance(100)
    assert await hold.sessions.get("s") is None
    idle = await hold.sessions.create(id="idle")
    clock.advance(600)
    with pytest.raises(NotFound):
        await idle.touch()


async def test_an_extended_deadline_is_not_cut_short_by_one_who_did_not_know(
    stores: Stores, sliding: Holdfast, clock: ManualClock
) -> None:
    """It slides on the condition that nobody else moved it; the write itself is made all the same."""
    s = await sliding.sessions.create(id="s")
    theirs = await (await stores.open()).sessions.get("s")
    assert theirs is not None
    await theirs.extend("10h")
    clock.advance(1800)
    await s.state.set("a", 1)
    assert s.expires_at == theirs.expires_at == s.created_at + timedelta(hours=11)
    assert await theirs.state.get("a") == 1


async def test_one_who_extends_and_others_who_slide_lose_nothing(
    stores: Stores, sliding: Holdfast, clock: ManualClock
) -> None:
    s = await sliding.sessions.create(id="s")
    handles = [await (await stores.open()).sessions.open("s") for _ in range(3)]
    clock.advance(600)
    await asyncio.gather(*(one.extend("1h") for one in handles), *(s.state.set(f"k{n}", n) for n in range(5)))
    assert (await s.refresh()).expires_at in {
        s.created_at + timedelta(hours=4, seconds=slid) for slid in (0, 600)
    }  # whether the first of the writes came before the first who extended
    assert len(await s.state.keys()) == 5


async def test_in_a_transaction_it_is_extended_with_all_else_or_not_at_all(s: Session, clock: ManualClock) -> None:
    async with s.transaction() as tx:
        await tx.extend(60)
        await tx.extend(60)
        await tx.touch()
    assert s.expires_at == s.created_at + timedelta(seconds=TTL_S + 120)
    with pytest.raises(ZeroDivisionError):
        async with s.transaction() as tx:
            await tx.extend(60)
            raise ZeroDivisionError
    assert (await s.refresh()).expires_at == s.created_at + timedelta(seconds=TTL_S + 120)


async def test_what_has_ended_does_not_expire(hold: Holdfast, s: Session, clock: ManualClock) -> None:
    """It is kept as long as its retention says."""
    await s.complete("done")
    assert s.expires_at is None
    clock.advance(2 * TTL_S)
    await s.log("annotated")
    assert (await s.refresh()).expires_at is None
    assert (await hold.sessions.list(expired=True)).items == ()


@pytest.mark.parametrize("bad", [0, -1, "soon", "", True, float("inf"), float("nan"), [], "200y"])
async def test_what_is_no_duration_is_refused(hold: Holdfast, bad: Any) -> None:
    s = await hold.sessions.create()
    with pytest.raises(InvalidValue, match="ttl"):
        await hold.sessions.create(id="new", ttl=bad)
    with pytest.raises(InvalidValue, match="ttl"):
        await hold.sessions.open("new", ttl=bad)
    with pytest.raises(InvalidValue, match="by"):
        await s.extend(bad)
    for field in ("default_ttl", "idle_timeout"):
        with pytest.raises(InvalidValue, match=field):
            Config(session=SessionConfig(**{field: bad}))
    with pytest.raises(InvalidValue, match="extend_on_access"):
        Config(session=SessionConfig(extend_on_access=1))  # type: ignore[arg-type]
