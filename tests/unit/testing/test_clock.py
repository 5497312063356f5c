"""The clock and ids that tests own."""

from __future__ import annotations

import asyncio
import threading
import uuid

import pytest

from holdfast.errors import InvalidValue
from holdfast.kernel.contract import Clock, Ids
from holdfast.kernel.limits import TIME_US_MAX
from holdfast.testing.clock import EPOCH_US, LeapingClock, ManualClock, SeededIds, StillClock, settle


def test_it_stands_still_until_it_is_advanced() -> None:
    clock: Clock = ManualClock()
    assert (clock.now_us(), clock.monotonic_s()) == (EPOCH_US, 0.0)
    assert (clock.now_us(), clock.monotonic_s()) == (EPOCH_US, 0.0)


def test_advancing_moves_both_readings_and_never_back() -> None:
    clock = ManualClock()
    clock.advance(1.5)
    assert (clock.now_us(), clock.monotonic_s()) == (EPOCH_US + 1_500_000, 1.5)
    with pytest.raises(ValueError, match="never moved back"):
        clock.advance(-1)


def test_the_wall_jumps_both_ways_and_the_monotonic_time_does_not() -> None:
    clock = ManualClock()
    clock.jump(-3600)
    assert (clock.now_us(), clock.monotonic_s()) == (EPOCH_US - 3_600_000_000, 0.0)
    clock.jump(7200)
    clock.advance(1)
    assert (clock.now_us(), clock.monotonic_s()) == (EPOCH_US + 3_601_000_000, 1.0)


def test_sleepers_wake_in_the_order_of_their_times_and_not_before() -> None:
    async def main() -> None:
        clock = ManualClock()
        woken: list[int] = []

        async def sleeper(seconds: int) -> None:
            await clock.sleep(seconds)
            woken.append(seconds)

        tasks = [asyncio.create_task(sleeper(seconds)) for seconds in (3, 1, 2)]
        await settle()
        assert clock.sleepers == 3
        clock.jump(100)
        clock.advance(0.999999)
        await settle()
        assert woken == []
        clock.advance(2.000001)
        await asyncio.gather(*tasks)
        assert woken == [1, 2, 3]

    asyncio.run(main())


def test_elapsing_passes_through_every_time_somebody_waits_for() -> None:
    async def main() -> None:
        clock = ManualClock()
        times: list[float] = []

        async def ticker() -> None:
            for _ in range(10):
                await clock.sleep(1)
                times.append(clock.monotonic_s())

        task = asyncio.create_task(ticker())
        await clock.elapse(10)
        await task
        assert times == [float(second) for second in range(1, 11)]

    asyncio.run(main())


def test_a_cancelled_sleeper_is_forgotten() -> None:
    async def main() -> None:
        clock = ManualClock()
        task = asyncio.create_task(clock.sleep(5))
        await settle()
        task.cancel()
        await settle()
        assert clock.sleepers == 0
        await clock.elapse(10)
        assert clock.monotonic_s() == 10

    asyncio.run(main())


def test_another_thread_may_move_it() -> None:
    async def main() -> None:
        clock = ManualClock()
        task = asyncio.create_task(clock.sleep(5))
        await settle()
        thread = threading.Thread(target=clock.advance, args=(5,))
        thread.start()
        await task
        thread.join()
        assert clock.monotonic_s() == 5

    asyncio.run(main())


def test_a_clock_does_not_leave_the_times_that_a_store_takes() -> None:
    for clock, step in ((ManualClock(0), -1e-6), (ManualClock(TIME_US_MAX), 1e-6)):
        before_us = clock.now_us()
        with pytest.raises(InvalidValue):
            clock.jump(step)
        clock.jump(-step)
        assert abs(clock.now_us() - before_us) == 1
    for wrong in (-1, TIME_US_MAX + 1, 2**63, 1.5):
        with pytest.raises(InvalidValue):
            ManualClock(wrong)  # type: ignore[arg-type]

    async def main() -> None:
        clock = ManualClock(TIME_US_MAX - 1)
        for seconds in (2e-6, 1e300, float("inf"), float("nan")):
            for move in (clock.advance, clock.jump):
                with pytest.raises(InvalidValue):
                    move(seconds)
            with pytest.raises(InvalidValue):
                await clock.elapse(seconds)
        assert (clock.now_us(), clock.monotonic_s()) == (TIME_US_MAX - 1, 0)
        await clock.elapse(1e-6)
        assert clock.now_us() == TIME_US_MAX

    asyncio.run(main())


def test_on_a_leaping_clock_sleeps_end_at_once_and_time_has_passed() -> None:
    async def main() -> None:
        clock = LeapingClock()
        await asyncio.gather(clock.sleep(2), clock.sleep(3))
        assert clock.monotonic_s() == 3
        await clock.sleep(1)
        assert clock.now_us() == EPOCH_US + 4_000_000

    asyncio.run(main())


def test_ids_repeat_from_their_seed_and_differ_between_seeds() -> None:
    def some(ids: Ids) -> list[object]:
        return [ids.uuid7(EPOCH_US), ids.uuid7(EPOCH_US), ids.writer(), ids.writer(), ids.random()]

    assert some(SeededIds(7)) == some(SeededIds(7))
    assert not set(map(str, some(SeededIds(7)))) & set(map(str, some(SeededIds(8))))


def test_uuids_are_of_version_7_and_sort_by_time_then_by_making() -> None:
    ids = SeededIds()
    made = [ids.uuid7(EPOCH_US + us) for us in (0, 0, 0, 400, 999, 1000, 5_000_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    parsed = uuid.UUID(made[-1])
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert parsed.int >> 80 == (EPOCH_US + 5_000_000) // 1000


def test_a_writer_id_has_16_hexadecimal_digits() -> None:
    ids = SeededIds()
    writers = [ids.writer() for _ in range(100)]
    assert len(set(writers)) == 100
    assert all(len(writer) == 16 and int(writer, 16) >= 0 for writer in writers)


async def test_pauses_of_a_still_clock_end_by_themselves_and_take_no_time() -> None:
    """Whoever waits for others comes back, and what is due stays so."""
    clock = StillClock()
    for seconds in (3600, 0, -1):
        await asyncio.wait_for(clock.sleep(seconds), 10)
    assert (clock.now_us(), clock.monotonic_s()) == (EPOCH_US, 0.0)
    clock.advance(2)
    assert (clock.now_us(), clock.monotonic_s()) == (EPOCH_US + 2_000_000, 2.0)
