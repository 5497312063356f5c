"""What an opened store has once in every event loop that uses it: the sweeper, the keeper of leases.

Each is closed in the loop it belongs to, whichever loop closes the store: its tasks can be cancelled and awaited only
there. What cannot be waited for is not: a loop that is closed has ended them itself, one that does not run will when
it runs again, and one that is held up by a call that blocks it gets WAIT_S of real time, for it may be held up by
whoever closes the store.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

from holdfast.handles.background import start

T = TypeVar("T")

WAIT_S = 5.0
"""How long closing waits for what belongs to another loop."""

LOOK_S = 0.05
"""How often it looks whether that loop still runs."""


class _Thing(NamedTuple):
    it: Any
    close: Callable[[Any], Awaitable[None]]


class Loops:
    """The things of every event loop that uses one store."""

    def __init__(self) -> None:
        self._things: dict[tuple[asyncio.AbstractEventLoop, type], _Thing] = {}

    def of_this(self, kind: type[T], make: Callable[[], T], close: Callable[[T], Awaitable[None]]) -> T:
        """The one thing of that kind of the running loop, made when it is first asked for."""
        key = (asyncio.get_running_loop(), kind)
        thing = self._things.get(key)
        if thing is None:
            for other in list(self._things):  # a copy: other threads ask too
                if other[0].is_closed():
                    self._things.pop(other, None)
            thing = self._things[key] = _Thing(make(), close)
        found: T = thing.it
        return found

    async def close(self) -> None:
        """Close everything, each in its own loop. Where that is cancelled, or done by several at once, whoever closes
        again closes what was not seen to be closed: closing a thing twice does no harm."""
        here = asyncio.get_running_loop()
        elsewhere: dict[asyncio.Future[None], asyncio.AbstractEventLoop] = {}
        things = dict(self._things)
        for (loop, _), thing in things.items():
            if loop is here:
                await thing.close(thing.it)
                continue
            closed: asyncio.Future[None] = here.create_future()
            with contextlib.suppress(RuntimeError):  # that loop is closed
                loop.call_soon_threadsafe(_close_there, thing, closed)
                elsewhere[closed] = loop
        await _wait(elsewhere)
        for key in things:
            self._things.pop(key, None)


def _close_there(thing: _Thing, closed: asyncio.Future[None]) -> None:
    async def close() -> None:
        await thing.close(thing.it)

    def tell(_: asyncio.Task[None]) -> None:
        with contextlib.suppress(RuntimeError):  # who closes the store waits no more
            closed.get_loop().call_soon_threadsafe(_done, closed)

    closing = close()
    task = start(closing, "closing")
    task.add_done_callback(tell)
    # Where the loop ends before the task began: else Python complains of a coroutine that nobody awaited.
    weakref.finalize(task, closing.close).atexit = False


def _done(closed: asyncio.Future[None]) -> None:
    if not closed.done():
        closed.set_result(None)


async def _wait(closing: dict[asyncio.Future[None], asyncio.AbstractEventLoop]) -> None:
    """Wait until all of it is closed, where its loop runs, and for so long at most."""
    for _ in range(round(WAIT_S / LOOK_S)):
        left = [closed for closed, loop in closing.items() if not closed.done() and loop.is_running()]
        if not left:
            return
        await asyncio.wait(left, timeout=LOOK_S)
