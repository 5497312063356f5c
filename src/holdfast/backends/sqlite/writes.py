"""Writing a decided batch: in bulk, in key order, the last write of each cell only.

A plain cell is written without being read. Other cells have something elsewhere, index entries or a value that stands
apart, and name it (`entries`, `apart`); the upsert leaves them out, and when fewer rows were changed than written, they
are looked up, what they have elsewhere is removed, and they are written again. So only such cells pay for it. The
places of the new records go through the same statement, which leaves out one that is taken: the batch was decided on a
stale head.

What stands apart: a row of a table in key order holds some 1,000 bytes; beyond, it spills to a page of its own, half
empty, at three times the cost of reading and writing. And rows that are added in the middle of a scope split pages,
three or four at a time, the sooner the longer they are. So long values, and all but the shortest of appended ones,
stand in a table in rowid order (a batch of 64 appends of 400 bytes: 117 pages, not 249; of 2,000 bytes: 144, not 361).

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
"""scope, epoch, key, version, expires_us, value. What is not plain has a seventh part, its entries' names in JSON, and
what was appended and has its value apart an eighth, the id of that value."""

INLINE_PUT_MAX = 700
"""A longer value stands apart …"""

INLINE_APPEND_MAX = 60
"""… and of appended ones already this: apart from editing they are never written again."""

WRITES_BITS = 14
"""Enough to number the writes of one commit (`TRAITS.operations_max`)."""

_NEW_SCOPES = Bulk("INSERT INTO scopes(space, name, id, live, epoch, floor)", 6)
_CHANGE_SCOPE = "UPDATE scopes SET live = ?, epoch = ? WHERE space = ? AND name = ? AND id = ?"
_GARBAGE = Bulk("INSERT INTO garbage(scope, epoch, space, name)", 4)
_LOG = Bulk("INSERT OR FAIL INTO log(id, scope, seq, epoch, op, at_us, writer, n, cause, touched, body)", 11)
_PLAIN_CELLS = Bulk(
    "INSERT OR FAIL INTO cells(scope, epoch, key, version, expires_us, value)",
    6,
    "ON CONFLICT DO UPDATE SET version = excluded.version, expires_us = excluded.expires_us, value = excluded.value "
    "WHERE entries IS NULL AND apart IS NULL AND epoch >= 0",
)
_CELLS = Bulk(
    "INSERT OR FAIL INTO cells(scope, epoch, key, version, expires_us, value, entries, apart)",
    8,
    "ON CONFLICT DO UPDATE SET version = excluded.version, expires_us = excluded.expires_us, value = excluded.value, "
    "entries = excluded.entries, apart = excluded.apart",
)
_APPENDED_CELLS = Bulk(
    "INSERT OR FAIL INTO cells(scope, epoch, key, version, expires_us, apart)",
    6,
    "ON CONFLICT DO UPDATE SET version = excluded.version, expires_us = excluded.expires_us, value = NULL, "
    "apart = excluded.apart WHERE entries IS NULL AND apart IS NULL",
)
_APART = Bulk("INSERT OR FAIL INTO apart(id, value)", 2, "ON CONFLICT DO UPDATE SET value = excluded.value")
_DELETE_APART = Bulk("DELETE FROM apart WHERE id IN (", 1, ")")
_DELETE_CELL = "DELETE FROM cells WHERE scope = ? AND epoch = ? AND key = ?"
_DELETE_CELLS = Bulk("DELETE FROM cells WHERE (scope, epoch, key) IN (", 3, ")")
_ENTRIES = Bulk("REPLACE INTO entries(space, name, value, sort, scope, key, owner, epoch, expires_us, payload)", 10)
_DELETE_ENTRIES = Bulk("DELETE FROM entries WHERE (space, name, value, sort, scope, key) IN (", 6, ")")
_FIND_ELSEWHERE = Lookup(
    columns=3,
    names="i, scope, epoch, key",
    select="SELECT json_group_array(json_array(i, json(ifnull(c.entries, '[]')), c.apart)) FROM w CROSS JOIN cells c "
    "ON c.scope = w.scope AND c.epoch = w.epoch AND c.key = w.key WHERE c.entries IS NOT NULL OR c.apart IS NOT NULL",
)

_encode = msgspec.json.encode


class StaleHead(Exception):
    """The place of a new record was taken: somebody committed unnoticed. Decide the batch again."""


class Writes:
    """What one batch will write.

    `log` holds rows of eleven values laid end to end, `places` the rows that say where those records are, `cells` the
    cells written (None: deleted), which is the overlay of the batch too. `plain` are cells of the file, as it is before
    the batch, that surely have nothing elsewhere.
    """

    def __init__(self, connection: apsw.Connection, cursor: Cursor) -> None:
        self.log: list[Any] = []
        self.places: list[CellRow] = []
        self.cells: dict[CellKey, CellRow | None] = {}
        self.plain: set[CellKey] = set()
        self._connection = connection
        self._cursor = cursor
        self._rows: dict[int, ScopeRow] = {}
        self._special: dict[CellKey, tuple[int, tuple[Entry, ...]]] = {}
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

    def stage_cells(self, row: ScopeRow, plan: Plan, *, log_id: int, puts: int) -> None:
        """Take over the cells a plan writes, the first `puts` of them puts, and deletes, in the present epoch."""
        scope, seq, epoch = row.id, plan.head.seq, plan.head.epoch
        self._rows[scope] = row
        cells = self.cells
        for key in plan.deletes:  # first: what is appended under a deleted key is there afterwards
            cells[(scope, epoch, key)] = None
        for number, write in enumerate(plan.writes):
            key, value, entries = write.key, write.value, write.entries
            apart = len(value) > (INLINE_PUT_MAX if number < puts else INLINE_APPEND_MAX)
            if not entries and not apart:
                cells[(scope, epoch, key)] = (scope, epoch, key, seq, write.expires_us, value)
                continue
            place = log_id << WRITES_BITS | number if apart else 0
            self._special[(scope, epoch, key)] = (place, entries)
            if entries:
                names = _encode([(entry.index, entry.value, entry.order) for entry in entries]).decode()
                cells[(scope, epoch, key)] = (scope, epoch, key, seq, write.expires_us, value, names)
            elif number < puts:
                cells[(scope, epoch, key)] = (scope, epoch, key, seq, write.expires_us, value, None)
            else:
                cells[(scope, epoch, key)] = (scope, epoch, key, seq, write.expires_us, value, None, place)

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
        appended: list[CellRow] = []
        special: list[CellRow] = []
        deleted: list[CellKey] = []
        for at, row in self.cells.items():
            if self._dead and at[:2] in self._dead:
                continue
            if row is None:
                deleted.append(at)
            elif len(row) == 6:
                plain.append(row)
            elif len(row) == 8:
                appended.append(row)
            else:
                special.append(row)
        self._write_plain(sorted(plain))
        if deleted:
            self._delete(sorted(deleted))
        if appended:
            self._write_appended(sorted(appended, key=_place))
        if special:
            self._write_special(sorted(special, key=_place))

    def _delete(self, deleted: list[CellKey]) -> None:
        if unknown := [at for at in deleted if at not in self.plain]:
            self._clear_elsewhere(unknown)
        if len(deleted) == 1:  # as where a turn gives its session back
            self._cursor.execute(_DELETE_CELL, deleted[0])
        else:
            _DELETE_CELLS.run(self._cursor, list(chain.from_iterable(deleted)))

    def _write_plain(self, plain: list[CellRow]) -> None:
        connection = self._connection
        before = connection.total_changes()
        _PLAIN_CELLS.run(self._cursor, list(chain.from_iterable(plain)))
        missing = len(plain) - (connection.total_changes() - before)
        if missing:
            again = self._clear_elsewhere([_place(row) for row in plain if row[1] >= 0])
            if len(again) != missing:
                raise StaleHead
            rows = [row for row in plain if _place(row) in again]
            _CELLS.run(self._cursor, [part for row in rows for part in (*row, None, None)])

    def _write_appended(self, appended: list[CellRow]) -> None:
        """Values apart under keys that surely are new: nothing to look up, unless somebody had put one of the keys."""
        connection = self._connection
        before = connection.total_changes()
        _APPENDED_CELLS.run(self._cursor, [part for row in appended for part in (*row[:5], row[7])])
        if connection.total_changes() - before < len(appended):
            self._write_special([row[:7] for row in appended])
        else:
            _APART.run(self._cursor, [part for row in appended for part in (row[7], row[5])])

    def _write_special(self, special: list[CellRow]) -> None:
        before = self._clear_elsewhere([_place(row) for row in special], keep_apart=True)
        cells: list[Any] = []
        apart: list[Any] = []
        unused: list[Any] = []
        for row in special:
            at = _place(row)
            old, new = before.get(at), self._special[at][0]
            if new:
                apart += (old or new, row[5])
                cells += (*row[:5], None, row[6], old or new)
            else:
                cells += (*row, None)
                if old:
                    unused.append(old)
        _CELLS.run(self._cursor, cells)
        if apart:
            _APART.run(self._cursor, apart)
        if unused:
            _DELETE_APART.run(self._cursor, unused)
        _ENTRIES.run(self._cursor, [part for row in special for part in self._entries_of(row)])

    def _entries_of(self, row: CellRow) -> list[Any]:
        scope, epoch, key = at = _place(row)
        owner = self._rows[scope]
        rows: list[Any] = []
        for entry in self._special[at][1]:
            rows += (owner.space.id, entry.index, entry.value, entry.order, owner.name, key)
            rows += (scope, epoch, row[4], entry.payload)
        return rows

    def _clear_elsewhere(self, keys: list[CellKey], *, keep_apart: bool = False) -> dict[CellKey, int | None]:
        """Remove what these cells have elsewhere; returns those that had anything, with the id of a value apart.

        With `keep_apart` that value stays, to be overwritten.
        """
        had: dict[CellKey, int | None] = {}
        entries: list[Any] = []
        for i, names, apart in _FIND_ELSEWHERE.rows(self._cursor, list(chain.from_iterable(keys)), len(keys)):
            at = keys[i]
            had[at] = apart
            owner = self._rows[at[0]]
            for index, value, order in names:
                entries += (owner.space.id, index, value, order, owner.name, at[2])
        if entries:
            _DELETE_ENTRIES.run(self._cursor, entries)
        if not keep_apart and (unused := [apart for apart in had.values() if apart is not None]):
            _DELETE_APART.run(self._cursor, unused)
        return had


def _place(row: CellRow) -> CellKey:
    return row[:3]


def _scope_columns(row: ScopeRow) -> tuple[Any, ...]:
    head = row.head
    return (row.space.id, row.name, row.id, int(head.live), head.epoch, head.floor)
