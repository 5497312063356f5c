"""Figures for people, counted when asked."""

from __future__ import annotations

import apsw

from holdfast.backends.sqlite.bulk import Cursor
from holdfast.backends.sqlite.schema import VERSION

_COUNTS = """
    SELECT
        (SELECT count(*) FROM scopes WHERE space = ?1 AND live),
        (SELECT count(*) FROM log l CROSS JOIN scopes s ON s.id = l.scope WHERE s.space = ?1),
        (SELECT ifnull(sum(length(l.body)), 0) FROM log l CROSS JOIN scopes s ON s.id = l.scope WHERE s.space = ?1),
        (SELECT count(*) FROM entries WHERE space = ?1)"""


_KINDS = """
    SELECT substr(c.key, 1, instr(c.key || '/', '/') - 1), count(*),
        sum(length(ifnull(c.value, (SELECT value FROM apart WHERE id = c.apart))))
    FROM scopes s CROSS JOIN cells c ON c.scope = s.id AND c.epoch = s.epoch WHERE s.space = ?1 GROUP BY 1"""


def count(cursor: Cursor, space: int) -> dict[str, int | float | str]:
    """See `Kernel.stats`; `bytes` are those of values and bodies in this space, `file_bytes` of the whole file."""
    scopes, records, body_bytes, entries = cursor.execute(_COUNTS, (space,)).fetchall()[0]
    kinds = cursor.execute(_KINDS, (space,)).fetchall()
    page_bytes = cursor.execute("PRAGMA page_size").fetchall()[0][0]
    pages = cursor.execute("PRAGMA page_count").fetchall()[0][0]
    free = cursor.execute("PRAGMA freelist_count").fetchall()[0][0]
    return {
        "scopes": scopes,
        "cells": sum(cells for _, cells, _ in kinds),
        "records": records,
        "bytes": sum(value_bytes for _, _, value_bytes in kinds) + body_bytes,
        **{f"cells/{kind}": cells for kind, cells, _ in kinds},
        **{f"bytes/{kind}": value_bytes for kind, _, value_bytes in kinds},
        "entries": entries,
        "file_bytes": pages * page_bytes,
        "free_bytes": free * page_bytes,
        "schema": VERSION,
        "sqlite": apsw.sqlite_lib_version(),
        "driver": apsw.apsw_version(),
    }
