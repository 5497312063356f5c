"""Cancelling a task, once or twice."""

from __future__ import annotations

import asyncio

import pytest


async def cancelled(task: asyncio.Task[None], gap: int | None) -> None:
    """Cancel it, and again so many steps of the loop later, if any; it ends cancelled."""
    task.cancel()
    if gap is not None:
        for _ in range(gap):
            await asyncio.sleep(0)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
