"""`state.get` of one key, and the last ten messages of a long conversation beside those of a short one.

One task on SQLite, everything in the page cache. A get is read on the event loop, without a thread; beside it stands
the same point read by hand with a cached statement. Goals: 50 µs at the median; ten of 100,000 messages at most 1.3
times what ten of ten cost.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks.effort import Effort
from benchmarks.finding import Finding, absolute, ratio
from benchmarks.load import KEYS, key_name, session_name
from benchmarks.pairs import Goal, Sample, rotate
from benchmarks.reference_sqlite import Trees, connect
from benchmarks.stores import durable, fill, handles
from holdfast import Holdfast
from holdfast.handles.session import Session

TEXT = "m" * 200
PER_COMMIT = 80


def measure(effort: Effort) -> list[Finding]:
    """Point reads beside hand-written ones, then both conversations in turn."""
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder, asyncio.Runner() as runner:
        hold = runner.run(_open(Path(folder) / "store.db"))
        try:
            return [*_point_reads(runner, hold, Path(folder), effort), *_conversations(runner, hold, effort)]
        finally:
            runner.run(hold.close())


async def _open(path: Path) -> Holdfast:
    return await Holdfast.open(durable(path))


def _point_reads(runner: asyncio.Runner, hold: Holdfast, folder: Path, effort: Effort) -> list[Finding]:
    count, reads = effort.size(1_000, quick=20), effort.size(10_000, quick=100)
    runner.run(fill(hold, range(count)))
    sessions = runner.run(handles(hold, range(count)))
    db = connect(folder / "reference.db")
    Trees(db, bulk=True).fill(count, grow=False)
    pick = random.Random(1)
    targets = [(session_name(pick.randrange(count)), key_name(pick.randrange(KEYS))) for _ in range(reads)]

    async def ours() -> Sample:
        return await timed(lambda n: sessions[targets[n][0]].state.get(targets[n][1]), reads)

    def by_hand() -> Sample:
        latencies, clock = [], time.perf_counter
        for target in targets:
            before = clock()
            db.execute("SELECT version, value FROM cell WHERE session=? AND key=?", target).fetchone()
            latencies.append(clock() - before)
        return Sample.of(latencies, elapsed_s=sum(latencies))

    of_ours, of_hand = rotate([lambda: runner.run(ours()), by_hand], rounds=effort.rounds)
    db.close()
    told = absolute("state.get", "p50", [one.p50_us for one in of_ours], unit="µs", goal=Goal(at_most=50))
    return [told, ratio(("state.get", "point read by hand"), of_ours, of_hand, figure="p50_us")]


def _conversations(runner: asyncio.Runner, hold: Holdfast, effort: Effort) -> list[Finding]:
    many, reads = effort.size(100_000, quick=200), effort.size(2_000, quick=50)
    long, short = runner.run(_converse(hold, many)), runner.run(_converse(hold, 10))

    async def last_ten(session: Session) -> Sample:
        assert len(await session.messages.last(10)) == 10
        return await timed(lambda _: session.messages.last(10), reads)

    of_long, of_short = rotate(
        [lambda: runner.run(last_ten(long)), lambda: runner.run(last_ten(short))], rounds=effort.rounds
    )
    names = (f"last 10 of {many:,} messages", "of 10")
    return [ratio(names, of_long, of_short, figure="p50_us", goal=Goal(at_most=1.3))]


async def _converse(hold: Holdfast, messages: int) -> Session:
    session = await hold.sessions.create()
    left = iter(range(0, messages, PER_COMMIT))

    async def task() -> None:
        for first in left:
            count = min(PER_COMMIT, messages - first)
            await session.messages.add_many([{"role": "user", "content": TEXT}] * count)

    await asyncio.gather(*(task() for _ in range(8)))
    return session


async def timed(call: Callable[[int], Awaitable[object]], count: int) -> Sample:
    """The latencies of `count` calls, one after another."""
    latencies, clock = [], time.perf_counter
    begun = clock()
    for number in range(count):
        before = clock()
        await call(number)
        latencies.append(clock() - before)
    return Sample.of(latencies, elapsed_s=clock() - begun)
