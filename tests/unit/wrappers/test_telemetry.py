"""Counting: percentiles that are never too low, errors by code, and nothing lost between threads."""

from __future__ import annotations

import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.backends.memory import MemoryKernel
from holdfast.errors import Closed, InvalidValue, StoreFull
from holdfast.kernel.commit import Read
from holdfast.wrappers.meter import BOUNDS_S, Meter, Meters, code_of
from holdfast.wrappers.telemetry import Telemetry


@given(st.lists(st.floats(0, 100), min_size=1, max_size=200))
def test_a_percentile_is_at_least_what_it_says_and_at_most_half_as_much_again(elapsed_s: list[float]) -> None:
    meter = Meter()
    for one in elapsed_s:
        meter.add(one)
    stats, ordered = meter.read(), sorted(elapsed_s)
    assert stats.calls == len(ordered)
    assert stats.max_us == ordered[-1] * 1e6
    for told_us, share in ((stats.p50_us, 0.50), (stats.p95_us, 0.95), (stats.p99_us, 0.99)):
        exact_s = next(one for place, one in enumerate(ordered, 1) if place >= share * len(ordered))
        assert told_us >= exact_s * 1e6 * 0.999_999
        if BOUNDS_S[0] < exact_s < BOUNDS_S[-1]:
            assert told_us <= exact_s * 1e6 * 1.4143


def test_errors_are_counted_by_their_code() -> None:
    meter = Meter()
    for problem in (StoreFull("x"), StoreFull("x"), asyncio.CancelledError(), KeyError("x"), None):
        meter.add(0.001, problem)
    assert meter.read().errors == {code_of(StoreFull("x")): 2, "cancelled": 1, "KeyError": 1}
    assert meter.read().calls == 5


def test_a_meter_that_counted_nothing_says_nothing() -> None:
    stats = Meter().read()
    assert (stats.calls, stats.p50_us, stats.p99_us, stats.max_us, stats.errors) == (0, 0.0, 0.0, 0.0, {})


def test_threads_that_end_calls_at_once_are_all_counted() -> None:
    meters = Meters()

    def count() -> None:
        for _ in range(5_000):
            meters.method("a").add(0.001)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert meters.method("a").read().calls == 20_000


async def test_every_verb_is_counted_and_so_is_what_it_raises() -> None:
    meters = Meters()
    kernel = Telemetry(MemoryKernel(), meters)
    await kernel.read([Read("user/a")], now_us=0)
    await kernel.commit([])
    await kernel.scopes()
    await kernel.stats()
    with pytest.raises(InvalidValue):
        await kernel.scopes(limit=0)
    await kernel.close()
    with pytest.raises(Closed):
        await kernel.read([], now_us=0)
    read = {name: meter.read() for name, meter in meters.verbs.items()}
    assert {name: stats.calls for name, stats in read.items()} == {"read": 2, "commit": 1, "scopes": 2, "stats": 1}
    assert read["read"].errors == {"closed": 1}
    assert read["scopes"].errors == {"invalid_value": 1}
