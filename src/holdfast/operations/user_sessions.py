"""Which sessions belong to a user: those there are, and those among some scopes. Each comes with its scope's epoch."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.kernel.commit import Read
from holdfast.kernel.limits import PAGE_MAX
from holdfast.kernel.work import Work
from holdfast.services import session


async def present(work: Work, user: str) -> dict[str, int]:
    """Every session of the user, by the name of its scope."""
    epochs: dict[str, int] = {}
    after: tuple[str, str, str] | None = None
    while True:
        found = await work.find("session.user", user, after=after, limit=PAGE_MAX)
        epochs.update(await among(work, user, [entry.scope for entry in found]))
        if len(found) < PAGE_MAX:
            return epochs
        after = found[-1].cursor


async def among(work: Work, user: str, scopes: Sequence[str]) -> dict[str, int]:
    """Those of the scopes that are sessions of the user."""
    reads = [Read(scope, (session.CELL,)) for scope in scopes if session.is_scope(scope)]
    epochs: dict[str, int] = {}
    for view in await work.peek(reads) if reads else ():
        cell = view.cells.get(session.CELL)
        if cell is not None and session.decode(cell).user == user:
            epochs[view.scope] = view.head.epoch
    return epochs
