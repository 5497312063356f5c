"""Pausing and resuming the runs of a session, all at once.

Which run is paused or resumed is decided by where it is, not by what is refused; a refusal counts only where somebody
was faster, so that it is not there any more.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from holdfast.errors import InvalidTransition, NotFound
from holdfast.handles.run import Run
from holdfast.handles.runs import SessionRuns
from holdfast.kernel.limits import PAGE_MAX
from holdfast.model.node import DONE
from holdfast.model.run import RunStatus


async def paused(runs: SessionRuns, reason: str | None, node: str | None) -> list[Run]:
    """Pause those that may go on, now or with an answer; where a node is named, at that node those that have it before
    them."""
    done: list[Run] = []
    async for run in _of(runs, RunStatus.PENDING, RunStatus.RUNNING, RunStatus.PAUSED):
        if _goes_on(run, node):
            try:
                done.append(await run.pause(reason, node=node))
            except (InvalidTransition, NotFound):
                if await _is_there(run) and _goes_on(run, node):
                    raise
    return done


def _goes_on(run: Run, node: str | None) -> bool:
    record = run._record
    if not (record.status in (RunStatus.PENDING, RunStatus.RUNNING) or record.waits):
        return False
    return node is None or (node in run._board.specs and run._board.statuses[node] not in DONE)


async def resumed(runs: SessionRuns, node: str | None) -> list[Run]:
    """Resume those that are paused, or have nodes that are; or at that node. Not those that only wait for answers."""
    done: list[Run] = []
    async for run in _of(runs, RunStatus.PENDING, RunStatus.RUNNING, RunStatus.PAUSED):
        if _is_paused(run, node):
            try:
                if await run._resume():
                    done.append(run)
            except (InvalidTransition, NotFound):
                if await _is_there(run) and _is_paused(run, node):
                    raise
    return done


def _is_paused(run: Run, node: str | None) -> bool:
    if not run.resumable:
        return False
    if node is None:
        return run.status is RunStatus.PAUSED or bool(run._paused_nodes)
    return run._record.paused_at == node or node in run._paused_nodes


async def _is_there(run: Run) -> bool:
    try:
        await run.refresh()
    except NotFound:
        return False
    return True


async def _of(runs: SessionRuns, *statuses: RunStatus) -> AsyncIterator[Run]:
    """The runs of those statuses, as they were when this began."""
    found: list[Run] = []
    for status in statuses:
        cursor: str | None = None
        while True:
            page = await runs.list(status=status, limit=min(100, PAGE_MAX), cursor=cursor)
            found += page.items
            if page.next is None:
                break
            cursor = page.next
    for run in found:
        yield run
