"""Moving a session to another status: its record, and the entry in its event log that tells of it, in one commit.

A session that ends for good while runs stand in it leaves something to be done: see `wind_up`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from holdfast.kernel.commit import Range
from holdfast.kernel.work import Work
from holdfast.model.budget import Budget, bounds_of, is_raised
from holdfast.model.end import KEY
from holdfast.model.session import SessionRecord
from holdfast.model.status import SessionStatus
from holdfast.services import budget, claim, event, run, session

MOVE_OPERATIONS = 6
"""What a move writes at most: the record, the entry, the end, the two cells of the deadline, that of the activity."""


class Move(Struct, frozen=True):
    """A move to be made, of values that were checked. `id` is that of the entry; a `budget` replaces what the session
    has; one that has timed out goes on if that is higher than the one it timed out of. Where sessions of a user are
    `ranked` by arrival, one that is open again is the newest."""

    id: str
    to: SessionStatus
    reason: str | None = None
    result: Any = None
    error: Any = None
    budget: Budget | None = None
    ranked: bool = False


class Moved(NamedTuple):
    """The record that a move gave a session, whether the session had ended and is open again, and whether it has ended
    and runs stand in it."""

    record: SessionRecord
    reopened: bool
    lingers: bool = False


async def move(work: Work, scope: str, wanted: Move, *, lingers: bool | None = None) -> Moved:
    """Stage the move of a session; `lingers` says whether runs stand in it, where that was read already.

    Read, judged and written on the condition that the record is still what was judged: of two that race, one is judged
    by what the other made of it. Raises NotFound and InvalidTransition.
    """
    if wanted.to.is_open:
        lingers = False
        await work.get_many(scope, (session.CELL, budget.CELL))  # both in one read
    elif lingers is None:
        lingers = await has_runs(work, scope)
    before, _ = await session.read(work, scope)
    raised = before
    if wanted.budget is not None:
        raised = replace(before, budget=bounds_of(wanted.budget.over(before.budget.budget)))
    reopens = wanted.to.is_open and not before.status.is_open
    if reopens and wanted.ranked and before.user is not None:
        raised = replace(raised, arrival_us=await session.arrival_us(work, before.user, work.now_us))
    after = session.move(
        work,
        raised,
        wanted.to,
        account=await budget.get(work, scope),
        reason=wanted.reason,
        result=wanted.result,
        error=wanted.error,
        budget_raised=is_raised(before.budget if before.exhausted is None else before.exhausted, raised.budget),
        left="runs" if lingers else "nothing",
    )
    if reopens:
        living = session.living_of(after, work.now_us)
        held_us, expires_us = await claim.keeps_to_us(work, scope), living.deadline.at(work.now_us)
        if expires_us is not None and expires_us < held_us:
            session.put_deadline(work, scope, living, held_us)
    told = {name: value for name in ("reason", "error") if (value := getattr(wanted, name)) is not None}
    event.note_move(work, scope, wanted.id, before=before.status, after=after.status, data=told or None)
    return Moved(after, reopens, lingers)


async def has_runs(work: Work, scope: str) -> bool:
    """Whether runs stand in a session, open or not; its record, account and end come in the same read."""
    return bool(await work.range(scope, Range(run.AREA, 1), along=(session.CELL, budget.CELL, KEY)))


async def end(work: Work, scope: str, *, id: str) -> tuple[SessionRecord, int, int, bool]:
    """Stage the end of a session if it is open: it completes, or is cancelled if it never started. Returns its record
    with the version it has (0: staged here); how much is written at most to say that it has ended; and whether runs
    stand in it."""
    lingers = await has_runs(work, scope)
    record, version = await session.read(work, scope)
    if not record.status.is_open:
        return record, version, 1, lingers
    started = record.status is not SessionStatus.INITIALIZING
    wanted = Move(id, SessionStatus.COMPLETED if started else SessionStatus.CANCELLED)
    moved = await move(work, scope, wanted, lingers=lingers)
    return moved.record, 0, MOVE_OPERATIONS, lingers
