"""A scope's log, and the scopes that moved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from holdfast.backends.sqlite.bulk import Cursor, bounded
from holdfast.errors import Compacted, Corrupt, Diverged, Gone, InvalidValue
from holdfast.kernel.commit import CommitId, Moved, Record

_SELECT = """
    SELECT l.seq, l.epoch, w.writer, l.n, l.at_us, l.cause, l.touched, l.body, l.op
    FROM cells p CROSS JOIN log l ON l.id = p.version AND l.scope = p.scope AND l.seq = p.key
    CROSS JOIN writers w ON w.id = l.writer
    WHERE p.scope = (SELECT id FROM scopes WHERE space = ?1 AND name = ?2) AND p.epoch = -1"""
_FORWARD = f"{_SELECT} AND p.key > ?3 ORDER BY p.key LIMIT ?4"
_REVERSE = f"{_SELECT} AND p.key < ?3 ORDER BY p.key DESC LIMIT ?4"
_ENDS = (
    "SELECT s.floor, (SELECT max(key) FROM cells WHERE scope = s.id AND epoch = -1) "
    "FROM scopes s WHERE s.space = ? AND s.name = ?"
)
_MOVED = """
    SELECT l.id, l.seq, s.space, s.name, (SELECT moved_floor FROM spaces WHERE id = ?1), (SELECT sweeps FROM meta)
    FROM log l CROSS JOIN scopes s ON s.id = l.scope WHERE l.id > ?2 ORDER BY l.id LIMIT ?3"""
_ENDS_OF_ALL = """
    SELECT max(ifnull((SELECT max(id) FROM log), 0), tip), (SELECT moved_floor FROM spaces WHERE id = ?), sweeps
    FROM meta"""
_SEQ_MAX = 2**63 - 1

_touched = msgspec.json.Decoder(tuple[str, ...]).decode


def read_log_back(
    cursor: Cursor, space: int, scope: str, after: int, limit: int, bytes_max: int | None
) -> tuple[Record, ...]:
    """See `Kernel.log` with `reverse`."""
    before = after if after > 0 else _SEQ_MAX
    return _without_gap(scope, _records(cursor, _REVERSE, (space, scope, before, limit), bytes_max))


def read_log(
    cursor: Cursor, space: int, scope: str, after: int, limit: int, bytes_max: int | None
) -> tuple[Record, ...]:
    """See `Kernel.log` without `reverse`."""
    records = _records(cursor, _FORWARD, (space, scope, after, limit), bytes_max)
    if records and records[0].seq == after + 1:  # what follows is there, so nothing was trimmed or lost
        return _without_gap(scope, records)
    cursor.execute("BEGIN")  # `Readers.here` ends it should anything raise
    ends = cursor.execute(_ENDS, (space, scope)).fetchall()
    records = _records(cursor, _FORWARD, (space, scope, after, limit), bytes_max)
    cursor.execute("COMMIT")
    if not ends:
        if after > 0:
            raise Gone(f"{scope} has no trace left", scope=scope, after=after)
        return ()
    floor, seq = ends[0]
    if seq is None:
        raise Corrupt(f"{scope} has a head and no log", scope=scope)
    if after > seq:
        raise Diverged(f"{scope} is at {seq}, before {after}", scope=scope, after=after, seq=seq)
    if after + 1 < floor:
        raise Compacted(f"the log of {scope} begins at {floor}, after {after}", scope=scope, after=after, floor=floor)
    if after < seq and (not records or records[0].seq != after + 1):
        raise Corrupt(f"the log of {scope} has a gap after {after}", scope=scope, after=after)
    return _without_gap(scope, records)


def read_moved(cursor: Cursor, space: int, after: str | None, limit: int) -> Moved:
    """See `Kernel.moved`. The limit counts rows of every space.

    A position is the id of a log row, "36". On a walk from the beginning it may lie below the floor as it was then,
    which is harmless, and says so: "36-42" has missed nothing up to 42.
    """
    if after is None:
        tip, _, sweeps = cursor.execute(_ENDS_OF_ALL, (space,)).fetchall()[0]
        return Moved((), str(tip), sweeps=sweeps)
    start, known = _position(after)
    rows = cursor.execute(_MOVED, (space, start, limit)).fetchall()
    tip, floor, sweeps = (start, *rows[0][4:]) if rows else cursor.execute(_ENDS_OF_ALL, (space,)).fetchall()[0]
    if after and floor > known:
        raise Compacted(f"position {after} is too old: before {floor} scopes were forgotten", floor=floor)
    if start > tip:
        raise Compacted(f"position {after} is beyond {tip}: the store lost history", floor=floor)
    seen: dict[str, int] = {}
    firsts: dict[str, int] = {}
    for row in rows:
        if row[2] == space:
            scope, seq = row[3], row[1]
            if scope in seen:
                firsts.setdefault(scope, seen[scope])
            seen[scope] = seq  # a scope's last move wins
    reached = rows[-1][0] if rows else start
    position = f"{reached}-{floor}" if reached < floor else str(reached)
    return Moved(tuple(seen.items()), position, len(rows) == limit, firsts, sweeps)


def _position(text: str) -> tuple[int, int]:
    """Where to start, and up to where nothing was missed."""
    if not text:
        return 0, 0
    numbers = text.split("-")
    if len(numbers) > 2 or not all(part.isascii() and part.isdigit() and len(part) < 19 for part in numbers):
        raise InvalidValue(f"{text[:40]!r} is not a position of this store", path="after")
    return int(numbers[0]), int(numbers[-1])


def _records(cursor: Cursor, statement: str, bindings: tuple[Any, ...], bytes_max: int | None) -> tuple[Record, ...]:
    return (
        tuple(map(_record, cursor.execute(statement, bindings).fetchall()))
        if bytes_max is None
        else tuple(bounded(cursor, map(_record, cursor.execute(statement, bindings)), bytes_max))
    )


def _record(row: Sequence[Any]) -> Record:
    commit = CommitId(row[2], row[3])
    return Record(row[0], row[1], commit, row[4], row[5], _touched(row[6]), row[7], "drop" if row[8] else "write")


def _without_gap(scope: str, records: tuple[Record, ...]) -> tuple[Record, ...]:
    if len(records) > 1 and abs(records[-1].seq - records[0].seq) != len(records) - 1:
        raise Corrupt(f"the log of {scope} has a gap", scope=scope)
    return records
