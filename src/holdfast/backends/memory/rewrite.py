"""Other bytes in the place of those that are kept, and nothing else."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from msgspec.structs import replace

from holdfast.backends.memory.store import ScopeData, SpaceData
from holdfast.kernel.commit import Record, Rewrite, Stored


def stored_cells(data: ScopeData, after: str | None) -> Iterator[Stored]:
    """The cells of a scope beyond a key, whether they have expired or not."""
    for key in data.keys[0 if after is None else bisect_right(data.keys, after) :]:
        yield Stored(data.cells[key], data.entries.get(key, ()))


def rewrite_cell(space: SpaceData, scope: str, rewrite: Rewrite) -> bool:
    """Give a cell other bytes if it is what it was."""
    data = space.scopes[scope]
    cell = data.cells.get(rewrite.was.key)
    if cell is None or cell.version != rewrite.was.version or cell.value != rewrite.was.value:
        return False
    data.put(replace(cell, value=rewrite.value))
    if rewrite.entries or cell.key in data.entries:
        space.set_entries(scope, cell.key, rewrite.entries)
    return True


def rewrite_record(data: ScopeData, record: Record) -> bool:
    """Give a record, and the head if it is the newest, the body and cause of another one of the same commit."""
    place = record.seq - data.head.floor
    if not 0 <= place < len(data.records) or data.records[place].commit != record.commit:
        return False
    data.records[place] = replace(data.records[place], cause=record.cause, body=record.body)
    if record.seq == data.head.seq:
        data.head = replace(data.head, cause=record.cause)
    return True
