"""Other bytes in the place of those that are kept, and a file without a trace of the old ones.

A rewrite touches the rows that it names and nothing that follows from them: no place, no log id, no expiry. Whether a
cell still is what it was is judged in the writing transaction, so it may run beside any writer.

SQLite leaves what was overwritten in free pages, in the unused parts of pages in use, and in the log. VACUUM writes
every page of the file anew; the log is then copied into the file, which is cut to its pages, and emptied. The copy
that VACUUM makes stands in a temporary file of SQLite's, not in memory, for a store may be larger than that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from holdfast.backends.sqlite.bulk import Cursor, bounded
from holdfast.backends.sqlite.writer import Writer
from holdfast.errors import Corrupt
from holdfast.kernel.commit import Cell, Entry, Record, Rewrite, Stored

_SCOPE = "SELECT id, epoch, live FROM scopes WHERE space = ? AND name = ?"
_CELLS = (
    "SELECT c.key, ifnull(c.value, (SELECT value FROM apart WHERE id = c.apart)), c.version, c.expires_us, c.entries, "
    "(SELECT json_group_array(hex(e.payload)) FROM json_each(c.entries) j CROSS JOIN entries e ON e.space = ?1 "
    "AND e.name = json_extract(j.value, '$[0]') AND e.value = json_extract(j.value, '$[1]') "
    "AND e.sort = json_extract(j.value, '$[2]') AND e.scope = ?2 AND e.key = c.key) "
    "FROM cells c WHERE c.scope = ?3 AND c.epoch = ?4{after} ORDER BY c.key LIMIT ?5"
)
_FROM_START, _AFTER = _CELLS.format(after=""), _CELLS.format(after=" AND c.key > ?6")
_CELL = (
    "SELECT ifnull(value, (SELECT value FROM apart WHERE id = c.apart)), version, expires_us, entries, apart "
    "FROM cells c WHERE scope = ? AND epoch = ? AND key = ?"
)
_SET_CELL = "UPDATE cells SET value = ?, entries = ? WHERE scope = ? AND epoch = ? AND key = ?"
_DELETE_ENTRY = "DELETE FROM entries WHERE space = ? AND name = ? AND value = ? AND sort = ? AND scope = ? AND key = ?"
_ADD_ENTRY = (
    "REPLACE INTO entries(space, name, value, sort, scope, key, owner, epoch, expires_us, payload) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_SET_RECORD = (
    "UPDATE log SET cause = ?, body = ? "
    "WHERE id = (SELECT version FROM cells WHERE scope = ?3 AND epoch = -1 AND key = ?4) "
    "AND seq = ?4 AND n = ?5 AND writer = (SELECT id FROM writers WHERE space = ?6 AND writer = ?7)"
)

_decode_names = msgspec.json.Decoder(list[tuple[str, str, str]]).decode
_decode_payloads = msgspec.json.Decoder(list[str]).decode


def read_stored(
    cursor: Cursor, space: int, scope: str, after: str | None, limit: int, bytes_max: int | None
) -> tuple[Stored, ...]:
    """See `Kernel.stored`. One transaction, so that the cells are those of one epoch."""
    cursor.execute("BEGIN")  # `Readers.here` ends it should anything raise
    found = cursor.execute(_SCOPE, (space, scope)).fetchall()
    stored: tuple[Stored, ...] = ()
    if found and found[0][2]:
        bindings = (space, scope, found[0][0], found[0][1], limit)
        rows = cursor.execute(
            _FROM_START if after is None else _AFTER, bindings if after is None else (*bindings, after)
        )
        cells = _stored(rows)
        stored = tuple(cells) if bytes_max is None else tuple(bounded(cursor, cells, bytes_max))
    cursor.execute("COMMIT")
    return stored


def _stored(rows: Any) -> Iterator[Stored]:
    for key, value, version, expires_us, names, payloads in rows:
        entries: tuple[Entry, ...] = ()
        if names is not None:
            named, carried = _decode_names(names), _decode_payloads(payloads)
            if len(named) != len(carried):
                raise Corrupt(f"index entries of {key!r} are missing", key=key)
            entries = tuple(
                [Entry(*name, bytes.fromhex(payload)) for name, payload in zip(named, carried, strict=True)]
            )
        yield Stored(Cell(key, value, version, expires_us), entries)


def rewrite(writer: Writer, space: int, scope: str, cells: Sequence[Rewrite], records: Sequence[Record]) -> int:
    """See `Kernel.rewrite`."""
    with writer.transaction("rewrite") as cursor:
        found = cursor.execute(_SCOPE, (space, scope)).fetchall()
        if not found:
            return 0
        id, epoch, live = found[0]
        rewritten = 0
        if live:
            place = _Place(space, scope, id, epoch)
            rewritten = sum(_rewrite_cell(cursor, place, rewrite) for rewrite in cells)
        for record in records:
            commit = record.commit
            cursor.execute(_SET_RECORD, (record.cause, record.body, id, record.seq, commit.n, space, commit.writer))
            rewritten += writer.connection.changes()
        if rewritten:  # what others remember of heads and cells has other bytes now
            cursor.execute("UPDATE meta SET sweeps = sweeps + 1")
    return rewritten


class _Place:
    """The scope whose cells are rewritten, by its names and by its numbers."""

    __slots__ = ("epoch", "id", "scope", "space")

    def __init__(self, space: int, scope: str, id: int, epoch: int) -> None:
        self.space, self.scope, self.id, self.epoch = space, scope, id, epoch


def _rewrite_cell(cursor: Cursor, at: _Place, rewrite: Rewrite) -> bool:
    was = rewrite.was
    found = cursor.execute(_CELL, (at.id, at.epoch, was.key)).fetchall()
    if not found or found[0][:2] != (was.value, was.version):
        return False
    _, _, expires_us, names, apart = found[0]
    for name in () if names is None else _decode_names(names):
        cursor.execute(_DELETE_ENTRY, (at.space, *name, at.scope, was.key))
    for entry in rewrite.entries:
        owner = (at.scope, was.key, at.id, at.epoch, expires_us, entry.payload)
        cursor.execute(_ADD_ENTRY, (at.space, entry.index, entry.value, entry.order, *owner))
    named = [(entry.index, entry.value, entry.order) for entry in rewrite.entries]
    inline = rewrite.value if apart is None else None
    names = msgspec.json.encode(named).decode() if named else None
    cursor.execute(_SET_CELL, (inline, names, at.id, at.epoch, was.key))
    if apart is not None:
        cursor.execute("UPDATE apart SET value = ? WHERE id = ?", (rewrite.value, apart))
    return True
