"""Heads, cells and ranges: the statements behind `Kernel.read`.

A head is put together from the scope's row and its newest record. One scope with a few keys takes one statement, which
is one cut by itself; anything more runs inside a transaction.
What raises in the middle of it leaves it open: `Readers.here` ends it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

from holdfast.backends.sqlite.bulk import LOOKUP_SIZES, Cursor, bounded
from holdfast.errors import Corrupt
from holdfast.kernel.commit import NO_HEAD, Cell, Head, Range, Read, View
from holdfast.kernel.keys import prefix_end

FEW = 4
"""So many keys are read in one statement with the head."""

_VALUE_OF = "ifnull({c}.value, (SELECT value FROM apart WHERE id = {c}.apart))"
_VALUE = _VALUE_OF.format(c="c")
_HEAD = """
    SELECT s.id, s.live, s.epoch, s.floor, l.seq, l.at_us, l.cause{cells}
    FROM scopes s LEFT JOIN log l ON l.scope = s.id AND l.id = (
        SELECT version FROM cells WHERE scope = s.id AND epoch = -1 ORDER BY key DESC LIMIT 1){joins}
    WHERE s.space = ?1 AND s.name = ?2"""


def _with_cells(few: int) -> str:
    """The head and, in the same row, value, version and expiry of each of so many cells."""
    names = [f"c{n}" for n in range(few)]
    cells = [f", {_VALUE_OF.format(c=c)}, {c}.version, {c}.expires_us" for c in names]
    joins = [
        f" LEFT JOIN cells {c} ON {c}.scope = s.id AND {c}.epoch = s.epoch AND {c}.key = ?{n} "
        f"AND ({c}.expires_us IS NULL OR {c}.expires_us > ?3)"
        for n, c in enumerate(names, 4)
    ]
    return _HEAD.format(cells="".join(cells), joins="".join(joins))


_FEW = tuple([_with_cells(few) for few in range(FEW + 1)])
HEAD = _FEW[0]
_SOME = (
    "SELECT key, {value}, version, expires_us FROM cells c WHERE scope = ? AND epoch = ? "
    "AND key IN ({keys}) AND (expires_us IS NULL OR expires_us > ?)"
)
_CELLS = {size: _SOME.format(value=_VALUE, keys=",".join("?" * size)) for size in LOOKUP_SIZES}
_ASCENDING = LOOKUP_SIZES[::-1]
_RANGE = (
    "SELECT key, {value}, version, expires_us FROM cells c WHERE scope = ?1 AND epoch = ?2 AND key >= ?3 AND key < ?4 "
    "AND (expires_us IS NULL OR expires_us > ?5) ORDER BY key {order} LIMIT ?6"
)
_FORWARD = _RANGE.format(value=_VALUE, order="ASC")
_REVERSE = _RANGE.format(value=_VALUE, order="DESC")

BEYOND_TEXT = b""
"""Greater than any text in SQLite's order of types."""


def rows_at_most(reads: Sequence[Read]) -> int:
    """How many cells the answer can have."""
    rows = 0
    for read in reads:
        rows += len(read.keys)
        for wanted in read.ranges:
            rows += wanted.limit
    return rows


def read_views(cursor: Cursor, space: int, reads: Sequence[Read], now_us: int) -> list[View]:
    """Answer all reads from one snapshot."""
    if len(reads) == 1 and not reads[0].ranges and len(reads[0].keys) <= FEW:
        return [_view_of_few(cursor, space, reads[0], now_us)]
    cursor.execute("BEGIN")
    views = [_view(cursor, space, read, now_us) for read in reads]
    cursor.execute("COMMIT")
    return views


def head_of(scope: str, row: Sequence[Any]) -> Head:
    """A head from id, live, epoch, floor, seq, at_us, cause."""
    if row[4] is None:
        raise Corrupt(f"{scope} has a head and no log", scope=scope)
    return Head(row[4], row[2], row[1] == 1, row[3], row[5], row[6])


def _view_of_few(cursor: Cursor, space: int, read: Read, now_us: int) -> View:
    scope, keys = read.scope, read.keys
    given = (space, scope, now_us, *keys) if keys else (space, scope)
    rows = cursor.execute(_FEW[len(keys)], given).fetchall()  # all: what is not read to its end keeps its snapshot
    if not rows:
        return View(scope, NO_HEAD, {})
    row, at = rows[0], 7
    cells: dict[str, Cell] = {}
    for key in keys:
        if row[at + 1] is not None:
            cells[key] = _cell((key, *row[at : at + 3]))
        at += 3
    return View(scope, head_of(scope, row), cells)


def _view(cursor: Cursor, space: int, read: Read, now_us: int) -> View:
    scope = read.scope
    rows = cursor.execute(HEAD, (space, scope)).fetchall()
    if not rows:
        return View(scope, NO_HEAD, {}, tuple(() for _ in read.ranges))
    head = head_of(scope, rows[0])
    if not head.live:
        return View(scope, head, {}, tuple(() for _ in read.ranges))
    place = (rows[0][0], head.epoch)
    cells = _cells(cursor, place, read.keys, now_us) if read.keys else {}
    return View(scope, head, cells, tuple([_range(cursor, place, wanted, now_us) for wanted in read.ranges]))


def _cells(cursor: Cursor, place: tuple[int, int], keys: tuple[str, ...], now_us: int) -> dict[str, Cell]:
    found: dict[str, Cell] = {}
    largest = LOOKUP_SIZES[0]
    for start in range(0, len(keys), largest):
        chunk = keys[start : start + largest]
        size = _ASCENDING[bisect_left(_ASCENDING, len(chunk))]
        padded = chunk + chunk[-1:] * (size - len(chunk))
        for row in cursor.execute(_CELLS[size], (*place, *padded, now_us)).fetchall():
            found[row[0]] = _cell(row)
    if len(found) < 2:
        return found
    return {key: found[key] for key in keys if key in found}


def _cell(row: Sequence[Any]) -> Cell:
    if row[1] is None:
        raise Corrupt(f"the value of {row[0]!r} is missing", key=row[0])
    return Cell(*row)


def _range(cursor: Cursor, place: tuple[int, int], wanted: Range, now_us: int) -> tuple[Cell, ...]:
    lo: str = wanted.prefix
    end = prefix_end(lo)
    hi: str | bytes = BEYOND_TEXT if end is None else end
    if wanted.after is not None:
        if not wanted.reverse:
            lo = max(lo, wanted.after + "\0")  # the least text greater than `after`
        elif end is None or wanted.after < end:
            hi = wanted.after
    statement = _REVERSE if wanted.reverse else _FORWARD
    rows = cursor.execute(statement, (*place, lo, hi, now_us, wanted.limit))
    if wanted.bytes_max is not None:
        return tuple(bounded(cursor, map(_cell, rows), wanted.bytes_max))
    return tuple(map(_cell, rows.fetchall()))
