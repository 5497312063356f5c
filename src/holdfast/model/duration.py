"""Durations: a timedelta, seconds as a number, or text such as "30m", "2h", "30d", "1h30m", "250ms"."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from functools import lru_cache

from holdfast.errors import InvalidValue, shown

Duration = timedelta | float | int | str

_UNITS_S = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_PIECE = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d|w)")
_WHOLE = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h|d|w))+")
_MIN_S = 0.000_001  # the smallest step of a clock here
_MAX_S = 100 * 366 * 86_400


def to_seconds(duration: Duration, what: str) -> float:
    """The duration in seconds. Raises InvalidValue, naming `what`, unless it is from 1 µs to 100 years."""
    seconds = _seconds(duration, what)
    if not math.isfinite(seconds) or not _MIN_S <= seconds <= _MAX_S:
        raise InvalidValue(f"{what} must be from 1 µs to 100 years, not {shown(duration)}", path=what)
    return seconds


def to_us(duration: Duration, what: str) -> int:
    """The same in microseconds."""
    return round(to_seconds(duration, what) * 1_000_000)


def _seconds(duration: Duration, what: str) -> float:
    if isinstance(duration, timedelta):
        return duration.total_seconds()
    if isinstance(duration, (int, float)) and not isinstance(duration, bool):
        return float(duration) if abs(duration) <= _MAX_S else math.inf
    if isinstance(duration, str) and len(duration) <= 64 and (seconds := _of_text(duration)) is not None:
        return seconds
    raise InvalidValue(f'{what} must be a timedelta, seconds, or text such as "30m", not {shown(duration)}', path=what)


@lru_cache(maxsize=256)
def _of_text(text: str) -> float | None:
    if not _WHOLE.fullmatch(text):
        return None
    return sum(float(number) * _UNITS_S[unit] for number, unit in _PIECE.findall(text))
