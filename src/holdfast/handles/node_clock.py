"""The time that one try of a node may take: its own, for it stands still while a person is waited for.

The clocks of the blocks that a task is in stand in a context variable, so that whoever waits in it, or in a task that
it started, lets them all stand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from holdfast.handles.background import start
from holdfast.kernel.contract import Clock

_running: ContextVar[tuple[NodeClock, ...]] = ContextVar("holdfast_node_clocks", default=())


class NodeClock:
    """Runs from its making on, and interrupts the task that made it once the time is over."""

    def __init__(self, clock: Clock, timeout_s: float) -> None:
        self._clock = clock
        self._left_s = timeout_s
        self._until_s = float("inf")
        self._body = asyncio.current_task()
        self._timer: asyncio.Task[None] | None = None
        self._stands = 0  # how many wait meanwhile for a person
        self._has_stopped = False
        self.has_interrupted = False
        """Whether it has interrupted that task."""
        self._go()
        _running.set((*_running.get(), self))

    def _go(self) -> None:
        self._until_s = self._clock.monotonic_s() + self._left_s
        self._timer = start(self._interrupt(), "the timeout of a node")

    def _stand(self) -> None:
        self._left_s, self._until_s = self._until_s - self._clock.monotonic_s(), float("inf")
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _interrupt(self) -> None:
        while (left_s := self._until_s - self._clock.monotonic_s()) > 0:
            await self._clock.sleep(left_s)
        if self._body is not None and self._body.cancel():
            self.has_interrupted = True

    def stand(self) -> None:
        """Stand still until as many have told it to go on as have told it this."""
        self._stands += 1
        if self._stands == 1 and self._timer is not None:
            self._stand()

    def go_on(self) -> None:
        """Go on, if nobody else wants it to stand."""
        self._stands -= 1
        if self._stands == 0 and not self._has_stopped:
            self._go()

    @property
    def is_over(self) -> bool:
        """Whether the time is over, interrupted or not."""
        return self._clock.monotonic_s() >= self._until_s

    def stop(self) -> None:
        """Stop for good."""
        self._has_stopped = True
        _running.set(tuple([one for one in _running.get() if one is not self]))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


@contextmanager
def standing_still() -> Iterator[None]:
    """While this lasts, the clocks of all blocks of nodes that this task is in stand still."""
    clocks = _running.get()
    for clock in clocks:
        clock.stand()
    try:
        yield
    finally:
        for clock in clocks:
            clock.go_on()
