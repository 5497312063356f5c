"""Who holds sessions, as their claims say. A claim that a dead process left shows too, until somebody takes it over."""

from __future__ import annotations

from typing import Any

from holdfast.handles.run import Run
from holdfast.handles.session import Session
from holdfast.handles.store import Store
from holdfast.kernel.commit import Read
from holdfast.kernel.contract import Kernel
from holdfast.model.moment import to_datetime
from holdfast.services import claim
from holdfast.services.session import PREFIX, scope_of

NAMED_MAX = 5
"""Held sessions that `doctor` names."""


async def holder_of(session: Session) -> dict[str, Any] | None:
    """Who holds that session: the worker of a claim or the request of a turn, and since when."""
    return await _holder(session._store, scope_of(session.id), claim.CELL)


async def holder_of_run(run: Run) -> dict[str, Any] | None:
    """Who holds that run, and since when."""
    return await _holder(run._store, run._target.scope, claim.of_run(run.id))


async def _holder(store: Store, scope: str, key: str) -> dict[str, Any] | None:
    view = (await store.work().peek([Read(scope, (key,))]))[0]
    cell = view.cells.get(key)
    if cell is None:
        return None
    record = claim.decode(cell)
    return {"worker": record.worker, "request": record.request, "since": to_datetime(record.at_us)}


async def held_sessions(kernel: Kernel, *, scopes_max: int) -> str:
    """How many sessions are held, and by whom the first of them, among the first so many scopes."""
    held: list[str] = []
    after, seen = "", 0
    while seen < scopes_max and (names := await kernel.scopes(after=after, limit=500)):
        sessions = [name for name in names if name.startswith(PREFIX)]
        for name in sessions:
            view = (await kernel.read([Read(name, (claim.CELL,))], now_us=0))[0]
            if (cell := view.cells.get(claim.CELL)) is not None:
                held.append(f"{name} by {claim.whom(claim.decode(cell))}")
        after, seen = names[-1], seen + len(names)
    if not held:
        return "none"
    more = f"; and {len(held) - NAMED_MAX} more" if len(held) > NAMED_MAX else ""
    return "; ".join(held[:NAMED_MAX]) + more
