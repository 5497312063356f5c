"""Moving a session to another status: its record, and the entry in its event log that tells of it, in one commit."""

from __future__ import annotations

from typing import Any, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from holdfast.kernel.work import Work
from holdfast.model.budget import Budget, bounds_of, is_raised
from holdfast.model.session import SessionRecord
from holdfast.model.status import SessionStatus
from holdfast.services import budget, claim, event, runtime, session, state, variable

MOVE_OPERATIONS = 5
"""What a move writes at most: the record, the entry, the two cells of the deadline, and that of the activity."""


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
    """The record that a move gave a session, and whether the session had ended and is open again."""

    record: SessionRecord
    reopened: bool


async def move(work: Work, scope: str, wanted: Move) -> Moved:
    """Stage the move of a session.

    Read, judged and written on the condition that the record is still what was judged: of two that race, one is judged
    by what the other made of it. Raises NotFound and InvalidTransition.
    """
    await work.get_many(scope, (session.CELL, budget.CELL))  # both in one read
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
    )
    if reopens:
        living = session.living_of(after, work.now_us)
        held_us, expires_us = await claim.keeps_to_us(work, scope), living.deadline.at(work.now_us)
        if expires_us is not None and expires_us < held_us:
            session.put_deadline(work, scope, living, held_us)
    told = {name: value for name in ("reason", "error") if (value := getattr(wanted, name)) is not None}
    event.note_move(work, scope, wanted.id, before=before.status, after=after.status, data=told or None)
    return Moved(after, reopens)


async def end(
    work: Work, scope: str, *, id: str, operations_max: int, streaming: bool
) -> tuple[SessionRecord, int, bool]:
    """Stage the end of a session that is open: it completes, or is cancelled if it never started; and the removal of
    its temporary and runtime state and its variables, as far as one commit can. Returns its record with the version it
    has (0: staged here), and whether all of that is gone.

    The first of several commits ends it, so that nobody goes on working in a session whose values vanish.
    """
    await work.get_many(scope, (session.CELL, budget.CELL))  # both in one read
    record, version = await session.read(work, scope)
    room = operations_max
    if record.status.is_open:
        started = record.status is not SessionStatus.INITIALIZING
        to = SessionStatus.COMPLETED if started else SessionStatus.CANCELLED
        record, _ = await move(work, scope, Move(id, to))
        version = 0
        room -= MOVE_OPERATIONS
    room = max(room, 1)  # what is too much altogether is refused as a whole
    removed = await state.clear_area(work, scope, "temp", room)
    if removed < room:
        removed += await runtime.clear(work, scope, room - removed, streaming=streaming)
    if removed < room:
        removed += await variable.clear(work, scope, variable.AREA, room - removed)
    return record, version, removed < room
