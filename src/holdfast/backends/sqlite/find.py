"""Index entries and names of scopes, in order."""

from __future__ import annotations

from typing import NamedTuple

from holdfast.backends.sqlite.bulk import Cursor
from holdfast.backends.sqlite.read import BEYOND_TEXT
from holdfast.kernel.commit import Found

_SELECT = """
    SELECT e.sort, e.scope, e.key, e.payload
    FROM entries e CROSS JOIN scopes s ON s.space = e.space AND s.name = e.scope
        AND s.id = e.owner AND s.epoch = e.epoch
    WHERE e.space = ?1 AND e.name = ?2 AND e.value = ?3 AND e.sort >= ?4 AND e.sort < ?5
    AND (e.expires_us IS NULL OR e.expires_us > ?6){after}
    ORDER BY e.sort {order}, e.scope {order}, e.key {order} LIMIT ?7"""
_AFTER = " AND (e.sort, e.scope, e.key) {sign} (?8, ?9, ?10)"
_STATEMENTS = {
    (False, False): _SELECT.format(after="", order="ASC"),
    (False, True): _SELECT.format(after="", order="DESC"),
    (True, False): _SELECT.format(after=_AFTER.format(sign=">"), order="ASC"),
    (True, True): _SELECT.format(after=_AFTER.format(sign="<"), order="DESC"),
}
_SCOPES = "SELECT name FROM scopes WHERE space = ? AND name > ? AND live ORDER BY name LIMIT ?"
_ENDED = "SELECT name FROM scopes WHERE space = ? AND name > ? AND epoch > 0 ORDER BY name LIMIT ?"


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


def find_entries(cursor: Cursor, space: int, wanted: Wanted) -> tuple[Found, ...]:
    """See `Kernel.find`. The bounds are the narrower of what was asked and where the last page ended."""
    lo = wanted.lo or ""
    hi: str | bytes = BEYOND_TEXT if wanted.hi is None else wanted.hi
    after = wanted.after
    if after is not None:
        if not wanted.reverse:
            lo = max(lo, after[0])
        elif wanted.hi is None or after[0] + "\0" < wanted.hi:
            hi = after[0] + "\0"
    params = (space, wanted.name, wanted.value, lo, hi, wanted.now_us, wanted.limit, *(after or ()))
    rows = cursor.execute(_STATEMENTS[(after is not None, wanted.reverse)], params).fetchall()
    return tuple(Found(*row) for row in rows)


def scope_names(cursor: Cursor, space: int, after: str, limit: int) -> tuple[str, ...]:
    """See `Kernel.scopes`."""
    return tuple(row[0] for row in cursor.execute(_SCOPES, (space, after, limit)).fetchall())


def ended_names(cursor: Cursor, space: int, after: str, limit: int) -> tuple[str, ...]:
    """See `Kernel.ended`."""
    return tuple(row[0] for row in cursor.execute(_ENDED, (space, after, limit)).fetchall())
