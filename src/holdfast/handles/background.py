"""Tasks that the library starts for itself, beside those of its callers.

What `start` starts carries nobody's context: what is done there is of no request and holds nothing. Nobody misses it
if its event loop ends before it does: what it waits to do is done anew in another loop, or by another process.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, TypeVar

from holdfast.model import cause

T = TypeVar("T")


def start(run: Coroutine[object, object, None], name: str, *, why: cause.Cause = cause.NO_CAUSE) -> asyncio.Task[None]:
    """Start a task of the running loop; what it commits has that cause."""
    context = Context()
    if why is not cause.NO_CAUSE:
        context.run(cause.current.set, why)
    task = asyncio.get_running_loop().create_task(run, context=context, name=f"holdfast {name}")
    with contextlib.suppress(AttributeError):  # asyncio's own, as `gather` uses it; a loop may bring other tasks
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    return task


async def to_its_end(run: Coroutine[Any, Any, T]) -> T:
    """What a block owes when it is left: run as by this task, and to its end, however often this task is cancelled
    meanwhile; then the cancellation goes on."""
    task = asyncio.get_running_loop().create_task(run)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as asked:
            cancelled = asked
    if cancelled is None:
        return task.result()
    if not task.cancelled() and (problem := task.exception()) is not None:
        cancelled.add_note(f"what the block owed was not done: {problem}")
    raise cancelled
