"""A run that asks, as the tests of questions share it."""

from __future__ import annotations

from holdfast import Holdfast, Session
from holdfast.handles.run import Run


async def trip(s: Session) -> Run:
    """The run "r", whose node "pay" is under way."""
    run = await s.runs.start("trip", id="r", nodes={"search": [], "pay": ["search"]})
    await run.progress({"search": "completed", "pay": "running"})
    return run


async def again(hold: Holdfast) -> Run:
    """The same run as another process sees it."""
    found = await hold.runs.get("r")
    assert found is not None
    return found
