"""Figures for people, counted when asked."""

from __future__ import annotations

import json

from holdfast.backends.postgres.connections import Connection

CLOCK = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"

COUNTS = """
    SELECT
        (SELECT count(*) FROM holdfast.scopes WHERE space = $1 AND live) AS scopes,
        (SELECT count(*) FROM holdfast.scopes s JOIN holdfast.cells c ON c.scope = s.id AND c.epoch = s.epoch
            WHERE s.space = $1) AS cells,
        (SELECT count(*) FROM holdfast.log WHERE space = $1) AS records,
        (SELECT coalesce(sum(length(c.value)), 0)::bigint FROM holdfast.scopes s
            JOIN holdfast.cells c ON c.scope = s.id AND c.epoch = s.epoch WHERE s.space = $1)
            + (SELECT coalesce(sum(length(body)), 0)::bigint FROM holdfast.log WHERE space = $1) AS bytes,
        (SELECT count(*) FROM holdfast.scopes s JOIN holdfast.entries e ON e.scope = s.id AND e.epoch = s.epoch
            WHERE s.space = $1) AS entries,
        (SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class c
            WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $2) AND c.relkind = 'r')
            AS table_bytes,
        (SELECT version FROM holdfast.meta) AS schema,
        (SELECT json_agg(json_build_array(encode(kind, 'hex'), cells, value_bytes)) FROM (
            SELECT substring(c.key FROM 1 FOR position('/'::bytea IN c.key || '/'::bytea) - 1) AS kind,
                count(*) AS cells, sum(length(c.value))::bigint AS value_bytes
            FROM holdfast.scopes s JOIN holdfast.cells c ON c.scope = s.id AND c.epoch = s.epoch
            WHERE s.space = $1 GROUP BY 1 ORDER BY 1) AS by_kind) AS kinds,
        current_setting('server_version') AS postgresql"""


async def count(connection: Connection, statement: str, space: int, schema: str) -> dict[str, int | float | str]:
    """See `Kernel.stats`; `bytes` are those of values and bodies in this space, `table_bytes` of the whole schema."""
    row = await connection.fetchrow(statement, space, schema)
    assert row is not None
    figures = dict(row)
    for name, cells, value_bytes in json.loads(figures.pop("kinds") or "[]"):
        kind = bytes.fromhex(name).decode()
        figures |= {f"cells/{kind}": cells, f"bytes/{kind}": value_bytes}
    return figures
