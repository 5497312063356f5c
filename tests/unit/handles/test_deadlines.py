"""What a process knows of deadlines is of one life of a session, and dies with it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from holdfast import Config, Holdfast, Session, SessionConfig
from holdfast.testing.clock import ManualClock
from tests.unit.stores import Stores

DAYS_S = 86_400


@pytest.fixture
async def old(hold: Holdfast, clock: ManualClock) -> Session:
    """A session of ada, whose deadline was written at a version that no later life has soon."""
    s = await hold.sessions.create(id="s", user="ada", ttl="90d")
    for _ in range(3):
        await s.extend("1d")
    return s


async def began_anew(stores: Stores, clock: ManualClock, *, ttl: float | None, sliding: bool = False) -> Session:
    """The session of bo that stands under the same id when nothing was left of the first one."""
    session = SessionConfig(extend_on_access=sliding)
    other = await stores.open(config=Config(session=session))
    await other.sessions.delete("s")
    clock.advance(31 * DAYS_S)
    await other.sweep()
    made = await other.sessions.create(id="s", user="bo", ttl=ttl)
    assert made.version == 1  # the numbers began anew
    return made


@pytest.mark.parametrize("ttl", [3600, None])
async def test_a_session_whose_numbers_began_anew_has_its_own_deadline_and_not_that_of_the_one_before(
    stores: Stores, hold: Holdfast, old: Session, clock: ManualClock, ttl: float | None
) -> None:
    """Isolation: nothing of a deleted session shows in the one that was made after it, in a process that knew both."""
    made = await began_anew(stores, clock, ttl=ttl)
    found = await hold.sessions.get("s")
    assert found is not None
    assert (found.user, found.expires_at) == ("bo", made.expires_at)
    [listed] = (await hold.sessions.list()).items
    assert listed.expires_at == made.expires_at


async def test_a_handle_of_the_life_before_shows_the_deadline_it_read(
    stores: Stores, hold: Holdfast, old: Session, clock: ManualClock
) -> None:
    """Isolation, the other way: whose session it was learns nothing of the one that another user has now."""
    before = (await old.refresh()).expires_at
    await began_anew(stores, clock, ttl=3600)
    assert await hold.sessions.get("s") is not None
    assert old.expires_at is not None
    assert old.expires_at == before


async def test_writes_prolong_the_life_of_a_session_whose_numbers_began_anew(
    stores: Stores, hold: Holdfast, clock: ManualClock
) -> None:
    """A sliding expiry moves with every access, in a process that knew one before which never expired."""
    before = await hold.sessions.create(id="s", user="ada")
    await before.pause()
    await before.complete()
    made = await began_anew(stores, clock, ttl=3600, sliding=True)
    found = await hold.sessions.get("s")
    assert found is not None
    clock.advance(1800)
    await found.state.set("k", 1)
    assert found.expires_at == made.created_at + timedelta(seconds=5400)
    clock.advance(3000)
    assert await hold.sessions.get("s") is not None


async def test_a_life_that_began_by_a_clock_that_is_behind_is_none_of_the_one_before(
    stores: Stores, hold: Holdfast, clock: ManualClock
) -> None:
    """G11: no clock decides whose session it is; a write renews nothing by what was known of another life."""
    first, second = await stores.open(), await stores.open()
    before = await first.sessions.create(id="s", user="ada", ttl="90d")
    for _ in range(3):
        await before.extend("1d")
    assert await hold.sessions.get("s") is not None
    await first.sessions.delete("s")
    clock.advance(31 * DAYS_S)
    await first.sweep()
    clock.jump(-40 * DAYS_S)
    made = await second.sessions.create(id="s", user="bo", ttl="30d")
    assert (made.version, made.created_at < before.created_at) == (1, True)
    found = await hold.sessions.get("s")
    assert found is not None
    for _ in range(3):
        clock.advance(3000)
        await found.state.set("k", 1)
    assert [one.id for one in (await second.sessions.list(user="bo", order="recent")).items] == ["s"]
    assert (await second.sessions.list(user="ada", order="recent")).items == ()
    assert (await made.refresh()).expires_at == made.created_at + timedelta(days=30)
