"""Every field of the configuration has a test that shows what it changes: a switch that does nothing is found here."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from holdfast import Config
from holdfast.model.settings import fields_of
from tests.architecture.tree import ROOT

FIELDS = {".".join(path) for path, _ in fields_of(Config)}

_HOLD = "unit/test_hold.py"
_EXPIRY = "unit/handles/test_expiry.py"
_CROWDING = "unit/handles/test_crowding.py"
_BUDGET = "unit/handles/test_budget.py"
_BUFFERS = "unit/handles/test_runtime_buffers.py"
_CACHING = "unit/wrappers/test_caching.py"

_RUN = "unit/handles/test_run.py"
_LEAVING = "unit/handles/test_run_leaving.py"

_LIMIT = (_HOLD, "test_each_limit_takes_what_is_at_it_and_refuses_one_more")
_ASKED = (_BUDGET, "test_a_session_gets_what_is_given_and_the_configured_budget_for_the_rest")
_RETENTION = (_HOLD, "test_retention_is_what_a_sweep_leaves_of_the_log")
_COMPRESSION = (_HOLD, "test_compression_decides_whether_long_values_take_less_room")
_VARIABLE = "unit/handles/test_variable.py"
_ASKING = ("unit/handles/test_asking.py", "test_the_switches_of_the_configuration_work")
_TOGETHER = (_BUFFERS, "test_so_many_writes_are_committed_together")
_BOUNDS = (_CACHING, "test_the_bounds_of_the_configuration_are_those_of_the_cache")

SHOWN: dict[str, tuple[str, str]] = {
    "session.default_ttl": (
        "unit/handles/test_held_life.py",
        "test_a_session_outlives_its_ttl_while_a_turn_is_under_way",
    ),
    "session.extend_on_access": (_EXPIRY, "test_an_access_prolongs_a_sliding_deadline_when_it_matters"),
    "session.idle_timeout": (_EXPIRY, "test_an_idle_session_expires_before_its_time"),
    "session.max_per_user": (_CROWDING, "test_the_oldest_sessions_of_a_user_end_beyond_so_many"),
    "session.live_max": (_CROWDING, "test_the_least_recently_active_session_makes_way"),
    "budget.iterations": _ASKED,
    "budget.tokens": _ASKED,
    "budget.cost": _ASKED,
    "budget.tool_calls": _ASKED,
    "budget.wall_time": _ASKED,
    "state.value_bytes_max": _LIMIT,
    "state.temp_ttl": (_HOLD, "test_temp_ttl_is_how_long_temporary_values_live"),
    "state.compression": _COMPRESSION,
    "messages.value_bytes_max": _LIMIT,
    "variables.templating": (_VARIABLE, "test_templating_can_be_turned_off_and_the_syntax_chosen"),
    "variables.syntax": (_VARIABLE, "test_templating_can_be_turned_off_and_the_syntax_chosen"),
    "variables.value_bytes_max": (_VARIABLE, "test_a_value_has_at_most_so_many_bytes"),
    "variables.validate_types": (_VARIABLE, "test_a_value_that_is_not_of_its_type_is_refused"),
    "variables.environment": (
        _VARIABLE,
        "test_what_the_configuration_does_not_name_cannot_come_from_the_environment",
    ),
    "turns.answers_ttl": ("unit/handles/test_turn.py", "test_an_answer_is_kept_as_long_as_is_configured"),
    "runtime.persistence": (_BUFFERS, "test_what_waits_is_visible_here_at_once_and_nowhere_else"),
    "runtime.batch_size": _TOGETHER,
    "runtime.flush_every": (_BUFFERS, "test_a_batch_waits_no_longer_than_flush_every"),
    "runtime.checkpoint_every": _TOGETHER,
    "runtime.streaming": (_BUFFERS, "test_streaming_off_keeps_runtime_state_out_of_the_stream"),
    "runtime.compression": _COMPRESSION,
    "runs.track_nodes": (_RUN, "test_without_tracking_nodes_are_told_and_not_kept"),
    "runs.keep_outputs": (_RUN, "test_without_outputs_nodes_are_kept_and_what_they_came_to_is_not"),
    "runs.resumable": (_RUN, "test_a_run_that_is_not_resumable_ends_where_it_was_paused"),
    "runs.history_max": (_LEAVING, "test_of_a_session_the_last_so_many_runs_that_ended_are_kept"),
    "runs.finished_ttl": (_LEAVING, "test_of_a_session_the_last_so_many_runs_that_ended_are_kept"),
    "interactions.enabled": _ASKING,
    "interactions.default_timeout": _ASKING,
    "interactions.concurrent_max": _ASKING,
    "interactions.keep_history": _ASKING,
    "changes.retention_age": _RETENTION,
    "changes.retention_count": _RETENTION,
    "changes.queue_max": (_HOLD, "test_queue_max_bounds_what_a_follower_keeps_waiting"),
    "changes.values": (
        "unit/handles/test_keys_only.py",
        "test_of_what_is_written_only_the_key_is_in_the_log_and_a_session_whole",
    ),
    "retention.age": (
        "unit/handles/test_sweep.py",
        "test_a_session_that_has_ended_is_kept_as_long_as_its_retention_says",
    ),
    "sweep.every": ("unit/handles/test_sweeper.py", "test_every_is_how_often_it_makes_a_step"),
    "sweep.budget": ("unit/handles/test_sweeper.py", "test_while_a_step_leaves_something_the_next_one_comes_soon"),
    "limits.value_bytes_max": _LIMIT,
    "limits.operations_max": _LIMIT,
    "limits.commit_bytes_max": _LIMIT,
    "cache.enabled": (_CACHING, "test_the_switch_of_the_configuration_turns_it_off"),
    "cache.ttl": (_CACHING, "test_a_kernel_without_a_mark_has_a_cache_only_if_a_ttl_is_given"),
    "cache.entries_max": _BOUNDS,
    "cache.bytes_max": _BOUNDS,
    "telemetry.enabled": ("unit/operations/test_stats.py", "test_nothing_is_counted_where_that_is_turned_off"),
    "telemetry.opentelemetry": ("unit/wrappers/test_tracing.py", "test_the_switch_keeps_it_out_of_the_traces"),
}
"""Where it is shown what a field changes."""


def test_every_field_has_a_test_that_shows_what_it_changes_and_no_other_is_told() -> None:
    assert set(SHOWN) == FIELDS


@pytest.mark.parametrize("field", sorted(FIELDS & set(SHOWN)))
def test_the_test_of_a_field_is_there_and_sets_it(field: str) -> None:
    path, name = SHOWN[field]
    source = (Path(ROOT) / "tests" / path).read_text(encoding="utf-8")
    functions = [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    assert name in [function.name for function in functions]
    assert field.rpartition(".")[2] in source
