"""What tests of claims and turns share: other processes, alive and dead, and what is stored about claims."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar

from holdfast import Holdfast
from holdfast.kernel.commit import Cell, Range, Read
from holdfast.kernel.contract import Kernel
from holdfast.model.claim import Ticket
from holdfast.services import claim
from holdfast.testing.clock import SeededIds
from tests.unit.stores import StillClock, Stores

T = TypeVar("T")


async def process(stores: Stores, clock: StillClock, seed: int) -> Holdfast:
    """Another process, with a clock of its own: while nobody moves it, it does not beat."""
    return Holdfast.over(await stores.kernel(), clock=clock, ids=SeededIds(seed))


async def cells(kernel: Kernel, scope: str, prefix: str) -> tuple[Cell, ...]:
    """What a session has under a prefix."""
    views = await kernel.read([Read(scope, (), (Range(prefix, 100),))], now_us=0)
    return views[0].ranges[0]


async def tickets(stores: Stores, scope: str = "session/s") -> int:
    """How many wait for a session."""
    kernel = await stores.plain()
    found = await cells(kernel, scope, claim.queue_of(claim.CELL))
    await kernel.close()
    return len(found)


async def until(holds: Callable[[], object]) -> None:
    """Let the other tasks run until that holds."""
    async with asyncio.timeout(30):
        while True:
            answer = holds()
            if asyncio.iscoroutine(answer):
                answer = await answer
            if answer:
                return
            await asyncio.sleep(0)


def apart(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Run this in a task of its own that holds nothing, as that of another request does."""
    return asyncio.get_running_loop().create_task(work, context=Context())


async def leave_ticket(hold: Holdfast, scope: str = "session/s", *, ttl_us: int = 30_000_000) -> None:
    """Queue up as a process that is dead by now."""
    work = hold._store.work()
    claim.queue_up(work, scope, Ticket("beat/dead", work.now_us, ttl_us))
    await work.commit()
