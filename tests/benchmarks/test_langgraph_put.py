"""The benchmark of LangGraph's put runs and says what it claims to say. No time measured here decides anything."""

from __future__ import annotations

import math

from benchmarks.effort import QUICK
from benchmarks.langgraph_put import measure


def test_it_runs_and_holds_the_put_to_its_goals() -> None:
    found = measure(QUICK)
    assert all(math.isfinite(finding.median) for finding in found)
    assert [str(finding.goal) for finding in found] == ["≥ 4", "≤ 1.5"]
