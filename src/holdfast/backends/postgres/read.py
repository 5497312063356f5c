"""Heads, cells and ranges: what `Kernel.read` asks, each call one statement and so one cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from holdfast.backends.postgres.connections import Connection, Row
from holdfast.backends.postgres.text import raw
from holdfast.kernel.commit import NO_HEAD, Cell, Head, Range, Read, View
from holdfast.kernel.keys import prefix_end
from holdfast.kernel.limits import within

POINT = """
    SELECT s.seq, s.epoch, s.live, s.floor, s.at_us, s.cause, c.key, c.value, c.version, c.expires_us
    FROM holdfast.scopes s LEFT JOIN holdfast.cells c ON c.scope = s.id AND c.epoch = s.epoch AND c.key = ANY($3)
        AND (c.expires_us IS NULL OR c.expires_us > $4)
    WHERE s.space = $1 AND s.name = $2"""
MANY = "SELECT * FROM holdfast.read_views($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"


async def read_views(
    connection: Connection, statements: tuple[str, str], space: int, reads: Sequence[Read], now_us: int
) -> list[View]:
    """Answer all reads from one snapshot. `statements` are `POINT` and `MANY`."""
    if len(reads) == 1 and not reads[0].ranges:
        (read,) = reads
        keys = [raw(key) for key in read.keys]
        return [_view_of_one(read, await connection.fetch(statements[0], space, raw(read.scope), keys, now_us))]
    rows = await connection.fetch(statements[1], space, now_us, *_arguments(reads))
    return _views(reads, rows)


def _view_of_one(read: Read, rows: Sequence[Row]) -> View:
    if not rows or rows[0]["seq"] == 0:
        return View(read.scope, NO_HEAD, {})
    cells = {cell.key: cell for row in rows if row[6] is not None and (cell := _cell(row))}
    if len(cells) > 1:
        cells = {key: cells[key] for key in read.keys if key in cells}
    return View(read.scope, _head(rows[0]), cells)


def _arguments(reads: Sequence[Read]) -> tuple[list[Any], ...]:
    names = [raw(read.scope) for read in reads]
    keys = [(number, raw(key)) for number, read in enumerate(reads, 1) for key in read.keys]
    ranges = [
        (number, part, *_bounds(wanted), wanted.limit, wanted.reverse, wanted.bytes_max)
        for number, read in enumerate(reads, 1)
        for part, wanted in enumerate(read.ranges, 1)
    ]
    columns = [list(column) for column in zip(*ranges, strict=True)] or [[] for _ in range(7)]
    return names, [number for number, _ in keys], [key for _, key in keys], *columns


def _bounds(wanted: Range) -> tuple[bytes, bytes | None]:
    """The keys from the first up to but not including the second."""
    lo = raw(wanted.prefix)
    end = prefix_end(wanted.prefix)
    hi = None if end is None else raw(end)
    if wanted.after is not None:
        after = raw(wanted.after)
        if not wanted.reverse:
            lo = max(lo, after + b"\0")  # the least bytes greater than `after`
        elif hi is None or after < hi:
            hi = after
    return lo, hi


def _views(reads: Sequence[Read], rows: Sequence[Row]) -> list[View]:
    heads = [NO_HEAD] * len(reads)
    cells: list[dict[str, Cell]] = [{} for _ in reads]
    ranges: list[list[list[Cell]]] = [[[] for _ in read.ranges] for read in reads]
    for row in rows:
        number, part = row["read"] - 1, row["part"]
        if part < 0:
            heads[number] = _head(row) if row["seq"] else NO_HEAD
        elif part == 0:
            cell = _cell(row)
            cells[number][cell.key] = cell
        else:
            ranges[number][part - 1].append(_cell(row))
    return [
        View(
            read.scope,
            heads[number],
            cells[number],
            tuple(
                tuple(within(found, wanted.bytes_max))
                for wanted, found in zip(read.ranges, ranges[number], strict=True)
            ),
        )
        for number, read in enumerate(reads)
    ]


def _head(row: Row) -> Head:
    return Head(row["seq"], row["epoch"], row["live"], row["floor"], row["at_us"], row["cause"])


def _cell(row: Row) -> Cell:
    return Cell(row["key"].decode(), row["value"], row["version"], row["expires_us"])
