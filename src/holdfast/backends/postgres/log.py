"""A scope's log, what it says of a commit id, and the scopes that moved.

Transactions end in another order than they began, so no number given at the beginning can be a position. A position is
the snapshot itself: who was there is asked for the rows that it could not see. Nothing is told twice to somebody who
asks from the end, and nothing is missed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from msgspec import Struct

from holdfast.backends.postgres.connections import Connection, Row
from holdfast.backends.postgres.text import raw
from holdfast.errors import Compacted, Corrupt, Diverged, Gone, Indeterminate, InvalidValue
from holdfast.kernel.commit import CommitId, Moved, Record, stamp
from holdfast.kernel.limits import within

_SELECT = """
    SELECT s.seq AS head_seq, s.floor, r.* FROM holdfast.scopes s LEFT JOIN LATERAL (
        SELECT * FROM (
            SELECT l.seq, l.epoch, w.name AS writer, l.n, l.at_us, l.cause, l.touched, l.puts, l.appends, l.body,
                l.dropped, CASE WHEN $5::bigint IS NULL THEN 0
                    ELSE sum(length(l.body) + length(l.cause)) OVER (ORDER BY l.seq {order})
                        - length(l.body) - length(l.cause) END AS before
            FROM holdfast.log l JOIN holdfast.writers w ON w.id = l.writer
            WHERE l.scope = s.id AND l.seq {sign} $3 ORDER BY l.seq {order} LIMIT $4) q
        WHERE $5::bigint IS NULL OR q.before < $5) r ON true
    WHERE s.space = $1 AND s.name = $2 AND s.seq > 0 ORDER BY r.seq {order}"""
FORWARD = _SELECT.format(order="ASC", sign=">")
REVERSE = _SELECT.format(order="DESC", sign="<")
OUTCOME = """
    SELECT s.floor, l.seq, l.n FROM holdfast.scopes s LEFT JOIN LATERAL (
        SELECT l.seq, l.n FROM holdfast.log l
        WHERE l.scope = s.id AND l.n <= $4
        AND l.writer = (SELECT w.id FROM holdfast.writers w WHERE w.space = $1 AND w.name = $3)
        ORDER BY l.seq DESC LIMIT 1) l ON true
    WHERE s.space = $1 AND s.name = $2"""
END = """
    SELECT pg_current_snapshot()::text AS now, moved_floor::text AS floor, pg_snapshot_xmax(pg_current_snapshot())::text
    FROM holdfast.spaces WHERE id = $1"""
MOVED = """
    SELECT pg_current_snapshot()::text AS now, p.moved_floor::text AS floor,
        pg_snapshot_xmax(pg_current_snapshot())::text AS next, m.xid::text, m.place, m.seq, m.name
    FROM holdfast.spaces p LEFT JOIN LATERAL (
        SELECT l.xid, l.place, l.seq, s.name FROM holdfast.log l JOIN holdfast.scopes s ON s.id = l.scope
        WHERE l.space = $1 AND (l.xid, l.place) > ($4::text::xid8, $5::int)
        AND l.xid >= pg_snapshot_xmin($2::text::pg_snapshot)
        AND NOT pg_visible_in_snapshot(l.xid, $2::text::pg_snapshot)
        AND ($3::text IS NULL OR pg_visible_in_snapshot(l.xid, $3::text::pg_snapshot))
        ORDER BY l.xid, l.place LIMIT $6) m ON true
    WHERE p.id = $1 ORDER BY m.xid, m.place"""

_SEQ_MAX = 2**63 - 1
_NUMBER = r"(?:0|[1-9]\d{0,18})"
_SNAPSHOT = rf"{_NUMBER}:{_NUMBER}:(?:{_NUMBER}(?:,{_NUMBER})*)?"
_POSITION = re.compile(rf"({_SNAPSHOT});({_NUMBER})(?:;({_SNAPSHOT});({_NUMBER})\.({_NUMBER}))?", re.ASCII)
_BEGINNING = "1:1:"


async def read_log(
    connection: Connection, statement: str, wanted: tuple[int, str, int, int, int | None]
) -> tuple[Record, ...]:
    """See `Kernel.log` without `reverse`; `wanted` are space, scope, after, limit and bytes_max."""
    space, scope, after, limit, bytes_max = wanted
    rows = await connection.fetch(statement, space, raw(scope), after, limit, bytes_max)
    if not rows:
        if after > 0:
            raise Gone(f"{scope} has no trace left", scope=scope, after=after)
        return ()
    seq, floor = rows[0]["head_seq"], rows[0]["floor"]
    if after > seq:
        raise Diverged(f"{scope} is at {seq}, before {after}", scope=scope, after=after, seq=seq)
    if after + 1 < floor:
        raise Compacted(f"the log of {scope} begins at {floor}, after {after}", scope=scope, after=after, floor=floor)
    records = _records(scope, rows, bytes_max)
    if after < seq and (not records or records[0].seq != after + 1):
        raise Corrupt(f"the log of {scope} has a gap after {after}", scope=scope, after=after)
    return records


async def read_log_back(
    connection: Connection, statement: str, wanted: tuple[int, str, int, int, int | None]
) -> tuple[Record, ...]:
    """See `Kernel.log` with `reverse`."""
    space, scope, after, limit, bytes_max = wanted
    rows = await connection.fetch(statement, space, raw(scope), after if after > 0 else _SEQ_MAX, limit, bytes_max)
    return _records(scope, rows, bytes_max)


async def first_seq(connection: Connection, statement: str, space: int, scope: str, id: CommitId) -> int | None:
    """The seq that a commit took in one scope by the scope's log; None if it surely took none.

    Raises Indeterminate where it is not there but records of the scope were trimmed.
    """
    row = await connection.fetchrow(statement, space, raw(scope), raw(id.writer), id.n)
    if row is None:
        return None
    if row["n"] == id.n:
        return int(row["seq"])
    if row["floor"] > 1:
        raise Indeterminate(
            f"the log of {scope} was trimmed below {row['floor']}: whether {id} was applied is not known", scope=scope
        )
    return None


def _records(scope: str, rows: Sequence[Row], bytes_max: int | None) -> tuple[Record, ...]:
    records = tuple(within((_record(row) for row in rows if row["seq"] is not None), bytes_max))
    if len(records) > 1 and abs(records[-1].seq - records[0].seq) != len(records) - 1:
        raise Corrupt(f"the log of {scope} has a gap", scope=scope)
    return records


def _record(row: Row) -> Record:
    seq, puts, appends = row["seq"], row["puts"], row["appends"]
    touched = [key.decode() for key in row["touched"]]
    for ordinal in range(appends):
        touched[puts + ordinal] += stamp(seq, ordinal)
    id = CommitId(row["writer"].decode(), row["n"])
    op: Any = "drop" if row["dropped"] else "write"
    return Record(seq, row["epoch"], id, row["at_us"], row["cause"], tuple(touched), row["body"], op)


# --- moves ----------------------------------------------------------------------------------------


class Position(Struct, frozen=True):
    """Where a reader is: it knows what `seen` shows, the scopes forgotten up to `floor` included. In the middle of a
    walk through what `walk` shows beyond that, it has been told of all up to (`xid`, `place`)."""

    seen: str
    floor: int
    walk: str | None = None
    xid: int = 0
    place: int = 0

    def __str__(self) -> str:
        there = f"{self.seen};{self.floor}"
        return there if self.walk is None else f"{there};{self.walk};{self.xid}.{self.place}"


def position_of(text: str) -> Position:
    """The position that a text says. Raises InvalidValue for what none of them says."""
    parts = _POSITION.fullmatch(text) if len(text) < 100_000 else None
    if parts is None or not all(_is_snapshot(part) for part in parts.group(1, 3) if part is not None):
        raise InvalidValue(f"{text[:40]!r} is not a position of this store", path="after")
    seen, floor, walk, xid, place = parts.groups()
    return Position(seen, int(floor), walk, int(xid or 0), min(int(place or 0), 2**31 - 1))


def _is_snapshot(text: str) -> bool:
    """Whether PostgreSQL takes it for one: lowest, next, and those under way between, in order."""
    lowest, end, between = text.split(":")
    numbers = [int(number) for number in between.split(",") if number]
    least, most = int(lowest), int(end)
    inside = all(least <= number < most for number in numbers)
    return 0 < least <= most < 2**63 and inside and all(a < b for a, b in pairwise(numbers))


async def read_moved(
    connection: Connection, statements: tuple[str, str], space: int, after: str | None, limit: int
) -> Moved:
    """See `Kernel.moved`. `statements` are `END` and `MOVED`."""
    if after is None:
        end = await connection.fetchrow(statements[0], space)
        assert end is not None
        return Moved((), str(Position(end["now"], int(end["floor"]))))
    start = position_of(after) if after else None
    at = start or Position(_BEGINNING, 0)
    rows = await connection.fetch(statements[1], space, at.seen, at.walk, str(at.xid), at.place, limit)
    now, floor = rows[0]["now"], int(rows[0]["floor"])
    if start is not None:
        _check_kept(start, floor, int(rows[0]["next"]))
    else:
        at = Position(_BEGINNING, floor)
    moves = [(row["name"].decode(), row["seq"]) for row in rows if row["xid"] is not None]
    most: dict[str, int] = {}
    least: dict[str, int] = {}
    for scope, seq in moves:
        most[scope] = max(seq, most.get(scope, 0))
        least[scope] = min(seq, least.get(scope, seq))
    firsts = {scope: seq for scope, seq in least.items() if seq < most[scope]}
    if len(moves) == limit:
        last = rows[-1]
        position = Position(at.seen, at.floor, at.walk or now, int(last["xid"]), last["place"])
        return Moved(tuple(most.items()), str(position), True, firsts)
    if at.walk is not None:  # what came during the walk is still to be told
        return Moved(tuple(most.items()), str(Position(at.walk, at.floor)), True, firsts)
    return Moved(tuple(most.items()), str(Position(now, floor)), False, firsts)


def _check_kept(at: Position, floor: int, next_xid: int) -> None:
    lowest, end, _ = at.seen.split(":")
    if floor > at.floor and floor >= int(lowest):
        raise Compacted("this position is too old: scopes that moved since were forgotten", floor=floor)
    if int(end) > next_xid:
        raise Compacted("this position is beyond the end: the store lost history", floor=floor)
