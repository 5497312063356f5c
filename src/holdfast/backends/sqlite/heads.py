"""What the writer remembers of scopes between batches, and how it learns what other processes wrote.

A remembered head is true as long as nobody else wrote. SQLite's data version says whether somebody did: then the log
is read on from one's own tip, or, when that is long or a sweep has run, everything is forgotten. Should a stale head
slip through nevertheless, the place of its record (scope, seq) is taken, and the batch is decided anew.

Heads fetched in bulk are light: time and cause of the last commit, which no condition looks at, are left out
(`full` is False) and completed for the answer of a conflict.
"""

from __future__ import annotations

from collections.abc import Callable

import apsw
import msgspec

from holdfast.backends.sqlite.bulk import Cursor, Lookup
from holdfast.errors import Corrupt
from holdfast.kernel.commit import NO_HEAD, Head

HEADS_MAX = 65_536
"""How many heads of one space are remembered; beyond, all are forgotten and fetched again as needed."""

TAIL_MAX = 256
"""How many records of others are followed; beyond, all heads are forgotten."""

_FIND_HEADS = Lookup(
    columns=2,
    names="i, space, name",
    select="SELECT json_group_array(json_array(i, s.id, s.live, s.epoch, s.floor, "
    "(SELECT max(key) FROM cells WHERE scope = s.id AND epoch = -1))) "
    "FROM w CROSS JOIN scopes s ON s.space = w.space AND s.name = w.name",
)
_TAIL = (
    "SELECT json_group_array(json_array(scope, seq, epoch, op)) "
    "FROM (SELECT scope, seq, epoch, op FROM log WHERE id > ? ORDER BY id LIMIT ?)"
)
_TIP = "SELECT max(ifnull((SELECT max(id) FROM log), 0), tip), sweeps FROM meta"
_FULL = (
    "SELECT l.at_us, l.cause FROM cells p CROSS JOIN log l ON l.id = p.version "
    "WHERE p.scope = ? AND p.epoch = -1 AND p.key = ?"
)


class ScopeRow:
    """One scope as the writer knows it; `id` is 0 while it has no row."""

    __slots__ = ("full", "head", "id", "name", "space")

    def __init__(self, space: SpaceCache, name: str) -> None:
        self.space = space
        self.name = name
        self.id = 0
        self.head = NO_HEAD
        self.full = True


class Lane:
    """The last n of one writer; `id` is 0 until it has a row."""

    __slots__ = ("id", "n")

    def __init__(self, lane_id: int, n: int) -> None:
        self.id = lane_id
        self.n = n


class SpaceCache:
    """One space of the file: its id, what is remembered of it, and who wants to be woken when it moves."""

    __slots__ = ("heads", "id", "lanes", "lasts", "name", "wakes")

    def __init__(self, space_id: int, name: str) -> None:
        self.id = space_id
        self.name = name
        self.heads: dict[str, ScopeRow] = {}
        self.lanes: dict[str, Lane] = {}
        self.lasts: dict[str, int] = {}  # the last n of each lane, also of commits that left nothing to write
        self.wakes: dict[object, Callable[[], None]] = {}


class Heads:
    """The memory of the writer's connection over all spaces. Used by the writer's thread only."""

    def __init__(self, connection: apsw.Connection, cursor: Cursor) -> None:
        self.tip = 0
        self._connection = connection
        self._cursor = cursor
        self._spaces: dict[int, SpaceCache] = {}
        self._by_id: dict[int, ScopeRow] = {}
        self._version = -1
        self._sweeps = -1

    def space(self, space_id: int, name: str) -> SpaceCache:
        """The cache of one space, made when missing."""
        return self._spaces.setdefault(space_id, SpaceCache(space_id, name))

    def clear(self) -> None:
        """Forget everything: after any error nothing remembered is to be trusted."""
        self._version = -1
        self._by_id.clear()
        for space in self._spaces.values():
            space.heads.clear()
            space.lanes.clear()
            space.lasts.clear()

    def distrust(self) -> None:
        """Have every head fetched anew: something other than a batch was written."""
        self._version = -1

    def refresh(self) -> None:
        """At the beginning of a write transaction: notice what others wrote since `settle`."""
        if self._connection.data_version() == self._version:
            return
        for space in self._spaces.values():
            space.lasts.update((writer, lane.n) for writer, lane in space.lanes.items())
            space.lanes.clear()
        tip, sweeps = self._cursor.execute(_TIP).fetchall()[0]
        if self._version == -1 or sweeps != self._sweeps or tip - self.tip > TAIL_MAX or not self._follow():
            self._by_id.clear()
            for space in self._spaces.values():
                space.heads.clear()
        self.tip, self._sweeps = tip, sweeps

    def settle(self) -> None:
        """At the end of a transaction: what is remembered now is what the file says."""
        self._version = self._connection.data_version()
        for space in self._spaces.values():
            if len(space.heads) > HEADS_MAX:
                for row in space.heads.values():
                    self._by_id.pop(row.id, None)
                space.heads.clear()

    def load(self, wanted: list[tuple[SpaceCache, str]]) -> list[ScopeRow]:
        """Remember these scopes, which were not; those that have no row get one with id 0, and are returned."""
        params = [part for space, name in wanted for part in (space.id, name)]
        rows = [ScopeRow(space, name) for space, name in wanted]
        for i, scope_id, live, epoch, floor, seq in _FIND_HEADS.rows(self._cursor, params, len(wanted)):
            row = rows[i]
            if seq is None:
                raise Corrupt(f"{row.name} has a head and no log", scope=row.name)
            row.id, row.full = scope_id, False
            row.head = Head(seq, epoch, live == 1, floor)
            self._by_id[scope_id] = row
        for row in rows:
            row.space.heads[row.name] = row
        return [row for row in rows if row.id == 0]

    def remember(self, row: ScopeRow) -> None:
        """The scope got its id."""
        self._by_id[row.id] = row

    def forget(self, row: ScopeRow) -> None:
        """Drop one scope from memory."""
        row.space.heads.pop(row.name, None)
        self._by_id.pop(row.id, None)

    def complete(self, row: ScopeRow) -> None:
        """Fill in time and cause of a light head, as the file has it before this batch."""
        found = self._cursor.execute(_FULL, (row.id, row.head.seq)).fetchall()
        if not found:
            raise Corrupt(f"{row.name} has a head and no record {row.head.seq}", scope=row.name)
        head = row.head
        row.head = Head(head.seq, head.epoch, head.live, head.floor, *found[0])
        row.full = True

    def _follow(self) -> bool:
        tail = self._cursor.execute(_TAIL, (self.tip, TAIL_MAX + 1)).fetchall()[0][0]
        records = msgspec.json.decode(tail)
        if len(records) > TAIL_MAX:
            return False
        for scope_id, seq, epoch, op in records:
            row = self._by_id.get(scope_id)
            if row is None:
                continue
            head = row.head
            if op or not head.live or epoch != head.epoch:
                self.forget(row)
            else:
                row.head = Head(seq, epoch, True, head.floor)
                row.full = False
        return True
