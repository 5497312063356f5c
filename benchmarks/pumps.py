"""Ways to bring writes from asyncio callers to the one thread that owns the connection, and their answers back.

All of them are group commit without a timer: whatever waits when the last commit finishes is the next batch, and one
wake-up of the loop answers a whole batch. They differ in who takes the batch:

    take     callers append to a deque and wake the thread at once when it sleeps; the thread takes what is there
    tick     the same, but a sleeping thread is woken once, by a callback after the callers of this loop tick
    task     an asyncio task gathers the batch, hands it to the thread and awaits it
    inline   no thread: the batch is written on the loop, which stands still for each barrier

`apply` gets the operations of a batch and returns one result for each, or raises for all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from threading import Thread
from typing import Any

Apply = Callable[[Sequence[Any]], Sequence[Any]]
Waiting = tuple["asyncio.Future[Any]", Any]
BATCH_MAX = 256


class TakePump:
    def __init__(self, apply: Apply) -> None:
        self.loop = asyncio.get_running_loop()
        self.apply = apply
        self.waiting: deque[Waiting] = deque()
        self.bell: SimpleQueue[bool] = SimpleQueue()  # True: look; False: stop
        self.sleeping = True
        self.thread = Thread(target=self._work, daemon=True)
        self.thread.start()

    def submit(self, op: Any) -> asyncio.Future[Any]:
        future = self.loop.create_future()
        self.waiting.append((future, op))
        if self.sleeping:
            self._ring()
        return future

    async def close(self) -> None:
        self.bell.put(False)
        await asyncio.to_thread(self.thread.join)

    def _ring(self) -> None:
        self.sleeping = False
        self.bell.put(True)

    def _work(self) -> None:
        while self.bell.get():
            while True:
                while batch := take(self.waiting):
                    outcome = run(self.apply, batch)
                    self.loop.call_soon_threadsafe(answer, batch, outcome)
                self.sleeping = True
                if not self.waiting:  # looked at after the flag: a caller that saw it unset has already appended
                    break
                self.sleeping = False


class TickPump(TakePump):
    def __init__(self, apply: Apply) -> None:
        self.called = False
        super().__init__(apply)

    def submit(self, op: Any) -> asyncio.Future[Any]:
        future = self.loop.create_future()
        self.waiting.append((future, op))
        if self.sleeping and not self.called:
            self.called = True
            self.loop.call_soon(self._after_callers)
        return future

    def _after_callers(self) -> None:
        self.called = False
        if self.sleeping and self.waiting:
            self._ring()


class TaskPump:
    def __init__(self, apply: Apply) -> None:
        self.loop = asyncio.get_running_loop()
        self.apply = apply
        self.waiting: deque[Waiting] = deque()
        self.inbox: SimpleQueue[tuple[list[Waiting], asyncio.Future[Any]] | None] = SimpleQueue()
        self.moved = asyncio.Event()
        self.thread = Thread(target=self._work, daemon=True)
        self.thread.start()
        self.task = self.loop.create_task(self._pump())

    def submit(self, op: Any) -> asyncio.Future[Any]:
        future = self.loop.create_future()
        self.waiting.append((future, op))
        self.moved.set()
        return future

    async def close(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task
        self.inbox.put(None)
        await asyncio.to_thread(self.thread.join)

    async def _pump(self) -> None:
        while True:
            await self.moved.wait()
            self.moved.clear()
            while batch := take(self.waiting):
                written = self.loop.create_future()
                self.inbox.put((batch, written))
                answer(batch, await written)

    def _work(self) -> None:
        while (work := self.inbox.get()) is not None:
            batch, written = work
            self.loop.call_soon_threadsafe(written.set_result, run(self.apply, batch))


class InlinePump:
    def __init__(self, apply: Apply) -> None:
        self.loop = asyncio.get_running_loop()
        self.apply = apply
        self.waiting: deque[Waiting] = deque()
        self.called = False

    def submit(self, op: Any) -> asyncio.Future[Any]:
        future = self.loop.create_future()
        self.waiting.append((future, op))
        if not self.called:
            self.called = True
            self.loop.call_soon(self._write)
        return future

    async def close(self) -> None:
        pass

    def _write(self) -> None:
        self.called = False
        while batch := take(self.waiting):
            answer(batch, run(self.apply, batch))


PUMPS: dict[str, Callable[[Apply], Any]] = {
    "take": TakePump, "tick": TickPump, "task": TaskPump, "inline": InlinePump,
}  # fmt: skip


def take(waiting: deque[Waiting]) -> list[Waiting]:
    return [waiting.popleft() for _ in range(min(len(waiting), BATCH_MAX))]


def run(apply: Apply, batch: Sequence[Waiting]) -> Sequence[Any] | BaseException:
    try:
        return apply([op for _, op in batch])
    except BaseException as error:
        return error


def answer(batch: Sequence[Waiting], outcome: Sequence[Any] | BaseException) -> None:
    if isinstance(outcome, BaseException):
        for future, _ in batch:
            if not future.done():
                future.set_exception(outcome)
        return
    for (future, _), result in zip(batch, outcome, strict=True):
        if not future.done():
            future.set_result(result)
