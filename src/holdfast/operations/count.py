"""What counts in a session: iterations and tool calls, let in against its budget, and told in its event log.

An iteration is one commit when it begins, with its reservation and its entry in the log, and one when it ends, which
settles the reservation and completes that entry. So an entry without a duration is an iteration that is under way, or
that a crash cut. In a transaction both are part of its commit, and the entry is made when the iteration ends.

Work that the budget does not cover ends the session as timed out, unless it would fit but for what is only reserved:
then it is refused, and the work under way may go on. The end is a commit too, so in a transaction, which commits
nothing when it raises, the session stays as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from holdfast.errors import BudgetExceeded, InvalidTransition
from holdfast.kernel.work import Work
from holdfast.model.budget import CALLING, ITERATING, NOTHING, Account, Amounts, reserve, settle
from holdfast.model.event import ERROR, EventRecord
from holdfast.model.session import SessionRecord
from holdfast.model.status import SessionStatus, allowed
from holdfast.services import budget, event, session


class Wanted(Struct, frozen=True):
    """An iteration to be let in: what it reserves, and its entry with the caller's data, which were checked."""

    entry: EventRecord
    reserves: Amounts = NOTHING


class Begun(Struct, frozen=True):
    """What was let in: its number in the session, and the account since."""

    number: int
    account: Account
    record: SessionRecord | None = None
    """The session's record, if it was written too."""


class Ended(Struct, frozen=True):
    """How an iteration ended. `error` is what is kept of an exception, with the id of the entry that tells of it."""

    spent: Amounts
    error: Any = None
    error_id: str = ""


class Refused(Struct, frozen=True):
    """Why work was not let in, and the session as that left it."""

    error: BudgetExceeded
    account: Account
    record: SessionRecord


async def begin(
    work: Work, scope: str, wanted: Wanted, *, told: bool = True, ends_session: bool = True
) -> Begun | Refused:
    """Stage the reservation of an iteration, and its entry if it is to be told now.

    Where the budget does not cover it the end of the session is staged instead, or BudgetExceeded raised: without
    `ends_session`, and where the session does not end of that. Raises NotFound; InvalidTransition unless it is active.
    """
    record, before = await _read(work, scope)
    if record.status not in (SessionStatus.ACTIVE, SessionStatus.TIMED_OUT):
        raise _idle(record)
    ask = msgspec.structs.replace(wanted.reserves, iterations=1)
    try:
        account = reserve(before, record.budget, ask, needs=ITERATING)
    except BudgetExceeded as error:
        if not ends_session or _fits(before, record, ask, ITERATING):
            raise
        return _time_out(work, scope, record, before, error, id=wanted.entry.id)
    if record.status is SessionStatus.TIMED_OUT:
        raise _idle(record)
    budget.put(work, scope, account)
    begun = Begun(account.used.iterations, account)
    if told:
        event.append(work, scope, _entry(wanted, begun.number))
    return begun


async def finish(
    work: Work, scope: str, wanted: Wanted, number: int, ended: Ended, *, place: str | None
) -> tuple[Account, SessionRecord | None]:
    """Stage the settlement of an iteration and its completed entry: at `place` in the log, or at its end for None.

    Settles also in a session that has ended meanwhile, whose figures then follow. Raises NotFound.
    """
    record, before = await _read(work, scope)
    account = settle(before, wanted.reserves, ended.spent, phase=phase_of(wanted.entry.data))
    budget.put(work, scope, account)
    changed = None
    if record.used is not None:
        changed = msgspec.structs.replace(record, used=account)
        session.put(work, changed)
    entry = _entry(wanted, number, ended)
    if place is None:
        event.append(work, scope, entry)
    else:
        event.replace(work, scope, place, entry)
    if ended.error is not None:
        told = {"iteration": number, "error": ended.error}
        event.append(work, scope, EventRecord(ended.error_id, ERROR, work.now_us, told))
    return account, changed


async def call_tool(work: Work, scope: str, entry: EventRecord, *, ends_session: bool) -> Begun | Refused:
    """Stage that a tool was called: counted, and told in the log. As `begin`, but in a session of any status."""
    record, before = await _read(work, scope)
    try:
        account = reserve(before, record.budget, Amounts(tool_calls=1), needs=CALLING)
    except BudgetExceeded as error:
        if not ends_session:
            raise
        return _time_out(work, scope, record, before, error, id=entry.id)
    budget.put(work, scope, account)
    event.append(work, scope, entry)
    return Begun(account.used.tool_calls, account)


def phase_of(data: Any) -> str | None:
    """The phase that an iteration's data name: `{"phase": "search"}`."""
    phase = data.get("phase") if isinstance(data, Mapping) else None
    return phase if isinstance(phase, str) and phase else None


async def _read(work: Work, scope: str) -> tuple[SessionRecord, Account]:
    """The record and the account, in one read."""
    await work.get_many(scope, (session.CELL, budget.CELL))
    record, _ = await session.read(work, scope)
    return record, await budget.get(work, scope)


def _fits(account: Account, record: SessionRecord, ask: Amounts, needs: tuple[str, ...]) -> bool:
    """Whether only what others have reserved stands in the way."""
    try:
        reserve(msgspec.structs.replace(account, reserved=NOTHING), record.budget, ask, needs=needs)
    except BudgetExceeded:
        return False
    return True


def _time_out(
    work: Work, scope: str, record: SessionRecord, account: Account, error: BudgetExceeded, *, id: str
) -> Refused:
    """Stage the end of the session, or raise the error where it has ended already, or never started."""
    if SessionStatus.TIMED_OUT not in allowed(record.status):
        raise error
    reason = f"budget: {error.budget}"
    after = session.move(work, record, SessionStatus.TIMED_OUT, account=account, reason=reason)
    event.note_move(work, scope, id, before=record.status, after=after.status, data={"reason": reason})
    return Refused(error, account, after)


def _idle(record: SessionRecord) -> InvalidTransition:
    return InvalidTransition(
        f"a session that is {record.status} does not iterate",
        remedy="Iterate while it is active; `resume` makes a paused session active again.",
        status=record.status,
        to=SessionStatus.ACTIVE,
        allowed=allowed(record.status),
    )


def _entry(wanted: Wanted, number: int, ended: Ended | None = None) -> EventRecord:
    data: dict[str, Any] = {"iteration": number}
    if wanted.entry.data is not None:
        data["data"] = wanted.entry.data
    if ended is None:
        data.update(_told(wanted.reserves, "reserved"))
    else:
        data.update(_told(msgspec.structs.replace(ended.spent, wall_us=0), "spent"))
        data["duration_s"] = ended.spent.wall_us / 1_000_000
        if ended.error is not None:
            data["error"] = ended.error
    return msgspec.structs.replace(wanted.entry, data=data)


def _told(amounts: Amounts, name: str) -> dict[str, Any]:
    fields = msgspec.to_builtins(amounts)
    if wall_us := fields.pop("wall_us", 0):
        fields["wall_s"] = wall_us / 1_000_000
    told = {field: amount for field, amount in fields.items() if amount not in (0, "0")}
    return {name: told} if told else {}
