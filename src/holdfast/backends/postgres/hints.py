"""Hints: what this process committed, at once, and what others did, by LISTEN and NOTIFY.

NOTIFY within a commit takes a lock of the whole database, so it is sent after it, over another connection and without
waiting for the disk, at most one at a time and one in `PAUSE_S`: whatever commits meanwhile shares the next. One that
is lost with its process costs others the poll's interval, no more.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable

from holdfast.backends.postgres.connections import PAUSE_MAX_S, Line
from holdfast.backends.postgres.ear import Ear
from holdfast.backends.postgres.errors import DRIVER_ERRORS
from holdfast.backends.postgres.settings import Settings

PAUSE_S = 0.005

_NOTIFY = "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, '')"


def channel_of(schema: str, space: str, *, of: str = "") -> str:
    """The channel of a space's hints, or of something else, within the 63 bytes that a name may have."""
    return f"holdfast_{of}" + hashlib.blake2b(f"{schema}/{space}".encode(), digest_size=16).hexdigest()


class Hints:
    """Who is to be woken, and the two lines that carry hints. On the private loop, but for `wakes`."""

    def __init__(self, settings: Settings, channel: str) -> None:
        self.wakes: dict[object, Callable[[], None]] = {}
        self._channel = channel
        self._sends = Line(settings)
        self._ear = Ear(settings, channel, hear=lambda _: self.wake(), begun=self.wake)
        self._due = asyncio.Event()
        self._ended = asyncio.Event()
        self._moved = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to send."""
        self._tasks.append(asyncio.get_running_loop().create_task(self._send()))

    def listen(self) -> None:
        """Begin to hear of other processes, once."""
        self._ear.start()

    def moved(self) -> None:
        """Something was committed here."""
        self.wake()
        self._moved = True
        self._due.set()

    def wake(self) -> None:
        """Tell all who watch."""
        for wake in tuple(self.wakes.values()):
            wake()

    async def _send(self) -> None:
        while not self._ended.is_set() or self._moved:
            await self._due.wait()
            self._due.clear()
            if self._moved:
                self._moved = False
                try:
                    await (await self._sends.ready()).fetch(_NOTIFY, self._channel)
                except DRIVER_ERRORS:  # a hint may be lost
                    self._sends.drop()
                    await self._rest(PAUSE_MAX_S)
            await self._rest(PAUSE_S)

    async def _rest(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), seconds)

    async def close(self) -> None:
        """End both lines; a hint that is due goes out first."""
        self._ended.set()
        self._due.set()
        await asyncio.gather(*self._tasks)
        await self._sends.close()
        await self._ear.close()
