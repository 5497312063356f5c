"""Many rows in one step.

apsw lets Python's lock go at every step of a statement, and with a busy event loop beside it getting the lock back can
take milliseconds: 64 rows by executemany took 257 ms where one VALUES of 64 rows took 10. So rows are written as VALUES
in a few fixed sizes, which all fit the statement cache, and looked up by one statement that answers one row of JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import msgspec

from holdfast.kernel.limits import S, within


class Cursor(Protocol):
    """What is used of apsw's cursor: its rows are tuples of whatever the statement selects."""

    def execute(self, statements: str, bindings: Any = None, /) -> Any:
        """Run to the first row; `fetchall()` on what it returns runs to the end."""
        ...

    def close(self, *, force: bool = False) -> None:
        """Give up what was not run to the end."""
        ...


WRITE_SIZES = (256, 128, 64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1)
"""Close enough that any number of rows up to 256 takes three steps or so."""

LOOKUP_SIZES = (256, 64, 16, 4, 1)
"""A lookup is padded to the next size with rows of NULL, which match nothing: one step."""

_decode = msgspec.json.decode


def bounded(cursor: Cursor, found: Iterable[S], bytes_max: int) -> list[S]:
    """What the cursor's statement finds, row by row and up to the bound; the rest is given up."""
    answer = [*within(found, bytes_max)]
    cursor.execute("")  # a statement left open would hold its snapshot
    return answer


class Bulk:
    """`head VALUES (…), (…) tail` in every size."""

    def __init__(self, head: str, columns: int, tail: str = "") -> None:
        row = "(" + ",".join("?" * columns) + ")"
        self._columns = columns
        self._sql = [(n, n * columns, f"{head} VALUES {','.join([row] * n)} {tail}") for n in WRITE_SIZES]

    def run(self, cursor: Cursor, params: list[Any]) -> None:
        """Execute for `params`, the rows laid end to end."""
        at, left = 0, len(params) // self._columns
        for rows, width, sql in self._sql:
            while left >= rows:
                cursor.execute(sql, params[at : at + width] if left > rows or at else params)
                at += width
                left -= rows
            if not left:
                return


class Lookup:
    """`WITH w(names) AS (VALUES (0, …), (1, …)) select`, where the select answers one JSON array of rows.

    The first of the names is the number of the row, which is not bound.
    """

    def __init__(self, *, columns: int, names: str, select: str) -> None:
        self._columns = columns
        self._sql = []
        for size in LOOKUP_SIZES[::-1]:
            rows = ",".join(f"({i}{',?' * columns})" for i in range(size))
            self._sql.append((size, f"WITH w({names}) AS (VALUES {rows}) {select}"))

    def rows(self, cursor: Cursor, params: list[Any], count: int) -> Iterator[list[Any]]:
        """The answer's rows, each beginning with the number of the row asked for."""
        columns, largest = self._columns, LOOKUP_SIZES[0]
        for start in range(0, count, largest):
            chunk = params[start * columns : (start + largest) * columns]
            size, sql = next(fit for fit in self._sql if fit[0] * columns >= len(chunk))
            chunk += [None] * (size * columns - len(chunk))
            for row in _decode(cursor.execute(sql, chunk).fetchall()[0][0]):
                row[0] += start
                yield row
