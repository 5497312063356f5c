"""A page of sessions, by creation or by activity.

By creation it is one find and one read when there is at most one filter, a zig-zag merge of several indexes else: every
index holds its entries in the same order (created, scope), so sessions that pass all filters are where the ranges meet.
When a session was last updated stands in the entry that all have, and is judged by that.

By activity there is an index of all, and one of each user's; what else is asked for is judged by the records, so many
of them may be read that do not pass. A session that is written to meanwhile moves to the front.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

from holdfast.errors import InvalidValue, shown
from holdfast.kernel.commit import Found, Read, View
from holdfast.kernel.keys import check_name
from holdfast.kernel.merge import Place, Stream, join, meet
from holdfast.kernel.work import Work
from holdfast.model.session_filter import SessionFilter
from holdfast.model.session_stats import unpack
from holdfast.model.status import SessionStatus
from holdfast.services import budget, session

_CURSOR = re.compile(r"(a?)([0-9]{16})\.(session/(.+))", re.DOTALL)

BUFFER = 200
"""Entries read at once from each index when several are merged, or entries are judged after they were read."""

Order = Literal["newest", "oldest", "recent"]


def parse_cursor(text: str, order: Order) -> Place:
    """The place a page's cursor names; raises InvalidValue for anything else, and for a page in another order."""
    match = _CURSOR.fullmatch(text) if isinstance(text, str) else None
    if match is None or bool(match[1]) is not (order == "recent"):
        raise InvalidValue(
            f"{shown(text)} is not the cursor of a page of sessions in that order",
            remedy="Pass the one that the page before ended with, in the same order; without one it begins anew.",
            path="cursor",
        )
    check_name(match[4], "the session id in a cursor")
    return match[2], match[3]


async def page(
    work: Work, wanted: SessionFilter, *, order: Order, limit: int, after: Place | None, expired: bool = False
) -> tuple[list[View], str | None]:
    """Up to `limit` sessions that pass, seen with their records, and the cursor that continues after them (None at the
    end). With `expired` only those that have expired, else only others.

    A session that was deleted, or ceased to pass, between the find and the read is left out.
    """
    recent = order == "recent"
    streams, judged = _by_activity(work, wanted, limit) if recent else _by_creation(work, wanted, order, limit)

    async def entries(after: Place | None, size: int) -> list[Found]:
        if recent:
            return await join(streams, after, size, newest=True)
        return await meet(streams, after, size)

    rows, place = await _fill(work, entries, wanted, judged=judged, limit=limit, after=after, expired=expired)
    at_end = all if recent else any
    if place is None or at_end(stream.is_at_end(place) for stream in streams):
        return rows, None
    return rows, ("a" if recent else "") + ".".join(place)


def _by_creation(work: Work, wanted: SessionFilter, order: Order, limit: int) -> tuple[list[Stream], bool]:
    """The streams that are to meet, and whether what they have in common is judged before it is read."""
    lo, hi = session.orders_of(wanted.created)
    judged = not wanted.updated.is_open
    sought = [(f"session.{field}", name) for field, name in wanted.names.items()]
    if judged or not sought:
        sought.append((session.ALL, ""))
    size = limit if len(sought) == 1 and not judged else BUFFER
    newest = order == "newest"
    return [Stream(work, index, value, lo=lo, hi=hi, newest=newest, size=size) for index, value in sought], judged


def _by_activity(work: Work, wanted: SessionFilter, limit: int) -> tuple[list[Stream], bool]:
    """The streams that are to be joined, and whether they may bring what does not pass."""
    names = dict(wanted.names)
    user, status = names.pop("user", None), names.get("status")
    if user is not None:
        sought = [(session.ACTIVE_BY_USER, user)]
    elif status is not None:
        sought = [(session.ACTIVE_BY, "open" if SessionStatus(status).is_open else "ended")]
    else:
        sought = [(session.ACTIVE_BY, "open"), (session.ACTIVE_BY, "ended")]
    judged = bool(names) or not (wanted.created.is_open and wanted.updated.is_open)
    size = BUFFER if judged else limit
    return [Stream(work, index, value, lo=None, hi=None, newest=True, size=size) for index, value in sought], judged


async def _fill(
    work: Work,
    entries: Callable[[Place | None, int], Awaitable[list[Found]]],
    wanted: SessionFilter,
    *,
    judged: bool,
    limit: int,
    after: Place | None,
    expired: bool,
) -> tuple[list[View], Place | None]:
    """Up to `limit` of the sessions that the entries lead to and that pass, and the place of the last one looked at;
    no place where there are no more entries."""
    rows: dict[str, View] = {}
    while True:
        size = limit - len(rows)
        met = await entries(after, max(size, BUFFER) if judged else size)
        if not met:
            return [*rows.values()], None
        seen = await _read(work, [entry.scope for entry in met if _may_pass(entry, wanted)], wanted, expired=expired)
        for entry in met:
            after = (entry.order, entry.scope)
            if entry.scope in seen:
                rows[entry.scope] = seen[entry.scope]
                if len(rows) == limit:
                    return [*rows.values()], after


def _may_pass(entry: Found, wanted: SessionFilter) -> bool:
    """Whether what an entry carries leaves it open that the session passes."""
    return wanted.updated.is_open or not entry.payload or unpack([entry.payload])[0].updated_us in wanted.updated


async def _read(work: Work, scopes: Sequence[str], wanted: SessionFilter, *, expired: bool) -> dict[str, View]:
    if not scopes:
        return {}
    reads = [Read(scope, (session.CELL, budget.CELL)) for scope in scopes]
    return {
        view.scope: view
        for view in await work.peek(reads, of_lapsed="all" if expired else "nothing")
        if (cell := view.cells.get(session.CELL)) is not None
        and (session.ALIVE in view.cells) is not expired
        and wanted.passes(session.decode(cell))
    }
