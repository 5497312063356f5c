"""What a careful engineer writes by hand with asyncpg: the yardstick of Holdfast's PostgreSQL backend.

One dedicated connection, group commit, one statement per batch: `unnest` into three tables, head, cell and log. No
checks, no commit ids, no second process: the seqs are counted in memory. What is left out here is what a session layer
adds.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

import asyncpg

from benchmarks.load import KEYS, Load, drive, key_name, session_name, value_of
from benchmarks.pairs import Sample

Op = tuple[str, str, bytes]
BATCH_MAX = 128

SCHEMA = """
    DROP SCHEMA IF EXISTS by_hand CASCADE;
    CREATE SCHEMA by_hand;
    CREATE TABLE by_hand.head(session text PRIMARY KEY, seq bigint NOT NULL) WITH (fillfactor = 50);
    CREATE TABLE by_hand.cell(session text, key text, version bigint NOT NULL, value bytea NOT NULL,
        PRIMARY KEY (session, key)) WITH (fillfactor = 70);
    CREATE TABLE by_hand.log(session text, seq bigint, key text NOT NULL, value bytea NOT NULL,
        PRIMARY KEY (session, seq));
"""
WRITE = """
    WITH heads AS (
        UPDATE by_hand.head h SET seq = n.seq FROM unnest($1::text[], $2::bigint[]) n(session, seq)
        WHERE h.session = n.session
    ), cells AS (
        INSERT INTO by_hand.cell SELECT * FROM unnest($3::text[], $4::text[], $5::bigint[], $6::bytea[])
        ON CONFLICT (session, key) DO UPDATE SET version = excluded.version, value = excluded.value
    )
    INSERT INTO by_hand.log SELECT * FROM unnest($7::text[], $8::bigint[], $9::text[], $10::bytea[])"""


class ByHand:
    """The pump and its connection."""

    def __init__(self, connection: asyncpg.Connection, sessions: int) -> None:
        self._connection = connection
        self._heads = {session_name(n): 1 for n in range(sessions)}
        self._waiting: deque[tuple[asyncio.Future[int], Op]] = deque()
        self._pump: asyncio.Task[None] | None = None

    def put(self, session: str, key: str, value: bytes) -> asyncio.Future[int]:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((future, (session, key, value)))
        if self._pump is None:
            self._pump = asyncio.create_task(self._run())
        return future

    async def _run(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), BATCH_MAX))]
            seqs = await self._write([op for _, op in batch])
            for (future, _), seq in zip(batch, seqs, strict=True):
                future.set_result(seq)
        self._pump = None

    async def _write(self, ops: Sequence[Op]) -> list[int]:
        seqs = []
        for session, _, _ in ops:
            self._heads[session] = seq = self._heads[session] + 1
            seqs.append(seq)
        heads = sorted({op[0]: seq for op, seq in zip(ops, seqs, strict=True)}.items())
        cells = sorted({op[:2]: (*op[:2], seq, op[2]) for op, seq in zip(ops, seqs, strict=True)}.values())
        log = [(op[0], seq, op[1], op[2]) for op, seq in zip(ops, seqs, strict=True)]
        columns = [list(column) for rows in (heads, cells, log) for column in zip(*rows, strict=True)]
        await self._connection.execute(WRITE, *columns)
        return seqs


async def fill(dsn: str, sessions: int) -> None:
    """Make the tables and the sessions anew."""
    connection = await asyncpg.connect(dsn)
    await connection.execute(SCHEMA)
    names = [session_name(n) for n in range(sessions)]
    await connection.execute("INSERT INTO by_hand.head SELECT name, 1 FROM unnest($1::text[]) name", names)
    rows = [(name, key_name(k), 1, value_of(k)) for name in names for k in range(KEYS)]
    await connection.copy_records_to_table("cell", schema_name="by_hand", records=rows)
    await connection.copy_records_to_table(
        "log", schema_name="by_hand", records=[(name, 1, "created", b"") for name in names]
    )
    await connection.close()


async def measure(dsn: str, load: Load) -> Sample:
    """One run on the tables as they are."""
    connection = await asyncpg.connect(dsn, server_settings={"jit": "off"})
    await connection.execute("DELETE FROM by_hand.log WHERE seq > 1")
    try:
        return await drive(ByHand(connection, load.sessions).put, load)
    finally:
        await connection.close()
