"""One line of the summary: a figure with its interval, what it stands beside, and what may be said of its goal.

A *ratio* comes from pairs of runs; an *absolute* figure from rounds of the same run, for goals in milliseconds or
megabytes, which hold for one machine only. The interval is the exact one for a median (see `pairs`).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.pairs import NO_GOAL, Figure, Goal, Sample, Verdict, interval, medians, table


@dataclass(frozen=True)
class Finding:
    """`median` of `rounds` values with its interval; `unit` is "x" for a ratio. `ours` and `theirs` are for people."""

    what: str
    figure: str
    median: float
    low: float
    high: float
    unit: str
    rounds: int
    goal: Goal
    verdict: Verdict
    ours: str
    theirs: str = ""

    @property
    def range(self) -> str:
        """The interval as text; too few rounds for one are a dash."""
        if not math.isfinite(self.low):
            return "–"
        return f"{number(self.low)} to {number(self.high)}"


def ratio(
    names: tuple[str, str],
    ours: Sequence[Sample],
    theirs: Sequence[Sample],
    *,
    figure: Figure,
    goal: Goal = NO_GOAL,
) -> Finding:
    """(what, name of the other side): the ratio of one figure within each round."""
    what, other = names
    values = [getattr(a, figure) / getattr(b, figure) for a, b in zip(ours, theirs, strict=True)]
    label = {"rate": "rate", "p50_us": "p50", "p99_us": "p99"}[figure]
    return _judged(
        what, f"{label} / {other}", values, unit="x", goal=goal, ours=told(medians(ours)), theirs=told(medians(theirs))
    )


def ratio_of(
    what: str, figure: str, values: Sequence[float], *, goal: Goal = NO_GOAL, ours: str = "", theirs: str = ""
) -> Finding:
    """Ratios that were made elsewhere, one for each round."""
    return _judged(what, figure, values, unit="x", goal=goal, ours=ours, theirs=theirs)


def absolute(
    what: str,
    figure: str,
    values: Sequence[float],
    *,
    unit: str,
    goal: Goal = NO_GOAL,
    ours: str = "",
    theirs: str = "",
) -> Finding:
    """One value for each round, in `unit`."""
    return _judged(what, figure, values, unit=unit, goal=goal, ours=ours, theirs=theirs)


def _judged(
    what: str, figure: str, values: Sequence[float], *, unit: str, goal: Goal, ours: str, theirs: str
) -> Finding:
    low, high = interval(values)
    return Finding(
        what, figure, statistics.median(values), low, high, unit, len(values), goal, goal.verdict(low, high), ours,
        theirs,
    )  # fmt: skip


def told(sample: Sample) -> str:
    """A sample for people."""
    return f"{sample.rate:,.0f}/s, p50 {time(sample.p50_us)}, p99 {time(sample.p99_us)}"


def time(us: float) -> str:
    """Microseconds, in milliseconds from one on."""
    return f"{us / 1000:.3g} ms" if us >= 1000 else f"{us:.3g} µs"


def number(value: float) -> str:
    """Three digits that count."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}" if abs(value) >= 10 else f"{value:.2f}"


def show(findings: Sequence[Finding], *, title: str) -> None:
    """Print the summary."""
    head = ("what", "figure", "median", "95 % interval", "rounds", "goal", "verdict", "Holdfast", "beside")
    rows = []
    for f in findings:
        unit = "" if f.unit == "x" else f" {f.unit}"
        goal = f"{f.goal}{unit}" if str(f.goal) else ""
        verdict = "" if f.verdict == "no goal" else f.verdict
        rows.append((f.what, f.figure, f"{number(f.median)}{unit}", f.range, str(f.rounds), goal, verdict, f.ours,
                     f.theirs))  # fmt: skip
    table(title, head, rows)
