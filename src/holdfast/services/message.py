"""Messages: stamped cells, so that appending needs no read and the last ten of a million cost what the last ten
of ten cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from holdfast.errors import Corrupt, InvalidValue, shown
from holdfast.kernel import codec
from holdfast.kernel.commit import Cell, Range
from holdfast.kernel.cursor import STAGED
from holdfast.kernel.keys import check_name
from holdfast.kernel.work import Work
from holdfast.model.message import Message, MessageRecord
from holdfast.model.moment import to_datetime

AREA = "message/"
"""What the keys of all messages start with; a stamp completes it."""

Order = Literal["oldest", "newest"]

_decoder = msgspec.json.Decoder(MessageRecord)


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
    work: Work, scope: str, *, limit: int, before: str | None, after: str | None, order: Order
) -> tuple[Message, ...]:
    """Messages strictly between two cursors, from the `order` end."""
    newest = order == "newest"
    start, stop = (before, after) if newest else (after, before)
    wanted = Range(AREA, limit, AREA + start if start is not None else None, newest)
    messages = tuple(decode(cell) for cell in await work.range(scope, wanted))
    if stop is None:
        return messages
    # One that is staged stands beyond every cursor: within when reading down to `stop`, outside when reading up to it.
    return tuple(m for m in messages if ((m.cursor or STAGED) > stop if newest else (m.cursor or STAGED) < stop))


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
