"""A line between a driver and its server that can be cut: before a request arrives, or between it and its reply."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Literal

Cut = Literal["request", "reply"]


class CuttingLine:
    """A socket in `folder` that leads to `server`. `cut` is asked, for each piece of a request that is larger than
    `size`, whether the line is to be cut around it. `sent` tells of each connection what it sent, piece by piece."""

    def __init__(self, folder: Path, server: Path, cut: Callable[[], Cut | None], *, size: int) -> None:
        self.folder = folder
        self.cuts = 0
        self.sent: list[list[bytes]] = []
        self._server = server
        self._cut = cut
        self._size = size
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> CuttingLine:
        self._door = await asyncio.start_unix_server(self._serve, self.folder / self._server.name)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._door.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        there, back = await asyncio.open_unix_connection(self._server)
        pieces: list[bytes] = []
        self.sent.append(pieces)
        replies = asyncio.create_task(self._forward(there, writer))
        try:
            while piece := await reader.read(1 << 20):
                pieces.append(piece)
                cut = self._cut() if len(piece) > self._size else None
                if cut is not None:
                    self.cuts += 1
                    replies.cancel()
                    if cut == "reply":
                        back.write(piece)
                        await back.drain()
                    return
                back.write(piece)
                await back.drain()
        except (ConnectionError, asyncio.CancelledError):
            return
        finally:
            replies.cancel()
            for end in (writer, back):
                end.close()
                with contextlib.suppress(OSError):
                    await end.wait_closed()
            self._tasks.discard(task)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(1 << 20):
                writer.write(piece)
                await writer.drain()
            writer.close()
