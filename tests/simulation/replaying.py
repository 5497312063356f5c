"""What a session was after each commit, as its log tells: state, variables and messages, through restores.

A restore is told as any other write, and as a line that says of which version. So the log is held against itself: after
it the session is what it was at that version.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from holdfast import Session
from holdfast.kernel.commit import Record
from holdfast.kernel.line import decode_lines

Place = tuple[str, str, str]
"""The kind, namespace and key of a value."""


class Picture(Struct, frozen=True):
    """What a session shows: values by their place, and what was said."""

    values: dict[Place, Any] = {}
    messages: tuple[str, ...] = ()


def replayed(records: Iterable[Record]) -> dict[int, Picture]:
    """What the session was at each version. Raises AssertionError where a restore brought back something else."""
    now, pictures = Picture(), {0: Picture()}
    for record in records:
        restored: int | None = None
        for line in decode_lines(record.body):
            place = (line.kind, line.namespace, str(line.key))
            value = msgspec.json.decode(line.value)
            if line.kind in ("state", "variable"):
                values = {other: kept for other, kept in now.values.items() if other != place}
                now = replace(now, values=values if line.op == "delete" else {**values, place: value})
            elif line.kind == "message":
                now = replace(now, messages=(*now.messages, value["content"]))
            elif line.kind == "checkpoint" and value and value["restored"]:
                restored = value["version"]
        if restored is not None:
            then = pictures[restored]
            assert now.values == then.values, f"the restore at {record.seq} made {now.values} of {then.values}"
            now = replace(now, messages=then.messages)
        pictures[record.seq] = now
    return pictures


async def seen(session: Session) -> Picture:
    """What it shows now."""
    values: dict[Place, Any] = {
        ("state", "", key): value for key, value in (await session.state.snapshot()).values.items()
    }
    values |= {("variable", "session", one.name): one.value for one in await session.variables.list(level="session")}
    messages = await session.messages.list(limit=1000)
    return Picture(values, tuple(str(message.content) for message in messages))
