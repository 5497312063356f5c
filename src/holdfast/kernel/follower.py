"""A follower: one reader of some scopes' logs, who gets every record of each exactly once and in order.

Whoever offers a record, the follower takes only the one it expects next of that scope, and reads on from the log by
itself whenever that is not what it was offered, or more than it may keep waiting. So the feed may be late, repeat
itself or skip, and nothing is lost, doubled or out of order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from holdfast.errors import Closed, Diverged, HoldfastError, Unavailable
from holdfast.kernel.commit import Head, Read, Record
from holdfast.kernel.contract import Clock, Ids, Kernel
from holdfast.kernel.cursor import Cursor
from holdfast.kernel.patience import again

T = TypeVar("T")

QUEUE_MAX = 1000
"""Records a follower may have waiting; beyond that it falls back to paging from the log."""

GLANCE = 64
"""Records read from one log at once when no more are expected: few enough for a backend to read them in place."""

PAGE = 500
"""Records read from one log at once."""

PAUSE_S = 0.05
"""The pause after the store was unavailable; doubles up to PAUSE_MAX_S."""

PAUSE_MAX_S = 5.0

Arrival = tuple[str, Record]

Admit = Callable[[Sequence[str]], Awaitable[Mapping[str, int]]]
"""Which of these scopes to follow, each with its present epoch: what is older is not for the follower."""


class Source(Protocol):
    """What a follower needs of the feed."""

    kernel: Kernel
    clock: Clock
    ids: Ids

    async def start(self) -> None:
        """Return once moves are being reported."""
        ...

    def enter(self, follower: Follower, scope: str) -> None:
        """Report moves of this scope to the follower from now on."""
        ...

    def scout(self, follower: Follower) -> None:
        """Report moves of scopes it does not follow to the follower from now on."""
        ...

    def leave(self, follower: Follower, scopes: Sequence[str], *, altogether: bool) -> None:
        """Report nothing more of these scopes; or nothing at all."""
        ...


class Follower:
    """One reader of some scopes' logs. Used by one task at a time."""

    def __init__(self, source: Source, *, admit: Admit | None = None, queue_max: int = QUEUE_MAX) -> None:
        self.expected: dict[str, int] = {}  # scope -> the seq to be delivered next
        self._source = source
        self._admit = admit
        self._lives: dict[str, int] = {}  # scope -> the epoch its delivery begins with
        self._admitted: set[str] = set()  # followed only while they live
        self._ended: dict[str, None] = {}  # of those, the ones whose drop was delivered
        self._queue: deque[Arrival] = deque()
        self._queue_max = queue_max
        self._queued: dict[str, int] = {}  # scope -> the seq its queue would take next
        self._behind: dict[str, None] = {}  # scopes to be read from their logs, in the order they fell behind
        self._waiter: asyncio.Future[None] | None = None
        self._problem: HoldfastError | None = None

    async def open(self) -> None:
        """Begin to admit scopes, where that was asked for."""
        if self._admit is not None:
            self._source.scout(self)
            await self._source.start()

    async def add(
        self, scope: str, *, after: Cursor | int | None, epoch: int | None = None, admitted: bool = False
    ) -> None:
        """Follow one more scope: from now (None), after a seq (0: the oldest record kept), or after a cursor.

        With `epoch`, records of earlier ones are passed over, and an `admitted` scope is followed only if it still is
        at that one, and until it is dropped. Raises Compacted if what follows was trimmed, Diverged if the record at
        the cursor is not the one it was taken at, Gone if nothing is left of the scope.
        """
        if scope in self.expected:
            return
        self.expected[scope] = 1
        self._behind[scope] = None
        self._source.enter(self, scope)
        try:
            await self._source.start()
            head = await self._patiently(lambda: self._head(scope))
            if admitted and not isinstance(after, Cursor) and (head.epoch != epoch or not head.live):
                return self._forget(scope)
            self.expected[scope] = await self._patiently(lambda: self._first(scope, head, after))
        except BaseException:
            self._forget(scope)
            raise
        if epoch:
            self._lives[scope] = epoch
        if admitted:
            self._admitted.add(scope)

    async def next(self) -> Arrival:
        """The next record of any followed scope; waits for one. A cancelled call loses nothing.

        Raises Compacted or Diverged when the log was trimmed or rewritten under the follower, Closed at the end.
        """
        while True:
            if self._queue:
                scope, record = self._queue.popleft()
                if self._take(scope, record):
                    return scope, record
            elif self._problem is not None:
                raise self._problem
            elif self._ended:
                await self._readmit()
            elif self._behind:
                await self._catch_up()
            else:
                await self._wait()

    def close(self) -> None:
        """Follow nothing more."""
        self._source.leave(self, tuple(self.expected), altogether=True)
        self._queue.clear()
        self.fail(Closed("this follower is closed"))

    # --- what the feed calls ----------------------------------------------------------------------

    def offer(self, scope: str, records: tuple[Record, ...]) -> None:
        """Take what is new of these records; fall behind if that leaves a gap or the queue is full."""
        if scope in self._behind:
            return self._wake()
        wanted = max(self._queued.get(scope, 0), self.expected[scope])
        if records[0].seq > wanted or len(self._queue) + len(records) > self._queue_max:
            return self.rouse(scope)
        for record in records[wanted - records[0].seq :]:
            self._queue.append((scope, record))
        self._queued[scope] = max(wanted, records[-1].seq + 1)
        return self._wake()

    def rouse(self, scope: str) -> None:
        """Something may be new that was not offered: read the log."""
        self._behind[scope] = None
        self._queued.pop(scope, None)
        self._wake()

    def fail(self, problem: HoldfastError) -> None:
        """Raise this from `next` once what is queued has been read."""
        self._problem = problem
        self._wake()

    async def consider(self, scopes: Sequence[str]) -> None:
        """Follow those of the scopes that are admitted, from the beginning of their present epoch."""
        unknown = [scope for scope in scopes if scope not in self.expected]
        if self._admit is None or not unknown or self._problem is not None:
            return
        for scope, epoch in (await self._admit(unknown)).items():
            head = await self._head(scope)
            if self._problem is not None or scope in self.expected or not head.live or head.epoch != epoch:
                continue
            self.expected[scope] = max(head.floor, 1)
            self._lives[scope] = epoch
            self._admitted.add(scope)
            self._source.enter(self, scope)
            self.rouse(scope)

    # --- inside -----------------------------------------------------------------------------------

    def _take(self, scope: str, record: Record) -> bool:
        """Whether this is the record that is due, and for the follower."""
        if record.seq != self.expected.get(scope):
            return False
        self.expected[scope] = record.seq + 1
        if record.epoch < self._lives.get(scope, 0):
            return False
        if record.op == "drop" and scope in self._admitted:
            self._forget(scope)
            self._ended[scope] = None
        return True

    def _forget(self, scope: str) -> None:
        self.expected.pop(scope, None)
        for known in (self._behind, self._queued, self._lives):
            known.pop(scope, None)
        self._admitted.discard(scope)
        self._source.leave(self, (scope,), altogether=False)

    async def _readmit(self) -> None:
        """What was dropped may have been made anew before its drop was read."""
        await self._patiently(lambda: self.consider(tuple(self._ended)))
        self._ended.clear()

    async def _wait(self) -> None:
        if self._waiter is not None:
            raise RuntimeError("a stream is read by one task at a time")
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _catch_up(self) -> None:
        """Read one page of one scope that fell behind; it has caught up when a page is not full."""
        scope = next(iter(self._behind))
        del self._behind[scope]  # before the read: what arrives meanwhile puts it back
        self._queued.pop(scope, None)
        try:
            records = await self._page(scope)
        except BaseException:
            if scope in self.expected:
                self._behind[scope] = None  # nothing was read: begin there again
            raise
        if len(records) == PAGE:
            self._behind[scope] = None
        self._queue.extend((scope, record) for record in records)
        if records and scope not in self._behind:
            self._queued[scope] = records[-1].seq + 1

    async def _page(self, scope: str) -> tuple[Record, ...]:
        """What follows in the log, however long the store is out of reach."""
        pause = PAUSE_S
        while True:
            try:
                return await self._source.kernel.log(scope, after=self.expected[scope] - 1, limit=PAGE)
            except Unavailable:
                await self._source.clock.sleep(pause)
                pause = min(2 * pause, PAUSE_MAX_S)

    async def _head(self, scope: str) -> Head:
        return (await self._source.kernel.read([Read(scope)], now_us=0))[0].head

    async def _first(self, scope: str, head: Head, after: Cursor | int | None) -> int:
        """The seq of the first record to deliver."""
        if after is None:
            return head.seq + 1
        if after == 0:
            return max(head.floor, 1)
        if isinstance(after, int):
            await self._source.kernel.log(scope, after=after, limit=1)
            return after + 1
        records = await self._source.kernel.log(scope, after=after.seq - 1, limit=1)
        if not records or not after.names(records[0]):
            raise Diverged(
                f"the record of {scope} at {after.seq} is not the one this cursor was taken at",
                scope=scope,
                seq=after.seq,
            )
        return after.seq  # its own record again: the reader skips what the cursor says was delivered

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            return await call()
        except Unavailable:
            return await again(call, clock=self._source.clock, ids=self._source.ids)
