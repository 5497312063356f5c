"""A private event loop in a thread: where every connection of a store lives.

An asyncpg connection belongs to the loop that made it, and a store serves any thread and any loop. So the connections
have a loop of their own, which outlives the callers' ones. It also keeps cancellation from the driver: a caller that is
cancelled only stops waiting.

A fork leaves the child without the thread. What was open there is kept for ever, so that nothing closes it by accident.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from holdfast.errors import Closed

T = TypeVar("T")

_running: set[Driver] = set()


class Driver:
    """The loop and its thread, from `start` to `stop`."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="holdfast postgres", daemon=True)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._unwaited: set[asyncio.Task[Any]] = set()

    def start(self) -> None:
        """Start the thread."""
        _running.add(self)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            self.loop.run_until_complete(_let_go())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()
            _running.discard(self)

    def check_here(self) -> None:
        """Raise Closed in a forked child."""
        if self.pid != os.getpid():
            raise Closed(
                "this store was opened before the fork: open it after the fork, or start the process with spawn"
            )

    async def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run it on the private loop and wait; a caller that is cancelled leaves it running."""
        here = asyncio.get_running_loop()
        answer: asyncio.Future[T] = here.create_future()

        def settle(task: asyncio.Task[T]) -> None:
            self._tasks.discard(task)
            with contextlib.suppress(RuntimeError):  # the caller's loop is closed, and nobody waits in it
                here.call_soon_threadsafe(_hand_over, task, answer)

        def begin() -> None:
            task = self.loop.create_task(work())
            self._tasks.add(task)
            task.add_done_callback(settle)

        self.post(begin)
        return await answer

    def post(self, call: Callable[[], object]) -> None:
        """Have it called on the private loop, from any thread. Raises Closed when that has ended."""
        try:
            self.loop.call_soon_threadsafe(call)
        except RuntimeError as ended:
            raise Closed("this store is closed") from ended

    def keep(self, work: Coroutine[Any, Any, object]) -> None:
        """Run it for nobody; called on the private loop."""
        task = self.loop.create_task(work)
        self._unwaited.add(task)
        task.add_done_callback(self._unwaited.discard)

    async def end(self, last: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Wait until what was begun by `run` has ended, do one last thing, and end the loop; called on it by `keep`.
        Who has it called sends nothing more."""
        try:
            while self._tasks:
                await asyncio.wait(self._tasks)
            await last()
        finally:
            self.loop.stop()

    async def stop(self, last: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """The same from any loop; returns when the thread has ended."""
        self.post(lambda: self.keep(self.end(last)))
        await asyncio.to_thread(self._thread.join)


async def _let_go() -> None:
    """Give transports that were closed the turns of the loop in which they close their sockets."""
    for _ in range(3):
        await asyncio.sleep(0)


def _hand_over(task: asyncio.Task[T], answer: asyncio.Future[T]) -> None:
    if answer.done():
        if not task.cancelled():
            task.exception()  # looked at, so that nobody complains
    elif task.cancelled():
        answer.set_exception(Closed("this store was closed meanwhile"))
    elif (problem := task.exception()) is not None:
        answer.set_exception(problem)
    else:
        answer.set_result(task.result())
