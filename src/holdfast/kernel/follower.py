"""A follower: one reader of some scopes' logs, who gets every record of each exactly once and in order.

Whoever offers a record, the follower takes only the one it expects next of that scope, and reads on from the log by
itself whenever that is not what it was offered, or more than it may keep waiting. So the feed may be late, repeat
itself or skip, and nothing is lost, doubled or out of order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Literal, Protocol, TypeVar

from holdfast.errors import Closed, Compacted, Diverged, Gone, HoldfastError, Unavailable
from holdfast.kernel.beginning import firm_at, first_of, is_firm, lives_from
from holdfast.kernel.commit import Head, Read, Record
from holdfast.kernel.contract import Clock, Ids, Kernel
from holdfast.kernel.cursor import Cursor
from holdfast.kernel.limits import PAGE_BYTES, may_go_on
from holdfast.kernel.live import LIVE_BYTES_MAX, LIVE_MAX, Live
from holdfast.kernel.lives import Admission, Lives, Standing
from holdfast.kernel.patience import again

T = TypeVar("T")

QUEUE_MAX = 1000
"""Records a follower may have waiting, and PAGE_BYTES; beyond that it falls back to paging from the log."""

PAGE = 500
"""Records read from one log at once, up to PAGE_BYTES."""

PAUSE_S = 0.05
"""The pause after the store was unavailable; doubles up to PAUSE_MAX_S."""

PAUSE_MAX_S = 5.0

REMEMBERED_MAX = 10_000
"""Scopes without a life of its own that a follower remembers having read, lest a move told again tells them again."""

Arrival = tuple[str, Record | Live]


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

    async def scout(self, follower: Follower) -> None:
        """Report moves of scopes it does not follow to the follower from now on; return once that is so."""
        ...

    def leave(self, follower: Follower, scopes: Sequence[str], *, altogether: bool) -> None:
        """Report nothing more of these scopes; or nothing at all."""
        ...


class Follower:
    """One reader of some scopes' logs. Used by one task at a time."""

    def __init__(self, source: Source, *, admission: Admission | None = None, queue_max: int = QUEUE_MAX) -> None:
        self.expected: dict[str, int] = {}  # scope -> the seq to be delivered next
        self.firm: dict[str, int] = {}  # scope -> what to resume after: before `expected`, nothing to tell in between
        self._unsure: dict[str, int] = {}  # scopes whose `firm` is that seq, which may yet be taken back
        self._source = source
        self._admission = admission
        self._epochs: dict[str, int] = {}  # scope -> the epoch its delivery begins with
        self._lives: dict[str, Lives] = {}  # of the scopes that are followed by their lives, while one goes on
        self._read: dict[str, int] = {}  # of those left again, the latest of them: the seq that would have come next
        self._queue: deque[Arrival] = deque()
        self._queue_max = queue_max
        self._queue_bytes = 0  # of the records waiting
        self._live = self._live_bytes = 0  # of the live changes waiting among them
        self._queued: dict[str, int] = {}  # scope -> the seq its queue would take next
        self._behind: dict[str, None] = {}  # scopes to be read from their logs, in the order they fell behind
        self._waiter: asyncio.Future[None] | None = None
        self._problem: HoldfastError | None = None

    async def open(self) -> None:
        """Begin to admit scopes, where that was asked for: every life that begins from now on, and is admitted."""
        if self._admission is not None:
            await self._source.scout(self)

    async def add(
        self, scope: str, *, after: Cursor | int | None, epoch: int | None = None, by_lives: Admission | None = None
    ) -> None:
        """Follow one more scope: from now (None), after a seq (0: the oldest record kept), or after a cursor.

        With `epoch`, records of earlier ones are passed over. With `by_lives`, the life at that place is told unless
        it is known to be for others, and of later ones those that are admitted. Raises Compacted if what follows was
        trimmed, Diverged if the record at the cursor is not the one it was taken at, Gone if nothing is left of the
        scope.
        """
        if scope in self.expected:
            return
        self.expected[scope] = 1
        self._behind[scope] = None
        self._source.enter(self, scope)
        try:
            await self._source.start()
            head = await self._patiently(lambda: self._head(scope))
            self.expected[scope] = await self._patiently(lambda: first_of(self._source.kernel, scope, head, after))
            self.firm[scope] = self.expected[scope] - 1
            if after is None:
                self.firm[scope] = await self._patiently(lambda: firm_at(self._source.kernel.log, scope, head.seq))
            if by_lives is not None:
                first = self.expected[scope]
                self._lives[scope] = await self._patiently(
                    lambda: lives_from(self._source.kernel, scope, head, after, by_lives, first=first)
                )
        except BaseException:
            self._forget(scope)
            raise
        if epoch:
            self._epochs[scope] = epoch

    def admit(self, scope: str, *, head: Head, begin: Literal["now", "beginning"]) -> None:
        """Follow the present life of a scope, whose head is this, and later ones that are admitted."""
        if self._admission is None or scope in self.expected:
            return
        first = head.seq + 1 if begin == "now" else max(head.floor, 1)
        if begin == "now":
            self._unsure[scope] = head.seq
        self._follow(scope, first, Lives(self._admission, known=head.epoch, since=head.seq + 1, fresh=False))

    async def ascertain(self) -> None:
        """Find out after what those resume that were admitted from now on, before the first of `next`."""
        while self._unsure:
            scope, seq = self._unsure.popitem()
            found = partial(firm_at, self._source.kernel.log, scope, seq)
            self.firm[scope] = await self._patiently(found)

    async def next(self) -> Arrival:
        """The next record or live change of any followed scope; waits for one. A cancelled call loses nothing.

        Raises Compacted or Diverged when the log was trimmed or rewritten under the follower, Closed at the end.
        """
        while True:
            if self._queue:
                scope, arrived = self._queue.popleft()
                if isinstance(arrived, Live):
                    self._live -= 1
                    self._live_bytes -= arrived.size
                    if self._hears(scope, arrived):
                        return scope, arrived
                    continue
                self._queue_bytes -= arrived.size
                if self._take(scope, arrived):
                    return scope, arrived
            elif self._problem is not None:
                raise self._problem
            elif self._behind:
                await self._catch_up()
            else:
                await self._wait()

    def close(self) -> None:
        """Follow nothing more."""
        self._source.leave(self, tuple(self.expected), altogether=True)
        self._queue.clear()
        self._queue_bytes = 0
        self.fail(Closed("this follower is closed"))

    # --- what the feed calls ----------------------------------------------------------------------

    def offer(self, scope: str, records: tuple[Record, ...]) -> None:
        """Take what is new of these records; fall behind if that leaves a gap or the queue is full."""
        if scope in self._behind:
            return self._wake()
        wanted = max(self._queued.get(scope, 0), self.expected[scope])
        new = records[max(wanted - records[0].seq, 0) :]
        if records[0].seq > wanted or not self._has_room(new):
            return self.rouse(scope)
        self._enqueue(scope, new)
        self._queued[scope] = max(wanted, records[-1].seq + 1)
        return self._wake()

    def hear(self, scope: str, live: Live) -> None:
        """Take a live change, in turn with the records, unless too many wait: then it is lost."""
        if self._live < LIVE_MAX and self._live_bytes + live.size <= LIVE_BYTES_MAX:
            self._queue.append((scope, live))
            self._live += 1
            self._live_bytes += live.size
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

    async def consider(self, moves: Mapping[str, int | None]) -> None:
        """Follow those of the scopes that have a life to tell: the present one, and those over by now that began at
        the seq named, or later (None: no others)."""
        unknown = [scope for scope in moves if scope not in self.expected]
        if self._admission is None or not unknown or self._problem is not None:
            return
        for scope, standing in (await self._admission.look(unknown)).items():
            if self._problem is None and scope not in self.expected:
                self._consider(self._admission, scope, standing, moves[scope])

    # --- inside -----------------------------------------------------------------------------------

    def _consider(self, admission: Admission, scope: str, standing: Standing, moved: int | None) -> None:
        head, read = standing.head, self._read.get(scope, 0)
        since = max(head.seq + 1 if moved is None else moved, read)
        if standing.admitted:
            first = max(head.floor, read, 1)
            known: int | None = head.epoch
        elif standing.may_hide_a_life(since):
            first = max(head.floor, since - 1, 1)  # the record before tells whether one begins here
            known = None
        else:
            return
        self._follow(scope, first, Lives(admission, known=known, since=since, fresh=first == 1))

    def _follow(self, scope: str, first: int, lives: Lives) -> None:
        self.expected[scope] = first
        self.firm[scope] = first - 1
        self._lives[scope] = lives
        self._source.enter(self, scope)
        self.rouse(scope)

    def _has_room(self, records: Sequence[Record]) -> bool:
        """Whether so many more may wait; what is read at once always may, if nothing else does."""
        waiting = len(self._queue) - self._live
        if waiting + len(records) > self._queue_max:
            return False
        return not waiting or self._queue_bytes + sum(record.size for record in records) <= PAGE_BYTES

    def _enqueue(self, scope: str, records: Sequence[Record]) -> None:
        self._queue.extend((scope, record) for record in records)
        self._queue_bytes += sum(record.size for record in records)

    def _take(self, scope: str, record: Record) -> bool:
        """Whether this is the record that is due, and for the follower."""
        if record.seq != self.expected.get(scope):
            return False
        self.expected[scope] = record.seq + 1
        if is_firm(record):
            self.firm[scope] = record.seq
        lives = self._lives.get(scope)
        if lives is None:
            return record.epoch >= self._epochs.get(scope, 0)
        wanted = lives.wants(record)
        self._leave_if_over(scope)
        return wanted

    def _hears(self, scope: str, live: Live) -> bool:
        """Whether the life that this is of is for the follower."""
        lives = self._lives.get(scope)
        if lives is not None:
            return lives.wants_live(live.epoch)
        return scope in self.expected and live.epoch >= self._epochs.get(scope, 0)

    def _leave_if_over(self, scope: str) -> None:
        """Leave a scope whose lives are over once all that is known to have come of it was read.

        What comes later the feed reports as a move of a scope that is not followed.
        """
        if not self._is_over(scope) or scope in self._behind:
            return
        due = self.expected[scope]
        if self._queued.get(scope, 0) <= due:
            if self._lives[scope].told:
                self._remember(scope, due)
            self._forget(scope)

    def _is_over(self, scope: str) -> bool:
        return scope in self._lives and self._lives[scope].over

    def _remember(self, scope: str, due: int) -> None:
        self._read.pop(scope, None)
        self._read[scope] = due
        if len(self._read) > REMEMBERED_MAX:
            del self._read[next(iter(self._read))]

    def _forget(self, scope: str) -> None:
        self.expected.pop(scope, None)
        for known in (self.firm, self._unsure, self._behind, self._queued, self._epochs, self._lives):
            known.pop(scope, None)
        self._source.leave(self, (scope,), altogether=False)

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
        """Read one page of one scope that fell behind; it has caught up when a page is neither full nor cut."""
        scope = next(iter(self._behind))
        del self._behind[scope]  # before the read: what arrives meanwhile puts it back
        self._queued.pop(scope, None)
        try:
            records = await self._page(scope)
        except BaseException as problem:
            if isinstance(problem, (Compacted, Diverged, Gone)) and self._is_over(scope):
                return self._forget(scope)  # nothing that was to be told is lost
            if scope in self.expected:
                self._behind[scope] = None  # nothing was read: begin there again
            raise
        if may_go_on(records, PAGE, PAGE_BYTES):
            self._behind[scope] = None
        self._enqueue(scope, records)
        if records and scope not in self._behind:
            self._queued[scope] = max(records[-1].seq + 1, self._queued.get(scope, 0))
        if not records:
            self._leave_if_over(scope)
        return None

    async def _page(self, scope: str) -> tuple[Record, ...]:
        """What follows in the log, however long the store is out of reach."""
        pause = PAUSE_S
        while True:
            try:
                return await self._source.kernel.log(
                    scope, after=self.expected[scope] - 1, limit=PAGE, bytes_max=PAGE_BYTES
                )
            except Unavailable:
                await self._source.clock.sleep(pause)
                pause = min(2 * pause, PAUSE_MAX_S)

    async def _head(self, scope: str) -> Head:
        return (await self._source.kernel.read([Read(scope)], now_us=0))[0].head

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            return await call()
        except Unavailable:
            return await again(call, clock=self._source.clock, ids=self._source.ids)
