"""Pausing and resuming the runs of a session, all at once."""

from __future__ import annotations

from collections.abc import AsyncIterator

from holdfast.errors import InvalidTransition, NotFound
from holdfast.handles.run import Run
from holdfast.handles.runs import SessionRuns
from holdfast.kernel.limits import PAGE_MAX
from holdfast.model.node import NodeStatus
from holdfast.model.run import RunStatus


async def paused(runs: SessionRuns, reason: str | None, node: str | None) -> list[Run]:
    """Pause those that are pending or running, and have that node if one is named."""
    done: list[Run] = []
    for status in (RunStatus.PENDING, RunStatus.RUNNING):
        async for run in _of(runs, status):
            if node is None or node in run.nodes:
                try:
                    done.append(await run.pause(reason, node=node))
                except (InvalidTransition, NotFound):  # somebody was faster
                    continue
    return done


async def resumed(runs: SessionRuns, node: str | None) -> list[Run]:
    """Resume those that are paused, and are at that node if one is named."""
    done: list[Run] = []
    async for run in _of(runs, RunStatus.PAUSED):
        if node is None or (node in run.nodes and run.nodes[node].status is NodeStatus.PAUSED):
            try:
                done.append(await run.resume())
            except (InvalidTransition, NotFound):
                continue
    return done


async def _of(runs: SessionRuns, status: RunStatus) -> AsyncIterator[Run]:
    """The runs of that status, as they were when this began."""
    found: list[Run] = []
    cursor: str | None = None
    while True:
        page = await runs.list(status=status, limit=min(100, PAGE_MAX), cursor=cursor)
        found += page.items
        if page.next is None:
            break
        cursor = page.next
    for run in found:
        yield run
