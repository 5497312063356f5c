"""Stats: what there is, and what this process did."""

from __future__ import annotations

import pytest

from holdfast import Config, Conflict, Holdfast, TelemetryConfig
from tests.unit.stores import Stores


async def test_calls_are_counted_by_method_with_their_errors(stores: Stores) -> None:
    hold = await stores.open()
    session = await hold.sessions.create(user="ada")
    for n in range(3):
        await session.state.set("k", n)
    with pytest.raises(Conflict):
        await session.state.set("k", 9, if_version=1)
    await session.state.merge("map", {"a": 1})
    await session.messages.add("user", "hello")
    await session.log("noted")
    await hold.sessions.get(session.id)
    methods = (await hold.stats()).methods
    assert {name: stats.calls for name, stats in methods.items()} == {
        "messages.add": 1,
        "session.log": 1,
        "sessions.create": 1,
        "sessions.get": 1,
        "state.merge": 1,
        "state.mutate": 1,
        "state.set": 4,
    }
    assert methods["state.set"].errors == {"conflict": 1}
    assert 0 < methods["state.set"].p50_us <= methods["state.set"].p99_us <= methods["state.set"].max_us
    assert methods["state.set"].total_s > 0


async def test_verbs_are_counted_below_the_methods(hold: Holdfast) -> None:
    await hold.sessions.create()
    stats = await hold.stats()
    assert stats.verbs["commit"].calls >= 1
    assert stats.writer.commits == 1
    assert (stats.writer.batches, stats.writer.batch_max, stats.writer.batch_mean) == (1, 1, 1.0)


async def test_what_there_is_is_told_by_kind(hold: Holdfast) -> None:
    session = await hold.sessions.create()
    await session.state.update({"a": "x" * 100, "b": 1})
    await session.messages.add("user", "hello")
    stats = await hold.stats()
    assert (stats.kinds["session"].count, stats.kinds["state"].count, stats.kinds["message"].count) == (1, 2, 1)
    assert stats.kinds["state"].bytes == 103
    assert sum(kind.count for kind in stats.kinds.values()) == stats.cells


async def test_the_cache_tells_what_it_answered(spanning: Stores) -> None:
    hold = await spanning.open()
    session = await hold.sessions.create()
    await session.state.set("k", 1)
    for _ in range(4):
        await session.state.get("k")
    cache = (await hold.stats()).cache
    assert (cache.kind, cache.hits, cache.misses, cache.ratio) == ("exact", 3, 1, 0.75)
    assert cache.entries > 0
    assert cache.bytes > 0


async def test_nothing_is_counted_where_that_is_turned_off(stores: Stores) -> None:
    """Config.telemetry.enabled."""
    hold = await stores.open(config=Config(telemetry=TelemetryConfig(enabled=False)))
    session = await hold.sessions.create()
    await session.state.set("k", 1)
    stats = await hold.stats()
    assert (stats.methods, stats.verbs) == ({}, {})
    assert stats.writer.commits == 2
