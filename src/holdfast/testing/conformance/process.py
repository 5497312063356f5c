"""What checks of the domain share: runs as another process sees them, and tasks of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from contextvars import Context
from typing import Any, TypeVar

from holdfast.handles.run import Run
from holdfast.hold import Holdfast
from holdfast.testing.conformance import expect

T = TypeVar("T")


async def run_seen_by(hold: Holdfast, id: str) -> Run:
    """The run as it is read anew there."""
    return expect.a(Run, await hold.runs.get(id), f"the run {id}")


def apart(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Run this in a task that holds nothing, as that of another request does."""
    return asyncio.get_running_loop().create_task(work, context=Context())


@asynccontextmanager
async def meanwhile_apart(work: Coroutine[Any, Any, T]) -> AsyncIterator[asyncio.Task[T]]:
    """Run this in such a task while the block runs; at its end it is waited for no longer."""
    task = apart(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
