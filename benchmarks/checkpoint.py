"""A checkpoint of a session of ten thousand keys, of which ten changed: what it costs follows what changed.

On SQLite, from one task. Goal: at most 5 ms at the median. Beside it, what the writes of those ten keys cost, a
checkpoint with everything, a restore and a fork, without goals.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from benchmarks.effort import Effort
from benchmarks.finding import Finding, absolute
from benchmarks.pairs import Goal
from benchmarks.stores import durable
from holdfast import Holdfast
from holdfast.handles.session import Session

KEYS = 10_000
CHANGED = 10
PER_COMMIT = 80
OFTEN = 15
"""Checkpoints in each round: one in thirty-two has everything, and is measured by itself."""


def measure(effort: Effort) -> list[Finding]:
    """Round by round: ten keys are written and a checkpoint taken, again and again."""
    keys = effort.size(KEYS, quick=200)
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        return asyncio.run(_measure(Path(folder) / "store.db", keys, effort))


async def _measure(path: Path, keys: int, effort: Effort) -> list[Finding]:
    async with Holdfast.open(durable(path), background=False) as hold:
        s = await hold.sessions.create(id="s", user="ada")
        for first in range(0, keys, PER_COMMIT):
            await s.state.update({f"key{n}": "x" * 100 for n in range(first, min(first + PER_COMMIT, keys))})
        whole_ms: list[float] = []
        delta_ms: list[float] = []
        written_ms: list[float] = []
        restored_ms: list[float] = []
        forked_ms: list[float] = []
        for round in range(effort.rounds):
            for taken in await s.checkpoints():
                await hold.drop_checkpoint(taken.id)
            base, took_ms = await _timed(s)
            whole_ms.append(took_ms)
            several = [await _changed(s, keys, round * OFTEN + n) for n in range(OFTEN)]
            written_ms.append(_median([one[0] for one in several]))
            delta_ms.append(_median([one[1] for one in several]))
            begun = time.perf_counter()
            await s.restore(base)
            restored_ms.append((time.perf_counter() - begun) * 1000)
            begun = time.perf_counter()
            fork = await s.fork(at=base)
            forked_ms.append((time.perf_counter() - begun) * 1000)
            await hold.sessions.delete(fork.id)
    of = f"{keys:,} keys"
    return [
        absolute(f"checkpoint, {of}, {CHANGED} changed", "p50", delta_ms, unit="ms", goal=Goal(at_most=5)),
        absolute(f"writing those {CHANGED}", "p50", written_ms, unit="ms"),
        absolute(f"checkpoint, {of}, whole", "p50", whole_ms, unit="ms"),
        absolute(f"restore, {of}, {CHANGED * OFTEN} changed", "p50", restored_ms, unit="ms"),
        absolute(f"fork, {of}", "p50", forked_ms, unit="ms"),
    ]


async def _timed(s: Session) -> tuple[str, float]:
    begun = time.perf_counter()
    taken = await s.checkpoint()
    return taken.id, (time.perf_counter() - begun) * 1000


async def _changed(s: Session, keys: int, n: int) -> tuple[float, float]:
    """How long it took to write ten keys, one after the other, and to take a checkpoint then."""
    begun = time.perf_counter()
    for k in range(CHANGED):
        await s.state.set(f"key{(n * 97 + k * 13) % keys}", f"{n}.{k} ".ljust(100, "x"))
    written_ms = (time.perf_counter() - begun) * 1000
    return written_ms, (await _timed(s))[1]


def _median(several: list[float]) -> float:
    return sorted(several)[len(several) // 2]
