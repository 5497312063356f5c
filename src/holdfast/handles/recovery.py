"""Runs that nobody works on: never taken up, given back, or held by who is not heard of any more."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from holdfast.errors import NotFound
from holdfast.handles.keeper import keeper_of
from holdfast.handles.lease import LOOKS_PER_TTL
from holdfast.handles.run import Run
from holdfast.handles.store import Store
from holdfast.kernel.commit import Cell, Read
from holdfast.model.page import Page
from holdfast.model.run import RunStatus
from holdfast.services import claim

PAGE = 100
"""Runs listed at once."""

List = Callable[[RunStatus, str | None], Awaitable[Page[Run]]]
"""Lists a page of runs of a status, from a cursor on."""


class _Watched:
    """A run that is held, and the claim it was held by when that was seen first."""

    def __init__(self, run: Run, cell: Cell, at_s: float) -> None:
        self.run = run
        self.version = cell.version
        self.ttl_s = claim.decode(cell).ttl_us / 1_000_000
        self.at_s = at_s


async def recoverable(store: Store, page: List) -> AsyncIterator[Run]:
    """Every run that somebody should take up: at once those that nobody holds, then, once the claim's ttl was watched,
    those whose holder did not beat meanwhile."""
    watched: list[_Watched] = []
    for status in (RunStatus.RUNNING, RunStatus.PENDING):
        cursor: str | None = None
        while True:
            found = await page(status, cursor)
            for run in found.items:
                cell = await _held(store, run)
                if not run.resumable:
                    continue
                if cell is None or await _is_dead(store, run, cell):
                    if run._has_work:
                        yield run
                elif claim.decode(cell).holder != keeper_of(store).holder:
                    watched.append(_Watched(run, cell, store.clock.monotonic_s()))
            if found.next is None:
                break
            cursor = found.next
    while watched:
        await store.clock.sleep(max(min(one.ttl_s for one in watched) / LOOKS_PER_TTL, store.limits.poll_s))
        still: list[_Watched] = []
        for one in watched:
            looked_s = store.clock.monotonic_s()
            cell = await _held(store, one.run)
            if cell is None or (cell.version == one.version and await _is_dead(store, one.run, cell)):
                if await _is_left(one.run):
                    yield one.run
            elif cell.version == one.version and looked_s - one.at_s < one.ttl_s:
                still.append(one)
        watched = still


async def _held(store: Store, run: Run) -> Cell | None:
    scope, key = run._target.scope, claim.of_run(run.id)
    return (await store.work().peek([Read(scope, (key,))]))[0].cells.get(key)


async def _is_dead(store: Store, run: Run, cell: Cell) -> bool:
    return await keeper_of(store).is_dead(run._target.scope, cell, claim.decode(cell))


async def _is_left(run: Run) -> bool:
    """Whether there is something left to do, as it is now."""
    try:
        await run.refresh()
    except NotFound:
        return False
    return run.resumable and run.status in (RunStatus.PENDING, RunStatus.RUNNING) and run._has_work
