"""Ten thousand sessions followed in one process while 50,000 changes are written.

Each session has a stream of its own (`s.changes()`) and a task that reads it. The changes are state writes, spread
over all sessions, from 16 tasks: in closed loops in the same process, in closed loops in another process, and in
another process at 5,000 a second. (Two processes that give all they have compete for two cores; what the reader gets
of them decides whether it keeps up.) Checked in every round: each stream got each change of its session once, and in
order. The latency of a change is reckoned to its delivery from the *call* of `set`, and from the moment the writer
was *answered*. The commit lies between the two, so the goal (a median under 20 ms) is judged by the first, which is
the longer. Memory is that of the following process: its size after the last round beside that after the first. Every
round writes as many changes again, so a queue or a log that is kept would show.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.effort import Effort
from benchmarks.finding import Finding, absolute, ratio_of
from benchmarks.load import VALUE_BYTES
from benchmarks.memory import resident_bytes
from benchmarks.pairs import Goal, Sample
from benchmarks.stores import durable, fill, handles, relaxed
from holdfast import Holdfast
from holdfast.handles.changes import Changes
from holdfast.handles.session import Session

TASKS = 16
PACE = 5_000
GOAL_MS = Goal(at_most=20)
MEMORY_GOAL = Goal(at_most=1.1)

Times = list[tuple[float, float]]
"""Of each change in the order of its number: when `set` was called, when it was answered (perf_counter)."""

Write = Callable[[], Awaitable[Times]]


@dataclass
class Delivered:
    """What the streams of one round got: when each change came, and how many came twice or out of order."""

    expected: int
    at: dict[int, float] = field(default_factory=dict)
    wrong: int = 0
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, number: int, *, in_order: bool) -> None:
        now = time.perf_counter()
        if number in self.at or not in_order:
            self.wrong += 1
        self.at[number] = now
        if len(self.at) == self.expected:
            self.done.set()


@dataclass(frozen=True)
class Round:
    """One round: delivery in milliseconds after the call and after the answer, and what else was seen."""

    from_call: Sample
    from_answer: Sample
    wrong: int
    resident: int


def measure(effort: Effort) -> list[Finding]:
    """Latency, completeness and memory, for writers in the same process and in another one."""
    sessions = effort.size(10_000, quick=50)
    changes = effort.size(50_000, quick=200)
    findings: list[Finding] = []
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        path = Path(folder) / "store.db"
        asyncio.run(_fill(path, sessions))
        rounds = effort.rounds
        findings += asyncio.run(_follow_own_writes(path, sessions, changes, rounds=rounds))
        findings += asyncio.run(_follow_others_writes(path, sessions, changes, rounds=rounds, pace=None))
        findings += asyncio.run(_follow_others_writes(path, sessions, changes, rounds=min(rounds, 7), pace=PACE))
    return findings


async def _fill(path: Path, sessions: int) -> None:
    async with Holdfast.open(relaxed(path)) as hold:
        await fill(hold, range(sessions), keys=0)


async def _follow_own_writes(path: Path, sessions: int, changes: int, *, rounds: int) -> list[Finding]:
    async with Holdfast.open(durable(path)) as hold:
        everyone = list((await handles(hold, range(sessions))).values())

        async def write() -> Times:
            return await write_all(everyone, changes, pace=None)

        return _told(f"{sessions:,} sessions, written here", await follow(everyone, changes, write, rounds=rounds))


async def _follow_others_writes(
    path: Path, sessions: int, changes: int, *, rounds: int, pace: float | None
) -> list[Finding]:
    loop = asyncio.get_running_loop()
    what = f"{sessions:,} sessions, written elsewhere" + (f" at {pace:,.0f}/s" if pace is not None else "")
    # A fresh interpreter: a fork would inherit the open store.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as others:
        async with Holdfast.open(durable(path)) as hold:
            everyone = list((await handles(hold, range(sessions))).values())

            async def write() -> Times:
                return await loop.run_in_executor(others, write_from_here, path, sessions, changes, pace)

            return _told(what, await follow(everyone, changes, write, rounds=rounds))


def write_from_here(path: Path, sessions: int, changes: int, pace: float | None) -> Times:
    """In the other process: one round on a store of its own opening."""

    async def run() -> Times:
        async with Holdfast.open(durable(path)) as hold:
            return await write_all(list((await handles(hold, range(sessions))).values()), changes, pace=pace)

    return asyncio.run(run())


async def write_all(sessions: list[Session], changes: int, *, pace: float | None) -> Times:
    """Write the changes 0 to `changes`, each into the next session, at most `pace` a second; their times."""
    clock = time.perf_counter
    times: Times = [(0.0, 0.0)] * changes
    numbers = iter(range(changes))
    padding = "v" * (VALUE_BYTES - 20)
    begun = clock()

    async def task() -> None:
        for number in numbers:
            if pace is not None and (early_s := begun + number / pace - clock()) > 0:
                await asyncio.sleep(early_s)
            called = clock()
            await sessions[number % len(sessions)].state.set("k", [number, padding])
            times[number] = (called, clock())

    await asyncio.gather(*(task() for _ in range(TASKS)))
    return times


async def follow(sessions: list[Session], changes: int, write: Write, *, rounds: int) -> list[Round]:
    """Follow every session from now on, let the rounds be written, and see what came of each.

    One round more is written first and does not count: every stream begins with a look at its log.
    """
    found: list[Round] = []
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(session.changes(kinds={"state"})) for session in sessions]
        delivered = [Delivered(changes)]
        readers = [asyncio.create_task(_read(stream, delivered)) for stream in streams]
        for _ in range(rounds + 1):
            found.append(await _round(delivered[0], write()))
            delivered[0] = Delivered(changes)
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
    return found[1:]


async def _read(stream: Changes, delivered: list[Delivered]) -> None:
    seq = 0
    async for change in stream:
        delivered[0].take(change.value[0], in_order=seq in (0, change.seq - 1))
        seq = change.seq


async def _round(mine: Delivered, writing: Awaitable[Times]) -> Round:
    times = await writing
    await asyncio.wait_for(mine.done.wait(), timeout=120)
    elapsed_s = max(mine.at.values()) - min(called for called, _ in times)
    calls = [mine.at[number] - called for number, (called, _) in enumerate(times)]
    answers = [max(0.0, mine.at[number] - answered) for number, (_, answered) in enumerate(times)]
    return Round(
        Sample.of(calls, elapsed_s=elapsed_s),
        Sample.of(answers, elapsed_s=elapsed_s),
        mine.wrong + abs(mine.expected - len(mine.at)),
        resident_bytes(),
    )


def _told(what: str, rounds: list[Round]) -> list[Finding]:
    rate = f"{statistics.median(one.from_call.rate for one in rounds):,.0f} changes/s"
    first = rounds[0].resident
    return [
        absolute(what, "missed, doubled or out of order", [one.wrong for one in rounds], unit="", goal=Goal(at_most=0),
                 ours=rate),
        absolute(what, "median, call to delivery", [one.from_call.p50_us / 1000 for one in rounds], unit="ms",
                 goal=GOAL_MS, ours=rate),
        absolute(what, "p99, call to delivery", [one.from_call.p99_us / 1000 for one in rounds], unit="ms"),
        absolute(what, "median, answer to delivery", [one.from_answer.p50_us / 1000 for one in rounds], unit="ms"),
        ratio_of(what, "memory / after the first round", [one.resident / first for one in rounds], goal=MEMORY_GOAL,
                 ours=f"{rounds[-1].resident / 1e6:,.0f} MB after {len(rounds)} rounds",
                 theirs=f"{first / 1e6:,.0f} MB after the first"),
    ]  # fmt: skip
