"""The writer's thread: takes whatever waits, from any thread and loop, and answers each loop once per batch.

There is no timer: while one batch is being made durable the next one gathers. A caller that stops waiting is not
missed; its commit is applied all the same.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any

from holdfast.backends.sqlite import gate
from holdfast.backends.sqlite.commit import Call
from holdfast.backends.sqlite.heads import SpaceCache
from holdfast.backends.sqlite.writer import Writer
from holdfast.errors import Closed
from holdfast.kernel.commit import Commit

BATCH_MAX = 512
"""How many calls share one barrier at most. A call brings whatever its loop had gathered."""


class Task:
    """Something waiting for the writer: a call of commits, or work of another kind in a turn of its own."""

    __slots__ = ("answer", "call", "future", "loop", "work")

    def __init__(self, call: Call | None, work: Callable[[Writer], Any] | None) -> None:
        self.call = call
        self.work = work
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()
        self.answer: Any = None


class WriterThread:
    """One thread with the writer in it. `submit` and `perform` may be called from any thread's loop."""

    def __init__(
        self, make: Callable[[], Writer], *, on_broken: Callable[[Closed], None], on_ended: Callable[[], None]
    ) -> None:
        self._make = make
        self._on_broken = on_broken
        self._on_ended = on_ended
        self._waiting: deque[Task] = deque()
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._lock = threading.Lock()
        self._sleeping = False
        self._refusal: Closed | None = None
        self._opened: SimpleQueue[BaseException | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="holdfast-sqlite-writer", daemon=True)
        self.writer: Writer | None = None

    def start(self) -> None:
        """Open the writer in its thread; raises what opening raises."""
        self._thread.start()
        error = self._opened.get()
        if error is not None:
            self._thread.join()
            raise error

    def submit(self, space: SpaceCache, commits: Sequence[Commit]) -> asyncio.Future[Any]:
        """Have these commits applied; the future brings their outcomes."""
        return self._put(Task(Call(space, commits), None))

    def perform(self, work: Callable[[Writer], Any]) -> asyncio.Future[Any]:
        """Have the work done between two batches; the future brings what it returns."""
        return self._put(Task(None, work))

    def stop(self, refusal: Closed) -> None:
        """Finish what was sent, refuse the rest with `refusal`, end the thread. Blocks; allowed twice."""
        with self._lock:
            self._refusal = self._refusal or refusal
        self._bell.put(None)
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _put(self, task: Task) -> asyncio.Future[Any]:
        with self._lock:
            if self._refusal is not None:
                raise self._refusal
            self._waiting.append(task)
            ring, self._sleeping = self._sleeping, False
        if ring:
            self._bell.put(None)
        return task.future

    # --- in the thread --------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with gate.Inside(self):
                writer = self.writer = self._make()
        except BaseException as error:
            self._opened.put(error)
            return
        self._opened.put(None)
        try:
            while tasks := self._take():
                with gate.Inside(self):
                    self._do(writer, tasks)
                if writer.broken is not None:
                    tasks += self._refuse(writer.broken)  # before anyone is answered: nobody may build on it
                    _answer(tasks)
                    return
                _answer(tasks)
                for space in {task.call.space for task in tasks if task.call is not None}:
                    for wake in tuple(space.wakes.values()):
                        wake()
        finally:
            with gate.Inside(self):
                writer.close()
            self._on_ended()

    def _take(self) -> list[Task]:
        """What waits now: calls together, other work alone. Empty: the thread is to end."""
        while True:
            with self._lock:
                if self._waiting:
                    if self._waiting[0].work is not None:
                        return [self._waiting.popleft()]
                    tasks: list[Task] = []
                    while self._waiting and self._waiting[0].work is None and len(tasks) < BATCH_MAX:
                        tasks.append(self._waiting.popleft())
                    return tasks
                if self._refusal is not None:
                    return []
                self._sleeping = True
            self._bell.get()

    def _do(self, writer: Writer, tasks: list[Task]) -> None:
        try:
            work = tasks[0].work
            if work is not None:
                tasks[0].answer = work(writer)
            else:
                writer.apply([task.call for task in tasks if task.call is not None])
                for task in tasks:
                    task.answer = task.call.outcomes if task.call is not None else None
        except BaseException as error:
            for task in tasks:
                task.answer = error

    def _refuse(self, error: BaseException) -> list[Task]:
        """Close because of `error`; returns the tasks that will never be done, answered."""
        refusal = error
        if not isinstance(refusal, Closed):
            refusal = Closed(f"the store closed itself, for its disk failed: {error}")
        self._on_broken(refusal)
        with self._lock:
            self._refusal = refusal
            tasks = list(self._waiting)
            self._waiting.clear()
        for task in tasks:
            task.answer = refusal
        return tasks


def _answer(tasks: list[Task]) -> None:
    """Wake each loop once."""
    loops: dict[asyncio.AbstractEventLoop, list[Task]] = {}
    for task in tasks:
        loops.setdefault(task.loop, []).append(task)
    for loop, mine in loops.items():
        try:
            loop.call_soon_threadsafe(_deliver, mine)
        except RuntimeError:  # that loop is closed: nobody waits any more
            continue


def _deliver(tasks: list[Task]) -> None:
    for task in tasks:
        if not task.future.done():
            if isinstance(task.answer, BaseException):
                task.future.set_exception(task.answer)
            else:
                task.future.set_result(task.answer)
