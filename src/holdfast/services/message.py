"""Messages: stamped cells, so that appending needs no read and the last ten of a million cost what the last ten
of ten cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from holdfast.errors import Compacted, Corrupt, InvalidValue, shown
from holdfast.kernel import codec
from holdfast.kernel.commit import ORDINAL_DIGITS, SEQ_DIGITS, Cell, Range, stamp
from holdfast.kernel.cursor import STAGED
from holdfast.kernel.keys import check_name
from holdfast.kernel.work import Work
from holdfast.model.message import Hidden, Interval, Message, MessageRecord
from holdfast.model.moment import to_datetime

AREA = "message/"
"""What the keys of all messages start with; a stamp completes it."""

HIDDEN = "hidden"
"""The key of which messages are hidden, for their session was restored: `[0, [[58, [[41, 57]]]]]`, since the commit 58
those of the commits 42 to 57."""

HIDDEN_BYTES = 16_384
"""What is told there of the past is forgotten beyond that."""

Order = Literal["oldest", "newest"]

_decoder = msgspec.json.Decoder(MessageRecord)
_hidden = msgspec.json.Decoder(Hidden)


def new_record(
    id: str, *, role: str, content: str, metadata: Mapping[str, Any] | None, at_us: int, bytes_max: int
) -> MessageRecord:
    """The record of a message said now.

    Raises InvalidId or InvalidValue for what may not be stored, TooLarge for more than `bytes_max`.
    """
    if not isinstance(content, str):
        raise InvalidValue(f"content must be text, not {shown(content)}", path="content")
    codec.encode({"content": str(content)}, bytes_max=bytes_max, what="a message")
    copied = {} if metadata is None else codec.copied_mapping(metadata, "metadata", bytes_max=bytes_max)
    return MessageRecord(id, check_name(role, "a role"), str(content), at_us, copied)


def append(work: Work, scope: str, record: MessageRecord, *, value_bytes_max: int) -> None:
    """Stage one message at the end of the conversation."""
    raw = codec.check_size(msgspec.json.encode(record), value_bytes_max, "a message")
    work.append(scope, AREA, raw)
    work.note(scope, "message", "append", None, raw)


async def page(
    work: Work,
    scope: str,
    *,
    limit: int,
    before: str | None,
    after: str | None,
    order: Order,
    version: int | None = None,
) -> tuple[Message, ...]:
    """Messages strictly between two cursors, from the `order` end, but for those that are hidden or, with a `version`,
    were so then. Raises Compacted where that is not known any more."""
    newest = order == "newest"
    start, stop = (before, after) if newest else (after, before)
    messages: list[Message] = []
    while len(messages) < limit:
        wanted = Range(AREA, limit - len(messages), AREA + start if start is not None else None, newest)
        cells = await work.range(scope, wanted, along=(HIDDEN,))
        hidden = await hidden_in(work, scope, version)
        start = None
        for cell in cells:
            cursor = cell.key.removeprefix(AREA)
            # One that is staged stands beyond every cursor: within when reading down to `stop`, outside when up to it.
            if stop is not None and (cursor <= stop if newest else cursor >= stop):
                return tuple(messages)
            start = cursor
            over = _beyond(cursor, hidden, newest=newest)
            if over is not None:
                start = over
                break
            messages.append(decode(cell))
        else:
            if len(cells) < wanted.limit:
                break
    return tuple(messages)


async def hidden_in(work: Work, scope: str, version: int | None = None) -> tuple[Interval, ...]:
    """The intervals of messages that are hidden, or were at that version."""
    cell = await work.get(scope, HIDDEN)
    hidden = Hidden() if cell is None else hidden_of(cell.value)
    if version is None:
        return hidden.now
    if version < hidden.floor:
        raise Compacted(
            f"which messages of {scope} were shown at version {version} is not known any more",
            remedy=f"Read a later version: how it was is known from {hidden.floor} on. Every restore takes some room.",
            scope=scope,
            floor=hidden.floor,
        )
    return hidden.at(version)


def hidden_of(raw: bytes | None) -> Hidden:
    """What a value tells of what is hidden; nothing is where there is none."""
    try:
        return Hidden() if raw is None else _hidden.decode(raw)
    except codec.UNREADABLE as problem:
        raise Corrupt(f"which messages are hidden cannot be read: {problem}") from problem


def hide(work: Work, scope: str, hidden: Hidden) -> None:
    """Stage which messages are hidden, and as much of the past as has room."""
    while len(raw := msgspec.json.encode(hidden)) > HIDDEN_BYTES and len(hidden.steps) > 1:
        hidden = hidden.shortened()
    work.put(scope, HIDDEN, raw)


def _beyond(cursor: str, hidden: Sequence[Interval], *, newest: bool) -> str | None:
    """Where to read on, if what stands there is hidden."""
    if not hidden or cursor.startswith(STAGED):
        return None
    seq = int(cursor[:SEQ_DIGITS])
    for after, until in hidden:
        if after < seq <= until:
            return stamp(after + 1, 0) if newest else stamp(until, 10**ORDINAL_DIGITS - 1)
    return None


def decode(cell: Cell) -> Message:
    """The message in a cell."""
    try:
        record = _decoder.decode(cell.value)
    except codec.UNREADABLE as problem:
        raise Corrupt(f"a message that cannot be read: {problem}") from problem
    cursor = cell.key.removeprefix(AREA)
    return as_message(record, None if cursor.startswith(STAGED) else cursor)


def as_message(record: MessageRecord, cursor: str | None) -> Message:
    """The public form of a record."""
    return Message(record.id, record.role, record.content, to_datetime(record.at_us), record.metadata, cursor)
