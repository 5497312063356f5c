"""Moments: aware datetimes outside, microseconds inside."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import Corrupt, InvalidValue
from holdfast.model.moment import to_datetime, to_us


@given(st.integers(min_value=-62_135_596_800_000_000, max_value=253_402_300_799_999_999))
def test_no_microsecond_is_lost_between_the_two_forms(at_us: int) -> None:
    assert to_us(to_datetime(at_us), "at") == at_us
    assert to_datetime(at_us).tzinfo is UTC


@pytest.mark.parametrize("at_us", [-62_135_596_800_000_001, 253_402_300_800_000_000, 2**63 - 1, -(2**200)])
def test_a_stored_time_that_no_datetime_can_hold_is_corrupt(at_us: int) -> None:
    with pytest.raises(Corrupt, match="moment"):
        to_datetime(at_us)


def test_the_same_moment_in_another_zone_is_the_same_moment() -> None:
    moment = datetime(2026, 11, 21, 12, tzinfo=UTC)
    assert to_us(moment.astimezone(timezone(timedelta(hours=9))), "at") == to_us(moment, "at")


@pytest.mark.parametrize("at", [datetime(2026, 1, 1), date(2026, 1, 1), 3, 1.5, "2026-01-01", None, object()])  # noqa: DTZ001
def test_a_naive_time_or_anything_else_is_refused(at: Any) -> None:
    with pytest.raises(InvalidValue, match="time zone") as refused:
        to_us(at, "created_after")
    assert refused.value.path == "created_after"
