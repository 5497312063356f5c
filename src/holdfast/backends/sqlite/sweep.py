"""Removing what nobody can see, in small transactions between the batches.

What to remove is looked for on a reading connection, so that a long search holds nobody up; the writer then removes at
most `STEP` rows at a time and judges anew what could have changed since: whether a cell is still expired, a scope still
dropped. Records below a scope's newest only ever become older, so those need no second look.

Removing works on a full store as far as its log file has room: a checkpoint first lets the log be begun anew.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NamedTuple

import apsw

from holdfast.backends.sqlite.bulk import Cursor
from holdfast.backends.sqlite.writer import Writer
from holdfast.backends.sqlite.writes import CellKey
from holdfast.errors import StoreFull
from holdfast.kernel.commit import Retention, Swept

STEP = 500
"""Rows removed in one transaction: a few milliseconds."""

PAGE = 1_000

FREE_PAGES_MIN = 2_000
FREE_PAGES_STEP = 500

_EXPIRED = (
    "SELECT c.scope, c.epoch, c.key FROM cells c CROSS JOIN scopes s ON s.id = c.scope AND s.epoch = c.epoch "
    "WHERE c.expires_us <= ?2 AND s.space = ?1 ORDER BY c.expires_us LIMIT ?3"
)
_GARBAGE = "SELECT scope, epoch, name FROM garbage WHERE space = ? ORDER BY scope, epoch LIMIT ?"
_SCOPES = """
    SELECT s.name, s.id, s.live, s.floor, (SELECT max(key) FROM cells WHERE scope = s.id AND epoch = -1)
    FROM scopes s WHERE s.space = ?1 AND s.name > ?2 ORDER BY s.name LIMIT ?3"""
_AGES = (
    "SELECT p.key, l.at_us FROM cells p CROSS JOIN log l ON l.id = p.version "
    "WHERE p.scope = ?1 AND p.epoch = -1 AND p.key >= ?2 AND p.key < ?3 ORDER BY p.key LIMIT ?4"
)

_REMOVE_CELL = (
    "DELETE FROM cells WHERE scope = ?1 AND epoch = ?2 AND key = ?3 AND expires_us <= ?4 RETURNING entries, apart, "
    "(SELECT name FROM scopes WHERE id = ?1)"
)
_EPOCH_CELLS = "SELECT key, entries, apart FROM cells WHERE scope = ? AND epoch = ? ORDER BY key LIMIT ?"
_REMOVE_ENTRY = (
    "DELETE FROM entries WHERE space = ?1 AND name = json_extract(?2, '$[0]') AND value = json_extract(?2, '$[1]') "
    "AND sort = json_extract(?2, '$[2]') AND scope = ?3 AND key = ?4 AND owner = ?5 AND epoch = ?6"
)
_REMOVE_RECORDS = (
    "DELETE FROM log WHERE id IN (SELECT version FROM cells WHERE scope = ?1 AND epoch = -1 "
    "AND key < min(?2, (SELECT floor FROM scopes WHERE id = ?1) + ?3))"
)
_REMOVE_PLACES = (
    "DELETE FROM cells WHERE scope = ?1 AND epoch = -1 AND key < min(?2, (SELECT floor FROM scopes WHERE id = ?1) + ?3)"
)
_RAISE_FLOOR = "UPDATE scopes SET floor = (SELECT min(key) FROM cells WHERE scope = ?1 AND epoch = -1) WHERE id = ?1"


class Limits(NamedTuple):
    """What one sweep is asked for."""

    space: int
    now_us: int
    retention: Retention


class Ended(NamedTuple):
    """An epoch that ended and was not removed yet."""

    scope: int
    epoch: int
    name: str


class Trim(NamedTuple):
    """Remove the records of a scope below `floor`, or with `over` the whole scope."""

    name: str
    scope: int
    floor: int
    over: bool


class Sweep:
    """One sweep of one space. `look` runs a function on a reading connection, `act` one in the writer."""

    def __init__(
        self,
        limits: Limits,
        budget: int,
        *,
        look: Callable[..., Awaitable[Any]],
        act: Callable[[Callable[[Writer], Any]], Awaitable[Any]],
    ) -> None:
        self._limits = limits
        self._left = budget
        self._look = look
        self._act = act
        self._step = STEP
        self._cells = self._records = self._scopes = 0

    async def run(self) -> Swept:
        """Expired cells, then what dropped scopes left, then records and tombstones, until the budget is used up."""
        await self._sweep_expired()
        await self._sweep_garbage()
        await self._sweep_records()
        await self._remove(give_back)
        return Swept(self._cells, self._records, self._scopes, more=self._left <= 0)

    async def _sweep_expired(self) -> None:
        while self._left > 0:
            cells = await self._look(find_expired, self._limits, min(self._step, self._left))
            removed = await self._remove(remove_expired, self._limits, cells) if cells else 0
            if not removed:
                return
            self._cells += removed
            self._left -= removed

    async def _sweep_garbage(self) -> None:
        while self._left > 0 and (epochs := await self._look(find_garbage, self._limits.space)):
            for ended in epochs:
                done = False
                while not done and self._left > 0:
                    count = min(self._step, self._left)
                    removed, done = await self._remove(remove_garbage, self._limits.space, ended, count)
                    self._cells += removed
                    self._left -= removed

    async def _sweep_records(self) -> None:
        after: str | None = ""
        while after is not None and self._left > 0:
            trims, after = await self._look(find_trims, self._limits, after)
            for trim in trims:
                await self._trim(trim)

    async def _trim(self, trim: Trim) -> None:
        removed = -1
        while removed and self._left > 0:
            removed = await self._remove(remove_records, trim, min(self._step, self._left))
            if not trim.over:
                self._records += removed
            self._left -= removed
        if trim.over and self._left > 0 and await self._remove(forget_scope, self._limits.space, trim):
            self._scopes += 1
            self._left -= 1

    async def _remove(self, remove: Callable[..., Any], *args: Any) -> Any:
        try:
            return await self._act(lambda writer: remove(writer, *args))
        except StoreFull:
            self._step = max(1, STEP // 50)
            await self._act(make_room)
            return await self._act(lambda writer: remove(writer, *args))


# --- looking, on a reading connection -------------------------------------------------------------


def find_expired(cursor: Cursor, limits: Limits, count: int) -> list[CellKey]:
    """Expired cells of live scopes, the longest expired first."""
    rows: list[CellKey] = cursor.execute(_EXPIRED, (limits.space, limits.now_us, count)).fetchall()
    return rows


def find_garbage(cursor: Cursor, space: int) -> list[Ended]:
    """Epochs that ended and were not removed yet."""
    return [Ended(*row) for row in cursor.execute(_GARBAGE, (space, PAGE)).fetchall()]


def find_trims(cursor: Cursor, limits: Limits, after: str) -> tuple[list[Trim], str | None]:
    """The trims due among the next scopes by name, and the name to go on after; None at the end."""
    retention = limits.retention
    rows = cursor.execute(_SCOPES, (limits.space, after, PAGE)).fetchall()
    trims = []
    for name, scope, live, floor, seq in rows:
        if not live and retention.tombstone_us is not None:
            ((_, at_us),) = cursor.execute(_AGES, (scope, seq, seq + 1, 1)).fetchall()
            if limits.now_us - at_us >= retention.tombstone_us:
                trims.append(Trim(name, scope, seq, over=True))
                continue
        kept_from = _kept_from(cursor, limits, scope, floor, seq)
        if kept_from > floor:
            trims.append(Trim(name, scope, kept_from, over=False))
    return trims, (rows[-1][0] if len(rows) == PAGE else None)


def _kept_from(cursor: Cursor, limits: Limits, scope: int, floor: int, seq: int) -> int:
    """The lowest seq to keep: the first record from the front within a bound that is given, or the newest."""
    retention = limits.retention
    if retention.age_us is None and retention.count is None:
        return floor
    most = seq - max(1, retention.count or 0) + 1
    if retention.age_us is None:
        return max(floor, most)
    kept = floor
    for old in _older(cursor, limits, scope, floor, most):
        kept = old + 1
    return kept


def _older(cursor: Cursor, limits: Limits, scope: int, kept: int, end: int) -> Iterator[int]:
    """The seqs from `kept` to below `end` whose records are too old, up to the first that is not."""
    assert limits.retention.age_us is not None
    while kept < end:
        rows = cursor.execute(_AGES, (scope, kept, end, 100)).fetchall()
        for found, at_us in rows:
            if limits.now_us - at_us < limits.retention.age_us:
                return
            yield found
            kept = found + 1
        if not rows:
            return


# --- removing, in the writer ----------------------------------------------------------------------


def remove_expired(writer: Writer, limits: Limits, cells: list[CellKey]) -> int:
    """Remove these cells if they are still expired; returns how many were."""
    removed = 0
    with writer.transaction("sweep") as cursor:
        for at in cells:
            for entries, apart, name in cursor.execute(_REMOVE_CELL, (*at, limits.now_us)).fetchall():
                removed += 1
                _clear_elsewhere(cursor, (limits.space, name, at), entries, apart)
    return removed


def remove_garbage(writer: Writer, space: int, ended: Ended, count: int) -> tuple[int, bool]:
    """Remove up to `count` cells of an ended epoch; returns how many, and whether that was the last of it."""
    scope, epoch, name = ended
    with writer.transaction("sweep") as cursor:
        rows = cursor.execute(_EPOCH_CELLS, (scope, epoch, count)).fetchall()
        for key, entries, apart in rows:
            _clear_elsewhere(cursor, (space, name, (scope, epoch, key)), entries, apart)
        if rows:
            cursor.execute("DELETE FROM cells WHERE scope = ? AND epoch = ? AND key <= ?", (scope, epoch, rows[-1][0]))
        if len(rows) < count:
            cursor.execute("DELETE FROM garbage WHERE scope = ? AND epoch = ?", (scope, epoch))
    return len(rows), len(rows) < count


def remove_records(writer: Writer, trim: Trim, count: int) -> int:
    """Remove up to `count` of the records below the trim's floor; returns how many. The newest is kept."""
    below = (trim.scope, trim.floor, count)
    with writer.transaction("sweep") as cursor:
        cursor.execute(_REMOVE_RECORDS, below)
        removed = writer.connection.changes()
        if removed:
            cursor.execute(_REMOVE_PLACES, below)
            cursor.execute(_RAISE_FLOOR, (trim.scope,))
            cursor.execute("UPDATE meta SET sweeps = sweeps + 1")
    return removed


def forget_scope(writer: Writer, space: int, trim: Trim) -> bool:
    """Remove the last trace of a dropped scope, unless it has been revived since."""
    with writer.transaction("sweep") as cursor:
        cursor.execute("DELETE FROM scopes WHERE id = ? AND NOT live", (trim.scope,))
        if not writer.connection.changes():
            return False
        places = "FROM cells WHERE scope = ? AND epoch = -1"
        ids = [row[0] for row in cursor.execute(f"SELECT version {places}", (trim.scope,)).fetchall()]
        for log_id in ids:
            cursor.execute("DELETE FROM log WHERE id = ?", (log_id,))
        cursor.execute(f"DELETE {places}", (trim.scope,))
        cursor.execute("UPDATE meta SET sweeps = sweeps + 1, tip = max(tip, ?)", (max(ids),))
        cursor.execute("UPDATE spaces SET moved_floor = max(moved_floor, ?) WHERE id = ?", (max(ids), space))
    return True


def make_room(writer: Writer) -> None:
    """Let the log file be written again from its beginning: the room it has is all there is on a full disk."""
    writer.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)


def give_back(writer: Writer) -> None:
    """Return free pages to the file system, a few at a time, when they are a good part of the file."""
    cursor = writer.cursor
    free = cursor.execute("PRAGMA freelist_count").fetchall()[0][0]
    if free >= FREE_PAGES_MIN and free * 4 >= cursor.execute("PRAGMA page_count").fetchall()[0][0]:
        with writer.transaction("sweep"):
            cursor.execute(f"PRAGMA incremental_vacuum({FREE_PAGES_STEP})").fetchall()


def _clear_elsewhere(cursor: Cursor, owner: tuple[int, str, CellKey], entries: str | None, apart: int | None) -> None:
    """Remove the index entries and the value apart of a cell that was removed."""
    space, name, (scope, epoch, key) = owner
    if entries is not None:
        for (entry,) in cursor.execute("SELECT value FROM json_each(?)", (entries,)).fetchall():
            cursor.execute(_REMOVE_ENTRY, (space, entry, name, key, scope, epoch))
    if apart is not None:
        cursor.execute("DELETE FROM apart WHERE id = ?", (apart,))
