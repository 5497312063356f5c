"""Removing what the ended lives of one scope have left: a sweep of that scope alone, in the same small transactions.

Cells first, then records from the oldest on, so that a part of it leaves the log without a gap. The record of the last
drop stays: the head follows from it, or its place is the floor of the present life.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from holdfast.backends.sqlite.bulk import Cursor
from holdfast.backends.sqlite.sweep import Ended, Limits, Sweep, Trim
from holdfast.backends.sqlite.writer import Writer
from holdfast.kernel.commit import Retention, Swept

_SCOPE = "SELECT id, floor FROM scopes WHERE space = ? AND name = ?"
_EPOCHS = "SELECT scope, epoch, name FROM garbage WHERE scope = ? ORDER BY epoch"
_LAST_DROP = (
    "SELECT p.key FROM cells p CROSS JOIN log l ON l.id = p.version "
    "WHERE p.scope = ? AND p.epoch = -1 AND l.op = 1 ORDER BY p.key DESC LIMIT 1"
)


class Remains(NamedTuple):
    """What is left of the ended lives of one scope."""

    epochs: list[Ended]
    trims: list[Trim]


class Purge(Sweep):
    """One purge of one scope."""

    def __init__(
        self,
        space: int,
        scope: str,
        budget: int,
        *,
        look: Callable[..., Awaitable[Any]],
        act: Callable[[Callable[[Writer], Any]], Awaitable[Any]],
    ) -> None:
        super().__init__(Limits(space, 0, Retention()), budget, look=look, act=act)
        self._scope = scope

    async def run(self) -> Swept:
        """See `Kernel.purge`. Whether there is more is looked for again, where the budget was used up."""
        epochs, trims = await self._look(find_remains, self._limits.space, self._scope)
        await self._remove_epochs(epochs)
        while trims and self._left > 0:
            trims = await self._trim(trims)
        more = self._left <= 0 and any(await self._look(find_remains, self._limits.space, self._scope))
        return Swept(self._cells, self._records, more=more)


def find_remains(cursor: Cursor, space: int, scope: str) -> Remains:
    """What is left of the ended lives of a scope."""
    remains = Remains([], [])
    for id, floor in cursor.execute(_SCOPE, (space, scope)).fetchall():
        remains.epochs.extend(Ended(*row) for row in cursor.execute(_EPOCHS, (id,)).fetchall())
        for (last,) in cursor.execute(_LAST_DROP, (id,)).fetchall():
            if last > floor:
                remains.trims.append(Trim(scope, id, last, over=False))
    return remains
