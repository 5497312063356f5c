"""Writing a decided batch: in bulk, in key order, the last write of each cell only.

A cell without index entries is written without being read. `entries` is NULL for such cells, and the upsert leaves
out any other (`WHERE entries IS NULL`); when fewer rows were changed than written, those others are looked up, their
entries removed, and they are written again. So only cells that had entries pay for them.

A statement that may fail half-way would get a journal of its own, in which SQLite copies every page that it touches.
OR FAIL forgoes it, as long as nothing that an upsert sets can fail either, hence no NOT NULL there. A failure then
leaves the statement's earlier rows in the transaction: harmless only because any error rolls all of it back.
"""

from __future__ import annotations

from typing import Any

import apsw
import msgspec

from holdfast.backends.sqlite.bulk import Bulk, Cursor, Lookup
from holdfast.backends.sqlite.heads import ScopeRow
from holdfast.kernel.commit import Entry, Head
from holdfast.kernel.evaluate import Plan

CellKey = tuple[int, str]
CellRow = tuple[int, str, int, int | None, str | None, bytes]
"""life, key, version, expires_us, entries, value"""

_NEW_SCOPES = Bulk("INSERT INTO scopes(space, name, id, life, epoch, floor)", 6)
_CHANGE_SCOPE = "UPDATE scopes SET life = ?, epoch = ? WHERE space = ? AND name = ? AND id = ?"
_GARBAGE = Bulk("INSERT INTO garbage(life, space, scope)", 3)
_LOG = Bulk("INSERT OR FAIL INTO log(id, scope, seq, epoch, op, at_us, writer, n, cause, touched, body)", 11)
_PLAIN_CELLS = Bulk(
    "INSERT OR FAIL INTO cells(life, key, version, expires_us, value)",
    5,
    "ON CONFLICT DO UPDATE SET version = excluded.version, expires_us = excluded.expires_us, value = excluded.value "
    "WHERE entries IS NULL",
)
_INDEXED_CELLS = Bulk(
    "INSERT OR FAIL INTO cells(life, key, version, expires_us, entries, value)",
    6,
    "ON CONFLICT DO UPDATE SET version = excluded.version, expires_us = excluded.expires_us, "
    "entries = excluded.entries, value = excluded.value",
)
_DELETE_CELLS = Bulk("DELETE FROM cells WHERE (life, key) IN (", 2, ")")
_ENTRIES = Bulk("REPLACE INTO entries(space, name, value, sort, scope, key, life, expires_us, payload)", 9)
_DELETE_ENTRIES = Bulk("DELETE FROM entries WHERE (space, name, value, sort, scope, key) IN (", 6, ")")
_FIND_ENTRIES = Lookup(
    columns=2,
    names="i, life, key",
    select="SELECT json_group_array(json_array(i, json(c.entries))) "
    "FROM w CROSS JOIN cells c ON c.life = w.life AND c.key = w.key WHERE c.entries IS NOT NULL",
)

_encode = msgspec.json.encode


class Writes:
    """What one batch will write. `log` holds rows of eleven values laid end to end; `cells` is the overlay too."""

    __slots__ = (
        "_changed",
        "_connection",
        "_cursor",
        "_dead",
        "_entries",
        "_garbage",
        "_lives",
        "_new",
        "cells",
        "log",
    )

    def __init__(self, connection: apsw.Connection, cursor: Cursor) -> None:
        self.log: list[Any] = []
        self.cells: dict[CellKey, CellRow | None] = {}
        self._connection = connection
        self._cursor = cursor
        self._lives: dict[int, ScopeRow] = {}
        self._entries: dict[CellKey, tuple[Entry, ...]] = {}
        self._new: dict[int, ScopeRow] = {}
        self._changed: dict[int, ScopeRow] = {}
        self._garbage: list[Any] = []
        self._dead: set[int] = set()

    def turn(self, row: ScopeRow, head: Head, log_id: int) -> None:
        """The scope comes to life, or ends: by the record `log_id`, which leaves `head`."""
        if row.id == 0:
            row.id = log_id
            self._new[log_id] = row
        elif row.id not in self._new:
            self._changed[row.id] = row
        if head.live:
            row.life = log_id
        elif row.life is not None:
            self._garbage += (row.life, row.space.id, row.name)
            self._dead.add(row.life)
            row.life = None

    def stage_cells(self, row: ScopeRow, plan: Plan) -> None:
        """Take over the cells a plan writes and deletes, in the scope's present life."""
        life = row.life
        assert life is not None  # only a live scope is written to
        seq = plan.head.seq
        self._lives[life] = row
        cells = self.cells
        for write in plan.writes:
            at = (life, write.key)
            entries = write.entries
            if entries:
                self._entries[at] = entries
                names = _encode([(entry.index, entry.value, entry.order) for entry in entries]).decode()
                cells[at] = (life, write.key, seq, write.expires_us, names, write.value)
            else:
                cells[at] = (life, write.key, seq, write.expires_us, None, write.value)
        for key in plan.deletes:
            cells[(life, key)] = None

    def run(self) -> None:
        """Write everything. Scopes first, then the log, cells and entries."""
        cursor = self._cursor
        if self._new:
            rows = sorted(self._new.values(), key=lambda row: (row.space.id, row.name))
            _NEW_SCOPES.run(cursor, [part for row in rows for part in _scope_columns(row)])
        for row in self._changed.values():
            cursor.execute(_CHANGE_SCOPE, (row.life, row.head.epoch, row.space.id, row.name, row.id))
        if self._garbage:
            _GARBAGE.run(cursor, self._garbage)
        _LOG.run(cursor, self.log)
        if self.cells:
            self._write_cells()

    def _write_cells(self) -> None:
        plain: list[Any] = []
        indexed: list[CellKey] = []
        deleted: list[CellKey] = []
        cells = self.cells
        for at in sorted(cells):
            if self._dead and at[0] in self._dead:
                continue
            row = cells[at]
            if row is None:
                deleted.append(at)
            elif row[4] is None:
                plain += (row[0], row[1], row[2], row[3], row[5])
            else:
                indexed.append(at)
        if plain:
            self._write_plain(plain)
        if deleted:
            self._remove_entries(deleted)
            _DELETE_CELLS.run(self._cursor, [part for at in deleted for part in at])
        if indexed:
            self._write_indexed(indexed)

    def _write_plain(self, plain: list[Any]) -> None:
        connection = self._connection
        before = connection.total_changes()
        _PLAIN_CELLS.run(self._cursor, plain)
        if connection.total_changes() - before < len(plain) // 5:
            keys = list(zip(plain[0::5], plain[1::5], strict=True))
            again = self._remove_entries(keys)
            _INDEXED_CELLS.run(self._cursor, [part for at in again for part in self._row(at)])

    def _write_indexed(self, indexed: list[CellKey]) -> None:
        self._remove_entries(indexed)
        _INDEXED_CELLS.run(self._cursor, [part for at in indexed for part in self._row(at)])
        rows: list[Any] = []
        for at in indexed:
            life, key = at
            scope = self._lives[life]
            expires_us = self._row(at)[3]
            for entry in self._entries[at]:
                rows += (scope.space.id, entry.index, entry.value, entry.order, scope.name, key)
                rows += (life, expires_us, entry.payload)
        _ENTRIES.run(self._cursor, rows)

    def _remove_entries(self, keys: list[CellKey]) -> list[CellKey]:
        """Remove the stored index entries of these cells; returns the cells that had any."""
        had: list[CellKey] = []
        old: list[Any] = []
        params = [part for at in keys for part in at]
        for i, names in _FIND_ENTRIES.rows(self._cursor, params, len(keys)):
            at = keys[i]
            had.append(at)
            scope = self._lives[at[0]]
            for index, value, order in names:
                old += (scope.space.id, index, value, order, scope.name, at[1])
        if old:
            _DELETE_ENTRIES.run(self._cursor, old)
        return had

    def _row(self, at: CellKey) -> CellRow:
        row = self.cells[at]
        assert row is not None
        return row


def _scope_columns(row: ScopeRow) -> tuple[Any, ...]:
    return (row.space.id, row.name, row.id, row.life, row.head.epoch, row.head.floor)
