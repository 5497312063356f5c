"""What the processes of the long runs do: write as fast as they can, and leave behind what they were told."""

import asyncio
import mmap
import os
import struct

from holdfast import Config, Holdfast
from holdfast.backends.sqlite import SqliteKernel
from holdfast.model.config import ChangesConfig

PAIR = struct.Struct("<qq")
"""Of each task, in the file of its process: the last number it sent, and the last one that was acknowledged."""

KEPT = 50
"""Records that a sweep leaves in each log."""


def counting(*, path: str, told: str, ids: list[str], shared: str) -> None:
    """One task for each session, which counts upwards in its state until the process is killed; every tenth number is
    a message to the shared session as well, in one transaction with it."""
    asyncio.run(_counting(path, told, ids, shared))


async def _counting(path: str, told: str, ids: list[str], shared: str) -> None:
    file = os.open(told, os.O_RDWR)
    shown = mmap.mmap(file, PAIR.size * len(ids))
    config = Config(changes=ChangesConfig(retention_age=None, retention_count=KEPT))
    async with Holdfast.over(await SqliteKernel.open(path), config=config) as hold:

        async def sweep() -> None:
            while True:
                await hold.sweep()
                await asyncio.sleep(1)

        async def count(place: int, id: str) -> None:
            session = await hold.sessions.get(id)
            assert session is not None
            at = place * PAIR.size
            sent, acknowledged = PAIR.unpack_from(shown, at)
            while True:
                sent += 1
                PAIR.pack_into(shown, at, sent, acknowledged)
                if sent % 10:
                    await session.state.set("count", sent)
                else:
                    async with hold.transaction() as tx:
                        await tx.session(id).state.set("count", sent)
                        await tx.session(shared).messages.add("user", f"{id} {sent}")
                acknowledged = sent
                PAIR.pack_into(shown, at, sent, acknowledged)

        await asyncio.gather(sweep(), *(count(place, id) for place, id in enumerate(ids)))


__all__ = ["KEPT", "PAIR", "counting"]
