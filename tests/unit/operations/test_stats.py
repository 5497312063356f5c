"""Stats: what there is, and what this process did."""

from __future__ import annotations

import asyncio
from contextvars import Context

import pytest
from prometheus_client.parser import text_string_to_metric_families

from holdfast import Busy, Config, Conflict, Holdfast, Session, TelemetryConfig
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


async def test_turns_claims_and_transactions_are_counted_by_their_beginning_and_their_end(hold: Holdfast) -> None:
    """And with what they met there: a session that is busy, a conflict."""
    s = await hold.sessions.create(id="s")
    async with s.turn(request_id="r") as turn:
        await turn.step("ask", lambda: 1)
    async with s.claim():
        rival = asyncio.create_task(rejected(s), context=Context())
        with pytest.raises(Busy):
            await rival
    with pytest.raises(Conflict):
        async with s.transaction() as tx:
            await tx.state.get("k")
            await asyncio.create_task(written(s), context=Context())
            await tx.state.set("k", 2)
    methods = (await hold.stats()).methods
    calls = {name: stats.calls for name, stats in methods.items() if name.endswith((".begin", ".end", ".step"))}
    assert calls == {
        "turn.begin": 2, "turn.step": 1, "turn.end": 1, "claim.begin": 1, "claim.end": 1,
        "transaction.begin": 1, "transaction.end": 2,
    }  # fmt: skip
    assert (methods["turn.begin"].errors, methods["transaction.end"].errors) == ({"busy": 1}, {"conflict": 1})


async def test_iterations_blocks_of_work_templates_areas_and_reads_of_the_past_are_counted(hold: Holdfast) -> None:
    """What a session is used with stands among the methods, however it is written."""
    await hold.sessions.templates.add("plain", task="t")
    async with hold.sessions.work("Fix the bug") as s:
        await s.iterate()
        async with s.iterate():
            pass
        await s.area("own").write({"k": b"1"})
        past = s.at(s.version)
        await past.state.get("k")
        await past.messages.list()
        await past.events()
    with pytest.raises(ValueError, match="no"):
        async with hold.sessions.work("Fail"):
            raise ValueError("no")
    methods = (await hold.stats()).methods
    wanted = ("iteration.", "work.", "templates.", "area.", "past.")
    assert {name: stats.calls for name, stats in methods.items() if name.startswith(wanted)} == {
        "iteration.at_once": 1, "iteration.begin": 1, "iteration.end": 1, "work.begin": 2, "work.end": 2,
        "templates.add": 1, "area.write": 1, "past.get": 1, "past.list": 1, "past.events": 1,
    }  # fmt: skip


async def rejected(s: Session) -> None:
    async with s.turn(request_id="other", busy="reject"):
        pass


async def written(s: Session) -> None:
    await s.state.set("k", 1)


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


async def test_a_running_process_tells_prometheus_what_it_did(spanning: Stores) -> None:
    """Calls, errors and latencies by method, the cache, the writer and the sweeper, read by Prometheus' own parser."""
    hold = await spanning.open()
    s = await hold.sessions.create()
    await s.state.set("k", 1)
    with pytest.raises(Conflict):
        await s.state.set("k", 9, if_version=1)
    for _ in range(4):
        await s.state.get("k")
    stats = await hold.stats()
    told: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for family in text_string_to_metric_families(stats.prometheus(space="shop")):
        for sample in family.samples:
            assert sample.labels.pop("space") == "shop"
            told[sample.name.removeprefix("holdfast_"), frozenset(sample.labels.items())] = sample.value
    got = ("method", "state.set")
    assert told["method_seconds_count", frozenset([got])] == 2
    assert told["method_seconds_sum", frozenset([got])] == stats.methods["state.set"].total_s
    assert told["method_seconds", frozenset([got, ("quantile", "0.99")])] == stats.methods["state.set"].p99_us / 1e6
    assert told["method_errors_total", frozenset([got, ("code", "conflict")])] == 1
    assert told["verb_seconds_count", frozenset([("verb", "commit")])] == stats.verbs["commit"].calls
    plain = {name: figure for (name, labels), figure in told.items() if not labels}
    assert (plain["cache_hits_total"], plain["cache_misses_total"]) == (stats.cache.hits, stats.cache.misses)
    assert plain["cache_entries"] == stats.cache.entries > 0
    assert (plain["writer_commits_total"], plain["writer_batches_total"]) == (
        stats.writer.commits,
        stats.writer.batches,
    )
    assert (plain["writer_batch_max"], plain["writer_waiting"], plain["sweeper_running"]) == (1, 0, 0)


async def test_nothing_is_counted_where_that_is_turned_off(stores: Stores) -> None:
    """Config.telemetry.enabled."""
    hold = await stores.open(config=Config(telemetry=TelemetryConfig(enabled=False)))
    session = await hold.sessions.create()
    await session.state.set("k", 1)
    stats = await hold.stats()
    assert (stats.methods, stats.verbs) == ({}, {})
    assert stats.writer.commits == 2
