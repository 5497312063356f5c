"""Removing what nobody can see, in small transactions between the batches.

What to remove is looked for on a reading connection, so that a long search holds nobody up; the writer then removes at
most `STEP` rows at a time and judges anew what could have changed since: whether a cell is still expired, a scope still
dropped, and by the very commit that was looked at: one revived and dropped again is a young tombstone. Records below
a scope's newest only ever become older, so those need no second look.

Removing works on a full store: where no space is left, the log is begun anew and the reserve given up (see `reserve`),
and the steps become smaller. There all free pages go back to the file system; otherwise only when they are many.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from holdfast.backends.sqlite.bulk import Cursor
from holdfast.backends.sqlite.reserve import Given
from holdfast.backends.sqlite.writer import Writer
from holdfast.backends.sqlite.writes import CellKey
from holdfast.errors import StoreFull
from holdfast.kernel.commit import Retention, Swept

STEP = 500
"""Rows removed in one transaction: a few milliseconds."""

TRIMS = 100
"""Scopes whose logs are trimmed in one transaction at most: each costs some statements, however little it removes."""

PAGE = 1_000

STEPS_ON_FULL = (STEP, 70, 10, 1)
"""What a step becomes each time that no space is left."""

FREE_PAGES_MIN = 2_000
GIVE_BACK_STEPS = 20
"""How many steps of returning pages one sweep makes at most."""

DISK_BYTES_MIN = 64 * 1024 * 1024
"""With less left on the disk than that, free pages are returned however few they are."""

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
_STILL_OVER = (
    "SELECT 1 FROM scopes WHERE id = ?1 AND NOT live "
    "AND (SELECT max(key) FROM cells WHERE scope = ?1 AND epoch = -1) = ?2"
)
_FORGET = (
    "DELETE FROM scopes WHERE id = ?1 AND NOT live "
    "AND (SELECT max(key) FROM cells WHERE scope = ?1 AND epoch = -1) = ?2"
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
    """Remove the records of a scope below `floor`, or with `over` the whole scope, whose newest record is `floor`."""

    name: str
    scope: int
    floor: int
    over: bool


class Trimmed(NamedTuple):
    """What one step of trims removed, and how many of the trims it brought to their end."""

    rows: int
    records: int
    scopes: int
    done: int


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
        self._small = 0  # the present step in STEPS_ON_FULL
        self._cells = self._records = self._scopes = 0

    async def run(self) -> Swept:
        """Expired cells, then what dropped scopes left, then records and tombstones, until the budget is used up."""
        await self._sweep_expired()
        await self._sweep_garbage()
        await self._sweep_records()
        await self._give_back()
        return Swept(self._cells, self._records, self._scopes, more=self._left <= 0)

    async def _sweep_expired(self) -> None:
        while self._left > 0:
            cells = await self._look(find_expired, self._limits, self._count())
            removed = await self._remove_expired(cells) if cells else 0
            if not removed:
                return
            self._cells += removed
            self._left -= removed

    async def _sweep_garbage(self) -> None:
        while self._left > 0 and (epochs := await self._look(find_garbage, self._limits.space)):
            await self._remove_epochs(epochs)

    async def _remove_epochs(self, epochs: list[Ended]) -> None:
        while epochs and self._left > 0:
            removed, done = await self._remove_garbage(epochs)
            epochs = epochs[done:]
            self._cells += removed
            self._left -= removed

    async def _sweep_records(self) -> None:
        after: str | None = ""
        while after is not None and self._left > 0:
            trims, after = await self._look(find_trims, self._limits, after)
            while trims and self._left > 0:
                trims = await self._trim(trims)

    async def _trim(self, trims: list[Trim]) -> list[Trim]:
        """One step of these trims; returns what is left of them."""
        space = self._limits.space
        trimmed: Trimmed = await self._remove(lambda writer: trim_some(writer, space, trims, self._count()))
        self._records += trimmed.records
        self._scopes += trimmed.scopes
        self._left -= trimmed.rows
        return trims[trimmed.done :]

    async def _remove_expired(self, cells: list[CellKey]) -> int:
        limits = self._limits
        removed: int = await self._remove(lambda writer: remove_expired(writer, limits, cells[: self._count()]))
        return removed

    async def _remove_garbage(self, epochs: list[Ended]) -> tuple[int, int]:
        space = self._limits.space
        answer: tuple[int, int] = await self._remove(
            lambda writer: remove_garbage(writer, space, epochs, self._count())
        )
        return answer

    async def _give_back(self) -> None:
        for _ in range(GIVE_BACK_STEPS):
            if not await self._remove(lambda writer: give_back(writer, STEPS_ON_FULL[self._small])):
                break
        await self._act(settle)

    def _count(self) -> int:
        return min(STEPS_ON_FULL[self._small], self._left)

    async def _remove(self, remove: Callable[[Writer], Any]) -> Any:
        """Run it in the writer; where no space is left, make some and run it again, in smaller steps."""
        while True:
            try:
                answer = await self._act(remove)
            except StoreFull:
                if self._small == len(STEPS_ON_FULL) - 1:
                    raise
                given: Given = "all" if self._small else "growth"
                self._small += 1
                await self._act(partial(make_room, given=given))
            else:
                self._small = max(0, self._small - 1)
                return answer


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
    with writer.transaction("sweep", "removes") as cursor:
        for at in cells:
            for entries, apart, name in cursor.execute(_REMOVE_CELL, (*at, limits.now_us)).fetchall():
                removed += 1
                _clear_elsewhere(cursor, (limits.space, name, at), entries, apart)
        if removed:  # they would be there again if the clock were set back
            cursor.execute("UPDATE meta SET sweeps = sweeps + 1")
    return removed


def remove_garbage(writer: Writer, space: int, epochs: list[Ended], count: int) -> tuple[int, int]:
    """Remove up to `count` cells of these ended epochs; returns how many, and how many of the epochs are done with."""
    rows = done = 0
    with writer.transaction("sweep", "removes") as cursor:
        for ended in epochs[:TRIMS]:
            removed = _remove_epoch(cursor, space, ended, count - rows)
            rows += removed
            if rows >= count:
                break  # of this one something may be left
            cursor.execute("DELETE FROM garbage WHERE scope = ? AND epoch = ?", ended[:2])
            done += 1
    return rows, done


def _remove_epoch(cursor: Cursor, space: int, ended: Ended, count: int) -> int:
    """Remove up to `count` cells of an ended epoch; returns how many. Fewer than the count: it is the last of it."""
    scope, epoch, name = ended
    rows = cursor.execute(_EPOCH_CELLS, (scope, epoch, count)).fetchall()
    for key, entries, apart in rows:
        _clear_elsewhere(cursor, (space, name, (scope, epoch, key)), entries, apart)
    if rows:
        cursor.execute("DELETE FROM cells WHERE scope = ? AND epoch = ? AND key <= ?", (scope, epoch, rows[-1][0]))
    return len(rows)


def trim_some(writer: Writer, space: int, trims: list[Trim], count: int) -> Trimmed:
    """As much of these trims, in order, as `count` rows allow, in one transaction: one sync for many small trims."""
    rows = records = scopes = done = 0
    with writer.transaction("sweep", "removes") as cursor:
        for trim in trims[:TRIMS]:
            removed = _remove_records(writer, cursor, trim, count - rows)
            rows += removed
            records += 0 if trim.over else removed
            if rows >= count:
                break  # of this one something may be left
            if trim.over and _forget_scope(writer, cursor, space, trim):
                rows, scopes = rows + 1, scopes + 1
            done += 1
            if rows >= count:
                break
        if rows:
            cursor.execute("UPDATE meta SET sweeps = sweeps + 1")
    return Trimmed(rows, records, scopes, done)


def _remove_records(writer: Writer, cursor: Cursor, trim: Trim, count: int) -> int:
    """Remove up to `count` of the records below the trim's floor; returns how many. The newest is kept, and all of a
    scope that was to be forgotten and has been revived since."""
    below = (trim.scope, trim.floor, count)
    if trim.over and not cursor.execute(_STILL_OVER, (trim.scope, trim.floor)).fetchall():
        return 0
    cursor.execute(_REMOVE_RECORDS, below)
    removed = writer.connection.changes()
    if removed:
        cursor.execute(_REMOVE_PLACES, below)
        cursor.execute(_RAISE_FLOOR, (trim.scope,))
    return removed


def _forget_scope(writer: Writer, cursor: Cursor, space: int, trim: Trim) -> bool:
    """Remove the last trace of a dropped scope, unless it has been revived since, and be it dropped again."""
    cursor.execute(_FORGET, (trim.scope, trim.floor))
    if not writer.connection.changes():
        return False
    places = "FROM cells WHERE scope = ? AND epoch = -1"
    ids = [row[0] for row in cursor.execute(f"SELECT version {places}", (trim.scope,)).fetchall()]
    for log_id in ids:
        cursor.execute("DELETE FROM log WHERE id = ?", (log_id,))
    cursor.execute(f"DELETE {places}", (trim.scope,))
    cursor.execute("UPDATE meta SET tip = max(tip, ?)", (max(ids),))
    cursor.execute("UPDATE spaces SET moved_floor = max(moved_floor, ?) WHERE id = ?", (max(ids), space))
    return True


def make_room(writer: Writer, given: Given) -> None:
    """See `Writer.make_room`."""
    writer.make_room(given)


def give_back(writer: Writer, pages: int) -> bool:
    """Return free pages to the file system, a few at a time, when they are a good part of the file or the disk is full;
    whether to go on with it."""
    connection = writer.connection
    free, full = connection.pragma("freelist_count"), writer.was_full or writer.disk_bytes() < DISK_BYTES_MIN
    if not free or not (full or (free >= FREE_PAGES_MIN and free * 4 >= connection.pragma("page_count"))):
        return False
    with writer.transaction("sweep", "removes") as cursor:
        cursor.execute(f"PRAGMA incremental_vacuum({pages})").fetchall()
    writer.was_full = full
    return full


def settle(writer: Writer) -> None:
    """After a full disk: have the file cut to what it holds, and take the reserve again."""
    if writer.was_full:
        writer.make_room("growth")
        writer.was_full = not writer.reserve.refill(writer.connection)


def _clear_elsewhere(cursor: Cursor, owner: tuple[int, str, CellKey], entries: str | None, apart: int | None) -> None:
    """Remove the index entries and the value apart of a cell that was removed."""
    space, name, (scope, epoch, key) = owner
    if entries is not None:
        for (entry,) in cursor.execute("SELECT value FROM json_each(?)", (entries,)).fetchall():
            cursor.execute(_REMOVE_ENTRY, (space, entry, name, key, scope, epoch))
    if apart is not None:
        cursor.execute("DELETE FROM apart WHERE id = ?", (apart,))
