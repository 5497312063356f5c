"""Events: the session's own log of what happened, as stamped cells."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Any

import msgspec

from holdfast.errors import Corrupt, InvalidValue
from holdfast.kernel import codec
from holdfast.kernel.commit import Cell, Range
from holdfast.kernel.cursor import STAGED
from holdfast.kernel.keys import check_name
from holdfast.kernel.limits import PAGE_BYTES, listed
from holdfast.kernel.work import Work
from holdfast.model.event import INTERACTION, RESERVED, Event, EventRecord, entry_of
from holdfast.model.interaction import InteractionRecord
from holdfast.model.moment import to_datetime
from holdfast.model.page import Page
from holdfast.model.status import SessionStatus

AREA = "event/"
"""What the keys of all events start with; a stamp completes it."""

SCAN = 500
"""Cells read at once while events of some types are looked for, up to PAGE_BYTES."""

_decoder = msgspec.json.Decoder(EventRecord)


def new_record(id: str, *, type: str, data: Any, at_us: int, bytes_max: int) -> EventRecord:
    """The record of an event that happens now.

    Raises InvalidId or InvalidValue for what may not be stored, TooLarge for more than `bytes_max`.
    """
    copied = codec.decode(codec.encode({"data": data}, bytes_max=bytes_max, what="an event"))["data"]
    return EventRecord(id, check_name(type, "an event type"), at_us, copied)


def checked_free(type: str) -> str:
    """The type if entries of the application may have it; raises InvalidId or InvalidValue."""
    if check_name(type, "an event type") in RESERVED:
        raise InvalidValue(
            f"{type!r} is a type of the library's own entries",
            remedy="Name yours otherwise. Those are made by what they tell of: `s.pause`, `s.fail`, `s.log_tool_call`.",
            path="type",
        )
    return type


def note_move(work: Work, scope: str, id: str, *, before: SessionStatus, after: SessionStatus, data: Any) -> None:
    """Stage the entry that tells of a session's move from one status to another, with data that was checked."""
    append(work, scope, EventRecord(id, entry_of(before, after), work.now_us, data))


def note_question(work: Work, scope: str, record: InteractionRecord, *, id: str, step: str) -> None:
    """Stage the entry that tells what was done about a question; a run without a session has no log for it."""
    if record.session is None:
        return
    told: dict[str, Any] = {"interaction": record.id, "step": step, "run": record.run, "kind": record.question.kind}
    if record.node is not None:
        told["node"] = record.node
    if record.given is not None and not record.is_pending:
        told["decision"] = record.given.decision
        if record.given.by is not None:
            told["by"] = record.given.by
    append(work, scope, EventRecord(id, INTERACTION, work.now_us, told))


def checked_types(types: Iterable[str]) -> frozenset[str]:
    """The types to look for; one by itself counts as one. Raises InvalidId or InvalidValue."""
    given = [types] if isinstance(types, str) else listed(types, "types")
    return frozenset([check_name(type, "an event type") for type in given])


def append(work: Work, scope: str, record: EventRecord) -> None:
    """Stage one event at the end of the log."""
    raw = msgspec.json.encode(record)
    work.append(scope, AREA, raw)
    work.note(scope, "event", "append", None, raw)


def replace(work: Work, scope: str, cursor: str, record: EventRecord) -> None:
    """Stage the completion of an event that stands at that place in the log."""
    raw = msgspec.json.encode(record)
    work.put(scope, AREA + cursor, raw)
    work.note(scope, "event", "set", cursor, raw)


async def page(
    work: Work, scope: str, *, types: Container[str] | None, limit: int, after: str | None, newest: bool
) -> Page[Event]:
    """Up to `limit` events beyond `after` in the direction of reading, of these types only."""
    events: list[Event] = []
    start = AREA + after if after is not None else None
    size, bytes_max = (limit, None) if types is None else (max(limit, SCAN), PAGE_BYTES)
    while True:
        cells, goes_on = await work.page(scope, Range(AREA, size, start, newest, bytes_max))
        for cell in cells:
            event = decode(cell)
            if types is None or event.type in types:
                events.append(event)
            if len(events) == limit:
                return Page(tuple(events), cell.key.removeprefix(AREA))
        if not goes_on:
            return Page(tuple(events), None)
        start = cells[-1].key


def decode(cell: Cell) -> Event:
    """The event in a cell."""
    try:
        record = _decoder.decode(cell.value)
    except codec.UNREADABLE as problem:
        raise Corrupt(f"an event that cannot be read: {problem}") from problem
    cursor = cell.key.removeprefix(AREA)
    return as_event(record, None if cursor.startswith(STAGED) else cursor)


def as_event(record: EventRecord, cursor: str | None) -> Event:
    """The public form of a record."""
    return Event(record.id, record.type, record.data, to_datetime(record.at_us), cursor)
