"""What the demo itself sees of the work while it goes on: through the change stream, like anybody else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from holdfast import Change, Holdfast, Scope
from holdfast.cli.demo.ledger import Ledger, Seen
from holdfast.cli.demo.screen import Screen


class Watch:
    """The progress of the worker and of the follower, up to date within milliseconds."""

    def __init__(self, ledger: Ledger, screen: Screen, *, files: int) -> None:
        self.done = 0
        self.file = ""
        self.seen = Seen()
        self._ledger = ledger
        self._screen = screen
        self._files = files
        self._moved = asyncio.Condition()

    async def follow(self, hold: Holdfast) -> None:
        """Follow both sessions until cancelled."""
        scopes = [Scope.session(self._ledger.work.id), Scope.session(self._ledger.follower.id)]
        async with hold.changes(scopes, kinds={"runtime", "state"}) as changes:
            await self._start()
            async for change in changes:
                self._take(change)
                async with self._moved:
                    self._moved.notify_all()

    async def _start(self) -> None:
        self.done = (await self._ledger.totals()).files
        self.seen = await self._ledger.seen()
        self._screen.progress(self.done, self._files, "")
        async with self._moved:
            self._moved.notify_all()

    def _take(self, change: Change) -> None:
        if change.kind == "runtime" and change.key == "file":
            self.file = change.value
        elif change.kind == "runtime" and change.key == "done":
            self.done = max(self.done, change.value)
            self._screen.progress(self.done, self._files, self.file)
        elif change.kind == "state" and change.key == "seen":
            self.seen = msgspec.convert(change.value, Seen)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until that is so."""
        async with self._moved:
            await self._moved.wait_for(condition)
