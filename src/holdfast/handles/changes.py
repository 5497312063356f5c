"""The change stream as people use it: `s.changes(…)`, `hold.changes(…)`."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Literal, Self

from holdfast.errors import InvalidValue
from holdfast.handles.store import Store
from holdfast.kernel.cursor import Cursor, parse_cursor
from holdfast.kernel.feed import Follower
from holdfast.model.change import KINDS, Change
from holdfast.services import change

After = str | Literal["now", "beginning"]
"""Where to begin: now, at the oldest change kept, or after the change with this cursor."""


class Changes:
    """An endless, ordered stream of changes: `async for change in s.changes(): …`.

    Every change of a scope arrives exactly once and in order, also those of other processes, and also after a cut:
    resume with `after=change.cursor`. "now" is the moment the iteration starts; to fix it earlier, and to end the
    stream for certain, use it as a block: `async with s.changes() as changes:`.

    Raises Compacted if the place to resume was trimmed, Diverged if history was rewritten, Closed with the store.
    """

    def __init__(
        self,
        store: Store,
        places: Mapping[str, After],
        *,
        kinds: set[str] | frozenset[str] | None = None,
        until_dropped: str | None = None,
        present: Callable[[], Awaitable[Mapping[str, After]]] | None = None,
        admit: Callable[[str], Awaitable[bool]] | None = None,
    ) -> None:
        if kinds is not None and not set(kinds) <= KINDS:
            raise InvalidValue(
                f"unknown kinds {', '.join(sorted(set(kinds) - KINDS))}; there are {', '.join(sorted(KINDS))}",
                path="kinds",
            )
        self._store = store
        self._places = {scope: _parse(after) for scope, after in places.items()}
        self._kinds = kinds
        self._until_dropped = until_dropped
        self._present = present
        self._admit = admit
        self._follower: Follower | None = None
        self._ready: deque[Change] = deque()
        self._ended = False

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        while not self._ready:
            if self._ended:
                raise StopAsyncIteration
            follower = self._follower or await self._open()
            scope, record = await follower.next()
            after = self._places.get(scope)
            place = after if isinstance(after, Cursor) else None
            self._ready.extend(change.changes_of(scope, record, kinds=self._kinds, after=place))
            if record.op == "drop" and scope == self._until_dropped:
                await self.aclose()
        return self._ready.popleft()

    async def aclose(self) -> None:
        """Follow nothing more; what was already received can still be read."""
        self._ended = True
        if self._follower is not None:
            self._follower.close()
            self._follower = None

    async def _open(self) -> Follower:
        if self._follower is not None:
            return self._follower
        self._loop = asyncio.get_running_loop()
        follower = self._store.feed().follow(admit=self._admit, queue_max=self._store.config.changes.queue_max)
        try:
            if self._present is not None:
                # First listen for scopes to come, then add those there are: none can slip through between.
                places = {scope: _parse(after) for scope, after in (await self._present()).items()}
                await follower.open()
                places = {scope: _parse(after) for scope, after in (await self._present()).items()} | places
                self._places = places | self._places
            for scope, after in self._places.items():
                await follower.add(scope, after=after)
        except BaseException:
            follower.close()
            raise
        self._follower = follower
        return follower

    def __del__(self) -> None:
        # A stream that was left by `break` and forgotten: its follower must not listen for ever.
        follower = getattr(self, "_follower", None)
        if follower is not None and not self._loop.is_closed():
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(follower.close)


def _parse(after: After) -> Cursor | int | None:
    if after == "now":
        return None
    if after == "beginning":
        return 0
    return parse_cursor(after)
