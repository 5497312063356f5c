"""Removing what the ended lives of one scope have left, a step at a time; see `purge.sql`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from holdfast.backends.postgres.connections import Row
from holdfast.backends.postgres.text import raw
from holdfast.errors import Indeterminate, Unavailable
from holdfast.kernel.commit import Swept

STEP = 500
"""Rows removed in one transaction: a few milliseconds."""

PURGE = "SELECT * FROM holdfast.purge($1, $2, $3)"


async def purge(ask: Callable[..., Awaitable[list[Row]]], space: int, scope: str, budget: int) -> Swept:
    """See `Kernel.purge`. Raises Indeterminate for a step whose reply was lost."""
    cells = records = 0
    more = True
    while more and cells + records < budget:
        try:
            [step] = await ask(PURGE, space, raw(scope), min(STEP, budget - cells - records))
        except Unavailable as lost:
            raise Indeterminate(f"the reply to a purge of {scope} was lost: {lost}", scope=scope) from lost
        cells, records, more = cells + step["cells"], records + step["records"], step["more"]
    return Swept(cells, records, more=more)
