"""Index entries and names of scopes, in order."""

from __future__ import annotations

from typing import NamedTuple

from holdfast.backends.postgres.connections import Connection
from holdfast.backends.postgres.places import least_of, list_of, place_of
from holdfast.backends.postgres.text import raw
from holdfast.kernel.commit import Found

_SELECT = """
    SELECT e.sort, s.name, e.key, e.payload FROM holdfast.entries e
    JOIN holdfast.scopes s ON s.id = e.scope AND s.epoch = e.epoch
    WHERE e.list = $1 AND ($2::bytea IS NULL OR e.place >= $2) AND ($3::bytea IS NULL OR e.place {below} $3)
    AND ($4::bytea IS NULL OR e.sort >= $4) AND ($5::bytea IS NULL OR e.sort < $5)
    AND ($6::bytea IS NULL OR (e.sort, s.name, e.key) {sign} ($6, $7, $8))
    AND (e.expires_us IS NULL OR e.expires_us > $9)
    ORDER BY e.place {order}, e.sort {order}, s.name {order}, e.key {order} LIMIT $10"""
FORWARD = _SELECT.format(order="ASC", sign=">", below="<=")
REVERSE = _SELECT.format(order="DESC", sign="<", below="<=")
SCOPES = "SELECT name FROM holdfast.scopes WHERE space = $1 AND name > $2 AND live ORDER BY name LIMIT $3"
ENDED = "SELECT name FROM holdfast.scopes WHERE space = $1 AND name > $2 AND epoch > 0 ORDER BY name LIMIT $3"


class Wanted(NamedTuple):
    """The arguments of `Kernel.find`; `name` is that of the index."""

    name: str
    value: str
    now_us: int
    lo: str | None
    hi: str | None
    after: tuple[str, str, str] | None
    limit: int
    reverse: bool


async def find_entries(connection: Connection, statement: str, space: int, wanted: Wanted) -> tuple[Found, ...]:
    """See `Kernel.find`. The places narrow the search in the index; the columns decide, for a place may be cut."""
    after = (None, None, None) if wanted.after is None else tuple(raw(part) for part in wanted.after)
    lo = least_of(wanted.lo)[:2000] if wanted.lo is not None else None
    hi = least_of(wanted.hi)[:2000] if wanted.hi is not None else None
    if wanted.after is not None:
        place = place_of(*wanted.after)
        if wanted.reverse:
            hi = place if hi is None else min(hi, place)
        else:
            lo = place if lo is None else max(lo, place)
    rows = await connection.fetch(
        statement,
        list_of(space, wanted.name, wanted.value),
        lo,
        hi,
        None if wanted.lo is None else raw(wanted.lo),
        None if wanted.hi is None else raw(wanted.hi),
        *after,
        wanted.now_us,
        wanted.limit,
    )
    return tuple(Found(sort.decode(), scope.decode(), key.decode(), payload) for sort, scope, key, payload in rows)


async def scope_names(connection: Connection, statement: str, space: int, after: str, limit: int) -> tuple[str, ...]:
    """See `Kernel.scopes` and `Kernel.ended`."""
    return tuple(row[0].decode() for row in await connection.fetch(statement, space, raw(after), limit))
