"""Deciding a batch: every commit judged against the file and the earlier commits of the batch, before any write.

What the conditions need is fetched first, one statement for all heads and one for all checked cells; then
`evaluate` decides in memory, over an overlay of what the batch has decided so far. Values are fetched only to explain
a conflict.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apsw
import msgspec

from holdfast.backends.sqlite.bulk import Cursor, Lookup
from holdfast.backends.sqlite.evidence import first_seq
from holdfast.backends.sqlite.heads import Heads, Lane, ScopeRow, SpaceCache
from holdfast.backends.sqlite.writes import CellKey, Writes
from holdfast.errors import Indeterminate, Unavailable
from holdfast.kernel.commit import Absent, Cell, Commit, Committed, Conflict, Head, Outcome, Present, Record, Unchanged
from holdfast.kernel.evaluate import Plan, evaluate, is_visible

_FIND_CELLS = Lookup(
    columns=3,
    names="i, scope, epoch, key",
    select="SELECT json_group_array(json_array(i, c.version, c.expires_us, c.entries IS NULL AND c.apart IS NULL)) "
    "FROM w CROSS JOIN cells c ON c.scope = w.scope AND c.epoch = w.epoch AND c.key = w.key",
)
_VALUE = (
    "SELECT ifnull(c.value, (SELECT value FROM apart WHERE id = c.apart)) "
    "FROM cells c WHERE c.scope = ? AND c.epoch = ? AND c.key = ?"
)
_TOUCHED = (
    "SELECT json_group_array(json_array(seq, op, json(touched))) FROM "
    "(SELECT l.seq, l.op, l.touched FROM cells p CROSS JOIN log l ON l.id = p.version "
    "WHERE p.scope = ? AND p.epoch = -1 AND p.key > ? AND p.key <= ? ORDER BY p.key LIMIT 1000)"
)
_FIND_LANE = "SELECT id, n FROM writers WHERE space = ? AND writer = ?"
_MAKE_LANE = "INSERT INTO writers(space, writer, n) VALUES (?, ?, ?) RETURNING id"

_CELL_CHECKS = frozenset({Absent, Present, Unchanged})
_NOT_WRITTEN: Any = object()
_encode = msgspec.json.encode
_decode_touched = msgspec.json.Decoder(list[tuple[int, int, tuple[str, ...]]]).decode


class Call:
    """The commits that one caller sent to one space together, and their outcomes once there are any."""

    __slots__ = ("commits", "outcomes", "space")

    def __init__(self, space: SpaceCache, commits: Sequence[Commit]) -> None:
        self.space = space
        self.commits = commits
        self.outcomes: list[Outcome] = []


class Batch:
    """One transaction's worth of calls: `decide`, then `write`. Used once."""

    def __init__(self, connection: apsw.Connection, cursor: Cursor, heads: Heads) -> None:
        self._cursor = cursor
        self._heads = heads
        self._writes = Writes(connection, cursor)
        self._cells = self._writes.cells
        self._found: dict[CellKey, tuple[int, int | None]] = {}
        self._records: dict[int, list[Record]] = {}
        self._lanes: set[Lane] = set()
        # the commit being judged
        self._scopes: dict[str, ScopeRow] = {}
        self._now_us = 0

    def decide(self, calls: Sequence[Call]) -> None:
        """Judge all in order and fill in every call's outcomes; nothing acknowledged may rest on them yet."""
        absent = self._load_heads(calls)
        self._load_cells(calls)
        for call in calls:
            self._scopes = call.space.heads
            call.outcomes = [self._outcome(call.space, commit) for commit in call.commits]
        for row in absent:
            if row.id == 0:
                self._heads.forget(row)

    def write(self) -> bool:
        """Write what was decided, all of it; False if there is nothing."""
        if not self._writes.log:
            return False
        self._writes.run()
        for lane in self._lanes:
            if lane.id:
                self._cursor.execute("UPDATE writers SET n = ? WHERE id = ?", (lane.n, lane.id))
        return True

    # --- fetching -------------------------------------------------------------------------------------

    def _load_heads(self, calls: Sequence[Call]) -> list[ScopeRow]:
        missing = {}
        for call in calls:
            known = call.space.heads
            for commit in call.commits:
                for part in commit.scopes:
                    if part.scope not in known:
                        missing[(call.space.id, part.scope)] = (call.space, part.scope)
        return self._heads.load(list(missing.values())) if missing else []

    def _load_cells(self, calls: Sequence[Call]) -> None:
        wanted: dict[CellKey, None] = {}
        for call in calls:
            for commit in call.commits:
                for part in commit.scopes:
                    if part.checks and (row := call.space.heads[part.scope]).head.live:
                        for check in part.checks:
                            if type(check) in _CELL_CHECKS:
                                wanted[(row.id, row.head.epoch, check.key)] = None  # type: ignore[union-attr]
        if wanted:
            names = list(wanted)
            params = [part for name in names for part in name]
            for i, version, expires_us, plain in _FIND_CELLS.rows(self._cursor, params, len(names)):
                self._found[names[i]] = (version, expires_us)
                if plain:
                    self._writes.plain.add(names[i])

    def _lane(self, space: SpaceCache, writer: str) -> Lane:
        found = self._cursor.execute(_FIND_LANE, (space.id, writer)).fetchall()
        lane = space.lanes[writer] = Lane(*found[0]) if found else Lane(0, 0)
        lane.n = max(lane.n, space.lasts.get(writer, 0))
        return lane

    # --- judging --------------------------------------------------------------------------------------

    def _outcome(self, space: SpaceCache, commit: Commit) -> Outcome:
        writer, n = commit.id
        lane = space.lanes.get(writer) or self._lane(space, writer)
        if n <= lane.n:
            return self._first_time(space, commit)
        lane.n = n
        self._lanes.add(lane)
        self._now_us = commit.at_us
        plans = evaluate(commit, self._head, self._cell, self._touched)
        if not isinstance(plans, list):
            return self._explained(plans)
        if plans and not lane.id:
            lane.id = self._cursor.execute(_MAKE_LANE, (space.id, writer, n)).fetchall()[0][0]
        if len(plans) == len(commit.scopes) == 1:
            self._stage(space, plans[0], lane, puts=len(commit.scopes[0].puts))
            return Committed({plans[0].scope: plans[0].head.seq})
        puts = {part.scope: len(part.puts) for part in commit.scopes}
        for plan in plans:
            self._stage(space, plan, lane, puts=puts[plan.scope])
        return Committed({plan.scope: plan.head.seq for plan in plans})

    def _head(self, scope: str) -> Head:
        return self._scopes[scope].head

    def _cell(self, scope: str, key: str) -> Cell | None:
        row = self._scopes[scope]
        if not row.head.live:
            return None
        at = (row.id, row.head.epoch, key)
        written = self._cells.get(at, _NOT_WRITTEN)
        if written is _NOT_WRITTEN:
            found = self._found.get(at)
            if found is None or not is_visible(found[1], self._now_us):
                return None
            return Cell(key, b"", *found)
        if written is None or not is_visible(written[4], self._now_us):
            return None
        return Cell(key, written[5], written[3], written[4])

    def _touched(self, scope: str, since: int) -> list[tuple[str, ...]] | None:
        row = self._scopes[scope]
        if row.id == 0:
            return []
        if since + 1 < row.head.floor:
            return None
        mine = self._records.get(row.id, [])
        stored_to = mine[0].seq - 1 if mine else row.head.seq
        touched = []
        at = since
        while at < stored_to:
            answer = self._cursor.execute(_TOUCHED, (row.id, at, stored_to)).fetchall()[0][0]
            records = _decode_touched(answer)
            if not records or any(op for _, op, _ in records):
                return None
            touched += [keys for _, _, keys in records]
            at = records[-1][0]
        for record in mine:
            if record.seq > since:
                if record.op == "drop":
                    return None
                touched.append(record.touched)
        return touched

    def _explained(self, conflict: Conflict) -> Conflict:
        """The same with what the fetch left out: time and cause of the head, the value of the cell."""
        row = self._scopes[conflict.scope]
        found = conflict.found
        if isinstance(found, Cell) and (at := (row.id, row.head.epoch, found.key)) not in self._cells:
            value = self._cursor.execute(_VALUE, at).fetchall()[0][0]
            found = Cell(found.key, value, found.version, found.expires_us)
        elif row.full:
            return conflict
        if not row.full:
            self._heads.complete(row)
        if isinstance(found, Head):
            found = row.head
        return Conflict(conflict.scope, conflict.what, conflict.key, conflict.expected, found, row.head)

    def _first_time(self, space: SpaceCache, commit: Commit) -> Outcome:
        """What became of a commit id that is at or below its lane's last: see `Kernel.commit`."""
        seqs: dict[str, int] = {}
        unknown: Indeterminate | None = None
        for part in commit.scopes:
            if not part.writes:
                continue
            row = space.heads[part.scope]
            mine = [record.seq for record in self._records.get(row.id, ()) if record.commit == commit.id]
            try:
                seq = mine[0] if mine else first_seq(self._cursor, space.id, part.scope, commit.id)
            except Indeterminate as error:
                unknown = error
                continue
            if seq is not None:
                seqs[part.scope] = seq
        if unknown is not None:
            return unknown
        if seqs:
            return Committed(seqs, replayed=True)
        return Unavailable(f"commit {commit.id} was never applied and its id is used up", burnt=True)

    # --- staging --------------------------------------------------------------------------------------

    def _stage(self, space: SpaceCache, plan: Plan, lane: Lane, *, puts: int) -> None:
        """Take what was decided into the overlay and the writes."""
        row = space.heads[plan.scope]
        head, record, writes = plan.head, plan.record, self._writes
        self._heads.tip = log_id = self._heads.tip + 1
        if not (row.head.live and head.live):
            writes.turn(row, head, log_id)
            self._heads.remember(row)
        row.head = head
        row.full = True
        scope, seq = row.id, head.seq
        if (records := self._records.get(scope)) is None:
            self._records[scope] = [record]
        else:
            records.append(record)
        writes.places.append((scope, -1, seq, log_id, None, None))
        writes.log += (
            log_id,
            scope,
            seq,
            record.epoch,
            1 if record.op == "drop" else 0,
            record.at_us,
            lane.id,
            record.commit.n,
            record.cause,
            _encode(record.touched).decode(),
            record.body,
        )
        if plan.writes or plan.deletes:
            writes.stage_cells(row, plan, log_id=log_id, puts=puts)
