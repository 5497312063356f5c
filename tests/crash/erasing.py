"""What children of the erasure's crash test do."""

import asyncio
import os
import signal

from holdfast import Holdfast
from holdfast.backends.sqlite import SqliteKernel


def killed(path: str, at: int) -> None:
    """Erase ada, and be killed at that failpoint, counted from the first."""
    left = at

    def failpoint(_name: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    async def erase() -> None:
        async with Holdfast.over(await SqliteKernel.open(path, failpoint=failpoint)) as hold:
            await hold.erase(user="ada")

    asyncio.run(erase())
