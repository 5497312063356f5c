"""The benchmarks run and say what they claim to say. No time measured here decides anything."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest

from benchmarks import pairs
from benchmarks.__main__ import BENCHMARKS, main
from benchmarks.effort import QUICK, Effort
from benchmarks.finding import absolute, ratio
from benchmarks.pairs import Goal, Sample, interval, rotate

GOALS = {
    "blocking": set(),
    "state_set": {
        f"state.set, {what} / three trees, {which} {goal}"
        for what, goal in (("1 task p50", "≤ 1.7"), ("64 tasks rate", "≥ 1"))
        for which in ("plain", "tuned")
    },
    "state_get": {"state.get p50 ≤ 50", "last 10 of 200 messages p50 / of 10 ≤ 1.3"},
    "checkpoint": {"checkpoint, 200 keys, 10 changed p50 ≤ 5"},
    "templates": {"a template in simple p50 ≤ 5"},
    "runs": {
        "a remembered step, read back p50 ≤ 100",
        *(f"progress{how}, {tasks} rate / state.set ≥ 0.5" for how in ("", ", round after round")
          for tasks in ("1 task", "4 tasks")),
        "taking up a paused run of 50 nodes in a new process p50 ≤ 20",
    },
    "interactions": {"an answer, where it is waited for p50 ≤ 50000", "interactions.answer p99 ≤ 200000"},
    "cached_get": {"cached state.get, another process open p50 ≤ 10"},
    "sessions_scale": {
        f"{what} among 200 sessions p50 / among 20 ≤ 1.5" for what in ("state.set", "state.get", "list page")
    },
    "encryption": {
        f"state.set, encrypted, {length}, 64 tasks rate / plain ≥ 0.8" for length in ("100 bytes", "8 KB of text")
    },
    "follow": {
        f"50 sessions, written {where} {figure}"
        for where in ("here", "elsewhere", "elsewhere at 5,000/s")
        for figure in (
            "missed, doubled or out of order ≤ 0", "median, call to delivery ≤ 20",
            "memory / after the first round ≤ 1.1",
        )
    },
    "langgraph_put": {
        "put, 64 tasks rate / AsyncSqliteSaver ≥ 4", "put, one small channel p50 / 10 messages ≤ 1.5",
    },
    "memory_size": {f"5 sessions in memory:// {what} ≤ 100" for what in ("the whole process, peak", "what they added")},
    "postgres_set": {"postgres state.set, 64 tasks rate / unnest by hand ≥ 0.5"},
    "percentiles": {
        f"5 sessions, {pauses} p99 of {kind}"
        for pauses in ("no pauses", "50 ms between acts")
        for kind in ("state writes ≤ 20", "session writes ≤ 20", "reads ≤ 10")
    },
    "runtime": {"5 sessions, batched p99 of runtime.set ≤ 5"},
    "turn": {
        "the final commit of a turn p50 / state.set ≤ 1.6",
        "a whole turn p50 / state.set ≤ 2.6",
        "a repeated request p50 until its answer is there ≤ 200",
    },
    "workflow_tails": {
        f"{what}, {backend} p99 {goal}"
        for what, goal in (("resuming", "≤ 100"), ("a template", "≤ 1"), ("an answer", "≤ 200"))
        for backend in ("memory", "SQLite", "PostgreSQL")
    },
    "session_length": {
        "messages.add, 200 messages p50 / of 10 ≤ 1.3", "s.log, 200 messages p50 / of 10 ≤ 1.3",
        "context, 200 messages p50 ≤ 2",
    },
    "session_stats": {
        f"stats{of}, 100 sessions median ≤ 300" for of in ("", " of one mode", " of one user in twenty")
    },
}  # fmt: skip
"""What each benchmark is held to, as its quick form puts it."""


@pytest.mark.parametrize("name", BENCHMARKS)
def test_each_benchmark_runs_is_held_to_the_goals_it_names_and_decides_nothing_by_two_rounds(name: str) -> None:
    found = BENCHMARKS[name].measure(QUICK)
    assert {f"{one.what} {one.figure} {one.goal}" for one in found if str(one.goal)} == GOALS[name]
    assert {one.verdict for one in found} <= {"undecided", "no goal"}
    for finding in found:
        assert math.isfinite(finding.median), finding
        assert finding.median >= 0
        assert finding.low <= finding.median <= finding.high
        assert finding.rounds >= 1
        assert finding.unit in {"x", "µs", "ms", "MB", ""}
    # Ten thousand changes or fifty: each is delivered once and in order.
    assert [one.median for one in found if one.figure.startswith("missed")] == [0, 0, 0] * (name == "follow")


TITLE = r"(state_get|memory_size), \d+ s, Python at \d+\.\d\d to \d+\.\d\d of its pace$|Goals: "


def test_the_command_prints_a_table_for_each_and_the_goals_at_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--quick", "state_get", "memory_size", "--json", str(tmp_path / "found.json")])
    printed = capsys.readouterr().out
    assert re.search(r"^\d+ cores, .*Python 3.*SQLite 3", printed)
    titles = [line for line in printed.splitlines() if re.match(TITLE, line)]
    assert len(titles) == 3
    assert titles[-1] == "Goals: 0 met, 0 not met, 4 undecided"
    written = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert list(written["findings"]) == ["state_get", "memory_size"]


def test_an_unknown_benchmark_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["no_such"])
    assert refused.value.code == 2
    assert "state_set" in capsys.readouterr().err


def test_the_full_effort_is_fifteen_rounds_and_a_million_sessions() -> None:
    assert (Effort().rounds, Effort().sessions) == (15, 1_000_000)


def test_a_goal_is_met_or_missed_only_by_the_whole_interval() -> None:
    goal = Goal(at_most=20)
    told = [absolute("x", "p99", values, unit="ms", goal=goal).verdict
            for values in ([10, 11, 12, 13, 14, 15], [21, 22, 23, 24, 25, 26], [15, 18, 19, 21, 22, 30])]  # fmt: skip
    assert told == ["goal met", "goal not met", "undecided"]


def test_a_ratio_is_made_within_each_round_not_of_two_medians() -> None:
    ours = [Sample(rate, 1, 1) for rate in (10.0, 100.0, 1000.0)]
    theirs = [Sample(rate, 1, 1) for rate in (5.0, 200.0, 500.0)]
    assert ratio(("x", "y"), ours, theirs, figure="rate").median == 2.0


def test_the_interval_of_fifteen_values_leaves_three_out_at_each_end() -> None:
    # Binomial: P(at most 3 of 15 below the median) = 0.0176, and at most 4: 0.059, over 0.025.
    assert interval([float(n) for n in range(15)]) == (3.0, 11.0)
    assert interval([1.0] * 5) == (-math.inf, math.inf)


def test_rounds_begin_with_another_side_each_time_and_warm_rounds_do_not_count() -> None:
    order: list[str] = []

    def side(name: str) -> str:
        order.append(name)
        return name

    found = rotate([lambda: side("a"), lambda: side("b"), lambda: side("c")], rounds=3, warm=1)
    assert found == [["a"] * 3, ["b"] * 3, ["c"] * 3]
    assert "".join(order[3:]) == "abcbcacab"


def test_the_statistics_hold_their_own_examples() -> None:
    assert pairs.interval([0.9, 1.0, 1.1, 1.2, 1.3, 1.4]) == (0.9, 1.4)
