"""Ending sessions that are too many: of one user the oldest, of all those that were least recently active.

    of a user       index session.open       by arrival     the newest N stay, whatever is created meanwhile
    of all          index session.active     by activity    one stays that is held, or a run of which is

They are cancelled, by a commit on the condition that the session is as it was judged. What has expired does not count,
swept or not.

Of all: several who count at once see the same ones, in the same order. So one that somebody else has ended since is
one fewer that is too many, and no reason to end the next; and where the order has changed, by one that was written to
since, they are counted anew. (Without that, ten sessions made at once ended all there were.)
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from holdfast.kernel.commit import Cell, Found, Range, Read
from holdfast.kernel.limits import PAGE_MAX
from holdfast.kernel.work import Work
from holdfast.model.end import Left
from holdfast.model.event import EventRecord, entry_of
from holdfast.model.moment import order_of
from holdfast.model.session import SessionRecord
from holdfast.model.status import SessionStatus
from holdfast.services import budget, claim, event, run, session

BATCH = 64
"""Sessions looked at together, beyond those that may stay."""


async def beyond_newest(work: Work, user: str, most: int) -> list[str]:
    """The open sessions of a user beyond the newest so many, the oldest last."""
    stay = 0
    beyond: list[str] = []
    size = min(most + BATCH, PAGE_MAX)
    async for page in _pages(work, session.OPEN_OF, user, size=size, newest=True):
        if len(page) < size and stay + len(page) <= most:
            break
        for view in await work.peek([Read(found.scope, (session.CELL,)) for found in page]):
            cell = view.cells.get(session.CELL)
            if cell is not None and session.decode(cell).status.is_open:
                stay += 1
                if stay > most:
                    beyond.append(view.scope)
    return beyond


async def least_active(work: Work, most: int) -> tuple[int, list[Found]]:
    """How many sessions are open beyond so many, or below that as a negative number; and where there are more, all of
    them, the least recently active first."""
    there: list[Found] = []
    async for page in _pages(work, session.ACTIVE_BY, "open", size=PAGE_MAX, newest=False):
        there += page
    if len(there) > most:
        lapsed = {found.scope async for page in _pages_of_lapsed(work) for found in page}
        there = [found for found in there if found.scope not in lapsed]
    return len(there) - most, there if len(there) > most else []


async def is_where_it_was(work: Work, found: Found) -> bool:
    """Whether an open session was not written to since it was counted, to the minute; the unit's commit rests on it."""
    await work.get(found.scope, session.ACTIVE)
    after = (found.order, found.scope, "")
    now = await work.find(session.ACTIVE_BY, "open", lo=found.order, after=after, limit=1)
    return bool(now) and now[0].cursor == found.cursor


def _pages_of_lapsed(work: Work) -> AsyncIterator[tuple[Found, ...]]:
    hi = order_of(work.now_us + 1)
    return _pages(work, session.DUE, "session", size=PAGE_MAX, newest=False, hi=hi)


async def _pages(
    work: Work, index: str, value: str, *, size: int, newest: bool, hi: str | None = None
) -> AsyncIterator[tuple[Found, ...]]:
    after: tuple[str, str, str] | None = None
    while page := await work.find(index, value, hi=hi, after=after, limit=size, reverse=newest):
        yield page
        if len(page) < size:
            return
        after = page[-1].cursor


async def open_record(work: Work, scope: str) -> SessionRecord | None:
    """The record of a session that is open, None of one that has ended; the commit rests on it. Raises NotFound."""
    await work.get_many(scope, (session.CELL, budget.CELL))
    record, _ = await session.read(work, scope)
    return record if record.status.is_open else None


async def counted_record(work: Work, scope: str) -> tuple[SessionRecord | None, list[Cell]]:
    """The same of a session that was counted, and the claims that hold it, its own and those of its runs: one read."""
    along = (session.CELL, budget.CELL, claim.CELL, session.ACTIVE)
    of_runs = await work.range(scope, Range(claim.RUNS, PAGE_MAX), along=along)
    own = await work.get(scope, claim.CELL)
    claims = [cell for cell in of_runs if claim.is_claim(cell.key)]
    return await open_record(work, scope), claims if own is None else [own, *claims]


async def displace(work: Work, before: SessionRecord, *, id: str, reason: str) -> None:
    """Stage the end of an open session that is too many; `id` is that of its entry in the log."""
    scope, to = session.scope_of(before.id), SessionStatus.CANCELLED
    left: Left = "runs" if await work.range(scope, Range(run.AREA, 1)) else "nothing"
    session.move(work, before, to, account=await budget.get(work, scope), reason=reason, left=left)
    event.append(work, scope, EventRecord(id, entry_of(before.status, to), work.now_us, {"reason": reason}))
