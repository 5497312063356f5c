"""What a call costs more through `holdfast.sync` than with `await`.

The same call from one caller on the same kind of store, SQLite in a file: `state.get`, which asks no other thread, and
a durable `state.set`. With `await` in a loop of its own, blocking from the main thread; the difference of the medians
of each round is what the way to the loop's thread and back takes. There is no goal.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.effort import Effort
from benchmarks.finding import Finding, absolute
from benchmarks.pairs import rotate
from holdfast import Holdfast, sync

KINDS = ("state.get", "state.set")


def measure(effort: Effort) -> list[Finding]:
    """The differences, in microseconds."""
    calls = effort.size(500, quick=5)
    with tempfile.TemporaryDirectory() as folder:
        urls = [f"sqlite:///{Path(folder, name)}.db" for name in ("awaited", "blocking")]
        runs: list[Callable[[], dict[str, float]]] = [
            lambda: asyncio.run(_awaited(urls[0], calls)),
            lambda: _blocking(urls[1], calls),
        ]
        awaited, blocking = rotate(runs, rounds=effort.rounds, warm=effort.size(1, quick=0))
    findings: list[Finding] = []
    for kind in KINDS:
        more = [max(0.0, b[kind] - a[kind]) for a, b in zip(awaited, blocking, strict=True)]
        ours, theirs = (f"p50 {statistics.median(run[kind] for run in side):,.0f} µs" for side in (blocking, awaited))
        findings.append(
            absolute(f"{kind}, blocking", "p50 more than awaited", more, unit="µs", ours=ours, theirs=theirs)
        )
    return findings


async def _awaited(url: str, calls: int) -> dict[str, float]:
    async with Holdfast.open(url) as hold:
        s = await hold.sessions.open("s")
        await s.state.set("k", 0)
        took: dict[str, list[float]] = {kind: [] for kind in KINDS}
        for number in range(calls):
            begun = time.perf_counter()
            await s.state.get("k")
            between = time.perf_counter()
            await s.state.set("k", number)
            took["state.get"].append(between - begun)
            took["state.set"].append(time.perf_counter() - between)
    return _medians(took)


def _blocking(url: str, calls: int) -> dict[str, float]:
    with sync.Holdfast.open(url) as hold:
        s = hold.sessions.open("s")
        s.state.set("k", 0)
        took: dict[str, list[float]] = {kind: [] for kind in KINDS}
        for number in range(calls):
            begun = time.perf_counter()
            s.state.get("k")
            between = time.perf_counter()
            s.state.set("k", number)
            took["state.get"].append(between - begun)
            took["state.set"].append(time.perf_counter() - between)
    return _medians(took)


def _medians(took: dict[str, list[float]]) -> dict[str, float]:
    return {kind: statistics.median(times) * 1e6 for kind, times in took.items()}
