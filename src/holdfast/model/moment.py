"""Moments: aware datetimes in UTC outside, integer microseconds inside, and nothing lost between."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from holdfast.errors import Corrupt, InvalidValue, shown

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ORDER_MAX: int = 10**16 - 1


def to_datetime(at_us: int) -> datetime:
    """The aware UTC datetime of microseconds since the epoch. Raises Corrupt for what no clock can have shown."""
    try:
        return _EPOCH + timedelta(microseconds=at_us)
    except OverflowError as problem:
        raise Corrupt(f"a time of {shown(at_us)} microseconds is no moment") from problem


def to_us(at: datetime, what: str) -> int:
    """Microseconds since the epoch of an aware datetime; raises InvalidValue, naming `what`, for a naive one."""
    if not isinstance(at, datetime) or at.utcoffset() is None:
        raise InvalidValue(f"{what} must be a datetime with a time zone, not {shown(at)}", path=what)
    return (at - _EPOCH) // _MICROSECOND


def order_of(at_us: int) -> str:
    """Where a moment stands in every index; times out of its reach, 1970 to 2286, stand at its ends."""
    return f"{min(max(at_us, 0), _ORDER_MAX):016d}"
