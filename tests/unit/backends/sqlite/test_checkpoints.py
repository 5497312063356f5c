"""The write-ahead log does not grow without bound, and what it holds moves into the file."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import apsw

from holdfast.backends.sqlite import SqliteKernel
from holdfast.backends.sqlite.checkpoint import PAGES, PAGES_MAX
from tests.unit.backends.sqlite.drafts import Lane, applied, size_of, value_of

PAGE_BYTES = 4_120


async def test_under_steady_writing_the_log_is_begun_anew(tmp_path: Path) -> None:
    """Four tasks never pause, and yet the log never outgrows its bound, however slow the disk."""
    path = tmp_path / "store.db"
    places: list[str] = []
    chance = Random(1)  # a page that is the same again is not written
    kernel = await SqliteKernel.open(path, durability="process", failpoint=places.append)

    async def write(name: str) -> None:
        lane = Lane(name)
        for n in range(400):
            await applied(kernel, lane.put(f"s/{name}", f"k{n % 10}", chance.randbytes(60_000)))

    await asyncio.gather(*(write(f"w{n}") for n in range(4)))
    written = 4 * 400 * 60_000
    assert size_of(tmp_path / "store.db-wal") < PAGES_MAX * PAGE_BYTES * 1.1 < written
    assert "checkpoint.done" in places
    assert len(await value_of(kernel, "s/w0", "k9") or b"") == 60_000
    await kernel.close()


async def test_a_reader_that_holds_its_snapshot_only_delays_it(tmp_path: Path) -> None:
    """G8: a reader elsewhere sees its own moment for as long as it wants, and writing goes on."""
    path = tmp_path / "store.db"
    chance = Random(2)
    kernel = await SqliteKernel.open(path, durability="process")
    lane = Lane()
    await applied(kernel, lane.put("s/1", "k", b"first"))
    reader = apsw.Connection(str(path))
    reader.execute("BEGIN")
    before = reader.execute("SELECT count(*) FROM log").fetchall()
    for _ in range(150):
        await applied(kernel, lane.put("s/1", "k", chance.randbytes(200_000)))
    assert reader.execute("SELECT count(*) FROM log").fetchall() == before
    reader.execute("COMMIT")
    reader.close()
    for _ in range(150):
        await applied(kernel, lane.put("s/1", "k", chance.randbytes(200_000)))
    await applied(kernel, lane.put("s/1", "k", b"last"))
    assert await value_of(kernel, "s/1", "k") == b"last"
    await kernel.close()
    assert size_of(path) < 60 * PAGES * PAGE_BYTES
