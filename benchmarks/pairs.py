"""Two things measured in turn, and what may be said of their ratio.

A machine drifts: other tenants, warm caches, a disk that is busy for a minute. So A and B run alternately, the order
swapped in every pair, and the figure is the ratio within a pair. The interval is the exact one for a median: order
statistics of the pair ratios, with the binomial distribution and no assumption about their shape. Nothing here passes
or fails; a goal is *met* or *not met* only when the whole interval says so, and *undecided* otherwise.

    >>> interval([0.9, 1.0, 1.1, 1.2, 1.3, 1.4])
    (0.9, 1.4)
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

PAIRS_MIN = 15
CONFIDENCE = 0.95

T = TypeVar("T")
Figure = Literal["rate", "p50_us", "p99_us"]
Verdict = Literal["goal met", "goal not met", "undecided", "no goal"]


@dataclass(frozen=True)
class Sample:
    """One run: operations per second, and the latency of single operations in microseconds."""

    rate: float
    p50_us: float
    p99_us: float

    @classmethod
    def of(cls, latencies_s: Sequence[float], *, elapsed_s: float) -> Sample:
        ordered = sorted(latencies_s)
        return cls(len(ordered) / elapsed_s, _rank(ordered, 0.50) * 1e6, _rank(ordered, 0.99) * 1e6)


@dataclass(frozen=True)
class Goal:
    """What the ratio A / B of one figure should be. Give one bound."""

    at_least: float | None = None
    at_most: float | None = None

    def verdict(self, low: float, high: float) -> Verdict:
        """The bound judged by the whole interval, ends included."""
        if self.at_least is not None:
            return "goal met" if low >= self.at_least else "goal not met" if high < self.at_least else "undecided"
        if self.at_most is not None:
            return "goal met" if high <= self.at_most else "goal not met" if low > self.at_most else "undecided"
        return "no goal"

    def __str__(self) -> str:
        if self.at_least is not None:
            return f"≥ {self.at_least:g}"
        return f"≤ {self.at_most:g}" if self.at_most is not None else ""


NO_GOAL = Goal()


@dataclass(frozen=True)
class Comparison:
    """The outcome of one alternation: medians of both sides and the ratio A / B with its interval."""

    name: str
    a: str
    b: str
    figure: Figure
    pairs: int
    ratio: float
    low: float
    high: float
    goal: str
    verdict: Verdict
    a_median: Sample
    b_median: Sample
    a_samples: list[Sample] = field(repr=False)
    b_samples: list[Sample] = field(repr=False)


def interval(values: Sequence[float], *, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The narrowest symmetric order-statistic interval that covers the median with at least `confidence`.

    With fewer than six values no such interval exists; then it is (-inf, inf), which decides nothing.
    """
    ordered, n = sorted(values), len(values)
    tail, rank = 0.0, 0
    while rank < n // 2:
        tail += math.comb(n, rank) / 2**n
        if 2 * tail > 1 - confidence:
            break
        rank += 1
    return (ordered[rank - 1], ordered[n - rank]) if rank else (-math.inf, math.inf)


def alternate(
    a: Callable[[], Sample], b: Callable[[], Sample], *, pairs: int = PAIRS_MIN
) -> tuple[list[Sample], list[Sample]]:
    """Run both `pairs` times in turn: A B, B A, A B, … after one uncounted run of each."""
    of_a, of_b = rotate([a, b], rounds=pairs)
    return of_a, of_b


def rotate(runs: Sequence[Callable[[], T]], *, rounds: int, warm: int = 1) -> list[list[T]]:
    """Run all of them `rounds` times, each round beginning with the next one, after `warm` uncounted rounds."""
    found: list[list[T]] = [[] for _ in runs]
    for number in range(-warm, rounds):
        for place in range(len(runs)):
            at = (place + number) % len(runs)
            answer = runs[at]()
            if number >= 0:
                found[at].append(answer)
    return found


def judge(
    names: tuple[str, str, str],
    samples: tuple[list[Sample], list[Sample]],
    *,
    figure: Figure = "rate",
    goal: Goal = NO_GOAL,
) -> Comparison:
    """Say what the samples (name, A, B) allow to be said of one figure. One alternation may be judged several times."""
    of_a, of_b = samples
    ratios = [getattr(x, figure) / getattr(y, figure) for x, y in zip(of_a, of_b, strict=True)]
    low, high = interval(ratios)
    return Comparison(
        name=names[0], a=names[1], b=names[2], figure=figure, pairs=len(ratios), ratio=statistics.median(ratios),
        low=low, high=high, goal=str(goal), verdict=goal.verdict(low, high),
        a_median=medians(of_a), b_median=medians(of_b), a_samples=of_a, b_samples=of_b,
    )  # fmt: skip


def medians(samples: Sequence[Sample]) -> Sample:
    """Figure by figure; so the three need not come from one run."""
    return Sample(*(statistics.median(getattr(s, name) for s in samples) for name in ("rate", "p50_us", "p99_us")))


def show(comparisons: Sequence[Comparison], *, title: str, json_path: Path | None = None) -> None:
    """Print a table, on a terminal with rich when it is there, and write everything to `json_path` if given."""
    head = ("what", "A", "B", "A /s", "B /s", "A p50 µs", "B p50 µs", "A p99 µs", "B p99 µs", "A / B of", "median",
            "95 % interval", "pairs", "goal", "verdict")  # fmt: skip
    rows = [_row(c) for c in comparisons]
    table(title, head, rows)
    if json_path is not None:
        document = {"title": title, "comparisons": [asdict(c) for c in comparisons]}
        json_path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _row(c: Comparison) -> tuple[str, ...]:
    a, b = c.a_median, c.b_median
    return (c.name, c.a, c.b, f"{a.rate:,.0f}", f"{b.rate:,.0f}", f"{a.p50_us:,.0f}", f"{b.p50_us:,.0f}",
            f"{a.p99_us:,.0f}", f"{b.p99_us:,.0f}", c.figure, f"{c.ratio:.2f}", f"{c.low:.2f} to {c.high:.2f}",
            str(c.pairs), c.goal, c.verdict)  # fmt: skip


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows of text under a head."""
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        return print_plain(title, head, rows)
    if not (console := Console()).is_terminal:
        return print_plain(title, head, rows)
    drawn = Table(*head, title=title)
    for row in rows:
        drawn.add_row(*row)
    console.print(drawn)


def print_plain(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """The table in columns of text, for pipes and files."""
    widths = [max(len(line[i]) for line in [head, *rows]) for i in range(len(head))]
    print(title)
    for line in [head, *rows]:
        print(
            "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip(),
            flush=True,
        )


def _rank(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else math.nan
