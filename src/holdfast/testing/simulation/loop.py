"""An event loop in virtual time that runs what is ready in a seeded order.

Nothing waits: when nothing is ready, time leaps to the next timer. When there is no timer either, everybody waits for
something that cannot come, and `Stuck` says who. No wall clock, no selector, no threads: one seed, one run.

asyncio promises that callbacks run in the order they were scheduled. This loop does not, so that a result which rests
on that order, and not on what was awaited, shows. Timers of one moment fire in any order too.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, TypeVar, TypeVarTuple, Unpack

T = TypeVar("T")
Args = TypeVarTuple("Args")

STEPS_MAX = 2_000_000
"""Callbacks of one run at most: more means that something spins."""


class Stuck(AssertionError):
    """Everybody waits, and nothing is left that could wake anybody."""


class VirtualLoop(asyncio.AbstractEventLoop):
    """One run: `loop.run(main())`, once. `chance` decides what runs next.

    There are no sockets, files, processes, signals or threads on it: what asks for them gets NotImplementedError.
    """

    def __init__(self, chance: Random) -> None:
        self.problems: list[dict[str, Any]] = []
        """What was given to the exception handler: errors nobody waited for."""
        self._chance = chance
        self._ready: list[asyncio.Handle] = []
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._order = itertools.count()
        self._now = 0.0
        self._running = False
        self._closed = False
        self._tasks: list[asyncio.Task[Any]] = []

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run to the end of `main`, then cancel whatever still runs, and close."""
        asyncio._set_running_loop(self)
        self._running = True
        try:
            task = self.create_task(main)
            self._turn_until(task)
            self._end_the_rest()
            result: T = task.result()
            return result
        finally:
            self._running = False
            asyncio._set_running_loop(None)
            self.close()

    def _turn_until(self, task: asyncio.Task[Any]) -> None:
        for _ in range(STEPS_MAX):
            if task.done():
                return
            self._turn()
        raise Stuck(f"{STEPS_MAX} steps and no end, at {self._now:.3f} s")

    def _turn(self) -> None:
        while not self._ready:
            if not self._timers:
                waiting = sorted(str(task.get_coro()) for task in self._left())
                raise Stuck(f"everybody waits at {self._now:.3f} s: {'; '.join(waiting)}")
            self._leap()
        place = self._chance.randrange(len(self._ready))
        self._ready[place], self._ready[-1] = self._ready[-1], self._ready[place]
        handle = self._ready.pop()
        if not handle.cancelled():
            handle._run()

    def _leap(self) -> None:
        """To the next moment somebody waits for."""
        self._now = max(self._now, self._timers[0][0])
        while self._timers and self._timers[0][0] <= self._now:
            handle = heapq.heappop(self._timers)[2]
            if not handle.cancelled():
                self._ready.append(handle)

    def _end_the_rest(self) -> None:
        for _ in range(100):
            left = self._left()
            if not left:
                return
            for task in left:
                task.cancel()
            while self._ready:
                self._turn()
        raise Stuck(f"tasks that cannot be cancelled: {self._left()}")

    def _left(self) -> list[asyncio.Task[Any]]:
        return [task for task in self._tasks if not task.done()]

    # --- what asyncio asks of a loop ----------------------------------------------------------------

    def time(self) -> float:
        """Virtual seconds since the run began."""
        return self._now

    def call_soon(
        self,
        callback: Callable[[Unpack[Args]], object],
        *args: *Args,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """See `asyncio`; in any order."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_soon_threadsafe(
        self,
        callback: Callable[[Unpack[Args]], object],
        *args: *Args,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """See `asyncio`; there are no other threads. Raises RuntimeError once closed."""
        if self._closed:
            raise RuntimeError("Event loop is closed")
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Args]], object],
        *args: *Args,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """See `asyncio`."""
        return self.call_at(self._now + max(0.0, delay), callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Args]], object],
        *args: *Args,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """See `asyncio`."""
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._order), handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Called by asyncio; cancelled timers are left out when they are due."""

    def create_future(self) -> asyncio.Future[Any]:
        """See `asyncio`."""
        return asyncio.Future(loop=self)

    def create_task(
        self, coro: Any, *, name: str | None = None, context: contextvars.Context | None = None, **options: Any
    ) -> asyncio.Task[Any]:
        """See `asyncio`."""
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name, context=context, **options)
        self._tasks = [one for one in self._tasks if not one.done()] if len(self._tasks) > 500 else self._tasks
        self._tasks.append(task)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep what nobody waited for in `problems`."""
        self.problems.append(context)

    def get_debug(self) -> bool:
        """Never."""
        return False

    def is_running(self) -> bool:
        """Whether `run` is under way."""
        return self._running

    def is_closed(self) -> bool:
        """Whether `run` is over."""
        return self._closed

    def close(self) -> None:
        """Nothing runs any more."""
        self._closed = True
        self._ready.clear()
        self._timers.clear()


def virtual_loop(chance: Random) -> VirtualLoop:
    """A loop for one run. (The types say that a loop must have sockets and signals; at run time it need not.)"""
    return VirtualLoop(chance)  # type: ignore[abstract]


def run(main: Callable[[], Coroutine[Any, Any, T]], *, seed: int) -> T:
    """Run one coroutine function in virtual time, in the order that the seed gives."""
    return virtual_loop(Random(seed)).run(main())


__all__ = ["STEPS_MAX", "Stuck", "VirtualLoop", "run", "virtual_loop"]
