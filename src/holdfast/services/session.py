"""Sessions: one record cell each, with an index entry for every filter that a list offers, and the cells of its time.

    session     the record      index session.all     value ""           order: created, as 16 digits of microseconds;
                                                                         carries the figures of the session
                                index session.user    value "ada"        and so for app, agent, mode, channel, status
                                                                         and tag
    alive       its deadline    the session exists as long as this cell does, which expires with it
    due                         index due             value "session"    order: when it expires
                                                      value "ended"      order: when it ended

The record is rewritten only when it changes: appending a message or setting state does not touch it. `alive` and `due`
move together, with a write that is made anyway, and only when it matters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from holdfast.errors import Corrupt, InvalidValue, shown
from holdfast.kernel import codec
from holdfast.kernel.commit import Cell, Entry, Put
from holdfast.kernel.keeping import Renewal
from holdfast.kernel.keys import check_name
from holdfast.kernel.part import missing
from holdfast.kernel.work import Work
from holdfast.model.budget import Account, Bounds
from holdfast.model.deadline import NEVER, Deadline
from holdfast.model.session import SessionRecord, clean_tags, failure
from holdfast.model.session_stats import pack
from holdfast.model.status import SessionStatus

CELL = "session"
"""The key of the record in its scope."""

PREFIX = "session/"
"""What the names of sessions' scopes start with."""

ALIVE = "alive"
"""The key of the cell that keeps a session alive."""

DUE = "due"
"""The key of the cell, and the name of the index, by which a sweep finds whose time has come."""

ALL = "session.all"
"""The index of all sessions; its entries carry what statistics need."""

NAMED = ("user", "app", "agent", "mode", "channel")
"""The fields that hold one name each, and are listed by it."""

_ORDER_MAX: int = 10**16 - 1

_NOTHING = b"0"  # the value of a cell that is there for its entries

_decoder = msgspec.json.Decoder(SessionRecord)
_encode = msgspec.json.Encoder().encode
_deadline_decoder = msgspec.json.Decoder(Deadline)


def scope_of(id: str) -> str:
    """The name of a session's scope; raises InvalidId."""
    return PREFIX + check_name(id, "a session id")


def is_scope(name: str) -> bool:
    """Whether the scope of that name is a session's."""
    return name.startswith(PREFIX)


def id_of(scope: str) -> str:
    """The inverse of `scope_of`."""
    return scope.removeprefix(PREFIX)


def decode(cell: Cell) -> SessionRecord:
    """The record in a cell."""
    return decode_raw(cell.value)


def decode_raw(raw: bytes) -> SessionRecord:
    """The record in a value, as its cell and the stream have it."""
    try:
        return _decoder.decode(raw)
    except codec.UNREADABLE as problem:
        raise Corrupt(f"a session record that cannot be read: {problem}") from problem


def order_of(created_us: int) -> str:
    """Where a session stands in every index; times out of its reach, 1970 to 2286, stand at its ends."""
    return f"{min(max(created_us, 0), _ORDER_MAX):016d}"


def new_record(
    id: str,
    *,
    at_us: int,
    names: Mapping[str, str | None],
    task: str | None,
    tags: Iterable[str],
    metadata: Mapping[str, Any] | None,
    life: Life,
    budget: Bounds,
    bytes_max: int,
) -> SessionRecord:
    """The record of a session that starts now.

    Raises InvalidId or InvalidValue for what may not be stored, TooLarge for more than `bytes_max`.
    """
    checked: dict[str, Any] = {
        field: None if name is None else check_name(name, f"the {field} of a session") for field, name in names.items()
    }
    return SessionRecord(
        check_name(id, "a session id"),
        SessionStatus.ACTIVE,
        at_us,
        at_us,
        task=checked_text(task, "task", bytes_max),
        tags=checked_tags(tags),
        metadata={} if metadata is None else checked_metadata(metadata, bytes_max),
        ttl_us=life.ttl_us,
        sliding=life.sliding and life.ttl_us is not None,
        idle_us=life.idle_us,
        budget=budget,
        **checked,
    )


def checked_metadata(metadata: Mapping[str, Any], bytes_max: int) -> dict[str, Any]:
    """A copy of the metadata as it will come back. Raises InvalidValue or TooLarge for what may not be stored."""
    return codec.copied_mapping(metadata, "metadata", bytes_max=bytes_max)


def checked_text(text: str | None, what: str, bytes_max: int) -> str | None:
    """The text if it can be stored; raises InvalidValue or TooLarge."""
    if text is None:
        return None
    if not isinstance(text, str):
        raise InvalidValue(f"{what} must be text, not {shown(text)}", path=what)
    codec.encode({what: str(text)}, bytes_max=bytes_max, what=what)
    return str(text)


def checked_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """The tags without repetition; raises InvalidId or InvalidValue."""
    return tuple([check_name(tag, "a tag") for tag in clean_tags(tags)])


def checked_result(value: Any, what: str, bytes_max: int) -> Any:
    """What came of a session, as it will come back. Raises InvalidValue or TooLarge for what may not be stored."""
    if value is None:
        return None
    return codec.decode(codec.encode(value, bytes_max=bytes_max, what=what, path=what))


def checked_error(error: Any, bytes_max: int) -> Any:
    """Why a session failed, as it will come back: of an exception its type and message, anything else as it is."""
    return checked_result(failure(error) if isinstance(error, BaseException) else error, "error", bytes_max)


async def read(work: Work, scope: str) -> tuple[SessionRecord, int]:
    """The record of a session and its version (0: staged here); the commit fails if it is written meanwhile.

    Raises NotFound.
    """
    cell = await work.get(scope, CELL)
    if cell is None:
        raise missing(scope)
    return decode(cell), cell.version


def move(
    work: Work,
    record: SessionRecord,
    to: SessionStatus,
    *,
    account: Account,
    reason: str | None = None,
    result: Any = None,
    error: Any = None,
    budget_raised: bool = False,
) -> SessionRecord:
    """Stage the move of a session, whose record and `account` (what it has used of its budget) this unit has read, to
    another status; returns the record it gets.

    Whoever moves it adds the entry to the event log that tells of it: `operations.move` does both. Raises
    InvalidTransition, and then nothing is staged.
    """
    moved = record.moved(
        to,
        at_us=work.now_us,
        reason=reason,
        result=result,
        error=error,
        account=account,
        budget_raised=budget_raised,
    )
    put(work, moved)
    if moved.status.is_open != record.status.is_open:
        put_deadline(work, scope_of(record.id), moved.deadline(work.now_us), ended_us=moved.ended_us)
    return moved


def create(work: Work, record: SessionRecord) -> None:
    """Stage a new session, which lives from now on."""
    put(work, record)
    scope, deadline = scope_of(record.id), record.deadline(record.created_us)
    if deadline == NEVER:
        work.put(scope, ALIVE, _encode(deadline))
    else:
        put_deadline(work, scope, deadline, record.expires_us)


def put(work: Work, record: SessionRecord) -> None:
    """Stage the record with its index entries, and the change that tells of it."""
    scope = scope_of(record.id)
    raw = _encode(record)
    work.put(scope, CELL, raw, entries=_entries(record))
    work.note(scope, "session", "set", record.id, raw)


def put_deadline(
    work: Work, scope: str, deadline: Deadline, expires_us: int | None = None, *, ended_us: int | None = None
) -> None:
    """Stage until when the session lives: to `expires_us` or, without it, as one that was accessed now.

    One that has ended is due by when it did.
    """
    expires_us = deadline.at(work.now_us) if expires_us is None else expires_us
    work.put(scope, ALIVE, _encode(deadline), expires_us=expires_us)
    if expires_us is not None:
        work.put(scope, DUE, _NOTHING, entries=_due("session", expires_us))
    elif ended_us is not None:
        work.put(scope, DUE, _NOTHING, entries=_due("ended", ended_us))
    else:
        work.delete(scope, DUE)


def renewal(deadline: Deadline, expires_us: int, since: int) -> Renewal:
    """What moves a deadline with any commit, unless somebody moved it after the version `since`."""
    alive = Put(ALIVE, _encode(deadline), expires_us)
    return Renewal((alive, Put(DUE, _NOTHING, None, _due("session", expires_us))), since)


def decode_deadline(cell: Cell) -> Deadline:
    """The deadline in a cell."""
    try:
        return _deadline_decoder.decode(cell.value)
    except codec.UNREADABLE as problem:
        raise Corrupt(f"a deadline that cannot be read: {problem}") from problem


class Life(Struct, frozen=True):
    """How long a session may live: at most `ttl_us`, from its creation or, `sliding`, from the last access; and at most
    `idle_us` from the last access."""

    ttl_us: int | None = None
    sliding: bool = False
    idle_us: int | None = None


def drop(work: Work, id: str) -> None:
    """Stage the end of the session: everything in its scope goes at once."""
    scope = scope_of(id)
    work.drop(scope)
    work.note(scope, "session", "delete", id)


def _due(what: str, at_us: int) -> tuple[Entry, ...]:
    return (Entry(DUE, what, order_of(at_us)),)


def _entries(record: SessionRecord) -> tuple[Entry, ...]:
    order = order_of(record.created_us)
    entries = [Entry(ALL, "", order, pack(record)), Entry("session.status", record.status.value, order)]
    entries += [
        Entry(f"session.{field}", name, order) for field in NAMED if (name := getattr(record, field)) is not None
    ]
    entries += [Entry("session.tag", tag, order) for tag in record.tags]
    return tuple(entries)
