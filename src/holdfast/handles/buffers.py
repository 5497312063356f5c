"""Buffers: runtime state that was taken in and is not committed yet, of every session of one opened store.

    set -> batch, batch -> the commit that carries it, or one of its own -> the log

A buffer belongs to one life of one session and to no event loop: whatever task, thread or loop writes to the session
writes to it, and reads see it. Writes of one key between two commits become one. Its batches commit in order and one
at a time: so what is committed is always what was written up to some moment, and nothing is sent anew while an earlier
send may still land. There are at most two, one on its way and one that takes in; who finds no room waits. A batch has
one cause: what is written for another one begins the next, so that a change is told under the name of who made it.

A commit of the session carries the batch that waits, if it has the same cause and room for it and did not read runtime
state; else the batch is committed before it. Either way the order within the session is that of the calls. A batch that
was not committed stays, and is sent again; one that never can be is given up, and the next call says so.

Tried and rejected: a buffer in each event loop (two loops would see two values); letting a transaction stage the
batch when it reads (it would write old values again after the batch was committed by others).
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Literal

from holdfast.errors import Closed, HoldfastError, NotFound, Unavailable
from holdfast.handles.background import start
from holdfast.handles.buffer import Batch, Buffer, Life, Send, Values, may_pass, size_of
from holdfast.kernel.commit import Committed, Conflict
from holdfast.kernel.contract import Clock
from holdfast.kernel.limits import Traits
from holdfast.kernel.line import told
from holdfast.kernel.part import Part
from holdfast.kernel.work import Work
from holdfast.model import cause
from holdfast.model.config import RuntimeConfig
from holdfast.model.duration import to_seconds
from holdfast.model.runtime import Buffered
from holdfast.services import runtime

Came = Literal["committed", "refused", "cut"]
"""How a batch came back; "cut": the loop that sent it ended."""

BATCHES_MAX = 2
"""Batches of one session: one on its way, one that takes in."""


class Buffers:
    """The buffers of one opened store."""

    def __init__(self, config: RuntimeConfig, *, clock: Clock, limits: Traits) -> None:
        self.takes_in = config.persistence != "immediate"
        """Whether runtime state is buffered at all."""
        self._batched = config.persistence == "batched"
        self._streaming = config.streaming
        self._writes_max = config.batch_size if self._batched else config.checkpoint_every
        self._every_s = to_seconds(config.flush_every, "runtime.flush_every")
        self._clock = clock
        self._limits = limits
        self._lock = threading.RLock()  # a loop whose tasks start eagerly runs one where it is made
        self._buffers: dict[Life, Buffer] = {}
        self._tasks: dict[asyncio.Task[None], asyncio.AbstractEventLoop] = {}
        self._closing = False

    # --- taking in --------------------------------------------------------------------------------

    def fits(self, values: Values) -> bool:
        """Whether a batch can hold these writes at all."""
        return size_of(values) <= self._limits.commit_bytes_max // 2

    async def add(self, life: Life, values: Values, send: Send, why: cause.Cause) -> Buffered:
        """Take in one write of several keys, which commit together under that cause; waits while there is no room.

        Raises what became of earlier writes that were given up, once; what it meets while it waits for room (then
        nothing was taken in); and Closed.
        """
        while True:
            with self._lock:
                if self._closing:
                    raise Closed("this store is closed")
                buffer = self._buffers.get(life)
                if buffer is None:
                    buffer = self._buffers[life] = Buffer(life, send)
                self._tell(buffer)
                if self._take_in(buffer, values, why):
                    self._see_to(buffer)
                    return Buffered(buffer.pending)
                goal = buffer.settled + 1
            if (problem := await self._wait(buffer, goal)) is not None:
                raise problem

    def _take_in(self, buffer: Buffer, values: Values, why: cause.Cause) -> bool:
        batch = buffer.batches[-1] if buffer.batches else None
        if batch is None or batch.cause != why or not self._has_room(batch, values):
            if len(buffer.batches) == BATCHES_MAX:
                return False
            batch = Batch(why)
            buffer.batches.append(batch)
        batch.size += batch.growth(values)
        batch.values.update(values)
        batch.writes += 1
        buffer.taken += 1
        return True

    def _has_room(self, batch: Batch, values: Values) -> bool:
        return (
            not batch.sealed
            and batch.writes < self._writes_max
            and len(batch.values.keys() | values.keys()) <= self._limits.operations_max
            and batch.size + batch.growth(values) <= self._limits.commit_bytes_max // 2
        )

    def _see_to(self, buffer: Buffer, *, again: bool = False) -> None:
        """Under the lock: let what is due be sent now and what will be, later; what just came back not before later."""
        if not again and (len(buffer.batches) == BATCHES_MAX or buffer.batches[0].writes >= self._writes_max):
            self._start(buffer)
        elif self._batched and (buffer.timer is None or buffer.timer.is_closed()):
            buffer.timer = asyncio.get_running_loop()
            self._spawn(self._send_later(buffer), cause.NO_CAUSE)

    def values(self, life: Life) -> dict[str, bytes]:
        """What of that session is visible in this process only, by key."""
        if not self._buffers:
            return {}
        with self._lock:
            buffer = self._buffers.get(life)
            return {} if buffer is None else buffer.values()

    # --- committing -------------------------------------------------------------------------------

    async def flush(self, scope: str, epoch: int | None) -> None:
        """Return once everything taken in of that session so far is committed.

        Raises what keeps it from being committed (it waits on, unless the error says that it was given up).
        """
        buffer = self._find(scope, epoch)
        if buffer is None:
            return
        problem = await self._wait(buffer, buffer.taken)
        with self._lock:
            self._tell(buffer)
        if problem is not None:
            raise problem

    async def settle(self, scope: str, epoch: int | None) -> None:
        """Let everything taken in so far be committed, or given up, before what follows. Raises nothing of that."""
        if (buffer := self._find(scope, epoch)) is not None:
            await self._wait(buffer, buffer.taken)

    def _find(self, scope: str, epoch: int | None) -> Buffer | None:
        """The buffer of that life; whoever does not know it means the latest."""
        if not self._buffers:
            return None
        with self._lock:
            if epoch is None:
                epoch = max((epoch for name, epoch in self._buffers if name == scope), default=0)
            return self._buffers.get((scope, epoch))

    async def commit(self, work: Work) -> Committed | Conflict:
        """Commit a unit of work with what waits of the sessions that it writes to; a session that it ends has nothing
        waiting any more."""
        if not self._buffers:
            return await work.commit()
        carried: list[tuple[Buffer, Batch]] = []
        for buffer, part in self._concerned(work):
            knows_life = part.known_epoch is not None
            if not knows_life or _reads_runtime(part) or not self._carry(buffer, part, work, carried):
                await self._wait(buffer, buffer.taken)
        ended = [scope for scope, part in work.touched.items() if part.drop]
        if not carried:
            outcome = await work.commit()
        else:
            sending = asyncio.ensure_future(self._commit_carrying(work, carried))
            outcome = await asyncio.shield(sending)
        if isinstance(outcome, Committed):
            for scope in ended:
                self.discard(scope)
        return outcome

    def _concerned(self, work: Work) -> list[tuple[Buffer, Part]]:
        found = []
        for scope, part in work.touched.items():
            if not part.writes or part.gone:
                continue
            buffer = self._find(scope, part.known_epoch)
            if buffer is None or not buffer.pending:
                continue
            if self._batched or _reads_runtime(part) or _writes_runtime(part):
                found.append((buffer, part))
        return found

    def _carry(self, buffer: Buffer, part: Part, work: Work, carried: list[tuple[Buffer, Batch]]) -> bool:
        """Stage what waits in that unit of work, if it has its cause and room, and nothing else is on its way."""
        with self._lock:
            if not buffer.pending:
                return True
            batch = buffer.batches[0]
            weights = [one.weight for one in work.touched.values()]
            if (
                buffer.is_sending
                or len(buffer.batches) > 1
                or cause.encode_cause(batch.cause) != work.cause
                or sum(operations for operations, _ in weights) + len(batch.values) > self._limits.operations_max
                or sum(size for _, size in weights) + batch.size > self._limits.commit_bytes_max // 2
            ):
                return False
            batch.sealed = True
            buffer.sender = asyncio.get_running_loop()
            carried.append((buffer, batch))
        lines = [told(line, work.values) for line in runtime.lines(batch.values)] if self._streaming else []
        part.carry(runtime.puts(batch.values), lines)
        return True

    async def _commit_carrying(self, work: Work, carried: list[tuple[Buffer, Batch]]) -> Committed | Conflict:
        """To be run as a task: a caller that is cancelled only stops waiting, for the batch is on its way."""
        came: Came = "cut"
        try:
            outcome = await work.commit()
            came = "committed" if isinstance(outcome, Committed) else "refused"
            return outcome
        except HoldfastError:
            came = "refused"  # for its own reasons: the batch may be stored without it
            raise
        finally:
            for buffer, batch in carried:
                self._on_sent(buffer, batch, came)

    async def _wait(self, buffer: Buffer, goal: int) -> HoldfastError | None:
        """Wait until so many writes of a buffer do not wait any more; the problem if a try at that failed."""
        problem: HoldfastError | None = None
        while problem is None:
            with self._lock:
                if buffer.settled >= goal:
                    return None
                waiter: asyncio.Future[HoldfastError | None] = asyncio.get_running_loop().create_future()
                buffer.waiters.append(waiter)
                self._start(buffer)
            problem = await waiter
        return problem

    def _start(self, buffer: Buffer) -> None:
        """Under the lock: send the first batch, if none is on its way."""
        if buffer.batches and not buffer.is_sending:
            batch = buffer.batches[0]
            batch.sealed = True
            buffer.sender = asyncio.get_running_loop()
            self._spawn(self._send(buffer, batch), batch.cause)

    async def _send(self, buffer: Buffer, batch: Batch) -> None:
        try:
            await buffer.send(batch.values)
        except HoldfastError as problem:
            self._on_sent(buffer, batch, "refused", problem)
        except Exception as defect:
            ended = Unavailable(f"a buffered runtime write failed: {defect!r}")
            ended.__cause__ = defect
            self._on_sent(buffer, batch, "refused", ended)
        except BaseException:
            self._on_sent(buffer, batch, "cut")
            raise
        else:
            self._on_sent(buffer, batch, "committed")

    async def _send_later(self, buffer: Buffer) -> None:
        await self._clock.sleep(self._every_s)
        with self._lock:
            buffer.timer = None
            self._start(buffer)

    def _on_sent(self, buffer: Buffer, batch: Batch, came: Came, problem: HoldfastError | None = None) -> None:
        """A batch came back: committed, given up for a problem that stays, or to be sent again."""
        with self._lock:
            buffer.sender = None
            batch.sealed = False
            given_up = problem is not None and not may_pass(problem)
            if buffer.batches and buffer.batches[0] is batch:  # else it was discarded meanwhile
                if came == "committed" or given_up:
                    buffer.batches.popleft()
                    buffer.settled += batch.writes
                if given_up:
                    buffer.problem, buffer.given_up = problem, buffer.given_up + batch.writes
                if buffer.batches and came != "cut":  # a loop that is ending sends nothing more
                    self._see_to(buffer, again=buffer.batches[0] is batch)
            self._forget_if_empty(buffer)
            waiters, buffer.waiters = buffer.waiters, []
        for waiter in waiters:
            with contextlib.suppress(RuntimeError):  # that loop is closed, and nobody waits in it
                waiter.get_loop().call_soon_threadsafe(_answer, waiter, problem)

    def _tell(self, buffer: Buffer) -> None:
        """Under the lock: raise, once, why writes of that session were given up."""
        problem, lost = buffer.problem, buffer.given_up
        if problem is None:
            return
        buffer.problem, buffer.given_up = None, 0
        self._forget_if_empty(buffer)
        scope = buffer.life[0]
        told = type(problem)(
            f"{lost} buffered runtime writes of {scope} were given up: {problem}",
            remedy=problem.remedy,
            **{**problem.facts, "lost": lost},
        )
        raise told from problem

    def _forget_if_empty(self, buffer: Buffer) -> None:
        if not buffer.batches and buffer.problem is None and self._buffers.get(buffer.life) is buffer:
            del self._buffers[buffer.life]

    # --- the end ----------------------------------------------------------------------------------

    def discard(self, scope: str) -> None:
        """Forget what waits of a session, for it has ended."""
        with self._lock:
            for life in [life for life in self._buffers if life[0] == scope]:
                buffer = self._buffers.pop(life)
                buffer.batches.clear()
                buffer.problem, buffer.settled = None, buffer.taken

    async def close(self) -> None:
        """Take in nothing more, and commit what waits. Raises the first problem that kept something from being stored,
        with how many writes are `lost`; a session that is gone has none."""
        self._closing = True
        problems: list[HoldfastError] = []
        for life in list(self._buffers):
            try:
                await self.flush(*life)
            except NotFound:
                continue
            except HoldfastError as problem:
                problems.append(problem)
        lost = sum(buffer.pending for buffer in list(self._buffers.values()))
        self._buffers.clear()
        for task, loop in list(self._tasks.items()):
            with contextlib.suppress(RuntimeError):  # that loop is closed
                loop.call_soon_threadsafe(task.cancel)
        if problems:
            problems[0].facts.setdefault("lost", lost)
            raise problems[0]

    def _spawn(self, run: Coroutine[object, object, None], why: cause.Cause) -> None:
        """A task of the running loop that carries nobody's context but the cause."""
        task = start(run, "runtime", why=why)
        self._tasks[task] = asyncio.get_running_loop()
        task.add_done_callback(self._tasks.pop)


def _reads_runtime(part: Part) -> bool:
    """Whether a unit of work has read runtime state there: its commit then rests on what was committed."""
    area = runtime.AREA
    return any(key.startswith(area) for key in part.found) or any(area.startswith(key) for key in part.ranges)


def _writes_runtime(part: Part) -> bool:
    """Whether a unit of work writes runtime state there, which then comes after what waits."""
    return any(key.startswith(runtime.AREA) for key in (*part.puts, *part.deletes))


def _answer(waiter: asyncio.Future[HoldfastError | None], problem: HoldfastError | None) -> None:
    if not waiter.done():
        waiter.set_result(problem)
