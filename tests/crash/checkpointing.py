"""What children of the checkpoints' crash test do."""

import asyncio
import os
import signal

from holdfast import Holdfast
from holdfast.backends.sqlite import SqliteKernel


def killed(path: str, what: str, id: str, at: int) -> None:
    """Take a checkpoint, restore that one, or fork at it, and be killed at that failpoint, counted from the first."""
    left = at

    def failpoint(_name: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    async def act() -> None:
        async with Holdfast.over(await SqliteKernel.open(path, failpoint=failpoint)) as hold:
            s = await hold.sessions.get("s")
            assert s is not None
            if what == "take":
                await s.checkpoint(label="taken")
            elif what == "restore":
                await s.restore(id)
            else:
                await s.fork(at=id, id="fork")

    asyncio.run(act())
