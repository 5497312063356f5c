"""A page of sessions: one find and one read when there is at most one filter, a zig-zag merge of several indexes else.

Every index holds its entries in the same order (created, scope), so sessions that pass all filters are where the
index ranges meet.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from holdfast.errors import InvalidValue, shown
from holdfast.kernel.commit import Read, View
from holdfast.kernel.keys import check_name
from holdfast.kernel.merge import Place, Stream, meet
from holdfast.kernel.work import Work
from holdfast.model.session import SessionRecord
from holdfast.services import budget, session

_CURSOR = re.compile(r"([0-9]{16})\.(session/(.+))", re.DOTALL)

BUFFER = 200
"""Entries read at once from each index when several are merged."""


def parse_cursor(text: str) -> Place:
    """The place a page's cursor names; raises InvalidValue for anything else."""
    match = _CURSOR.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise InvalidValue(f"{shown(text)} is not the cursor of a page of sessions", path="cursor")
    check_name(match[3], "the session id in a cursor")
    return match[1], match[2]


async def page(
    work: Work,
    filters: Mapping[str, str],
    *,
    lo: str | None,
    hi: str | None,
    newest: bool,
    limit: int,
    after: Place | None,
    expired: bool = False,
) -> tuple[list[View], str | None]:
    """Up to `limit` sessions that pass every filter, seen with their records, and the cursor that continues after them
    (None at the end). With `expired` only those that have expired, else only others.

    A session that was deleted, or ceased to pass, between the find and the read is left out.
    """
    wanted = list(filters.items()) or [(session.ALL, "")]
    streams = [
        Stream(work, index, value, lo=lo, hi=hi, newest=newest, size=limit if len(wanted) == 1 else BUFFER)
        for index, value in wanted
    ]
    rows: list[View] = []
    while len(rows) < limit:
        met = await meet(streams, after, limit - len(rows))
        if not met:
            return rows, None
        rows += await _read(work, [entry.scope for entry in met], filters, expired=expired)
        after = (met[-1].order, met[-1].scope)
        if streams[0].is_at_end(after):
            return rows, None
    return rows, None if after is None else ".".join(after)


async def _read(work: Work, scopes: Sequence[str], filters: Mapping[str, str], *, expired: bool) -> list[View]:
    if not scopes:
        return []
    reads = [Read(scope, (session.CELL, budget.CELL)) for scope in scopes]
    return [
        view
        for view in await work.peek(reads, of_lapsed="all" if expired else "nothing")
        if (cell := view.cells.get(session.CELL)) is not None
        and (session.ALIVE in view.cells) is not expired
        and passes(session.decode(cell), filters)
    ]


def passes(record: SessionRecord, filters: Mapping[str, str]) -> bool:
    """Whether a record still passes every filter."""
    for index, value in filters.items():
        field = index.removeprefix("session.")
        if field == "tag":
            if value not in record.tags:
                return False
        elif getattr(record, field) != value:
            return False
    return True
