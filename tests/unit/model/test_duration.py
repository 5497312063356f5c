"""Durations: a timedelta, seconds, or text."""

from __future__ import annotations

import math
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from holdfast.errors import InvalidValue
from holdfast.model.duration import to_seconds


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [
        ("30m", 1800),
        ("2h", 7200),
        ("30d", 2_592_000),
        ("1h30m", 5400),
        ("250ms", 0.25),
        ("1.5s", 1.5),
        ("2w", 1_209_600),
        (90, 90),
        (0.000_001, 0.000_001),
        (timedelta(minutes=1, microseconds=1), 60.000_001),
        (100 * 366 * 86_400, 100 * 366 * 86_400),
    ],
)
def test_a_duration_is_a_timedelta_seconds_or_text_with_units(duration: Any, seconds: float) -> None:
    assert to_seconds(duration, "ttl") == seconds


@pytest.mark.parametrize(
    "duration",
    [0, -1, 0.0, 1e-7, "0s", math.nan, math.inf, 10**400, -(10**400), 100 * 366 * 86_400 + 1, timedelta(0),
     timedelta.max,
     "", "1", "h", "1 h", "-1h", "1h ", "1y", "١h", "1h" * 40, "9" * 60 + "d", True, None, [], {}, b"1h", Decimal(3),
     object(), 1j],
    ids=lambda value: str(value)[:20],
)  # fmt: skip
def test_anything_else_is_refused_and_named(duration: Any) -> None:
    with pytest.raises(InvalidValue, match="ttl must be") as refused:
        to_seconds(duration, "ttl")
    assert refused.value.path == "ttl"
    assert len(str(refused.value)) < 200
