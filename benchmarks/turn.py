"""A turn beside one `state.set` on SQLite: its final commit, the whole of it, and a request that is repeated.

One task on a store of twenty sessions does one of each in turn, so all meet the same disk. A turn writes two messages
and two keys; its final commit has these, its output, and the release of the session. Goals: the final commit at most
1.6 times a `state.set`, the whole turn 2.6 times, the answer to a repeated request under 200 µs.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.effort import Effort
from benchmarks.finding import Finding, absolute, ratio, told
from benchmarks.load import value_of
from benchmarks.pairs import Goal, Sample, medians
from benchmarks.stores import Template, durable, grow_log, handles
from holdfast import Holdfast, Session

SESSIONS = 20
ROUND = 60
"""Of each kind in one round."""

COMMIT, WHOLE, REPEATED = Goal(at_most=1.6), Goal(at_most=2.6), Goal(at_most=200)


def measure(effort: Effort) -> list[Finding]:
    """p50 of each, with the ratio to a `state.set` of the same round."""
    with Template(sessions=SESSIONS) as template:
        path = template.copy()
        try:
            rounds = asyncio.run(_run(path, effort))
        finally:
            shutil.rmtree(path.parent)
    sets, commits, turns, repeats = ([one[place] for one in rounds] for place in range(4))
    return [
        ratio(("the final commit of a turn", "state.set"), commits, sets, figure="p50_us", goal=COMMIT),
        ratio(("a whole turn", "state.set"), turns, sets, figure="p50_us", goal=WHOLE),
        _told(repeats),
    ]


def _told(repeats: Sequence[Sample]) -> Finding:
    values = [sample.p50_us for sample in repeats]
    what, figure = "a repeated request", "p50 until its answer is there"
    return absolute(what, figure, values, unit="µs", goal=REPEATED, ours=told(medians(repeats)))


async def _run(path: Path, effort: Effort) -> list[tuple[Sample, ...]]:
    async with Holdfast.open(durable(path)) as hold:
        sessions = await handles(hold, range(SESSIONS))
        await grow_log(path, sessions)
        numbers, everyone = itertools.count(), itertools.cycle(sessions.values())
        rounds: list[tuple[Sample, ...]] = []
        for number in range(-effort.size(1, quick=0), effort.rounds):
            kinds: tuple[list[float], ...] = ([], [], [], [])
            for _ in range(effort.size(ROUND, quick=2)):
                for latencies, took in zip(kinds, await _once(next(everyone), next(numbers)), strict=True):
                    latencies.append(took)
            if number >= 0:
                rounds.append(tuple(Sample.of(latencies, elapsed_s=sum(latencies)) for latencies in kinds))
        return rounds


async def _once(session: Session, number: int) -> tuple[float, float, float, float]:
    clock = time.perf_counter
    began = clock()
    await session.state.set("k0", value_of(4 * number).decode())
    set_s = clock() - began
    began = clock()
    async with session.turn(request_id=f"r{number}") as turn:
        await turn.messages.add("user", value_of(4 * number + 1).decode())
        await turn.state.set("k1", value_of(4 * number + 2).decode())
        await turn.state.set("k2", number)
        await turn.messages.add("assistant", value_of(4 * number + 3).decode())
        turn.output = number
        staged = clock()
    ended = clock()
    async with session.turn(request_id=f"r{number}") as turn:
        assert turn.replayed
        repeated_s = clock() - ended
    assert turn.output == number
    return set_s, ended - staged, ended - began, repeated_s
