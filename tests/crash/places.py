"""The stores on which processes are killed, each reached by its URL."""

from __future__ import annotations

from pathlib import Path

from holdfast.backends.postgres.connections import connect
from tests.servers import afresh, postgres, schema, settings

STORES = ("sqlite", "postgres")

_FILES = """
    WITH tables AS (SELECT oid, reltoastrelid FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind = 'r'),
        heaps AS (SELECT oid FROM tables UNION SELECT reltoastrelid FROM tables WHERE reltoastrelid <> 0),
        all_of_it AS (SELECT oid FROM heaps UNION SELECT indexrelid FROM pg_index JOIN heaps ON indrelid = oid)
    SELECT pg_relation_filepath(oid) AS path FROM all_of_it"""


def place(store: str, folder: Path) -> str:
    """The URL of a store that is new, and good enough: the processes die, the machine does not."""
    if store == "sqlite":
        return f"sqlite:///{folder / 'store.db'}?durability=process"
    afresh()
    return postgres().url(schema=schema(), durability="process")


async def files(store: str, folder: Path) -> list[Path]:
    """The files that hold what is in that store now; of PostgreSQL those of its tables and indexes, not its log."""
    if store == "sqlite":
        return list(folder.glob("store.db*"))
    connection = await connect(settings(), "a test", None)
    try:
        await connection.execute("CHECKPOINT")
        rows = await connection.fetch(_FILES, schema())
    finally:
        await connection.close(timeout=1)
    return [postgres().folder / "data" / row["path"] for row in rows]
