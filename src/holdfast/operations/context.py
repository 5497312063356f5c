"""The context of a session: its record, account, state and newest events, in one read."""

from __future__ import annotations

from holdfast.errors import Conflict
from holdfast.kernel import codec
from holdfast.kernel.commit import Range, Read, View
from holdfast.kernel.limits import PAGE_MAX
from holdfast.kernel.part import missing
from holdfast.kernel.work import Work
from holdfast.model.budget import Account, progress_of
from holdfast.model.context import Context
from holdfast.model.moment import to_datetime
from holdfast.model.session import SessionRecord
from holdfast.services import budget, event, session
from holdfast.services.state import Place

EVENTS = 10
"""How many events are told."""


class Seen:
    """What one read has brought of a session."""

    def __init__(self, view: View) -> None:
        cell = view.cells.get(session.CELL)
        if cell is None:
            raise missing(view.scope)
        self.head = view.head
        self.version = cell.version
        self.record: SessionRecord = session.decode(cell)
        alive = view.cells.get(session.ALIVE)
        self.expires_us = None if alive is None else alive.expires_us
        self.account: Account = budget.decode(view.cells.get(budget.CELL))


async def context(work: Work, place: Place) -> tuple[Context, Seen]:
    """The context of the session whose state is at that place, and what was seen of it on the way.

    One read, however long its history is; more only for more than a page of state, and then Conflict if the session
    was written meanwhile. Raises NotFound.
    """
    ranges = (Range(place.prefix, PAGE_MAX), Range(event.AREA, EVENTS, None, reverse=True))
    view = (await work.peek([Read(place.scope, (session.CELL, budget.CELL), ranges)]))[0]
    seen = Seen(view)
    cells, newest = view.ranges
    if len(cells) == PAGE_MAX:
        cells = tuple(await work.all(place.scope, place.prefix))
        if (await work.peek([Read(place.scope)]))[0].head != view.head:
            raise Conflict(f"{place.scope} changed while it was read", scope=place.scope, what="headat")
    return Context(
        seen.record.task,
        seen.record.mode,
        seen.record.status,
        {cell.key.removeprefix(place.prefix): codec.decode(cell.value) for cell in cells},
        seen.account.used.iterations,
        progress_of(seen.account, seen.record.budget),
        tuple([event.decode(cell) for cell in reversed(newest)]),
        view.head.seq,
        to_datetime(view.head.at_us),
    ), seen
