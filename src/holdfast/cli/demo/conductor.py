"""The conductor: starts the worker and the follower, kills them as the script says, and starts them again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from random import Random
from typing import Any

from holdfast import Holdfast
from holdfast.cli.demo.child import Child
from holdfast.cli.demo.ledger import FINISHED, Ledger
from holdfast.cli.demo.screen import Screen
from holdfast.cli.demo.script import Moment, allowance, draw, postponed
from holdfast.cli.demo.watch import Watch

PACE_S = 0.005
"""What one file is taken to cost until this run has shown it."""


class Conductor:
    """One run of the demo, from where the store stands to the end of the work."""

    def __init__(
        self,
        hold: Holdfast,
        ledger: Ledger,
        *,
        files: int,
        arguments: tuple[str, ...],
        random: Random,
        screen: Screen,
        lock: int,
    ) -> None:
        self._hold = hold
        self._ledger = ledger
        self._files = files
        self._arguments = arguments
        self._random = random
        self._screen = screen
        self._lock = lock
        self._watch = Watch(ledger, screen, files=files)
        self._children: list[Child] = []
        self._guards: list[asyncio.Task[None]] = []
        self._worker: Child | None = None
        self._follower: Child | None = None
        self._started_s = 0.0
        self._started_at = 0
        self._cut_at = 0

    async def run(self) -> None:
        """Bring the work to its end. Whatever happens, no child outlives it. Raises ChildFailed if one gives up."""
        self._trouble = asyncio.get_running_loop().create_future()
        self._guard(self._watch.follow(self._hold))
        performing = asyncio.create_task(self._perform())
        try:
            await asyncio.wait({performing, self._trouble}, return_when=asyncio.FIRST_COMPLETED)
            if not performing.done():
                self._trouble.result()
            await performing
        finally:
            for task in (performing, *self._guards):
                task.cancel()
            if not self._trouble.cancel() and not self._trouble.cancelled():
                self._trouble.exception()  # seen; it need not be raised twice
            await asyncio.gather(performing, *self._guards, return_exceptions=True)
            await asyncio.gather(*(child.dispose() for child in self._children))

    def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside; if it fails, the run does."""

        def ended(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (problem := task.exception()) is not None and not self._trouble.done():
                self._trouble.set_exception(problem)

        task = asyncio.create_task(work)
        task.add_done_callback(ended)
        self._guards.append(task)

    async def _perform(self) -> None:
        done = (await self._ledger.totals()).files
        moments = draw(self._random, done=done, files=self._files)
        self._follower = await self._start("follower")
        if done < self._files:
            self._worker = await self._start_worker(moments)
        while moments:
            moment = moments.pop(0)
            await self._watch.until(lambda at=moment.at: self._watch.done >= at)  # type: ignore[misc]
            if moment.what == "kill":
                await self._kill_worker(moments)
            elif moment.what == "cut":
                await self._cut_follower(moments)
            else:
                await self._resume_follower()
            if self._worker is not None:
                self._worker.allow(allowance(moments, files=self._files))
        if self._worker is not None:
            await self._worker.ended()
        if await self._ledger.finished_at() is None:
            await self._ledger.work.log(FINISHED, {"files": self._files})
        await self._follower.ended()

    async def _start_worker(self, moments: list[Moment]) -> Child:
        worker = await self._start("worker")
        worker.allow(allowance(moments, files=self._files))
        await worker.is_at_work()
        self._started_s, self._started_at = time.monotonic(), self._watch.done
        return worker

    async def _kill_worker(self, moments: list[Moment]) -> None:
        worker = self._worker
        assert worker is not None
        await asyncio.sleep(self._random.uniform(0, 3 * self._pace_s()))
        killed = await worker.kill()
        totals = await self._ledger.totals()
        await self._ledger.work.log("killed", {"pid": worker.pid, "done": totals.files})
        how = "killed with SIGKILL in the midst of its work" if killed else "was gone before it could be killed"
        self._screen.say(f"worker {worker.pid} {how}: {totals.files:,} files are committed; starting it again")
        self._worker = await self._start_worker(moments)

    def _pace_s(self) -> float:
        done = self._watch.done - self._started_at
        return (time.monotonic() - self._started_s) / done if done > 0 else PACE_S

    async def _cut_follower(self, moments: list[Moment]) -> None:
        follower = self._follower
        assert follower is not None
        await follower.is_at_work()
        await follower.kill()
        seen = await self._ledger.seen()
        await self._ledger.work.log("cut", {"pid": follower.pid, "changes": seen.changes, "cursor": seen.cursor})
        self._cut_at = (await self._ledger.totals()).files
        moments[:] = postponed(moments, self._cut_at + 1)
        self._screen.say(f"follower {follower.pid} cut off after {seen.changes:,} changes, at cursor {seen.cursor}")

    async def _resume_follower(self) -> None:
        missed = (await self._ledger.totals()).files - self._cut_at
        self._follower = await self._start("follower")
        seen = await self._ledger.seen()
        await self._ledger.work.log("resumed", {"pid": self._follower.pid, "cursor": seen.cursor})
        self._screen.say(f"follower {self._follower.pid} goes on from that cursor, {missed:,} files later")

    async def _start(self, name: str) -> Child:
        child = await Child.start(name, *self._arguments, holding=self._lock)
        self._children.append(child)
        self._guard(child.failure())
        return child
