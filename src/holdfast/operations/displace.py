"""Ending sessions that are too many: of one user the oldest, of all those that were least recently active.

    of a user       index session.open       by arrival     the newest N stay, whatever is created meanwhile
    of all          index session.active     by activity    one that a turn or claim holds stays

They are cancelled, by a commit on the condition that the session is as it was judged. What has expired does not count,
swept or not.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from holdfast.kernel.commit import Cell, Found, Read
from holdfast.kernel.limits import PAGE_MAX
from holdfast.kernel.work import Work
from holdfast.model.event import EventRecord, entry_of
from holdfast.model.session import SessionRecord
from holdfast.model.status import SessionStatus
from holdfast.services import budget, claim, event, session

BATCH = 64
"""Sessions looked at together, beyond those that may stay."""


async def arrival_us(work: Work, user: str, at_us: int) -> int:
    """When a session that is created now arrives among those of its user: after all there are, whatever clocks say."""
    newest = await work.find(session.OPEN_OF, user, limit=1, reverse=True)
    return max(at_us, int(newest[0].order) + 1) if newest else at_us


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


async def least_active(work: Work, most: int) -> tuple[int, list[str]]:
    """How many sessions are open beyond so many, or below that as a negative number; and where there are more, all of
    them, the least recently active first."""
    scopes: list[str] = []
    async for page in _pages(work, session.ACTIVE_BY, "open", size=PAGE_MAX, newest=False):
        scopes += [found.scope for found in page]
    if len(scopes) > most:
        lapsed = {found.scope async for page in _pages_of_lapsed(work) for found in page}
        scopes = [scope for scope in scopes if scope not in lapsed]
    return len(scopes) - most, scopes if len(scopes) > most else []


def _pages_of_lapsed(work: Work) -> AsyncIterator[tuple[Found, ...]]:
    hi = session.order_of(work.now_us + 1)
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


async def claim_of(work: Work, scope: str) -> Cell | None:
    """The claim that holds the session, if one does; the unit's commit rests on it."""
    return await work.get(scope, claim.CELL)


async def displace(work: Work, scope: str, *, id: str, reason: str) -> SessionRecord | None:
    """Stage the end of a session that is too many, unless it has ended; `id` is that of its entry in the log.

    Raises NotFound.
    """
    await work.get_many(scope, (session.CELL, budget.CELL))  # both in one read
    before, _ = await session.read(work, scope)
    if not before.status.is_open:
        return None
    to, account = SessionStatus.CANCELLED, await budget.get(work, scope)
    after = session.move(work, before, to, account=account, reason=reason)
    event.append(work, scope, EventRecord(id, entry_of(before.status, to), work.now_us, {"reason": reason}))
    return after
