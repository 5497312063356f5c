"""One durable `state.set` of an encrypted store beside the same of a plain one.

A value in a session of twenty keys, 1,000 sessions, SQLite with synchronous=FULL, at 64 tasks: of 100 bytes, and of 8
KB of text, which the encrypted store compresses and the plain one (`compression="off"`) does not. Goal: encryption and
compression together cost at most a quarter, so at least 0.8 of the rate.
"""

from __future__ import annotations

import asyncio
import shutil
from functools import partial

from benchmarks.effort import Effort
from benchmarks.finding import Finding, ratio
from benchmarks.load import Load, drive
from benchmarks.pairs import Goal, Sample, rotate
from benchmarks.stores import Template, durable, grow_log, handles
from holdfast import Config, Holdfast, KeyRing, StateConfig

TASKS = 64
GOAL = Goal(at_least=0.8)
RING = KeyRing({"2026-11": b"k" * 32}, active="2026-11")
PLAIN = Config(state=StateConfig(compression="off"))
WORDS = " and then we went on to the next place, which was quite like the last one" * 110
LENGTHS = {"100 bytes": 0, "8 KB of text": 8_000}


def measure(effort: Effort) -> list[Finding]:
    """The rate at 64 tasks, encrypted and plain, short values and long ones."""
    sessions = effort.size(1_000, quick=20)
    load = Load(TASKS, sessions=sessions, run_s=effort.run_s, warm_s=effort.size(0.2, quick=0.01))
    with Template(sessions=sessions) as plain, Template(sessions=sessions, ring=RING) as sealed:
        return [finding for name in LENGTHS for finding in _at(name, load, plain, sealed, effort)]


def _at(name: str, load: Load, plain: Template, sealed: Template, effort: Effort) -> list[Finding]:
    grow, more = not effort.quick, WORDS[: LENGTHS[name]]
    ours, beside = rotate(
        [
            partial(measure_one, sealed, load, RING, more, grow=grow),
            partial(measure_one, plain, load, None, more, grow=grow),
        ],
        rounds=effort.rounds,
        warm=effort.size(1, quick=0),
    )
    names = (f"state.set, encrypted, {name}, {load.tasks} tasks", "plain")
    return [ratio(names, ours, beside, figure="rate", goal=GOAL), ratio(names, ours, beside, figure="p50_us")]


def measure_one(template: Template, load: Load, ring: KeyRing | None, more: str, *, grow: bool) -> Sample:
    """One run on a fresh copy of the store."""
    path = template.copy()

    async def run() -> Sample:
        config = PLAIN if ring is None else None
        async with Holdfast.open(durable(path), keys=ring, config=config) as hold:
            sessions = await handles(hold, range(load.sessions))
            if grow:
                await grow_log(path, sessions)
            return await drive(lambda name, key, value: sessions[name].state.set(key, value.decode() + more), load)

    try:
        return asyncio.run(run())
    finally:
        shutil.rmtree(path.parent)
