"""A connection that hears what is notified on one channel, opened again whenever it is lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from holdfast.backends.postgres.connections import PAUSE_MAX_S, Line
from holdfast.backends.postgres.errors import DRIVER_ERRORS
from holdfast.backends.postgres.settings import Settings

BEGIN_S = 1.0
"""How long somebody waits at most for it to begin."""


class Ear:
    """Calls `hear` with each payload, and `begun` whenever it began to hear, for what it may have missed. On the
    private loop."""

    def __init__(
        self, settings: Settings, channel: str, *, hear: Callable[[str], None], begun: Callable[[], None]
    ) -> None:
        self._channel = channel
        self._hear = hear
        self._begun = begun
        self._line = Line(settings)
        self._cut = asyncio.Event()
        self._ended = asyncio.Event()
        self._tried = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to hear, once."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def ready(self) -> None:
        """Return once it hears what is notified from now on, could not begin to, or takes longer than `BEGIN_S`; at
        once where it was not started."""
        if self._task is not None and not self._tried.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._tried.wait(), BEGIN_S)

    async def _run(self) -> None:
        while not self._ended.is_set():
            try:
                connection = await self._line.ready()
                self._cut.clear()
                if self._ended.is_set():  # whoever closes has set the other one before
                    return
                connection.add_termination_listener(lambda _: self._cut.set())
                await connection.add_listener(self._channel, self._take)
                self._begun()
                self._tried.set()
                await self._cut.wait()
            except DRIVER_ERRORS:
                self._tried.set()
                self._line.drop()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), PAUSE_MAX_S)

    def _take(self, _connection: object, _pid: int, _channel: str, payload: str) -> None:
        self._hear(payload)

    async def close(self) -> None:
        """Hear nothing more."""
        self._ended.set()
        self._cut.set()
        if self._task is not None:
            await self._task
        await self._line.close()
