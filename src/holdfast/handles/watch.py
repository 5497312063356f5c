"""Waiting until a cell of a scope moved, in whichever process, or for so long."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from holdfast.handles.store import Store
from holdfast.kernel.follower import Follower
from holdfast.kernel.live import Live


class Watch:
    """A block in which nothing that happens to one cell goes unnoticed. What is read inside is as new as the last move
    that `moved` told of, or newer."""

    def __init__(self, store: Store, scope: str, key: str) -> None:
        self._store = store
        self._scope = scope
        self._key = key
        self._moved = asyncio.Event()
        self._follower: Follower | None = None
        self._following: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._follower = self._store.feed().follow()
        try:
            await self._follower.add(self._scope, after=None)
        except BaseException:
            self._follower.close()
            raise
        self._following = asyncio.ensure_future(self._follow(self._follower))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._follower is not None
        assert self._following is not None
        self._following.cancel()
        self._follower.close()

    async def _follow(self, follower: Follower) -> None:
        while True:
            _, record = await follower.next()
            if not isinstance(record, Live) and (record.op == "drop" or self._key in record.touched):
                self._moved.set()

    async def moved(self, seconds: float) -> None:
        """Return once it moved since the last call, or after so long. Raises what ended the stream."""
        assert self._following is not None
        if self._following.done():
            self._following.result()
        sleeping = asyncio.ensure_future(self._store.clock.sleep(seconds))
        moving = asyncio.ensure_future(self._moved.wait())
        try:
            await asyncio.wait([sleeping, moving, self._following], return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            moving.cancel()
        self._moved.clear()
