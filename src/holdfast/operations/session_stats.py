"""Figures of many sessions, from what their index entries carry: pages of entries are read, and no session.

Without filters, or with those that an entry itself answers (status, mode, times), that is one page after the other of
all sessions. With others their entries are met with these, which skips what lies between where that is worth it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from holdfast.kernel.commit import Found
from holdfast.kernel.limits import PAGE_MAX
from holdfast.kernel.merge import Place, Stream, meet
from holdfast.kernel.work import Work
from holdfast.model.moment import order_of
from holdfast.model.session_filter import SessionFilter
from holdfast.model.session_stats import Packed, SessionStats, is_whole, stats_of, unpack
from holdfast.services import session

SIZE = 64
"""Entries read at once at first where ranges are met; up to a page where many of them are wanted."""

CARRIED = ("status", "mode")
"""The fields that an entry itself carries."""


async def stats(work: Work, wanted: SessionFilter, *, expired: bool) -> SessionStats:
    """The figures of every session that passes the filters: of those that have not expired, or only of those that have.

    Not one cut: of sessions that are written meanwhile, each is counted as it was or as it is.
    """
    lapsed = await _lapsed(work)
    lo, hi = session.orders_of(wanted.created)
    carried = {name: value for name, value in wanted.names.items() if name in CARRIED and is_whole(value)}
    sought = {f"session.{name}": value for name, value in wanted.names.items() if name not in carried}
    packed: list[Packed] = []
    async for page in _met(work, sought, lo, hi) if sought else _all(work, lo, hi):
        if lapsed or expired:
            page = [entry for entry in page if (entry.scope in lapsed) is expired]
        packed += unpack([entry.payload for entry in page])
    if not wanted.updated.is_open:
        packed = [one for one in packed if one.updated_us in wanted.updated]
    for name, value in carried.items():
        packed = [one for one in packed if getattr(one, name) == value]
    return stats_of(packed)


async def _all(work: Work, lo: str | None, hi: str | None) -> AsyncIterator[list[Found]]:
    after: tuple[str, str, str] | None = None
    while True:
        found = await work.find(session.ALL, "", lo=lo, hi=hi, after=after, limit=PAGE_MAX)
        yield [*found]
        if len(found) < PAGE_MAX:
            return
        after = found[-1].cursor


async def _met(work: Work, sought: Mapping[str, str], lo: str | None, hi: str | None) -> AsyncIterator[list[Found]]:
    streams = [
        Stream(work, index, value, lo=lo, hi=hi, newest=False, size=SIZE, size_max=PAGE_MAX)
        for index, value in (*sought.items(), (session.ALL, ""))  # what a session carries stands in the last
    ]
    after: Place | None = None
    while found := await meet(streams, after, PAGE_MAX):
        yield found
        after = (found[-1].order, found[-1].scope)


async def _lapsed(work: Work) -> set[str]:
    """The sessions that have expired, and that no sweep has taken yet."""
    scopes: set[str] = set()
    after: tuple[str, str, str] | None = None
    until = order_of(work.now_us + 1)
    while True:
        found = await work.find(session.DUE, "session", hi=until, after=after, limit=PAGE_MAX)
        scopes.update([entry.scope for entry in found])
        if len(found) < PAGE_MAX:
            return scopes
        after = found[-1].cursor
