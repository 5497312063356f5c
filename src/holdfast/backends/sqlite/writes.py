"""Writing a decided batch: in bulk, in key order, the last write of each cell only.

A cell without index entries is written without being read. `entries` is NULL for such cells, and the upsert leaves
out any other (`WHERE entries IS NULL`); when fewer rows were changed than written, those others are looked up, their
entries removed, and they are written again. So only cells that had entries pay for them. The places of the new
records go through the same statement, which leaves out one that is taken: the batch was decided on a stale head.

A statement that may fail half-way would get a journal of its own, in which SQLite copies every page that it touches.
OR FAIL forgoes it, as long as nothing that an upsert sets can fail either, hence no NOT NULL there. A failure then
leaves the statement's earlier rows in the transaction: harmless only because any error rolls all of it back.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

import apsw
import msgspec

from holdfast.backends.sqlite.bulk import Bulk, Cursor, Lookup
from holdfast.backends.sqlite.heads import ScopeRow
from holdfast.kernel.commit import Entry, Head
from holdfast.kernel.evaluate import Plan

CellKey = tuple[int, int, str]
"""scope, epoch, key"""

CellRow = tuple[Any, ...]
"""scope, epoch, key, version, expires_us, value, and for a cell with index entries their names in JSON"""

_NEW_SCOPES = Bulk("INSERT INTO scopes(space, name, id, live, epoch, floor)", 6)
_CHANGE_SCOPE = "UPDATE scopes SET live = ?, epoch = ? WHERE space = ? AND name = ? AND id = ?"
_GARBAGE = Bulk("INSERT INTO garbage(scope, epoch, space, name)", 4)
_LOG = Bulk("INSERT OR FAIL INTO log(id, scope, seq, epoch, op, at_us, writer, n, cause, touched, body)", 11)
_PLAIN_CELLS = Bulk(
    "INSERT OR FAIL INTO cells(scope, epoch, key, version, expires_us, value)",
    6,
    "ON CONFLICT DO UPDATE SET version = excluded.version, expires_us = excluded.expires_us, value = excluded.value "
    "WHERE entries IS NULL AND epoch >= 0",
)
_INDEXED_CELLS = Bulk(
    "INSERT OR FAIL INTO cells(scope, epoch, key, version, expires_us, value, entries)",
    7,
    "ON CONFLICT DO UPDATE SET version = excluded.version, expires_us = excluded.expires_us, value = excluded.value, "
    "entries = excluded.entries",
)
_DELETE_CELLS = Bulk("DELETE FROM cells WHERE (scope, epoch, key) IN (", 3, ")")
_ENTRIES = Bulk("REPLACE INTO entries(space, name, value, sort, scope, key, owner, epoch, expires_us, payload)", 10)
_DELETE_ENTRIES = Bulk("DELETE FROM entries WHERE (space, name, value, sort, scope, key) IN (", 6, ")")
_FIND_ENTRIES = Lookup(
    columns=3,
    names="i, scope, epoch, key",
    select="SELECT json_group_array(json_array(i, json(c.entries))) FROM w CROSS JOIN cells c "
    "ON c.scope = w.scope AND c.epoch = w.epoch AND c.key = w.key WHERE c.entries IS NOT NULL",
)

_encode = msgspec.json.encode


class StaleHead(Exception):
    """The place of a new record was taken: somebody committed unnoticed. Decide the batch again."""


class Writes:
    """What one batch will write.

    `log` holds rows of eleven values laid end to end, `places` the rows that say where those records are, `cells` the
    cells written (None: deleted), which is the overlay of the batch too.
    """

    def __init__(self, connection: apsw.Connection, cursor: Cursor) -> None:
        self.log: list[Any] = []
        self.places: list[CellRow] = []
        self.cells: dict[CellKey, CellRow | None] = {}
        self._connection = connection
        self._cursor = cursor
        self._rows: dict[int, ScopeRow] = {}
        self._entries: dict[CellKey, tuple[Entry, ...]] = {}
        self._new: dict[int, ScopeRow] = {}
        self._changed: dict[int, ScopeRow] = {}
        self._garbage: list[Any] = []
        self._dead: set[tuple[int, int]] = set()

    def turn(self, row: ScopeRow, head: Head, log_id: int) -> None:
        """The scope comes to life, or ends: by the record `log_id`, which leaves `head`."""
        if row.id == 0:
            row.id = log_id
            self._new[log_id] = row
        elif row.id not in self._new:
            self._changed[row.id] = row
        if row.head.live:
            self._garbage += (row.id, row.head.epoch, row.space.id, row.name)
            self._dead.add((row.id, row.head.epoch))

    def stage_cells(self, row: ScopeRow, plan: Plan) -> None:
        """Take over the cells a plan writes and deletes, in the scope's present epoch."""
        scope, seq, epoch = row.id, plan.head.seq, plan.head.epoch
        self._rows[scope] = row
        cells = self.cells
        for write in plan.writes:
            key = write.key
            at = (scope, epoch, key)
            if write.entries:
                self._entries[at] = write.entries
                names = _encode([(entry.index, entry.value, entry.order) for entry in write.entries]).decode()
                cells[at] = (scope, epoch, key, seq, write.expires_us, write.value, names)
            else:
                cells[at] = (scope, epoch, key, seq, write.expires_us, write.value)
        for key in plan.deletes:
            cells[(scope, epoch, key)] = None

    def run(self) -> None:
        """Write everything. Raises StaleHead."""
        cursor = self._cursor
        if self._new:
            rows = sorted(self._new.values(), key=lambda row: (row.space.id, row.name))
            _NEW_SCOPES.run(cursor, list(chain.from_iterable(map(_scope_columns, rows))))
        for row in self._changed.values():
            head = row.head
            cursor.execute(_CHANGE_SCOPE, (int(head.live), head.epoch, row.space.id, row.name, row.id))
        if self._garbage:
            _GARBAGE.run(cursor, self._garbage)
        _LOG.run(cursor, self.log)
        self._write_cells()

    def _write_cells(self) -> None:
        plain = self.places
        indexed: list[CellKey] = []
        deleted: list[CellKey] = []
        for at, row in self.cells.items():
            if self._dead and at[:2] in self._dead:
                continue
            if row is None:
                deleted.append(at)
            elif len(row) == 6:
                plain.append(row)
            else:
                indexed.append(at)
        self._write_plain(sorted(plain))
        if deleted:
            deleted.sort()
            self._remove_entries(deleted)
            _DELETE_CELLS.run(self._cursor, list(chain.from_iterable(deleted)))
        if indexed:
            self._write_indexed(sorted(indexed))

    def _write_plain(self, plain: list[CellRow]) -> None:
        connection = self._connection
        before = connection.total_changes()
        _PLAIN_CELLS.run(self._cursor, list(chain.from_iterable(plain)))
        missing = len(plain) - (connection.total_changes() - before)
        if missing:
            again = self._remove_entries([row[:3] for row in plain if row[1] >= 0])
            if len(again) != missing:
                raise StaleHead
            _INDEXED_CELLS.run(self._cursor, [part for at in again for part in (*self._row(at), None)])

    def _write_indexed(self, indexed: list[CellKey]) -> None:
        self._remove_entries(indexed)
        _INDEXED_CELLS.run(self._cursor, [part for at in indexed for part in self._row(at)])
        rows: list[Any] = []
        for at in indexed:
            scope, epoch, key = at
            owner = self._rows[scope]
            expires_us = self._row(at)[4]
            for entry in self._entries[at]:
                rows += (owner.space.id, entry.index, entry.value, entry.order, owner.name, key)
                rows += (scope, epoch, expires_us, entry.payload)
        _ENTRIES.run(self._cursor, rows)

    def _remove_entries(self, keys: list[CellKey]) -> list[CellKey]:
        """Remove the stored index entries of these cells; returns the cells that had any."""
        had: list[CellKey] = []
        old: list[Any] = []
        for i, names in _FIND_ENTRIES.rows(self._cursor, list(chain.from_iterable(keys)), len(keys)):
            at = keys[i]
            had.append(at)
            owner = self._rows[at[0]]
            for index, value, order in names:
                old += (owner.space.id, index, value, order, owner.name, at[2])
        if old:
            _DELETE_ENTRIES.run(self._cursor, old)
        return had

    def _row(self, at: CellKey) -> CellRow:
        row = self.cells[at]
        assert row is not None
        return row


def _scope_columns(row: ScopeRow) -> tuple[Any, ...]:
    head = row.head
    return (row.space.id, row.name, row.id, int(head.live), head.epoch, head.floor)
