"""The reader loop: follows the logs of the scopes that somebody in this event loop follows.

    hint or poll -> moved(position) -> log(scope, after) for the moved scopes that are followed -> fan-out

The log is read once for each moved scope and handed to all its followers: a bounded queue and one wake-up each. A
follower whose queue is full loses the queue, not a change: it reads on from the log by itself until it has caught
up. Every record reaches a follower exactly once and in order, because each keeps the seq it expects next and takes
nothing else, whoever offers it.

There is one `Feed` per event loop and store, alive only while it has followers.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Iterable

from holdfast.errors import Closed, Compacted, Diverged, HoldfastError, Unavailable
from holdfast.kernel.commit import Read, Record
from holdfast.kernel.contract import Clock, Kernel
from holdfast.kernel.cursor import Cursor

QUEUE_MAX = 1000
"""Records a follower may have waiting; beyond that it falls back to paging from the log."""

PAGE = 500
"""Records read from one log at once."""

PAUSE_S = 0.05
"""The pause after the store was unavailable; doubles up to PAUSE_MAX_S."""

PAUSE_MAX_S = 5.0

Arrival = tuple[str, Record]


class Feed:
    """The reader loop of one event loop."""

    def __init__(self, kernel: Kernel, *, clock: Clock) -> None:
        self.kernel = kernel
        self._clock = clock
        self._followers: dict[str, list[Follower]] = {}
        self._scouts: list[Follower] = []
        self._tips: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None
        self._started: asyncio.Event = asyncio.Event()
        self._wake = asyncio.Event()
        self._closed = False

    def follow(self, *, admit: Callable[[str], Awaitable[bool]] | None = None, queue_max: int = QUEUE_MAX) -> Follower:
        """A follower of no scope yet; see `Follower.add`.

        With `admit`, it is asked about every scope that moves and that the follower does not follow; those it
        answers True for are followed from their oldest record on.
        """
        if self._closed:
            raise Closed("this store is closed")
        return Follower(self, admit, queue_max)

    async def close(self) -> None:
        """End every follower with Closed, and the loop."""
        self._closed = True
        everyone = {id(one): one for many in self._followers.values() for one in many}
        everyone.update({id(one): one for one in self._scouts})
        for follower in everyone.values():
            follower.fail(Closed("this store is closed"))
        await self._stop()

    # --- what followers call ----------------------------------------------------------------------

    async def enter(self, follower: Follower, scope: str) -> None:
        """Report moves of this scope to the follower from now on."""
        self._followers.setdefault(scope, []).append(follower)
        await self._ensure_running()

    async def scout(self, follower: Follower) -> None:
        """Report every move of an unknown scope to the follower from now on."""
        self._scouts.append(follower)
        await self._ensure_running()

    def leave(self, follower: Follower, scopes: Iterable[str]) -> None:
        """Report nothing more of these scopes, nor unknown ones, to the follower."""
        for scope in scopes:
            same = self._followers.get(scope, [])
            if follower in same:
                same.remove(follower)
            if not same:
                self._followers.pop(scope, None)
                self._tips.pop(scope, None)
        if follower in self._scouts:
            self._scouts.remove(follower)
        if not self._followers and not self._scouts and self._task is not None:
            self._task.cancel()
            self._task = None

    # --- the loop ---------------------------------------------------------------------------------

    async def _ensure_running(self) -> None:
        if self._closed:
            raise Closed("this store is closed")
        if self._task is None or self._task.done():
            self._started.clear()
            loop = asyncio.get_running_loop()
            self._task = loop.create_task(self._run(), context=contextvars.Context(), name="holdfast feed")
        await self._started.wait()

    async def _stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has been closed; its feed is gone with it
                loop.call_soon_threadsafe(self._wake.set)

        ticker = loop.create_task(self._tick(), name="holdfast feed ticker")
        end_watch = self.kernel.watch(wake)
        try:
            await self._follow_moves()
        except HoldfastError as problem:
            self._fail_everyone(problem)
        finally:
            end_watch()
            ticker.cancel()
            self._started.set()

    async def _tick(self) -> None:
        while True:
            await self._clock.sleep(self.kernel.traits.poll_s)
            self._wake.set()

    async def _follow_moves(self) -> None:
        position: str | None = None
        pause = PAUSE_S
        while True:
            try:
                moved = await self.kernel.moved(position)
                for scope, seq in moved.scopes:
                    await self._on_move(scope, seq)
                position = moved.position
                self._started.set()
                pause = PAUSE_S
                if not moved.more:
                    await self._wake.wait()
                    self._wake.clear()
            except Compacted:
                # Positions expired while nobody looked: every follower looks at its own scopes.
                position = None
                self._rouse_everyone()
            except Unavailable:
                await self._clock.sleep(pause)
                pause = min(2 * pause, PAUSE_MAX_S)

    async def _on_move(self, scope: str, seq: int) -> None:
        for scout in tuple(self._scouts):
            await scout.consider(scope)
        followers = self._followers.get(scope)
        if not followers:
            return
        after = self._tips.get(scope)
        if after is None:
            after = min(follower.expected[scope] for follower in followers) - 1
            after = max(after, seq - 1 - PAGE)
        if seq <= after:
            return
        try:
            records = await self.kernel.log(scope, after=after, limit=PAGE)
        except (Compacted, Diverged):
            self._tips.pop(scope, None)
            for follower in tuple(followers):
                follower.rouse(scope)  # it will meet the same and say so to its user
            return
        if records:
            self._tips[scope] = records[-1].seq
            for follower in tuple(followers):
                follower.offer(scope, records)

    def _rouse_everyone(self) -> None:
        for scope, followers in self._followers.items():
            for follower in followers:
                follower.rouse(scope)

    def _fail_everyone(self, problem: HoldfastError) -> None:
        for followers in tuple(self._followers.values()):
            for follower in followers:
                follower.fail(problem)
        for scout in self._scouts:
            scout.fail(problem)


class Follower:
    """One reader of some scopes' logs: records in order for each scope, each exactly once."""

    def __init__(self, feed: Feed, admit: Callable[[str], Awaitable[bool]] | None, queue_max: int) -> None:
        self.expected: dict[str, int] = {}  # scope -> the seq to be delivered next
        self._feed = feed
        self._admit = admit
        self._refused: set[str] = set()
        self._queue: deque[Arrival] = deque()
        self._queue_max = queue_max
        self._queued: dict[str, int] = {}  # scope -> the seq its queue would take next
        self._behind: dict[str, None] = {}  # scopes to be read from their logs, in the order they fell behind
        self._waiter: asyncio.Future[None] | None = None
        self._problem: HoldfastError | None = None

    async def open(self) -> None:
        """Begin to admit scopes, where that was asked for."""
        if self._admit is not None:
            await self._feed.scout(self)

    async def add(self, scope: str, *, after: Cursor | int | None) -> None:
        """Follow one more scope: from now (None), after a seq (0: the oldest record kept), or after a cursor.

        Raises Compacted if what follows was trimmed, Diverged if the record at the cursor is not the one it was
        taken at, Gone if nothing is left of the scope.
        """
        if scope in self.expected:
            return
        kernel = self._feed.kernel
        self.expected[scope] = 1
        self._behind[scope] = None
        await self._feed.enter(self, scope)
        try:
            self.expected[scope] = await _first(kernel, scope, after)
        except BaseException:
            del self.expected[scope]
            self._behind.pop(scope, None)
            self._feed.leave(self, (scope,))
            raise

    async def next(self) -> Arrival:
        """The next record of any followed scope; waits for one.

        Raises Compacted or Diverged when the log was trimmed or rewritten under the follower, Closed at the end.
        """
        while True:
            if self._queue:
                scope, record = self._queue.popleft()
                if record.seq == self.expected.get(scope):
                    self.expected[scope] = record.seq + 1
                    return scope, record
                continue
            if self._problem is not None:
                raise self._problem
            if self._behind:
                await self._catch_up()
                continue
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def close(self) -> None:
        """Follow nothing more."""
        self._feed.leave(self, tuple(self.expected))
        self._queue.clear()
        self.fail(Closed("this follower is closed"))

    # --- what the feed calls ----------------------------------------------------------------------

    def offer(self, scope: str, records: tuple[Record, ...]) -> None:
        """Take what is new of these records; fall behind if that leaves a gap or the queue is full."""
        if scope in self._behind:
            return self._wake()
        wanted = self._queued.get(scope, 0) or self.expected[scope]
        wanted = max(wanted, self.expected[scope])
        if records[0].seq > wanted or len(self._queue) + len(records) > self._queue_max:
            return self.rouse(scope)
        for record in records[wanted - records[0].seq :]:
            self._queue.append((scope, record))
        self._queued[scope] = max(wanted, records[-1].seq + 1)
        self._wake()

    def rouse(self, scope: str) -> None:
        """Something may be new that was not offered: read the log."""
        self._behind[scope] = None
        self._queued.pop(scope, None)
        self._wake()

    def fail(self, problem: HoldfastError) -> None:
        """Raise this from `next` once what is queued has been read."""
        self._problem = problem
        self._wake()

    async def consider(self, scope: str) -> None:
        """Follow a scope that moved, if it is admitted."""
        if self._admit is None or scope in self.expected or scope in self._refused:
            return
        if await self._admit(scope):
            self.expected[scope] = await _first(self._feed.kernel, scope, 0)
            self._behind[scope] = None
            await self._feed.enter(self, scope)
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _catch_up(self) -> None:
        """Read one page of one scope that fell behind; it has caught up when a page is not full."""
        scope = next(iter(self._behind))
        del self._behind[scope]  # before the read: what arrives meanwhile puts it back
        self._queued.pop(scope, None)
        after = self.expected[scope] - 1
        try:
            records = await self._feed.kernel.log(scope, after=after, limit=PAGE)
        except BaseException:
            self._behind[scope] = None  # cancelled, or the store was unavailable: whoever asks again reads again
            raise
        if len(records) == PAGE:
            self._behind[scope] = None
        self._queue.extend((scope, record) for record in records)
        if records and scope not in self._behind:
            self._queued[scope] = records[-1].seq + 1


async def _first(kernel: Kernel, scope: str, after: Cursor | int | None) -> int:
    """The seq of the first record to deliver."""
    if after is None:
        view = (await kernel.read([Read(scope)], now_us=0))[0]
        return view.head.seq + 1
    if after == 0:
        view = (await kernel.read([Read(scope)], now_us=0))[0]
        return max(view.head.floor, 1)
    if isinstance(after, int):
        await kernel.log(scope, after=after, limit=1)
        return after + 1
    records = await kernel.log(scope, after=after.seq - 1, limit=1)
    if not records or not after.names(records[0]):
        raise Diverged(
            f"the record of {scope} at {after.seq} is not the one this cursor was taken at", scope=scope, seq=after.seq
        )
    return after.seq  # its own record again: the reader skips what the cursor says was delivered


__all__ = ["PAGE", "QUEUE_MAX", "Arrival", "Feed", "Follower"]
