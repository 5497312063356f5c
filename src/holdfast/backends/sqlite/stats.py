"""Figures for people, counted when asked."""

from __future__ import annotations

import apsw

from holdfast.backends.sqlite.bulk import Cursor
from holdfast.backends.sqlite.schema import VERSION

_COUNTS = """
    SELECT
        (SELECT count(*) FROM scopes WHERE space = ?1 AND live),
        (SELECT count(*) FROM scopes s CROSS JOIN cells c ON c.scope = s.id AND c.epoch = s.epoch WHERE s.space = ?1),
        (SELECT ifnull(sum(length(ifnull(c.value, (SELECT value FROM apart WHERE id = c.apart)))), 0)
            FROM scopes s CROSS JOIN cells c ON c.scope = s.id AND c.epoch = s.epoch WHERE s.space = ?1),
        (SELECT count(*) FROM log l CROSS JOIN scopes s ON s.id = l.scope WHERE s.space = ?1),
        (SELECT ifnull(sum(length(l.body)), 0) FROM log l CROSS JOIN scopes s ON s.id = l.scope WHERE s.space = ?1),
        (SELECT count(*) FROM entries WHERE space = ?1)"""


def count(cursor: Cursor, space: int) -> dict[str, int | float | str]:
    """See `Kernel.stats`; `bytes` are those of values and bodies in this space, `file_bytes` of the whole file."""
    scopes, cells, value_bytes, records, body_bytes, entries = cursor.execute(_COUNTS, (space,)).fetchall()[0]
    page_bytes = cursor.execute("PRAGMA page_size").fetchall()[0][0]
    pages = cursor.execute("PRAGMA page_count").fetchall()[0][0]
    free = cursor.execute("PRAGMA freelist_count").fetchall()[0][0]
    return {
        "scopes": scopes,
        "cells": cells,
        "records": records,
        "bytes": value_bytes + body_bytes,
        "entries": entries,
        "file_bytes": pages * page_bytes,
        "free_bytes": free * page_bytes,
        "schema": VERSION,
        "sqlite": apsw.sqlite_lib_version(),
        "driver": apsw.apsw_version(),
    }
