"""The event loop that a call belongs to: the one that runs, or the one that a thread makes the call for.

What belongs to one loop, as a transaction does, is also used from threads that have none, or have another, as a
notebook's does: `holdfast.sync` makes their calls for the loop that serves them, and says so here.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

made_for: ContextVar[asyncio.AbstractEventLoop | None] = ContextVar("holdfast_made_for", default=None)
"""The loop for which this thread makes a call; None: for its own."""


def loop_of_call() -> asyncio.AbstractEventLoop | None:
    """The loop that the current call belongs to; None in a thread that has none."""
    loop = made_for.get()
    if loop is not None:
        return loop
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
