"""A template of 200 characters with five variables, in each syntax; beside an f-string and a regular expression.

Each was read before. Goal: 5 µs for `simple`. Nothing is read from a store here: `variables.resolve` adds one read.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from benchmarks.effort import Effort
from benchmarks.finding import Finding, absolute, ratio
from benchmarks.pairs import Goal, Sample, rotate
from holdfast.dialects.compiling import compiled

TEXT = (
    "Dear {{ name }}, your flight to {{ city }} on {{ date }} costs {{ price }} euros; please be at gate {{ gate }} "
    "half an hour before departure, with your passport, your ticket, your bags and some patience."
)
VALUES: dict[str, Any] = {"name": "Ada", "city": "Kyoto", "date": "Friday", "price": "900", "gate": "B4"}
SYNTAXES = ("simple", "mustache", "handlebars", "jinja")
_PLACE = re.compile(r"\{\{ (\w+) \}\}")


def measure(effort: Effort) -> list[Finding]:
    """Each of them in turn."""
    count = effort.size(20_000, quick=50)
    calls = {syntax: _rendering(syntax) for syntax in SYNTAXES}
    calls["f-string"] = _formatted
    calls["regular expression"] = _substituted
    samples = rotate([lambda call=call: timed(call, count) for call in calls.values()], rounds=effort.rounds)
    of = dict(zip(calls, samples, strict=True))
    found = []
    for syntax in SYNTAXES:
        values = [one.p50_us for one in of[syntax]]
        goals = {"goal": Goal(at_most=5)} if syntax == "simple" else {}
        found.append(absolute(f"a template in {syntax}", "p50", values, unit="µs", **goals))
    for beside in ("f-string", "regular expression"):
        found.append(ratio(("simple", beside), of["simple"], of[beside], figure="p50_us"))
    return found


def _rendering(syntax: str) -> Callable[[], str]:
    template = compiled(syntax, TEXT)
    return lambda: template.render(VALUES, "error")


def _formatted() -> str:
    v = VALUES
    return (
        f"Dear {v['name']}, your flight to {v['city']} on {v['date']} costs {v['price']} euros; please be at gate "
        f"{v['gate']} half an hour before departure, with your passport, your ticket, your bags and some patience."
    )


def _substituted() -> str:
    return _PLACE.sub(lambda match: VALUES[match.group(1)], TEXT)


def timed(call: Callable[[], object], count: int) -> Sample:
    """The latencies of so many calls, each of ten at once: the clock itself takes its time."""
    latencies, clock = [], time.perf_counter
    begun = clock()
    for _ in range(count // 10):
        before = clock()
        for _ in range(10):
            call()
        latencies.append((clock() - before) / 10)
    return Sample.of(latencies, elapsed_s=clock() - begun)
