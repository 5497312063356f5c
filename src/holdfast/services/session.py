"""Sessions: one record cell each, with an index entry for every filter that a list offers.

    index session.all       value ""             order: created, as 16 digits of microseconds; carries its figures
    index session.user      value "ada"          and so for app, agent, mode, channel, status and tag

The record is rewritten only when it changes: appending a message or setting state does not touch it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from holdfast.errors import Corrupt, InvalidValue, shown
from holdfast.kernel import codec
from holdfast.kernel.commit import Cell, Entry
from holdfast.kernel.keys import check_name
from holdfast.kernel.part import missing
from holdfast.kernel.work import Work
from holdfast.model.budget import Account, Bounds
from holdfast.model.session import SessionRecord, clean_tags, failure
from holdfast.model.stats import pack
from holdfast.model.status import SessionStatus

CELL = "session"
"""The key of the record in its scope."""

ALL = "session.all"
"""The index of all sessions; its entries carry what statistics need."""

DUE = "due"
"""The index by which a sweep finds whose time has come."""

NAMED = ("user", "app", "agent", "mode", "channel")
"""The fields that hold one name each, and are listed by it."""

_ORDER_MAX: int = 10**16 - 1

_decoder = msgspec.json.Decoder(SessionRecord)


def scope_of(id: str) -> str:
    """The name of a session's scope; raises InvalidId."""
    return "session/" + check_name(id, "a session id")


def is_scope(name: str) -> bool:
    """Whether the scope of that name is a session's."""
    return name.startswith("session/")


def id_of(scope: str) -> str:
    """The inverse of `scope_of`."""
    return scope.removeprefix("session/")


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
    return moved


def put(work: Work, record: SessionRecord) -> None:
    """Stage the record with its index entries, and the change that tells of it."""
    scope = scope_of(record.id)
    raw = msgspec.json.encode(record)
    work.put(scope, CELL, raw, entries=_entries(record))
    work.note(scope, "session", "set", record.id, raw)


def drop(work: Work, id: str) -> None:
    """Stage the end of the session: everything in its scope goes at once."""
    scope = scope_of(id)
    work.drop(scope)
    work.note(scope, "session", "delete", id)


def _entries(record: SessionRecord) -> tuple[Entry, ...]:
    order = order_of(record.created_us)
    entries = [Entry(ALL, "", order, pack(record)), Entry("session.status", record.status.value, order)]
    entries += [
        Entry(f"session.{field}", name, order) for field in NAMED if (name := getattr(record, field)) is not None
    ]
    entries += [Entry("session.tag", tag, order) for tag in record.tags]
    return tuple(entries)
