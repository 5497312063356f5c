"""What is kept of a scope's cells, and other bytes in their place."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import asyncpg

from holdfast.backends.postgres.connections import Connection
from holdfast.backends.postgres.places import list_of, place_of
from holdfast.backends.postgres.statements import placed
from holdfast.backends.postgres.text import raw
from holdfast.kernel.commit import Cell, Entry, Record, Rewrite, Stored
from holdfast.kernel.limits import within

STORED = """
    SELECT q.key, q.value, q.version, q.expires_us, e.entries FROM (
        SELECT c.*, CASE WHEN $5::bigint IS NULL THEN 0
            ELSE sum(length(c.value)) OVER (ORDER BY c.key) - length(c.value) END AS before
        FROM holdfast.scopes s JOIN holdfast.cells c ON c.scope = s.id AND c.epoch = s.epoch
        WHERE s.space = $1 AND s.name = $2 AND s.live AND ($3::bytea IS NULL OR c.key > $3)
        ORDER BY c.key LIMIT $4) q
    LEFT JOIN LATERAL (
        SELECT array_agg(ARRAY[n.name, n.value, n.sort, n.payload]) AS entries FROM holdfast.entries n
        WHERE q.indexed AND n.scope = q.scope AND n.epoch = q.epoch AND n.key = q.key) e ON true
    WHERE $5::bigint IS NULL OR q.before < $5 ORDER BY q.key"""
REWRITE = """
    SELECT holdfast.rewrite($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)"""
SCRUB = tuple(f"VACUUM FULL holdfast.{table}" for table in ("cells", "entries", "log", "scopes"))
SCRUB_WAITS_MS = 1_000
"""How long scrubbing waits for whoever reads a table: all who come after wait behind it."""

_BOUNDS = f"SET lock_timeout = {SCRUB_WAITS_MS}; SET statement_timeout = 0"
_NO_BOUNDS = "RESET lock_timeout; RESET statement_timeout"


async def scrub(connection: Connection, schema: str, *, pooled: bool) -> None:
    """Copy each table, but for one that somebody goes on reading. A pooler would give the settings to others: behind
    one it waits as long as the server lets it."""
    if not pooled:
        await connection.execute(_BOUNDS)
    for statement in SCRUB:
        with contextlib.suppress(asyncpg.LockNotAvailableError):
            await connection.execute(placed(statement, schema))
    if not pooled:
        await connection.execute(_NO_BOUNDS)


async def stored_cells(
    connection: Connection, statement: str, place: tuple[int, str, str | None], limit: int, bytes_max: int | None
) -> tuple[Stored, ...]:
    """See `Kernel.stored`; `place` is space, scope and the key to go on after."""
    space, scope, after = place
    key = None if after is None else raw(after)
    rows = await connection.fetch(statement, space, raw(scope), key, limit, bytes_max)
    return tuple(within(map(_stored, rows), bytes_max))


def _stored(row: Any) -> Stored:
    entries = tuple(
        Entry(name.decode(), value.decode(), sort.decode(), payload)
        for name, value, sort, payload in row["entries"] or ()
    )
    return Stored(Cell(row["key"].decode(), row["value"], row["version"], row["expires_us"]), entries)


def arguments(space: int, scope: str, cells: Sequence[Rewrite], records: Sequence[Record]) -> tuple[Any, ...]:
    """What `REWRITE` takes."""
    was = [(raw(cell.was.key), cell.was.version, cell.was.value, cell.value) for cell in cells]
    entries = [
        (
            number,
            list_of(space, entry.index, entry.value),
            place_of(entry.order, scope, cell.was.key),
            *(raw(entry.index), raw(entry.value), raw(entry.order), entry.payload),
        )
        for number, cell in enumerate(cells, 1)
        for entry in cell.entries
    ]
    logged = [(each.seq, raw(each.commit.writer), each.commit.n, each.cause, each.body) for each in records]
    return (space, raw(scope), *_columns(was, 4), *_columns(entries, 7), *_columns(logged, 5))


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [[row[place] for row in rows] for place in range(width)]
