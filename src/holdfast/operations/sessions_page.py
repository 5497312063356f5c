"""A page of sessions: one find and one read when there is at most one filter, a zig-zag merge of several indexes else.

Every index holds its entries in the same order (created, scope), so sessions that pass all filters are where the
index ranges meet. Each range is read in pages and leaps to the furthest place that any other one stands at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from holdfast.errors import InvalidValue, shown
from holdfast.kernel.commit import Found, Read, View
from holdfast.kernel.keys import check_name
from holdfast.kernel.work import Work
from holdfast.model.session import SessionRecord
from holdfast.services import budget, session

Place = tuple[str, str]
"""Where a session stands in every index: (order, scope)."""

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
    wanted = list(filters.items()) or [("session.all", "")]
    streams = [
        Stream(work, index, value, lo=lo, hi=hi, newest=newest, size=limit if len(wanted) == 1 else BUFFER)
        for index, value in wanted
    ]
    rows: list[View] = []
    while len(rows) < limit:
        places = await _meet(streams, after, limit - len(rows))
        rows += await _read(work, [scope for _, scope in places], filters, expired=expired)
        if len(places) < limit - len(rows) and not places:
            return rows, None
        after = places[-1]
        if streams[0].is_at_end(after):
            return rows, None
    return rows, None if after is None else ".".join(after)


class Stream:
    """One index range, read in pages, that can leap forward."""

    def __init__(
        self, work: Work, index: str, value: str, *, lo: str | None, hi: str | None, newest: bool, size: int
    ) -> None:
        self._work = work
        self._index, self._value = index, value
        self._lo, self._hi = lo, hi
        self._newest = newest
        self._size = size
        self._page: Sequence[Found] = ()
        self._next = 0
        self._ended = False

    async def beyond(self, place: Place | None, *, inclusive: bool) -> Place | None:
        """The first place beyond that one in the direction of reading, None at the end."""
        while True:
            while self._next < len(self._page):
                here = self._here()
                if place is None or self._is_beyond(here, place) or (inclusive and here == place):
                    return here
                self._next += 1
            if self._ended:
                return None
            await self._turn(place, inclusive=inclusive)

    def is_at_end(self, place: Place) -> bool:
        """Whether nothing can follow that place, as far as is known without reading on."""
        return self._ended and all(not self._is_beyond((found.order, found.scope), place) for found in self._page)

    def _here(self) -> Place:
        found = self._page[self._next]
        return found.order, found.scope

    def _is_beyond(self, here: Place, place: Place) -> bool:
        return here < place if self._newest else here > place

    async def _turn(self, place: Place | None, *, inclusive: bool) -> None:
        """Read the page that begins at `place`, or the next one if that lies ahead of what was read."""
        after = self._page[-1].cursor if self._page else None
        if place is not None and (after is None or not self._is_beyond(after[:2], place)):
            # Just before the place in the direction of reading: keys sort after "" and before "\U0010ffff".
            beyond = self._newest != inclusive
            after = (*place, "" if beyond else "\U0010ffff")
        self._page = await self._work.find(
            self._index,
            self._value,
            lo=self._lo,
            hi=self._hi,
            after=after,
            limit=self._size,
            reverse=self._newest,
        )
        self._next = 0
        self._ended = len(self._page) < self._size


async def _meet(streams: Sequence[Stream], after: Place | None, limit: int) -> list[Place]:
    """Up to `limit` places that all streams have in common, beyond `after`."""
    places: list[Place] = []
    inclusive = False
    while len(places) < limit:
        target = await streams[0].beyond(after, inclusive=inclusive)
        if target is None:
            break
        met = True
        for stream in streams[1:]:
            place = await stream.beyond(target, inclusive=True)
            if place is None:
                return places
            if place != target:
                after, inclusive, met = place, True, False
                break
        if met:
            places.append(target)
            after, inclusive = target, False
    return places


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
