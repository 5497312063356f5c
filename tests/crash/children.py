"""What forked children do. Each opens the store itself, after the fork."""

import asyncio
import os
import time
from random import Random

from holdfast import Holdfast
from holdfast.backends.sqlite import SqliteKernel
from holdfast.testing.place import Place
from holdfast.testing.recording import Recorder
from holdfast.testing.workload import Client


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
    asyncio.run(_clients(path, notes, Place(tuple(sessions), tuple(accounts)), place, tasks, steps, seed, durability))


async def _clients(path, notes, shared, place, tasks, steps, seed, durability) -> None:
    file = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    recorder = Recorder(time.monotonic_ns, place=place, sink=lambda line: os.write(file, line))
    async with Holdfast.over(await SqliteKernel.open(path, durability=durability)) as hold:
        crowd = [Client(f"{seed}.{n}", hold, shared, recorder, Random(f"{seed} {place} {n}")) for n in range(tasks)]

        async def work(client: Client) -> None:
            for _ in range(steps):
                await client.step()

        await asyncio.gather(*map(work, crowd))
    os.close(file)
