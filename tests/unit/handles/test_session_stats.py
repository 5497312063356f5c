"""Figures of many sessions."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from holdfast import Budget, BudgetExceeded, Holdfast
from holdfast.errors import InvalidValue
from holdfast.model.moment import to_datetime
from holdfast.operations import session_stats
from holdfast.testing.clock import ManualClock


async def test_what_a_session_did_is_in_the_figures_once_it_has_ended(hold: Holdfast, clock: ManualClock) -> None:
    s = await hold.sessions.create(mode="planner")
    async with s.iterate(data={"phase": "search"}) as it:
        it.spent(tokens=100, cost=0.25)
        clock.advance(2)
    await s.log_tool_call("search")
    stats = await hold.sessions.stats()
    assert (stats.count, stats.by_status, stats.ended, stats.tokens) == (1, {"active": 1}, 0, 0)
    clock.advance(3)
    await s.complete()
    clock.advance(60)
    await s.update(tags=["later"])
    stats = await hold.sessions.stats()
    assert (stats.by_status, stats.by_mode, stats.success_rate) == ({"completed": 1}, {"planner": 1}, 1.0)
    assert (stats.iterations, stats.tokens, stats.cost, stats.tool_calls) == (1.0, 100, Decimal("0.25"), 1)
    assert stats.durations is not None
    assert stats.durations.mean == timedelta(seconds=5)
    assert stats.phases == {"search": timedelta(seconds=2)}


async def test_an_iteration_that_settles_after_the_end_is_counted(hold: Holdfast) -> None:
    s = await hold.sessions.create()
    async with s.iterate() as it:
        await hold.sessions.update(s.id, tags=["x"])
        other = await hold.sessions.get(s.id)
        assert other is not None
        await other.cancel()
        it.spent(tokens=7)
    assert (await hold.sessions.stats()).tokens == 7


async def test_a_session_that_goes_on_is_counted_as_open_again(hold: Holdfast) -> None:
    s = await hold.sessions.create(budget=Budget(tool_calls=0))
    with pytest.raises(BudgetExceeded):
        await s.log_tool_call("x")
    assert (await hold.sessions.stats()).by_status == {"timed_out": 1}
    await s.resume(budget=Budget(tool_calls=1))
    stats = await hold.sessions.stats()
    assert (stats.by_status, stats.ended) == ({"active": 1}, 0)
    await hold.sessions.delete(s.id)
    assert (await hold.sessions.stats()).count == 0


LONG = "m" * 100


async def many(hold: Holdfast, clock: ManualClock) -> None:
    for n in range(60):
        s = await hold.sessions.create(
            user="ada" if n % 20 == 0 else "bo", mode=(LONG if n % 2 else "b"), tags=["vip"] if n < 30 else []
        )
        if n % 3 == 0:
            await s.complete()
        clock.advance(1)


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"user": "ada"},
        {"user": "bo"},
        {"user": "nobody"},
        {"mode": "b"},
        {"mode": LONG},
        {"status": "completed"},
        {"status": "completed", "mode": LONG, "user": "bo"},
        {"tag": "vip", "user": "ada"},
    ],
)
async def test_the_filters_are_those_of_a_list(
    hold: Holdfast, clock: ManualClock, filters: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the entries of the indexes lie on their pages."""
    monkeypatch.setattr(session_stats, "PAGE_MAX", 7)
    monkeypatch.setattr(session_stats, "SIZE", 2)
    begun = clock.now_us()
    await many(hold, clock)
    for more in ({}, {"created_after": _at(begun, 9)}, {"created_before": _at(begun, 40)}):
        found = [s async for s in hold.sessions.iterate(**filters, **more)]
        stats = await hold.sessions.stats(**filters, **more)
        assert stats.count == len(found)
        assert stats.ended == sum(s.status == "completed" for s in found)


def _at(begun_us: int, seconds: int) -> Any:
    return to_datetime(begun_us + seconds * 1_000_000)


async def test_sessions_that_have_expired_are_in_no_figures_but_their_own(hold: Holdfast, clock: ManualClock) -> None:
    """Exactly at the moment, swept or not."""
    await hold.sessions.create(id="brief", user="ada", ttl="1m")
    await hold.sessions.create(id="long", user="ada", ttl="1h")
    done = await hold.sessions.create(id="done", user="ada", ttl="1m")
    await done.complete()
    clock.advance(59.999_999)
    assert (await hold.sessions.stats()).count == 3
    clock.advance(0.000_001)
    for filters in ({}, {"user": "ada"}):
        assert (await hold.sessions.stats(**filters)).by_status == {"active": 1, "completed": 1}
        expired = await hold.sessions.stats(expired=True, **filters)
        assert (expired.count, expired.by_status) == (1, {"active": 1})


async def test_a_filter_that_cannot_be_is_refused(hold: Holdfast) -> None:
    with pytest.raises(InvalidValue):
        await hold.sessions.stats(status="gone")
