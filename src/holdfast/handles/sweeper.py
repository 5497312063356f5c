"""The sweeper in the background: a step of a sweep now and then, in one task of the loop that opened the store.

Every process may have one. A step is what `hold.sweep` makes many of, so it does nothing that is not to be done still
when it is committed; two sweepers only share the work. The pauses between steps are drawn anew each time, so that
processes that were started together do not all sweep at once. Where the store does not let it, it waits longer and
longer, and says so in `stats` and `health`; a single thing that cannot be ended it tells of as well, and does not slow
it for the others.
"""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from holdfast.errors import Closed, HoldfastError
from holdfast.handles.background import start
from holdfast.handles.expiry import sweep_step
from holdfast.handles.store import Store
from holdfast.model.duration import to_seconds, to_us
from holdfast.model.sweep import SweeperStats, added

SOON_S = 1.0
"""About how long it pauses while a step leaves something for another."""

PATIENCE = 16
"""Of how many times the usual the pauses are at most while steps fail."""

IS_AILING = 2
"""After so many failures one after the other it is worth telling."""


class Sweeper:
    """What sweeps one opened store in the background, once it is started."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._every_s = to_seconds(store.config.sweep.every, "sweep.every")
        age = store.config.retention.age
        self._retention_us = None if age is None else to_us(age, "retention.age")
        self._task: asyncio.Task[None] | None = None
        self._figures = SweeperStats()

    def start(self) -> None:
        """Sweep from now on, in this event loop, until the store is closed."""
        if self._task is not None:
            return
        self._task = start(self._run(), "sweeper")
        self._store.of_loop(Sweeper, lambda: self, Sweeper.close)

    def stats(self) -> SweeperStats:
        """What it did so far."""
        return replace(self._figures, running=self._task is not None and not self._task.done())

    def ailment(self) -> str | None:
        """What keeps it from sweeping, if anything does for a while."""
        figures = self._figures
        if figures.in_a_row < IS_AILING:
            return None
        return f"the last {figures.in_a_row} steps of the sweeper failed: {figures.last_error}"

    async def close(self) -> None:
        """Sweep no more. What a step has sent already may still be done, and harms nothing."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        await self._pause(self._every_s, least=0.0)  # processes that live for a moment never sweep
        while True:
            try:
                step = await sweep_step(self._store, retention_us=self._retention_us)
            except Closed:
                return
            self._figures = replace(
                self._figures, steps=self._figures.steps + 1, done=added(self._figures.done, step.report)
            )
            if step.problem is None:
                self._figures = replace(self._figures, in_a_row=0)
            else:  # a defect, too, must not end it silently
                self._failed(step.problem)
            if step.report.more:
                await self._pause(min(SOON_S, self._every_s))
            else:
                patience = min(2**self._figures.in_a_row, PATIENCE) if step.blocked else 1
                await self._pause(self._every_s * patience)

    def _failed(self, problem: Exception) -> None:
        before = self._figures
        code = problem.code if isinstance(problem, HoldfastError) else type(problem).__name__
        why = f"[{code}] {problem.args[0] if problem.args else problem}"
        self._figures = replace(before, failures=before.failures + 1, in_a_row=before.in_a_row + 1, last_error=why)

    async def _pause(self, seconds: float, *, least: float = 0.5) -> None:
        """About that long: a half less up to a half more; from `least` of it on."""
        await self._store.clock.sleep(seconds * (least + self._store.ids.random()))
