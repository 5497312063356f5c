"""Statistics of sessions, from what each carries packed in its index entry: no session is loaded for them.

A session that is open carries its status and mode. One that has ended carries all that is counted of it, in at most
PACKED_BYTES_MAX bytes: of many phases the longest ones by name, and the others as one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta
from decimal import Decimal

import msgspec
from msgspec import Struct

from holdfast.errors import Corrupt
from holdfast.model.budget import EMPTY, EXACT, OTHER_PHASE
from holdfast.model.session import SessionRecord
from holdfast.model.status import SessionStatus

PACKED_BYTES_MAX = 200
"""Bytes that a session carries, so that they fit an index entry when they are encrypted, too."""

MODE_BYTES_MAX = 48
"""Bytes of a mode by which sessions are told apart here, as JSON has them; a longer one is cut."""


class Packed(Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """What one session carries. Without a duration it has not ended."""

    status: str
    mode: str = ""
    updated_us: int = 0
    duration_us: int | None = None
    iterations: int = 0
    tokens: int = 0
    cost: str = "0"
    tool_calls: int = 0
    phases_us: dict[str, int] = {}


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[Packed]).decode


class Durations(Struct, frozen=True):
    """How long sessions lasted that have ended, from creation to end: `mean`, `median`, and `p95`, which 95 in a
    hundred do not exceed."""

    mean: timedelta
    median: timedelta
    p95: timedelta


class SessionStats(Struct, frozen=True):
    """Figures of all sessions that pass the filters.

    count        how many there are
    by_status    how many of each status there is: {"active": 3, "completed": 12}
    by_mode      how many of each mode; None for those without one

    All that follows is of those that have ended; None where none has.

    ended        how many
    success_rate which part of them completed, 0.0 to 1.0
    iterations   the mean of their iterations
    durations    how long they lasted
    phases       the time of their iterations by phase, altogether
    tokens, cost, tool_calls    what they used, altogether
    """

    count: int
    by_status: dict[str, int]
    by_mode: dict[str | None, int]
    ended: int
    success_rate: float | None
    iterations: float | None
    durations: Durations | None
    phases: dict[str, timedelta]
    tokens: int
    cost: Decimal
    tool_calls: int


def pack(record: SessionRecord) -> bytes:
    """What the session of that record carries."""
    mode = _cut(record.mode or "")
    if record.ended_us is None:
        return _encode(Packed(record.status.value, mode, record.updated_us))
    account = EMPTY if record.used is None else record.used
    used = account.used
    bare = Packed(
        record.status.value,
        mode,
        record.updated_us,
        record.duration_us(record.updated_us),
        used.iterations,
        used.tokens,
        str(used.cost),
        used.tool_calls,
    )
    return _with_phases(bare, account.phases_us)


def _cut(mode: str) -> str:
    while len(_encode(mode)) > MODE_BYTES_MAX:
        mode = mode[:-1]
    return mode


def _with_phases(bare: Packed, phases_us: dict[str, int]) -> bytes:
    """The session packed with as many phases as fit, the longest first; with the rest as one, if even that fits."""
    if not phases_us:
        return _encode(bare)
    longest = sorted(phases_us.items(), key=lambda phase: (-phase[1], phase[0]))
    for kept in range(len(longest), -1, -1):
        told = dict(longest[:kept])
        rest_us = sum(time_us for _, time_us in longest[kept:])
        if rest_us:
            told[OTHER_PHASE] = told.get(OTHER_PHASE, 0) + rest_us
        raw = _encode(msgspec.structs.replace(bare, phases_us=told))
        if len(raw) <= PACKED_BYTES_MAX:
            return raw
    return _encode(bare)


def is_whole(mode: str) -> bool:
    """Whether sessions carry that mode, or that status, uncut."""
    return _cut(mode) == mode


def unpack(payloads: Sequence[bytes]) -> list[Packed]:
    """What sessions carried. Raises Corrupt for what no session carries."""
    try:
        return _decode(b"[" + b",".join(payloads) + b"]")
    except msgspec.DecodeError as problem:
        raise Corrupt(f"figures of a session that cannot be read: {problem}") from problem


def stats_of(sessions: Sequence[Packed]) -> SessionStats:
    """The figures of these sessions together."""
    ended = [one for one in sessions if one.duration_us is not None]
    modes = Counter([one.mode for one in sessions])
    completed = sum([one.status == SessionStatus.COMPLETED for one in ended])
    count = len(ended)
    return SessionStats(
        len(sessions),
        dict(Counter([one.status for one in sessions]).most_common()),
        {mode or None: number for mode, number in modes.most_common()},
        count,
        completed / count if count else None,
        sum([one.iterations for one in ended]) / count if count else None,
        _durations(sorted([one.duration_us for one in ended if one.duration_us is not None])),
        _phases(ended),
        sum([one.tokens for one in ended]),
        _sum_of_costs(Counter([one.cost for one in ended])),
        sum([one.tool_calls for one in ended]),
    )


def _durations(sorted_us: list[int]) -> Durations | None:
    if not sorted_us:
        return None
    count = len(sorted_us)
    median_us = (sorted_us[(count - 1) // 2] + sorted_us[count // 2]) // 2
    p95_us = sorted_us[-(-95 * count // 100) - 1]
    mean_us = sum(sorted_us) // count
    return Durations(*[timedelta(microseconds=us) for us in (mean_us, median_us, p95_us)])


def _phases(ended: Iterable[Packed]) -> dict[str, timedelta]:
    times: dict[str, int] = {}  # a Counter takes five times as long to add up what is this small
    for one in ended:
        for phase, time_us in one.phases_us.items():
            times[phase] = times.get(phase, 0) + time_us
    longest = sorted(times.items(), key=lambda phase: -phase[1])
    return {phase: timedelta(microseconds=time_us) for phase, time_us in longest}


def _sum_of_costs(costs: Counter[str]) -> Decimal:
    """Exactly, each different cost once."""
    total = Decimal(0)
    for cost, number in costs.items():
        total = EXACT.add(total, EXACT.multiply(Decimal(cost), number))
    return total
