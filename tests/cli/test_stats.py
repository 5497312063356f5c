"""`holdfast stats`."""

import re

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
    assert not any(name.startswith("writer") for name in invoke("-s", store, "stats").rows[0])


def test_stats_as_a_table_are_a_line_for_each_figure(store: str) -> None:
    lines = invoke("-s", store, "stats", "-o", "table").out.splitlines()
    assert lines[0].split() == ["figure", "value"]
    assert ["scopes", "3"] in [line.split() for line in lines]


def test_stats_for_prometheus_are_gauges_and_the_texts_are_labels_of_one(store: str) -> None:
    lines = invoke("-s", store, "stats", "-o", "prometheus").out.splitlines()
    assert "# TYPE holdfast_scopes gauge" in lines
    assert "holdfast_scopes 3" in lines
    assert lines[-1].startswith("holdfast_store_info{")
    assert 'sqlite="3.' in lines[-1]
    assert all(re.fullmatch(r'# TYPE \w+ gauge|\w+(\{(\w+="[^"]*",?)+\})? [\d.]+', line) for line in lines)
