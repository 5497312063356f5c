"""What forked children do. Each opens the store itself, after the fork."""

import asyncio
import contextlib
import itertools
import mmap
import os
import signal
import time
from pathlib import Path
from random import Random

from holdfast import BudgetExceeded, Config, Holdfast, Usage
from holdfast.backends.sqlite import SqliteKernel, checkpoint
from holdfast.backends.sqlite.writer import Writer
from holdfast.backends.sqlite.writes import Writes
from holdfast.model.config import ChangesConfig, StateConfig
from holdfast.testing.place import Place
from holdfast.testing.recording import Recorder
from holdfast.testing.workload import Client

FAILPOINTS = (
    "batch.begun",
    "batch.decided",
    "batch.written",
    "batch.committed",
    "sweep.begun",
    "sweep.written",
    "sweep.committed",
    "checkpoint.begun",
    "checkpoint.done",
)

STEPS = 40
"""Operations of one client before its process kills itself, whatever else was to end it."""

KEPT = 250
"""Records that a sweep leaves in each log: more than the clients of one process write to one scope."""


def short_lives(*, path: str, ids: list[str], users: list[str], turns: int) -> None:
    """Sessions that are deleted as soon as they are made, under a few ids, for one user after the other."""

    async def work() -> None:
        async with Holdfast.over(await SqliteKernel.open(path, durability="process")) as hold:
            for turn in range(turns):
                id, user = ids[turn % len(ids)], users[turn % len(users)]
                s = await hold.sessions.create(id=id, user=user)
                await s.state.set("of", [user, turn])
                await hold.sessions.delete(id)

    asyncio.run(work())


def clients(
    *,
    path: str,
    notes: str,
    sessions: list[str],
    accounts: list[str],
    place: int,
    tasks: int,
    steps: int,
    seed: int,
    durability: str = "fsync",
) -> None:
    """So many tasks, each doing so many operations; every note is in the file before the operation goes on."""
    shared = Place(tuple(sessions), tuple(accounts))
    asyncio.run(_clients(path, notes, shared, place=place, tasks=tasks, steps=steps, seed=seed, durability=durability))


async def _clients(path, notes, shared, *, place, tasks, steps, seed, durability, failpoint=None, sweeps=False) -> None:
    file = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(file, b"\n")  # the last process may have been killed in the middle of a line
    recorder = Recorder(time.monotonic_ns, place=place, sink=lambda line: os.write(file, line))
    config = Config(
        state=StateConfig(temp_ttl="1ms"),
        changes=ChangesConfig(retention_age=None, retention_count=KEPT if sweeps else None),
    )
    kernel = await SqliteKernel.open(path, durability=durability, failpoint=failpoint)
    async with Holdfast.over(kernel, config=config) as hold:
        crowd = [Client(f"{seed}.{n}", hold, shared, recorder, Random(f"{seed} {place} {n}")) for n in range(tasks)]

        async def work(client: Client) -> None:
            for _ in range(steps):
                await client.step()

        async def sweep() -> None:
            while True:
                await hold.sweep()
                await asyncio.sleep(0.002)

        sweeping = asyncio.create_task(sweep()) if sweeps else None
        await asyncio.gather(*map(work, crowd))
        if sweeping is not None:
            sweeping.cancel()
    os.close(file)


def doomed(*, marks: str, at: str | None, count: int, place: int, **more) -> None:
    """Clients and sweeps until the process is killed: from outside, or by itself the `count`-th time it reaches `at` or
    when all is done.

    The last failpoint reached stands in the file `marks`, as one byte counted from 1, whenever the end comes.
    """
    checkpoint.PAGES, checkpoint.AGAIN, checkpoint.REST = 60, 20, 10  # so that a short life sees some
    file = os.open(marks, os.O_RDWR | os.O_CREAT, 0o600)
    os.ftruncate(file, 1)
    shown = mmap.mmap(file, 1)
    left = count

    def reached(name: str) -> None:
        nonlocal left
        if name in FAILPOINTS:  # not those of the space's founding
            shown[0] = FAILPOINTS.index(name) + 1
        if name == at:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    shared = Place(tuple(more.pop("sessions")), tuple(more.pop("accounts")))
    path, notes = more.pop("path"), more.pop("notes")
    asyncio.run(_clients(path, notes, shared, place=place, steps=STEPS, failpoint=reached, sweeps=True, **more))
    os.kill(os.getpid(), signal.SIGKILL)


def iterating(*, url: str, notes: str, tasks: int, tries: int) -> None:
    """So many tasks that iterate in session `s` until its budget is used up; how often they were let in is noted."""

    async def work() -> None:
        async with Holdfast.open(url, background=False) as hold:
            s = await hold.sessions.get("s")
            Path(notes).write_text("0")
            let_in = 0

            async def task() -> None:
                nonlocal let_in
                with contextlib.suppress(BudgetExceeded):
                    for _ in range(tries):
                        async with s.iterate(reserve=Usage(tokens=10, cost="0.1")) as it:
                            let_in += 1
                            await asyncio.sleep(0)
                            it.spent(tokens=10, cost="0.1")

            await asyncio.gather(*(task() for _ in range(tasks)))
            Path(notes).write_text(str(let_in))

    asyncio.run(work())


def killed_in_an_iteration(*, url: str) -> None:
    """Reserves, and is killed before it settles."""

    async def work() -> None:
        async with Holdfast.open(url, background=False) as hold:
            s = await hold.sessions.get("s")
            async with s.iterate(reserve=Usage(tokens=4000)) as it:
                it.spent(tokens=7)
                os.kill(os.getpid(), signal.SIGKILL)

    asyncio.run(work())


def forgetful(**more) -> None:
    """Doomed, with a writer that now and then acknowledges a batch which it rolls back."""
    commit, count = Writer._commit, itertools.count(1)

    def sometimes(self):
        if next(count) % 7:
            commit(self)
        else:
            self.cursor.execute("ROLLBACK")
            self.heads.clear()

    Writer._commit = sometimes
    doomed(**more)


def hasty(**more) -> None:
    """Doomed, with a writer that now and then leaves out the last cell it should write."""
    run, count = Writes.run, itertools.count(1)

    def sometimes(self):
        if next(count) % 7 == 0 and self.cells:
            self.cells.popitem()
        return run(self)

    Writes.run = sometimes
    doomed(**more)


__all__ = ["FAILPOINTS", "clients", "doomed", "forgetful", "hasty", "iterating", "killed_in_an_iteration"]
