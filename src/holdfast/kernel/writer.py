"""Group commit: one queue in front of every backend.

Whatever is waiting when the last barrier finishes goes into the next batch: no timer. First in, first out; a caller
is answered only after the barrier; a commit that conflicts fails alone.

One `Writer` serves any thread and any event loop: each loop has a lane of its own, with its own writer id, so a
lane's state is touched by one thread only. (Tried and rejected: callers handing commits straight to the backend's
thread. It wakes at the first of them, so batches of 1 and 63 alternate where a pump on the loop gathers 64.)

Cancelling a caller never reaches the driver. If its commit was not yet sent it never will be; otherwise it may
still land. A lost reply (`Indeterminate`) is settled by sending the same commit under the same id again, which the
kernel applies at most once; a commit that surely was not executed (`Unavailable`) is sent again under a new id.

That an id is burnt says so too, but is no failed try: a conflict leaves nothing by which its lost reply could be
settled, so it is judged anew. (Where that counted, two lost replies and a third mishap told a caller of a used-up id.)

A commit's time is that of its send, and is given together with its id: so the same id is the same commit, and what is
sent anew after a while of waiting is judged by what exists then.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from holdfast.errors import Closed, Diverged, HoldfastError, Indeterminate, Unavailable
from holdfast.kernel.commit import TOMBSTONE_US, Commit, CommitId, Committed, Conflict, Outcome
from holdfast.kernel.contract import Clock, Ids, Kernel
from holdfast.kernel.patience import TRIES, again, pause_s

T = TypeVar("T")

BATCH_MAX = 256
"""Commits in one batch at most. More waiting go into the next."""

BATCH_BYTES_MAX = 8 * 1024 * 1024
"""Values and bodies in one batch, at most (a larger single commit goes alone)."""

WAITING_MAX = 10_000
"""Commits waiting in one lane at most; beyond that callers wait before they are let in."""

_KNOWN_MAX = 10_000


Waiting = tuple[Commit, "asyncio.Future[Outcome]"]
"""A commit, and where its caller waits."""

Open = tuple[Commit, "asyncio.Future[Outcome]", Unavailable | Indeterminate]
"""A commit that was sent and has no outcome yet: what is known of it."""


class Writer:
    """Gathers the commits of all callers into batches for one kernel."""

    def __init__(self, kernel: Kernel, *, clock: Clock, ids: Ids, waiting_max: int = WAITING_MAX) -> None:
        self.kernel = kernel
        self.clock = clock
        self._ids = ids
        self._waiting_max = waiting_max
        self._lanes: dict[asyncio.AbstractEventLoop, Lane] = {}
        self._closed = False

    async def commit(
        self, commit: Commit, *, missed: Callable[[Committed], object] | None = None
    ) -> Committed | Conflict:
        """Send one commit and wait for its outcome. With `missed`, cancelling the caller does not hinder it, and that
        is called if it lands.

        Raises what the kernel's outcome says (TooLarge, Unsupported, InvalidValue: never sent), Unavailable (surely
        not applied), Indeterminate (unknown: the reply was lost and could not be had again), Diverged (applied, but the
        store answered with less history than it had acknowledged), Closed.
        """
        if self._closed:
            raise Closed("this store is closed")
        loop = asyncio.get_running_loop()
        lane = self._lanes.get(loop)
        if lane is None:
            lane = self._open_lane(loop)
        if lane.is_full:
            await lane.wait_for_room()
        outcome = await (lane.submit(commit) if missed is None else _not_missed(lane, commit, missed))
        if isinstance(outcome, HoldfastError):
            raise _own(outcome)
        return outcome

    async def again(self, call: Callable[[], Awaitable[T]]) -> T:
        """Repeat a read that met Unavailable, with the pauses and as often as a commit is sent again."""
        return await again(call, clock=self.clock, ids=self._ids)

    def _open_lane(self, loop: asyncio.AbstractEventLoop) -> Lane:
        for other in list(self._lanes):  # a copy: other threads open lanes too
            if other.is_closed():
                self._lanes.pop(other, None)
        lane = self._lanes[loop] = Lane(self.kernel, self.clock, self._ids, loop, self._waiting_max)
        return lane

    def stats(self) -> dict[str, int]:
        """Figures since the opening: commits sent, batches, the largest batch, commits waiting now."""
        lanes = list(self._lanes.values())
        return {
            "commits": sum(lane.sent for lane in lanes),
            "batches": sum(lane.batches for lane in lanes),
            "batch_max": max((lane.largest for lane in lanes), default=0),
            "waiting": sum(lane.waiting for lane in lanes),
        }

    async def close(self) -> None:
        """Let what was submitted on this loop finish; refuse everything after. Other loops' callers get Closed."""
        self._closed = True
        lane = self._lanes.get(asyncio.get_running_loop())
        if lane is not None:
            await lane.drain()
        for loop, other in list(self._lanes.items()):
            if other is not lane:
                with contextlib.suppress(RuntimeError):  # that loop is closed, and nobody waits in it
                    loop.call_soon_threadsafe(other.refuse, Closed("the store was closed while this commit waited"))


class Lane:
    """The queue and pump of one event loop: one ordered lane of commit ids."""

    def __init__(
        self, kernel: Kernel, clock: Clock, ids: Ids, loop: asyncio.AbstractEventLoop, waiting_max: int
    ) -> None:
        self.sent = self.batches = self.largest = 0
        self._kernel = kernel
        self._clock = clock
        self._ids = ids
        self._loop = loop
        self._waiting_max = waiting_max
        self._writer = ids.writer()
        self._n = 0
        self._queue: deque[Waiting] = deque()
        self._doors: deque[asyncio.Future[None]] = deque()
        self._pump: asyncio.Task[None] | None = None
        self._known: dict[str, tuple[int, int]] = {}  # of each scope the last seq acknowledged, and when that was

    @property
    def waiting(self) -> int:
        """Commits waiting to be sent, and callers waiting to be let in."""
        return len(self._queue) + len(self._doors)

    @property
    def is_full(self) -> bool:
        """Whether whoever wants to submit has to wait for room."""
        return bool(self._doors) or len(self._queue) >= self._waiting_max

    def submit(self, commit: Commit, future: asyncio.Future[Outcome] | None = None) -> asyncio.Future[Outcome]:
        """Queue one commit; the future brings its outcome."""
        if future is None:
            future = self._loop.create_future()
        self._queue.append((commit, future))
        if self._pump is None:
            self._start()
        return future

    async def drain(self) -> None:
        """Wait until nothing is queued or in flight."""
        while self._pump is not None:
            await asyncio.wait([self._pump])

    def refuse(self, reason: HoldfastError) -> None:
        """Answer everything that still waits with `reason`; it surely was not applied."""
        while self._queue:
            _answer(self._queue.popleft()[1], reason)
        self._let_in()

    async def wait_for_room(self) -> None:
        """Wait until there is room for one more, first come, first served."""
        door: asyncio.Future[None] = self._loop.create_future()
        self._doors.append(door)
        try:
            await door
        except asyncio.CancelledError:
            if door.done() and not door.cancelled():
                self._let_in()  # the place that was given to the cancelled caller goes to the next
            raise

    def _let_in(self) -> None:
        room = self._waiting_max - len(self._queue)
        while self._doors and room > 0:
            door = self._doors.popleft()
            if not door.done():
                door.set_result(None)
                room -= 1

    def _start(self) -> None:
        # An empty context: the pump must not carry the first caller's trace or cause.
        pump = self._loop.create_task(self._run(), context=contextvars.Context(), name="holdfast writer")
        if not pump.done():  # a loop whose tasks start eagerly may have run it to its end already
            self._pump = pump

    async def _run(self) -> None:
        batch: list[Waiting] = []
        try:
            while self._queue:
                batch = self._take()
                if self._doors:
                    self._let_in()
                if batch:
                    await self._send_or_say_why(batch)
                    batch = []
        except BaseException as problem:
            _abandon(batch, problem)
            self.refuse(Closed(f"the writer ended before this commit was sent: {problem!r}"))
            raise
        finally:
            self._pump = None
            if self._queue:
                self._start()

    def _take(self) -> list[Waiting]:
        queue = self._queue
        batch: list[Waiting] = []
        size = 0
        while queue and len(batch) < BATCH_MAX:
            commit, future = queue[0]
            if future.done() and not isinstance(future, _Told):  # its caller was cancelled before it was sent
                queue.popleft()
                continue
            size += _weight(commit)
            if batch and size > BATCH_BYTES_MAX:
                break
            batch.append(queue.popleft())
        return batch

    async def _send_or_say_why(self, batch: list[Waiting]) -> None:
        try:
            await self._send(batch)
        except Exception as defect:  # not in the kernel's contract; nobody may wait for ever, nor the next ones suffer
            _abandon(batch, defect)

    async def _send(self, batch: list[Waiting]) -> None:
        commits = [commit for commit, _ in batch]
        self._number(commits)
        self.sent += len(commits)
        self.batches += 1
        self.largest = max(self.largest, len(commits))
        open_ = self._answer_settled(batch, await self._try(commits))
        if open_:
            await self._settle(open_)

    def _answer_settled(self, batch: Sequence[Waiting], outcomes: Sequence[Outcome]) -> list[Open]:
        """Answer whoever's commit is known to be applied or refused; returns the others, with what is known."""
        unsettled: list[Open] = []
        for (commit, future), outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Committed):
                _answer(future, self._compare(commit, outcome))
            elif isinstance(outcome, (Unavailable, Indeterminate)):
                unsettled.append((commit, future, outcome))
            else:
                _answer(future, outcome)
        return unsettled

    def _number(self, commits: Sequence[Commit]) -> None:
        n, now_us = self._n, self._clock.now_us()
        for commit in commits:
            n += 1
            commit.id = CommitId(self._writer, n)
            commit.at_us = max(now_us, commit.at_us)  # not before what it rests on was read
        self._n = n

    async def _try(self, commits: list[Commit]) -> list[Outcome]:
        try:
            return await self._kernel.commit(commits)
        except HoldfastError as problem:
            return [problem] * len(commits)

    async def _settle(self, unsettled: list[Open]) -> None:
        """Send again what is unknown (under the same id) and what surely was not executed (under a new one)."""
        for turn in range(TRIES - 1):
            try:
                await self._clock.sleep(pause_s(turn, self._ids))
            except BaseException:
                _give_up(unsettled)
                raise
            unsettled = await self._send_again(unsettled)
            for _ in range(TRIES):
                if not any(known.facts.get("burnt", False) for _, _, known in unsettled):
                    break
                unsettled = await self._send_again(unsettled)  # at once: the store was reached, and said so
            if not unsettled:
                return
        _give_up(unsettled)

    async def _send_again(self, unsettled: list[Open]) -> list[Open]:
        """One more send of all; returns those that have no outcome yet. In the order of their ids: a later one that
        arrives first would use up an earlier one whose request had been lost."""
        self._number([commit for commit, _, known in unsettled if isinstance(known, Unavailable)])
        unsettled.sort(key=lambda one: one[0].id.n)
        answers = await self._try([commit for commit, _, _ in unsettled])
        outcomes = [_sharper(known, answer) for (_, _, known), answer in zip(unsettled, answers, strict=True)]
        return self._answer_settled([(commit, future) for commit, future, _ in unsettled], outcomes)

    def _compare(self, commit: Commit, outcome: Committed) -> Outcome:
        """Diverged if the store answers with a seq that it had already acknowledged for something else.

        An acknowledgement as old as a tombstone may live proves nothing: the scope may have been dropped just after
        it, by another process, its tombstone swept, and its count begun anew.
        """
        known = self._known
        if len(known) > _KNOWN_MAX:
            known.clear()
        at_us = commit.at_us
        for scope, seq in outcome.seqs.items():
            before, then_us = known.get(scope, (0, 0))
            if seq > before or at_us - then_us >= TOMBSTONE_US:
                known[scope] = (seq, at_us)
            elif not outcome.replayed:
                return Diverged(
                    f"this commit was applied, as {seq} of {scope}, which had been at {before} before: "
                    "the store lost history it had acknowledged",
                    scope=scope,
                    expected=before + 1,
                    found=seq,
                )
        for part in commit.scopes:
            if part.drop:  # once its tombstone is swept its count begins anew
                known.pop(part.scope, None)
        return outcome


class _Told(asyncio.Future[Outcome]):
    """Where a caller waits whose cancellation ends the waiting only. (A shield is one more round of the loop.)"""

    def __init__(self, missed: Callable[[Committed], object]) -> None:
        super().__init__()
        self._missed = missed
        self._context = contextvars.copy_context()

    def tell(self, outcome: Outcome) -> None:
        """Tell it, in its context, of what its commit came to."""
        if isinstance(outcome, Committed):
            self.get_loop().call_soon(self._missed, outcome, context=self._context)


async def _not_missed(lane: Lane, commit: Commit, missed: Callable[[Committed], object]) -> Outcome:
    """The outcome, for a caller whose cancellation does not reach the commit."""
    told = _Told(missed)
    try:
        return await lane.submit(commit, told)
    except asyncio.CancelledError:
        if not told.cancelled():  # the outcome was there first
            told.tell(told.result())
        raise


def _answer(future: asyncio.Future[Outcome], outcome: Outcome) -> None:
    if not future.done():
        future.set_result(outcome)
    elif isinstance(future, _Told) and future.cancelled():
        future.tell(outcome)


def _abandon(batch: Sequence[Waiting], problem: BaseException) -> None:
    """The send ended, by the loop's shutdown or a defect, without an answer."""
    for _, future in batch:
        unknown = Indeterminate(f"the writer ended while this commit was on its way: {problem!r}")
        unknown.__cause__ = problem
        _answer(future, unknown)


def _give_up(unsettled: Sequence[Open]) -> None:
    for _, future, known in unsettled:
        _answer(future, known)


def _own(error: HoldfastError) -> HoldfastError:
    """A copy to raise: one error may answer many callers, and an exception that is raised collects its tracebacks."""
    mine = type(error)(*error.args, remedy=error.remedy, **error.facts)
    mine.__cause__ = error.__cause__
    return mine.with_traceback(error.__traceback__)


def _sharper(before: Outcome, answer: Outcome) -> Outcome:
    """What is known of a commit after a further answer.

    An unknown stays unknown until the kernel settles it: that the second send did not arrive says nothing of the
    first. Only a commit whose id is burnt surely was not applied.
    """
    settled = not isinstance(answer, HoldfastError) or answer.facts.get("burnt", False)
    return before if isinstance(before, Indeterminate) and not settled else answer


def _weight(commit: Commit) -> int:
    size = 0
    for part in commit.scopes:
        size += len(part.body)
        for put in part.puts:
            size += len(put.value)
        for append in part.appends:
            size += len(append.value)
    return size


__all__ = ["BATCH_BYTES_MAX", "BATCH_MAX", "WAITING_MAX", "Lane", "Writer"]
