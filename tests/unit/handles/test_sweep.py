"""What a sweep ends: sessions that have expired, and those that ended long enough ago; and nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from holdfast import Config, Holdfast, NotFound, Session
from holdfast.errors import InvalidValue
from holdfast.model.config import RetentionConfig, SessionConfig, SweepConfig
from holdfast.operations import sweep
from holdfast.testing.clock import ManualClock
from tests.unit.stores import Stores

DAY_S = 86_400
MICROSECOND = 0.000_001


async def scopes(hold: Holdfast) -> int:
    return (await hold.stats()).scopes


async def test_a_session_is_ended_from_the_moment_it_has_expired(hold: Holdfast, clock: ManualClock) -> None:
    """G12: not a microsecond before."""
    s = await hold.sessions.create(id="s", ttl=60)
    await hold.sessions.create(id="lasting")
    clock.advance(60 - MICROSECOND)
    assert (await hold.sweep()).expired == 0
    assert (await s.refresh()).status == "active"
    clock.advance(MICROSECOND)
    assert (await hold.sweep(dry_run=True)).expired == 1
    assert [found.id for found in (await hold.sessions.list(expired=True)).items] == ["s"]
    assert (await hold.sweep()).expired == 1
    assert (await hold.sessions.list(expired=True)).items == ()
    assert await scopes(hold) == 1
    assert (await hold.sweep()).expired == 0


async def test_its_followers_are_told_of_its_end(hold: Holdfast, clock: ManualClock) -> None:
    s = await hold.sessions.create(id="s", ttl=60)
    async with s.changes(after="beginning") as changes:
        clock.advance(60)
        await hold.sweep()
        told = [(change.kind, change.op, change.key) async for change in changes]
    assert told == [("session", "set", "s"), ("event", "append", "0000000000000001.0000"), ("session", "delete", "s")]


async def test_what_is_extended_while_a_sweep_is_under_way_is_left(hold: Holdfast, clock: ManualClock) -> None:
    s = await hold.sessions.create(id="s", ttl=60)
    clock.advance(60)
    store = hold._store
    [found] = await sweep.due(store.work(), "session", until_us=store.now_us(), after=None, limit=10)
    clock.jump(-1)
    await s.extend(60)
    clock.jump(1)
    assert not await sweep.expire_due(lambda: store.work(of_expired="all"), found)
    assert not await sweep.remove(store.work(of_expired="all"), "session/s", 0)
    assert (await s.refresh()).id == "s"


async def test_a_session_that_has_ended_is_kept_as_long_as_its_retention_says(
    hold: Holdfast, clock: ManualClock
) -> None:
    for n in range(3):
        await (await hold.sessions.create(id=f"s{n}", ttl=60)).complete(n)
    await hold.sessions.create(id="open")
    clock.advance(30 * DAY_S - MICROSECOND)
    assert (await hold.sweep()).retired == 0
    assert (await hold.sweep(older_than="31d")).retired == 0
    clock.advance(MICROSECOND)
    assert (await hold.sweep(dry_run=True)).retired == 3
    report = await hold.sweep()
    assert (report.retired, report.expired, report.more) == (3, 0, False)
    assert [found.id for found in (await hold.sessions.list()).items] == ["open"]


async def test_without_retention_what_has_ended_is_kept_for_good(stores: Stores, clock: ManualClock) -> None:
    hold = await stores.open(config=Config(retention=RetentionConfig(age=None)))
    await (await hold.sessions.create(id="s")).cancel()
    clock.advance(10_000 * DAY_S)
    assert (await hold.sweep()).retired == 0
    assert (await hold.sweep(older_than="1d")).retired == 1
    with pytest.raises(InvalidValue):
        await hold.sweep(older_than="soon")


async def test_what_was_changed_or_made_anew_since_it_was_found_is_left(hold: Holdfast, clock: ManualClock) -> None:
    s = await hold.sessions.create(id="s")
    await s.complete()
    store = hold._store
    clock.advance(DAY_S)
    [found] = await sweep.due(store.work(), "ended", until_us=store.now_us(), after=None, limit=10)
    await hold.sessions.delete("s")
    await (await hold.sessions.create(id="s")).complete()
    assert not await sweep.retire_due(store.work, found)
    assert await hold.sessions.get("s") is not None


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 70])
async def test_any_number_goes_whatever_the_budget_and_however_many_sweep(
    stores: Stores, clock: ManualClock, count: int
) -> None:
    config = Config(sweep=SweepConfig(budget=40), session=SessionConfig(default_ttl=60))
    holds = [await stores.open(config=config) for _ in range(3)]
    await asyncio.gather(*(holds[0].sessions.create(id=f"s{n}") for n in range(count)))
    clock.advance(60)
    reports = await asyncio.gather(*(hold.sweep() for hold in holds))
    assert sum(report.expired for report in reports) == count
    assert await scopes(holds[0]) == 0


async def test_ending_and_going_on_race_and_one_of_them_wins(stores: Stores, clock: ManualClock) -> None:
    holds = [await stores.open() for _ in range(2)]
    for n in range(5):
        s = await holds[0].sessions.create(id=f"s{n}", ttl=60)
        clock.advance(60)

        async def anew(id: str = s.id) -> Session:
            return await holds[1].sessions.open(id)

        _, made = await asyncio.gather(holds[0].sweep(), anew())
        with pytest.raises(NotFound):
            await s.refresh()
        assert (await made.refresh()).created_at == made.created_at


@pytest.mark.parametrize("bad", [0, "x", True, []])
async def test_bad_arguments_are_refused(hold: Holdfast, bad: Any) -> None:
    with pytest.raises(InvalidValue, match="older_than"):
        await hold.sweep(older_than=bad)
