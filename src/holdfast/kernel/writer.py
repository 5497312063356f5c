"""Group commit: one queue in front of every backend.

Whatever is waiting when the last barrier finishes goes into the next batch: no timer. First in, first out; a caller
is answered only after the barrier; a commit that conflicts fails alone.

One `Writer` serves any thread and any event loop: each loop has a lane of its own, with its own writer id, so a
lane's state is touched by one thread only. (Tried and rejected: callers handing commits straight to the backend's
thread. It wakes at the first of them, so batches of 1 and 63 alternate where a pump on the loop gathers 64.)

Cancelling a caller never reaches the driver. If its commit was not yet sent it never will be; otherwise it may
still land. A lost reply (`Indeterminate`) is settled by sending the same commit under the same id again, which the
kernel applies at most once; a commit that surely was not executed (`Unavailable`) is sent again under a new id.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Sequence

from holdfast.errors import Closed, Diverged, HoldfastError, Indeterminate, Unavailable
from holdfast.kernel.commit import Commit, CommitId, Committed, Conflict, Outcome
from holdfast.kernel.contract import Clock, Ids, Kernel

BATCH_MAX = 256
"""Commits in one batch at most. More waiting go into the next."""

BATCH_BYTES_MAX = 8 * 1024 * 1024
"""Values and bodies in one batch, at most (a larger single commit goes alone)."""

WAITING_MAX = 10_000
"""Commits waiting in one lane at most; beyond that callers wait before they are let in."""

TRIES = 5
"""How often one commit is sent at most when replies are lost or the store is unavailable."""

PAUSE_S = 0.02
"""The pause before the second try; it doubles with each further one and is jittered by half."""

_KNOWN_MAX = 10_000


class Writer:
    """Gathers the commits of all callers into batches for one kernel."""

    def __init__(self, kernel: Kernel, *, clock: Clock, ids: Ids, waiting_max: int = WAITING_MAX) -> None:
        self.kernel = kernel
        self._clock = clock
        self._ids = ids
        self._waiting_max = waiting_max
        self._lanes: dict[asyncio.AbstractEventLoop, Lane] = {}
        self._closed = False

    async def commit(self, commit: Commit) -> Committed | Conflict:
        """Send one commit and wait for its outcome.

        Raises what the kernel's outcome says (TooLarge, Unsupported, InvalidValue: never sent), Unavailable (surely
        not applied), Indeterminate (unknown: the reply was lost and could not be had again), Diverged (the store
        answered with less history than it had acknowledged), Closed.
        """
        if self._closed:
            raise Closed("this store is closed")
        loop = asyncio.get_running_loop()
        lane = self._lanes.get(loop)
        if lane is None:
            lane = self._open_lane(loop)
        outcome = await lane.submit(commit)
        if isinstance(outcome, HoldfastError):
            raise outcome
        return outcome

    def _open_lane(self, loop: asyncio.AbstractEventLoop) -> Lane:
        for other in [known for known in self._lanes if known.is_closed()]:
            self._lanes.pop(other, None)
        lane = self._lanes[loop] = Lane(self.kernel, self._clock, self._ids, loop, self._waiting_max)
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
            if other is not lane and not loop.is_closed():
                loop.call_soon_threadsafe(other.refuse, Closed("the store was closed while this commit was waiting"))


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
        self._queue: deque[tuple[Commit, asyncio.Future[Outcome]]] = deque()
        self._doors: deque[asyncio.Future[None]] = deque()
        self._pump: asyncio.Task[None] | None = None
        self._known: dict[str, int] = {}

    @property
    def waiting(self) -> int:
        """Commits waiting to be sent, and callers waiting to be let in."""
        return len(self._queue) + len(self._doors)

    async def submit(self, commit: Commit) -> Outcome:
        """Queue one commit, wait for its outcome."""
        if self._doors or len(self._queue) >= self._waiting_max:
            await self._wait_for_room()
        future: asyncio.Future[Outcome] = self._loop.create_future()
        self._queue.append((commit, future))
        if self._pump is None:
            self._start()
        return await future

    async def drain(self) -> None:
        """Wait until nothing is queued or in flight."""
        while self._pump is not None:
            await asyncio.wait([self._pump])

    def refuse(self, reason: HoldfastError) -> None:
        """Answer everything that still waits with `reason`; it surely was not applied."""
        while self._queue:
            _answer(self._queue.popleft()[1], reason)
        self._let_in()

    async def _wait_for_room(self) -> None:
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
        self._pump = self._loop.create_task(self._run(), context=contextvars.Context(), name="holdfast writer")

    async def _run(self) -> None:
        batch: list[tuple[Commit, asyncio.Future[Outcome]]] = []
        try:
            while self._queue:
                batch = self._take()
                if self._doors:
                    self._let_in()
                if batch:
                    await self._send(batch)
                    batch = []
        except BaseException as problem:
            self._abandon(batch, problem)
            raise
        finally:
            self._pump = None
            if self._queue:
                self._start()

    def _take(self) -> list[tuple[Commit, asyncio.Future[Outcome]]]:
        queue = self._queue
        batch: list[tuple[Commit, asyncio.Future[Outcome]]] = []
        size = 0
        while queue and len(batch) < BATCH_MAX:
            commit, future = queue[0]
            if future.done():  # its caller was cancelled before it was sent
                queue.popleft()
                continue
            size += _weight(commit)
            if batch and size > BATCH_BYTES_MAX:
                break
            batch.append(queue.popleft())
        return batch

    async def _send(self, batch: list[tuple[Commit, asyncio.Future[Outcome]]]) -> None:
        commits = [commit for commit, _ in batch]
        self._number(commits)
        self.sent += len(commits)
        self.batches += 1
        self.largest = max(self.largest, len(commits))
        outcomes = await self._try(commits)
        if any(isinstance(outcome, (Unavailable, Indeterminate)) for outcome in outcomes):
            outcomes = await self._settle(commits, outcomes)
        for (_, future), outcome in zip(batch, outcomes, strict=True):
            _answer(future, outcome)

    def _number(self, commits: Sequence[Commit]) -> None:
        n = self._n
        for commit in commits:
            n += 1
            commit.id = CommitId(self._writer, n)
        self._n = n

    async def _try(self, commits: list[Commit]) -> list[Outcome]:
        """Send once. Each answer is compared with what was known when it came: later sends take later seqs."""
        try:
            outcomes = await self._kernel.commit(commits)
        except HoldfastError as problem:
            return [problem] * len(commits)
        return [self._compare(outcome) if isinstance(outcome, Committed) else outcome for outcome in outcomes]

    async def _settle(self, commits: list[Commit], outcomes: list[Outcome]) -> list[Outcome]:
        """Send again what is unknown (under the same id) and what surely was not executed (under a new one)."""
        for turn in range(TRIES - 1):
            places = [i for i, outcome in enumerate(outcomes) if isinstance(outcome, (Unavailable, Indeterminate))]
            if not places:
                break
            await self._clock.sleep(PAUSE_S * 2**turn * (0.5 + self._ids.random()))
            self._number([commits[i] for i in places if isinstance(outcomes[i], Unavailable)])
            answers = await self._try([commits[i] for i in places])
            for i, answer in zip(places, answers, strict=True):
                outcomes[i] = _sharper(outcomes[i], answer)
        return outcomes

    def _compare(self, outcome: Committed) -> Outcome:
        """Diverged if the store answers with a seq that it had already acknowledged for something else."""
        known = self._known
        if len(known) > _KNOWN_MAX:
            known.clear()
        for scope, seq in outcome.seqs.items():
            before = known.get(scope, 0)
            if seq <= before and not outcome.replayed:
                return Diverged(
                    f"{scope} was at {before} and is now at {seq}: the store lost history it had acknowledged",
                    scope=scope,
                    expected=before + 1,
                    found=seq,
                )
            known[scope] = max(seq, before)
        return outcome

    def _abandon(self, batch: list[tuple[Commit, asyncio.Future[Outcome]]], problem: BaseException) -> None:
        """The pump ends at the loop's shutdown or by a defect: nobody may wait for ever."""
        for _, future in batch:
            _answer(future, Indeterminate(f"the writer ended while this commit was on its way: {problem!r}"))
        self.refuse(Closed(f"the writer ended before this commit was sent: {problem!r}"))


def _answer(future: asyncio.Future[Outcome], outcome: Outcome) -> None:
    if not future.done():
        future.set_result(outcome)


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


__all__ = ["BATCH_BYTES_MAX", "BATCH_MAX", "PAUSE_S", "TRIES", "WAITING_MAX", "Lane", "Writer"]
