"""The state of several scopes at once."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.errors import Conflict, NotFound
from holdfast.kernel.commit import Cell, Range, Read
from holdfast.kernel.limits import PAGE_MAX
from holdfast.kernel.work import Work
from holdfast.services.state import Place


async def states(work: Work, places: Sequence[Place]) -> list[dict[str, Cell]]:
    """The cells of each place by their keys, as of one moment where the backend spans them.

    Raises NotFound for a session that does not exist, and Conflict if one of them has more than a page and any of them
    changed while it was read.
    """
    views = await work.peek([Read(place.scope, (), (Range(place.prefix, PAGE_MAX),)) for place in places])
    for view in views:
        if view.scope.startswith("session/") and not view.head.live:
            raise NotFound(f"{view.scope} does not exist", scope=view.scope)
    found = [list(view.ranges[0]) for view in views]
    longer = [place for place, cells in zip(places, found, strict=True) if len(cells) == PAGE_MAX]
    if longer:
        for place, cells in zip(places, found, strict=True):
            if place in longer:
                cells[:] = await work.all(place.scope, place.prefix)
        again = await work.peek([Read(place.scope) for place in places])
        for before, after in zip(views, again, strict=True):
            if before.head != after.head:
                raise Conflict(f"{before.scope} changed while it was read", scope=before.scope, what="headat")
    return [
        {cell.key.removeprefix(place.prefix): cell for cell in cells}
        for place, cells in zip(places, found, strict=True)
    ]
