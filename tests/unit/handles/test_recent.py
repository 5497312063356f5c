"""Sessions by activity, and by when their record was last updated."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from holdfast import Holdfast, Session
from holdfast.errors import InvalidValue
from holdfast.operations import sessions_page
from tests.unit.stores import Stores

MINUTE_S = 60


@pytest.fixture
async def made(stores: Stores, hold: Holdfast) -> list[Session]:
    """Six sessions, two minutes apart, of two users and two modes."""
    sessions = []
    for n in range(6):
        stores.clock.advance(2 * MINUTE_S)
        sessions.append(await hold.sessions.create(id=f"s{n}", user="ada" if n % 2 else "bo", mode="ab"[n // 3]))
    stores.clock.advance(2 * MINUTE_S)
    return sessions


async def listed(hold: Holdfast, **filters: Any) -> list[str]:
    """The ids, told alike by one page, by small pages, and by iterating."""
    found = [one.id for one in (await hold.sessions.list(**filters)).items]
    assert [one.id async for one in hold.sessions.iterate(limit=2, **filters)] == found
    assert (await hold.sessions.stats(**{k: v for k, v in filters.items() if k != "order"})).count == len(found)
    return found


async def test_recent_has_those_first_that_were_written_to_last(
    stores: Stores, hold: Holdfast, made: list[Session]
) -> None:
    """By whatever write, by whatever process; nobody has to read first."""
    assert await listed(hold, order="recent") == ["s5", "s4", "s3", "s2", "s1", "s0"]
    await made[1].messages.add("user", "hello")
    stores.clock.advance(MINUTE_S)
    other = await stores.open()
    async with other.transaction() as tx:
        await tx.session("s0").state.set("a", 1)
    assert await listed(hold, order="recent") == ["s0", "s1", "s5", "s4", "s3", "s2"]
    assert await listed(hold, order="recent", user="ada") == ["s1", "s5", "s3"]
    assert await listed(hold, order="recent", user="bo", mode="a") == ["s0", "s2"]
    assert await listed(hold, order="recent", mode="b") == ["s5", "s4", "s3"]


async def test_ended_sessions_stand_among_the_open_ones(hold: Holdfast, made: list[Session]) -> None:
    await made[2].complete()
    assert await listed(hold, order="recent") == ["s2", "s5", "s4", "s3", "s1", "s0"]
    assert await listed(hold, order="recent", status="active") == ["s5", "s4", "s3", "s1", "s0"]
    assert await listed(hold, order="recent", status="completed") == ["s2"]


async def test_activity_is_told_once_a_minute_at_most(stores: Stores, hold: Holdfast, made: list[Session]) -> None:
    """A write within the minute costs nothing more, and may not show in the order."""
    await made[0].state.set("n", 0)
    stores.clock.advance(MINUTE_S - 1)
    await made[1].state.set("n", 0)
    await made[0].state.set("n", 1)
    assert (await listed(hold, order="recent"))[:2] == ["s1", "s0"]
    stores.clock.advance(1)
    await made[0].state.set("n", 2)
    assert (await listed(hold, order="recent"))[:2] == ["s0", "s1"]


async def test_reads_are_no_activity(hold: Holdfast, made: list[Session]) -> None:
    before = (await made[0].state.snapshot()).version
    await hold.sessions.get("s0")
    await made[0].touch()
    await made[0].context()
    assert (await made[0].state.snapshot()).version == before
    assert (await listed(hold, order="recent"))[-1] == "s0"


async def test_expired_and_deleted_sessions_are_listed_by_activity_as_by_creation(
    stores: Stores, hold: Holdfast, made: list[Session]
) -> None:
    await hold.sessions.create(id="short", ttl=1)
    await hold.sessions.delete("s5")
    stores.clock.advance(1)
    assert await listed(hold, order="recent") == ["s4", "s3", "s2", "s1", "s0"]
    assert await listed(hold, order="recent", expired=True) == ["short"]


async def test_a_clock_that_goes_back_is_followed(stores: Stores, hold: Holdfast, made: list[Session]) -> None:
    stores.clock.jump(-3600)
    await made[5].state.set("n", 1)
    assert await listed(hold, order="recent") == ["s4", "s3", "s2", "s1", "s0", "s5"]
    stores.clock.jump(3600 + MINUTE_S)
    await made[5].state.set("n", 2)
    assert (await listed(hold, order="recent"))[0] == "s5"


async def test_updated_filters_are_about_when_the_record_was_written(
    stores: Stores, hold: Holdfast, made: list[Session]
) -> None:
    """Both ends are exclusive, in every order, and in the statistics."""
    await made[1].update(tags=["t"])
    at = made[1].updated_at
    stores.clock.advance(1)
    await made[4].pause()
    await made[0].state.set("no", "update")
    moment = timedelta(microseconds=1)
    for order in ("newest", "oldest", "recent"):
        assert sorted(await listed(hold, order=order, updated_after=at)) == ["s4"]
        assert sorted(await listed(hold, order=order, updated_after=at - moment)) == ["s1", "s4"]
        assert sorted(await listed(hold, order=order, updated_before=at)) == ["s0", "s2", "s3", "s5"]
        found = await listed(hold, order=order, updated_before=at + moment, created_after=made[0].created_at)
        assert sorted(found) == ["s1", "s2", "s3", "s5"]
        assert await listed(hold, order=order, user="ada", updated_after=at - moment) == ["s1"]
        assert await listed(hold, order=order, user="bo", mode="b", updated_after=at) == ["s4"]
    assert await listed(hold, updated_after=at - moment) == ["s4", "s1"]


async def test_created_filters_hold_by_activity_too(hold: Holdfast, made: list[Session]) -> None:
    after, before = made[1].created_at, made[4].created_at
    assert await listed(hold, order="recent", created_after=after, created_before=before) == ["s3", "s2"]


@pytest.mark.parametrize("buffer", [1, 2, 3])
async def test_pages_of_any_size_are_cut_anywhere(
    hold: Holdfast, made: list[Session], buffer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions_page, "BUFFER", buffer)
    at = made[2].updated_at
    for limit in range(1, 7):
        for filters in ({"order": "recent", "mode": "a"}, {"updated_before": at}, {"order": "recent"}):
            every = [one.id async for one in hold.sessions.iterate(limit=limit, **filters)]  # type: ignore[arg-type]
            assert every == [one.id for one in (await hold.sessions.list(**filters)).items]  # type: ignore[arg-type]


async def test_a_cursor_continues_its_own_order_only(hold: Holdfast, made: list[Session]) -> None:
    recent = (await hold.sessions.list(order="recent", limit=1)).next
    newest = (await hold.sessions.list(limit=1)).next
    for cursor, order in ((recent, "newest"), (newest, "recent")):
        with pytest.raises(InvalidValue, match="in that order"):
            await hold.sessions.list(order=order, cursor=cursor)  # type: ignore[arg-type]


async def test_many_that_are_written_at_once_are_all_found(hold: Holdfast) -> None:
    sessions = await asyncio.gather(*(hold.sessions.create(id=f"m{n:02}", user="ada") for n in range(30)))
    await asyncio.gather(*(one.log("seen") for one in sessions))
    assert sorted([one.id async for one in hold.sessions.iterate(order="recent", limit=7)]) == sorted(
        one.id for one in sessions
    )
