"""One durable `state.set` beside hand-written group commit.

A 100-byte value in a session of twenty keys, 1,000 sessions, SQLite with synchronous=FULL, at 1, 16, 64 and 256
tasks. Beside it in the same round: three B-trees (head, cell, log), and one blob per session with a log in rowid
order. Both write without checks, commit ids, a change stream or a second process. The three trees are there twice: as
one writes them first (executemany, SQLite's own checkpoints), and tuned as far as they go (bulk statements,
checkpoints aside). Goals: at least the rate of the three trees at 64 tasks, at most 1.7 times their latency at one.
"""

from __future__ import annotations

import asyncio
import shutil
from functools import partial
from pathlib import Path

from benchmarks.effort import Effort
from benchmarks.finding import Finding, ratio
from benchmarks.load import Load, drive
from benchmarks.pairs import NO_GOAL, Goal, Sample, rotate
from benchmarks.reference_sqlite import SHAPES
from benchmarks.reference_sqlite import measure as measure_by_hand
from benchmarks.stores import Template, durable, grow_log, handles
from holdfast import Holdfast

TASKS = (1, 16, 64, 256)
GOALS = {(64, "rate"): Goal(at_least=1.0), (1, "p50_us"): Goal(at_most=1.7)}


def measure(effort: Effort) -> list[Finding]:
    """Rate and median latency at each number of tasks, beside both hand-written shapes."""
    findings: list[Finding] = []
    sessions = effort.size(1_000, quick=20)
    with Template(sessions=sessions) as template:
        for tasks in effort.size(TASKS, quick=(1, 64)):
            load = Load(tasks, sessions=sessions, run_s=effort.run_s, warm_s=effort.size(0.2, quick=0.01))
            findings += _at(load, template, effort)
    return findings


def _at(load: Load, template: Template, effort: Effort) -> list[Finding]:
    grow = not effort.quick
    ours, plain, trees, blob = rotate(
        [
            partial(measure_ours, template, load, grow=grow),
            partial(measure_by_hand, SHAPES["trees"], load, bulk=False, checkpoints="inline", grow=grow),
            partial(measure_by_hand, SHAPES["trees"], load, grow=grow),
            partial(measure_by_hand, SHAPES["blob"], load, grow=grow),
        ],
        rounds=effort.rounds,
        warm=effort.size(1, quick=0),
    )
    what = f"state.set, {load.tasks} task{'s' if load.tasks > 1 else ''}"
    plain_names, trees_names, blob_names = (
        (what, "three trees, plain"),
        (what, "three trees, tuned"),
        (what, "blob and log"),
    )
    return [
        ratio(plain_names, ours, plain, figure="rate", goal=GOALS.get((load.tasks, "rate"), NO_GOAL)),
        ratio(plain_names, ours, plain, figure="p50_us", goal=GOALS.get((load.tasks, "p50_us"), NO_GOAL)),
        ratio(trees_names, ours, trees, figure="rate", goal=GOALS.get((load.tasks, "rate"), NO_GOAL)),
        ratio(trees_names, ours, trees, figure="p50_us", goal=GOALS.get((load.tasks, "p50_us"), NO_GOAL)),
        ratio(blob_names, ours, blob, figure="rate"),
        ratio(blob_names, ours, blob, figure="p50_us"),
    ]


def measure_ours(template: Template, load: Load, *, grow: bool = True) -> Sample:
    """One run on a fresh copy of the store."""
    path = template.copy()
    try:
        return asyncio.run(_run(path, load, grow=grow))
    finally:
        shutil.rmtree(path.parent)


async def _run(path: Path, load: Load, *, grow: bool) -> Sample:
    async with Holdfast.open(durable(path)) as hold:
        sessions = await handles(hold, range(load.sessions))
        if grow:
            await grow_log(path, sessions)
        return await drive(lambda name, key, value: sessions[name].state.set(key, value.decode()), load)
