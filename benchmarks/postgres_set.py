"""One durable `state.set` on PostgreSQL beside a hand-written asyncpg loop.

A 100-byte value in a session of twenty keys, 1,000 sessions, a server with fsync on reached by a socket, at 1, 16 and
64 tasks. Beside it, on the same server in alternating pairs: one connection that gathers puts and writes head, cell and
log with one `unnest` statement, without checks, commit ids, a change stream or a second process. Goal: at least half of
its rate at 64 tasks. Nearly all of both is the server, which shares the cores with the client here.
"""

from __future__ import annotations

import asyncio
from functools import partial

from benchmarks import reference_postgres
from benchmarks.effort import Effort
from benchmarks.finding import Finding, ratio
from benchmarks.load import Load, drive
from benchmarks.pairs import NO_GOAL, Goal, Sample, rotate
from benchmarks.stores import fill, handles
from holdfast import Holdfast
from holdfast.testing.servers import PostgresServer

TASKS = (1, 16, 64)
GOALS = {(64, "rate"): Goal(at_least=0.5)}


def measure(effort: Effort) -> list[Finding]:
    """Rate and median latency at each number of tasks, beside the loop."""
    sessions = effort.size(1_000, quick=20)
    server = PostgresServer.start()
    try:
        dsn = server.url()
        asyncio.run(_fill(server.url(durability="process"), sessions))
        asyncio.run(reference_postgres.fill(dsn, sessions))
        findings: list[Finding] = []
        for tasks in effort.size(TASKS, quick=(1, 64)):
            load = Load(tasks, sessions=sessions, run_s=effort.run_s, warm_s=effort.size(0.2, quick=0.01))
            findings += _at(dsn, load, effort)
        return findings
    finally:
        server.stop()


def _at(dsn: str, load: Load, effort: Effort) -> list[Finding]:
    ours, by_hand = rotate(
        [
            lambda: asyncio.run(_run(dsn, load)),
            partial(_run_by_hand, dsn, load),
        ],
        rounds=effort.rounds,
        warm=effort.size(1, quick=0),
    )
    what = f"postgres state.set, {load.tasks} task{'s' if load.tasks > 1 else ''}"
    return [
        ratio((what, "unnest by hand"), ours, by_hand, figure="rate", goal=GOALS.get((load.tasks, "rate"), NO_GOAL)),
        ratio((what, "unnest by hand"), ours, by_hand, figure="p50_us"),
    ]


def _run_by_hand(dsn: str, load: Load) -> Sample:
    return asyncio.run(reference_postgres.measure(dsn, load))


async def _fill(url: str, sessions: int) -> None:
    async with Holdfast.open(url) as hold:
        await fill(hold, range(sessions))


async def _run(url: str, load: Load) -> Sample:
    async with Holdfast.open(url) as hold:
        sessions = await handles(hold, range(load.sessions))
        return await drive(lambda name, key, value: sessions[name].state.set(key, value.decode()), load)
