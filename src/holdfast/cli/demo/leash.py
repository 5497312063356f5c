"""How a child process of the demo hears from it, and ends when it is gone.

The demo holds the other end of the child's stdin. Each line that comes is a number: up to so many files the worker may
commit. That is how the demo makes sure that there is still work in hand when it kills, however small the folder; the
end of the input means that the demo is gone, and the child goes too.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Coroutine
from typing import Any

from holdfast import HoldfastError


class Leash:
    """The child's end."""

    def __init__(self) -> None:
        self._allowed = 0
        self._changed = asyncio.Event()
        self._told = False

    async def may_commit(self, files: int) -> None:
        """Wait until so many files may be committed."""
        self.tell()
        while files > self._allowed:
            self._changed.clear()
            await self._changed.wait()

    def tell(self) -> None:
        """Let the demo know, once, that this process is in the midst of its work."""
        if not self._told:
            self._told = True
            print("at work", flush=True)

    async def listen(self) -> None:
        """Hear what comes until nothing more can come."""
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            self._allowed = int(line)
            self._changed.set()


async def _work_until_gone(leash: Leash, work: Coroutine[Any, Any, None]) -> None:
    listening = asyncio.create_task(leash.listen())
    working = asyncio.create_task(work)
    await asyncio.wait({listening, working}, return_when=asyncio.FIRST_COMPLETED)
    for task in (listening, working):
        if not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        elif not task.cancelled():
            task.result()


def lead(leash: Leash, work: Coroutine[Any, Any, None]) -> int:
    """Do the work of a child process; returns its exit code."""
    try:
        asyncio.run(_work_until_gone(leash, work))
    except HoldfastError as error:
        print(f"{error.args[0]} [{error.code}]", file=sys.stderr)
        return 1
    return 0
