"""Statistics: what a session carries, and what many make together."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from holdfast.errors import Corrupt
from holdfast.model.budget import AMOUNT_MAX, OTHER_PHASE, Account, Amounts
from holdfast.model.session import SessionRecord
from holdfast.model.session_stats import MODE_BYTES_MAX, PACKED_BYTES_MAX, Packed, is_whole, pack, stats_of, unpack
from holdfast.model.status import SessionStatus


def record(status: SessionStatus, mode: str | None = None, *, lasted_us: int = 0, used: Account | None = None):  # type: ignore[no-untyped-def]
    ended_us = None if status.is_open else lasted_us
    return SessionRecord("s", status, 0, 10**15, mode=mode, ended_us=ended_us, used=used)


def test_an_open_session_carries_its_status_and_mode_and_when_it_was_updated() -> None:
    assert unpack([pack(record(SessionStatus.PAUSED, "a")), pack(record(SessionStatus.ACTIVE))]) == [
        Packed("paused", "a", 10**15),
        Packed("active", "", 10**15),
    ]


def test_an_ended_one_carries_all_that_was_counted() -> None:
    used = Account(Amounts(3, 3120, Decimal("0.0182"), 2, 5), phases_us={"search": 5})
    raw = pack(record(SessionStatus.COMPLETED, "a", lasted_us=7, used=used))
    assert raw == b'["completed","a",1000000000000000,7,3,3120,"0.0182",2,{"search":5}]'
    assert unpack([raw]) == [Packed("completed", "a", 10**15, 7, 3, 3120, "0.0182", 2, {"search": 5})]
    assert unpack([pack(record(SessionStatus.FAILED, lasted_us=7))]) == [Packed("failed", "", 10**15, 7)]


@pytest.mark.parametrize("mode", ["m" * 256, "é" * 128, '"' * 256, "\U0001f600" * 64, "short"])
@pytest.mark.parametrize("phase", ["p" * 30, '"' * 200, "é" * 1000, OTHER_PHASE])
def test_what_is_carried_fits_whatever_it_is(mode: str, phase: str) -> None:
    """Names that are too long are cut or told as others; no figure is."""
    most = Amounts(AMOUNT_MAX, AMOUNT_MAX, Decimal("999999999999999.999999999999"), AMOUNT_MAX, AMOUNT_MAX)
    phases = {f"{phase} {n}": AMOUNT_MAX - n for n in range(15)} | {OTHER_PHASE: 1}
    raw = pack(record(SessionStatus.TIMED_OUT, mode, lasted_us=10**16 - 1, used=Account(most, phases_us=phases)))
    assert len(raw) <= PACKED_BYTES_MAX
    [packed] = unpack([raw])
    assert (packed.iterations, packed.cost) == (AMOUNT_MAX, "999999999999999.999999999999")
    assert mode.startswith(packed.mode)
    assert is_whole(mode) == (packed.mode == mode)
    assert len(packed.mode.encode()) <= MODE_BYTES_MAX


def test_of_many_phases_the_longest_are_told_by_name_and_all_their_time_is_told() -> None:
    phases = {f"phase {n:02}": n for n in range(1, 16)}
    [packed] = unpack([pack(record(SessionStatus.COMPLETED, used=Account(phases_us=phases)))])
    assert sum(packed.phases_us.values()) == sum(phases.values())
    told = [name for name in packed.phases_us if name != OTHER_PHASE]
    assert told == [f"phase {n:02}" for n in range(15, 15 - len(told), -1)]
    assert 5 < len(told) < 15


def test_what_no_session_carries_is_corrupt() -> None:
    with pytest.raises(Corrupt):
        unpack([b'["active"]', b"{}"])


def test_the_figures_of_many() -> None:
    sessions = [
        Packed("active", "a"),
        Packed("active", "b"),
        *[Packed("completed", "a", 0, n * 1_000_000, n, 10, "0.1", 1, {"search": 1_000_000}) for n in range(1, 20)],
        Packed("failed", "", 0, 100_000_000, 10, 0, "0.000000000001"),
    ]
    stats = stats_of(sessions)
    assert (stats.count, stats.ended, stats.success_rate) == (22, 20, 0.95)
    assert stats.by_status == {"completed": 19, "active": 2, "failed": 1}
    assert stats.by_mode == {"a": 20, "b": 1, None: 1}
    assert stats.iterations == 10.0
    assert stats.durations is not None
    assert stats.durations.mean == timedelta(seconds=14.5)
    assert stats.durations.median == timedelta(seconds=10.5)
    assert stats.durations.p95 == timedelta(seconds=19)
    assert stats.phases == {"search": timedelta(seconds=19)}
    assert (stats.tokens, stats.cost, stats.tool_calls) == (190, Decimal("1.900000000001"), 19)


def test_of_none_there_are_no_means() -> None:
    for stats in (stats_of([]), stats_of([Packed("active")])):
        assert (stats.ended, stats.success_rate, stats.iterations, stats.durations) == (0, None, None, None)
        assert (stats.tokens, stats.cost, stats.phases) == (0, 0, {})
