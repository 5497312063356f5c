"""Reads from memory, exact across processes: a cached `state.get` beside an uncached one, and what counting costs.

Another process has the file open all the time and, in one of the rounds, writes to it a hundred times a second; after
every one of its writes the cache has to learn what moved. What a coroutine that does nothing takes stands beside, for
that is what a call costs at least.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.effort import Effort
from benchmarks.finding import Finding, absolute, ratio
from benchmarks.pairs import NO_GOAL, Goal, Sample
from benchmarks.state_get import timed
from benchmarks.stores import durable, fill, handles
from holdfast import CacheConfig, Config, Holdfast, TelemetryConfig
from holdfast.handles.session import Session

WRITER = """
import asyncio, sys
from holdfast import Holdfast, Scope

async def main(url, pause_s):
    async with Holdfast.open(url) as hold:
        state, n = hold.state(Scope.user("other")), 0
        await state.set("n", n)
        print("open", flush=True)
        while pause_s:
            n += 1
            await state.set("n", n)
            await asyncio.sleep(pause_s)
        await asyncio.Event().wait()

asyncio.run(main(sys.argv[1], float(sys.argv[2])))
"""
KEY = "key-00"
UNCACHED = Config(cache=CacheConfig(enabled=False))
UNCOUNTED = Config(telemetry=TelemetryConfig(enabled=False))


def measure(effort: Effort) -> list[Finding]:
    """Each way to read the same keys, in turn, with another process that is still and then one that writes."""
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        return asyncio.run(_measure(Path(folder) / "store.db", effort))


async def _measure(path: Path, effort: Effort) -> list[Finding]:
    url = durable(path)
    reads = effort.size(5_000, quick=50)
    async with (
        Holdfast.open(url) as cached,
        Holdfast.open(url, config=UNCACHED) as uncached,
        Holdfast.open(url, config=UNCOUNTED) as uncounted,
    ):
        await fill(cached, range(100))
        sides = [await handles(hold, range(100)) for hold in (cached, uncached, uncounted)]
        findings: list[Finding] = []
        for name, pause_s in (("another process open", 0.0), ("another process writing", 0.01)):
            async with _other(url, pause_s):
                runs = await _rotated(sides, reads, effort)
            findings += _told(name, runs)
        return findings


def _told(name: str, runs: list[list[Sample]]) -> list[Finding]:
    of_cached, of_uncached, of_uncounted, of_nothing = runs
    still = name.endswith("open")
    goal = Goal(at_most=10) if still else NO_GOAL
    what = f"cached state.get, {name}"
    return [
        absolute(what, "p50", [one.p50_us for one in of_cached], unit="µs", goal=goal),
        ratio((what, "uncached"), of_cached, of_uncached, figure="p50_us"),
        ratio((what, "not counted"), of_cached, of_uncounted, figure="p50_us"),
        ratio((what, "a coroutine that does nothing"), of_cached, of_nothing, figure="p50_us"),
    ]


async def _rotated(sides: list[dict[str, Session]], reads: int, effort: Effort) -> list[list[Sample]]:
    """The samples of each side and of a coroutine that does nothing, in turn: `rotate`, for what runs on one loop."""
    names = list(sides[0])

    async def nothing(_: int) -> None:
        return None

    calls = [lambda n, of=side: of[names[n % len(names)]].state.get(KEY) for side in sides]
    runs = [*calls, nothing]
    found: list[list[Sample]] = [[] for _ in runs]
    for number in range(-1, effort.rounds):  # the first is not counted
        for place in range(len(runs)):
            at = (place + number) % len(runs)
            sample = await timed(runs[at], reads)
            if number >= 0:
                found[at].append(sample)
    return found


@asynccontextmanager
async def _other(url: str, pause_s: float) -> AsyncIterator[None]:
    """Another process that has the store open, and writes every `pause_s` if that is not 0."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, url, str(pause_s), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert (await process.stdout.readline()).strip() == b"open"
    try:
        yield
    finally:
        process.kill()
        await process.wait()
