"""The configuration: what it refuses. What each field does is shown in tests/unit/test_hold.py."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.errors import InvalidValue
from holdfast.model.config import (
    CacheConfig,
    ChangesConfig,
    Config,
    InteractionsConfig,
    Limits,
    MessagesConfig,
    RetentionConfig,
    RunsConfig,
    RuntimeConfig,
    SessionConfig,
    StateConfig,
    SweepConfig,
    TelemetryConfig,
    TurnsConfig,
    VariablesConfig,
)

NUMBERS: dict[str, type] = {
    "limits.value_bytes_max": Limits,
    "limits.operations_max": Limits,
    "limits.commit_bytes_max": Limits,
    "state.value_bytes_max": StateConfig,
    "messages.value_bytes_max": MessagesConfig,
    "variables.value_bytes_max": VariablesConfig,
    "runtime.batch_size": RuntimeConfig,
    "runtime.checkpoint_every": RuntimeConfig,
    "changes.retention_count": ChangesConfig,
    "session.max_per_user": SessionConfig,
    "session.live_max": SessionConfig,
    "changes.queue_max": ChangesConfig,
    "sweep.budget": SweepConfig,
    "runs.history_max": RunsConfig,
    "interactions.concurrent_max": InteractionsConfig,
    "cache.entries_max": CacheConfig,
    "cache.bytes_max": CacheConfig,
}
CHOICES: dict[str, type] = {
    "state.compression": StateConfig,
    "runtime.compression": RuntimeConfig,
    "changes.values": ChangesConfig,
    "variables.syntax": VariablesConfig,
}
DURATIONS: dict[str, type] = {
    "session.default_ttl": SessionConfig,
    "session.idle_timeout": SessionConfig,
    "state.temp_ttl": StateConfig,
    "sweep.every": SweepConfig,
    "turns.answers_ttl": TurnsConfig,
    "runtime.flush_every": RuntimeConfig,
    "changes.retention_age": ChangesConfig,
    "cache.ttl": CacheConfig,
    "retention.age": RetentionConfig,
    "runs.finished_ttl": RunsConfig,
    "interactions.default_timeout": InteractionsConfig,
}
SWITCHES: dict[str, type] = {
    "session.extend_on_access": SessionConfig,
    "variables.templating": VariablesConfig,
    "variables.validate_types": VariablesConfig,
    "cache.enabled": CacheConfig,
    "runtime.streaming": RuntimeConfig,
    "runs.track_nodes": RunsConfig,
    "runs.keep_outputs": RunsConfig,
    "runs.resumable": RunsConfig,
    "interactions.enabled": InteractionsConfig,
    "interactions.keep_history": InteractionsConfig,
    "telemetry.enabled": TelemetryConfig,
    "telemetry.opentelemetry": TelemetryConfig,
}


def configured(name: str, kind: type, value: Any) -> Config:
    part, _, field = name.partition(".")
    return Config(**{part: kind(**{field: value})})


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [0, -1, True, 1.5, "1", [], object()])
def test_a_limit_that_is_no_positive_whole_number_is_refused_by_its_name(name: str, value: Any) -> None:
    with pytest.raises(InvalidValue) as refused:
        configured(name, NUMBERS[name], value)
    assert refused.value.path == name


@pytest.mark.parametrize("name", DURATIONS)
@pytest.mark.parametrize("value", [0, -1, "soon", True, [], object(), 1e-9])
def test_a_duration_that_cannot_be_read_is_refused_by_its_name(name: str, value: Any) -> None:
    with pytest.raises(InvalidValue) as refused:
        configured(name, DURATIONS[name], value)
    assert refused.value.path == name


@pytest.mark.parametrize("value", [0, None, "soon", 1.5, [], object()])
def test_a_persistence_that_there_is_not_is_refused(value: Any) -> None:
    with pytest.raises(InvalidValue) as refused:
        Config(runtime=RuntimeConfig(persistence=value))
    assert refused.value.path == "runtime.persistence"


@pytest.mark.parametrize("value", ["API_KEY", ["API_KEY"], None, (1,), ("",)])
def test_what_is_no_tuple_of_names_is_refused(value: Any) -> None:
    with pytest.raises(InvalidValue) as refused:
        Config(variables=VariablesConfig(environment=value))
    assert refused.value.path == "variables.environment"


@pytest.mark.parametrize("part", Config.__struct_fields__)
@pytest.mark.parametrize("value", [None, 3, {}, "x", Config()])
def test_a_part_of_another_type_is_refused_by_its_name(part: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"Config.{part} must be"):
        Config(**{part: value})


@pytest.mark.parametrize("name", CHOICES)
@pytest.mark.parametrize("value", ["sometimes", "", None, True, 1])
def test_a_choice_that_there_is_not_is_refused_by_its_name(name: str, value: Any) -> None:
    with pytest.raises(InvalidValue) as refused:
        configured(name, CHOICES[name], value)
    assert refused.value.path == name


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("value", [0, 1, None, "yes", []])
def test_a_switch_that_is_neither_true_nor_false_is_refused_by_its_name(name: str, value: Any) -> None:
    with pytest.raises(InvalidValue) as refused:
        configured(name, SWITCHES[name], value)
    assert refused.value.path == name


def test_every_field_there_is_is_checked() -> None:
    parts = set(Config.__struct_fields__) - {"budget"}  # which checks itself: see test_budget
    fields = {f"{part}.{field}" for part in parts for field in getattr(Config(), part).__struct_fields__}
    assert fields == {*NUMBERS, *DURATIONS, *SWITCHES, *CHOICES, "runtime.persistence", "variables.environment"}


def test_no_bound_is_none_for_retention_alone() -> None:
    assert Config(changes=ChangesConfig(retention_age=None, retention_count=None)).changes.retention_age is None
    with pytest.raises(InvalidValue):
        Config(changes=ChangesConfig(queue_max=None))  # type: ignore[arg-type]


def test_it_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Config().limits = Limits()  # type: ignore[misc]
