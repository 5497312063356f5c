"""`holdfast stats`."""

from prometheus_client.parser import text_string_to_metric_families

from holdfast.model.stats import CacheStats, KindStats, Stats, WriterStats
from tests.cli.program import invoke


def test_stats_count_scopes_cells_records_and_bytes(store: str) -> None:
    before = invoke("-s", store, "stats").rows[0]
    assert (before["scopes"], before["records"]) == (3, 8)
    assert before["cells"] > 0
    assert before["bytes"] > 0
    invoke("-s", store, "state", "set", "user/new", "k", '"value"')
    after = invoke("-s", store, "stats").rows[0]
    assert [after[name] - before[name] for name in ("scopes", "cells", "records")] == [1, 1, 1]
    assert after["bytes"] > before["bytes"]


def test_stats_are_of_the_store_and_not_of_the_process_that_asks(store: str) -> None:
    assert {"methods", "verbs", "cache", "writer"}.isdisjoint(invoke("-s", store, "stats").rows[0])


def test_stats_as_a_table_are_a_line_for_each_figure(store: str) -> None:
    lines = invoke("-s", store, "stats", "-o", "table").out.splitlines()
    assert lines[0].split() == ["figure", "value"]
    assert ["scopes", "3"] in [line.split() for line in lines]


def test_stats_tell_what_there_is_of_each_kind(store: str) -> None:
    figures = invoke("-s", store, "stats").rows[0]
    assert figures["kinds"]["session"]["count"] == 2
    assert sum(kind["count"] for kind in figures["kinds"].values()) == figures["cells"]


def test_stats_for_prometheus_are_read_by_its_own_parser(store: str) -> None:
    """Every family is announced with HELP and TYPE, and every sample names the space."""
    text = invoke("-s", store, "stats", "-o", "prometheus").out
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert {family.type for family in families.values()} == {"gauge"}
    assert all(family.documentation for family in families.values())
    assert [(sample.labels, sample.value) for sample in families["holdfast_scopes"].samples] == [
        ({"space": "default"}, 3.0)
    ]
    kinds = {sample.labels["kind"]: sample.value for sample in families["holdfast_cells"].samples}
    assert kinds["session"] == 2
    assert families["holdfast_info"].samples[0].labels["sqlite"].startswith("3.")


def test_labels_may_hold_anything() -> None:
    """Quotes, backslashes and line ends come back as they were."""
    odd = 'a"b\\c\nd\\n é'
    stats = Stats(
        methods={},
        verbs={},
        cache=CacheStats(),
        writer=WriterStats(commits=0, batches=0, batch_max=0, waiting=0),
        kinds={odd: KindStats(count=1, bytes=2)},
        scopes=1,
        cells=1,
        records=1,
        bytes=2,
        store={"text": odd, "1 odd-name": 3},
    )
    text = stats.prometheus(space=odd, process=False)
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    assert {sample.labels["space"] for sample in samples} == {odd}
    assert [sample.labels["kind"] for sample in samples if "kind" in sample.labels] == [odd, odd]
    assert samples[-1].labels["text"] == odd
    assert ("holdfast_1_odd_name", 3.0) in [(sample.name, sample.value) for sample in samples]
