"""Sessions and runs whose time is over, found by the index of what is due and ended one by one.

    due "session"       deadlines: those up to now have expired
    due "ended"         ends: those up to a while ago were kept long enough
    due "checkpoint"    see `checkpoint`
    due "fork"          see `fork`
    due "interaction"   questions: those up to now may be answered no more
    due "ending"        runs that have ended, and linger: see `wind_up`
    run.ended           ends of runs: see `leave`

Each is ended by a commit on the condition that its time is over still. So any number of processes may sweep at once:
one ends it, and what was extended or resumed meanwhile is left. A few at a time, so that they share the barriers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal

from holdfast.kernel.commit import Absent, Committed, Found, Head, Read, Unchanged, View
from holdfast.kernel.limits import PAGE_MAX
from holdfast.kernel.work import Work
from holdfast.model.moment import order_of
from holdfast.services import run, session

BATCH = 32
"""Sessions ended at once."""

Why = Literal["session", "ended", "checkpoint", "fork", "run", "interaction", "ending"]
"""Whose time is over: of a session that expired, or of one that has ended; of a checkpoint or a fork that was begun and
never finished; of a run that has ended; of a question; of what is open still in what has ended."""


async def due(work: Work, why: Why, *, until_us: int, after: Found | None, limit: int) -> tuple[Found, ...]:
    """Entries that were due by that time, those longest ago first."""
    hi = order_of(until_us + 1)
    index, value = (run.ENDED, "") if why == "run" else (session.DUE, why)
    return await work.find(index, value, hi=hi, after=None if after is None else after.cursor, limit=limit)


async def expire_due(work: Callable[[], Work], found: Found) -> bool:
    """Remove a session if it has expired."""
    head, has_expired = await look(work(), found.scope)
    return has_expired and await remove(work(), found.scope, head.epoch)


async def retire_due(work: Callable[[], Work], found: Found) -> bool:
    """Remove a session if it has ended, and was not resumed since it was found."""
    view = (await work().peek((Read(found.scope, (session.CELL, session.DUE)),)))[0]
    record = view.cells.get(session.CELL)
    if record is None or session.decode(record).status.is_open or not _is_still(view, found):
        return False
    unit = work()
    unit.ask(found.scope, "must_exist", epoch=view.head.epoch)
    unit.require(found.scope, Unchanged(session.CELL, record.version))
    session.drop(unit, session.id_of(found.scope))
    return isinstance(await unit.commit(), Committed)


def _is_still(view: View, found: Found) -> bool:
    """Whether what is due is what was found: the session that stands there now may be another one, ended later."""
    ended_us = session.decode(view.cells[session.CELL]).ended_us
    return ended_us is not None and order_of(ended_us) == found.order


async def each(
    work: Callable[[], Work],
    why: Why,
    take: Callable[[Callable[[], Work], Found], Awaitable[bool]],
    *,
    until_us: int,
    most: int,
    problems: list[Exception],
) -> tuple[int, bool]:
    """Take what is due, `most` at most; returns how many were taken, and whether more may be due.

    One that cannot be taken holds up no other, and does not count: why it cannot is added to `problems`.
    """
    taken, left = 0, most
    after: Found | None = None
    while left > 0:
        size = min(BATCH, left)
        page = await due(work(), why, until_us=until_us, after=after, limit=size)
        for answer in await asyncio.gather(*(take(work, found) for found in page), return_exceptions=True):
            if isinstance(answer, Exception):
                problems.append(answer)
            elif isinstance(answer, BaseException):
                raise answer
            else:
                taken += answer
                left -= 1
        if len(page) < size:
            return taken, False
        after = page[-1]
    return taken, taken > 0


async def beyond(work: Work, most: int, *, lo: str | None, limit: int) -> tuple[list[Found], str | None]:
    """Of the sessions in which the first `limit` runs ended from that order on, the runs beyond so many that ended
    last, up to `limit` for each; and the order to go on from (None at the end)."""
    page = await work.find(run.ENDED, "", lo=lo, limit=limit)
    too_many: list[Found] = []
    for scope in dict.fromkeys([found.scope for found in page if session.is_scope(found.scope)]):
        kept, last = 0, None
        while kept < most:
            size = min(most - kept, PAGE_MAX)
            newest = await work.find(run.ENDED_OF, session.id_of(scope), after=last, limit=size, reverse=True)
            kept += len(newest)
            if len(newest) < size:
                break
            last = newest[-1].cursor
        else:
            too_many += await work.find(run.ENDED_OF, session.id_of(scope), after=last, limit=limit, reverse=True)
    return too_many, f"{page[-1].order}\0" if len(page) == limit else None


async def count(work: Callable[[], Work], why: Why, *, until_us: int) -> int:
    """How many are due."""
    total = 0
    after: Found | None = None
    while page := await due(work(), why, until_us=until_us, after=after, limit=1000):
        total += len(page)
        after = page[-1]
    return total


async def look(work: Work, scope: str) -> tuple[Head, bool]:
    """The head of a session's scope, and whether it has expired and is stored still."""
    view = (await work.peek((Read(scope, (session.ALIVE,)),)))[0]
    return view.head, view.head.live and session.ALIVE not in view.cells


async def remove(work: Work, scope: str, epoch: int) -> bool:
    """Commit the end of a session in that life, if it has expired; False if it is kept, or gone already."""
    work.ask(scope, "must_exist", epoch=epoch)
    work.require(scope, Absent(session.ALIVE))
    session.drop(work, session.id_of(scope))
    return isinstance(await work.commit(), Committed)
