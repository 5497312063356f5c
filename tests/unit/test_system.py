"""The real clock and ids."""

from __future__ import annotations

import time
import uuid

import pytest

from holdfast import system
from holdfast.kernel.contract import Clock, Ids


def test_the_clock_tells_microseconds_since_the_epoch() -> None:
    clock: Clock = system.SystemClock()
    before = time.time_ns() // 1000
    assert before <= clock.now_us() <= time.time_ns() // 1000
    assert clock.monotonic_s() <= clock.monotonic_s()


async def test_a_sleep_takes_its_time() -> None:
    clock = system.SystemClock()
    begun = clock.monotonic_s()
    await clock.sleep(0.01)
    assert clock.monotonic_s() - begun >= 0.009


@pytest.mark.parametrize("now_us", [0, 999, 1_800_000_000_000_001, 1_800_000_000_000_999])
def test_ids_are_uuids_of_version_7_that_sort_by_time_to_the_microsecond(now_us: int) -> None:
    ids: Ids = system.SystemIds()
    made = ids.uuid7(now_us)
    parsed = uuid.UUID(made)
    assert (parsed.version, parsed.variant, parsed.int >> 80) == (7, uuid.RFC_4122, now_us // 1000)
    assert str(parsed) == made
    assert made < ids.uuid7(now_us + 1)


def test_ids_are_never_the_same() -> None:
    ids = system.SystemIds()
    assert len({ids.uuid7(0) for _ in range(1000)}) == 1000
    writers = {ids.writer() for _ in range(1000)}
    assert len(writers) == 1000
    assert all(len(writer) == 16 and int(writer, 16) >= 0 for writer in writers)
    assert all(0 <= ids.random() < 1 for _ in range(100))


def test_the_environment_names_the_default_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_URL", "memory://")
    assert system.default_url() == "memory://"
    monkeypatch.delenv("HOLDFAST_URL")
    assert system.default_url() is None
