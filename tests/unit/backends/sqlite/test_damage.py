"""Damage is noticed and named; a sync that fails closes the store, for the page cache can no longer be believed."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from holdfast.backends.sqlite import SqliteKernel
from holdfast.errors import Closed, Corrupt, Indeterminate
from holdfast.kernel.commit import Range, Read
from tests.unit.backends.sqlite.drafts import NOW_US, Lane, applied, value_of
from tests.unit.backends.sqlite.faulty import FaultyVfs

EVERYTHING = Range("", 10_000)


async def test_damaged_pages_are_corrupt_to_readers_and_writers(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    kernel = await SqliteKernel.open(path)
    lane = Lane()
    for n in range(300):
        await applied(kernel, lane.put("s/1", f"k{n:04d}", bytes(500)))
    await kernel.close()
    data = bytearray(path.read_bytes())
    for page in range(20, len(data) // 4096):  # the schema stays whole, the tables do not
        data[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    path.write_bytes(data)
    damaged = await SqliteKernel.open(path)
    with pytest.raises(Corrupt):
        await damaged.read([Read("s/1", (), (EVERYTHING,))], now_us=NOW_US)
    with pytest.raises(Corrupt):
        for n in range(300):
            await applied(damaged, lane.put("s/1", f"k{n:04d}", bytes(501)))
    await damaged.close()


async def test_a_gap_in_a_log_is_corrupt(tmp_path: Path) -> None:
    """G13: a record that is missing within the log's reach is never passed over."""
    path = tmp_path / "store.db"
    kernel = await SqliteKernel.open(path)
    lane = Lane()
    for n in range(5):
        await applied(kernel, lane.put("s/1", "k", b"%d" % n))
    await kernel.close()
    vandal = apsw.Connection(str(path))
    vandal.execute("DELETE FROM log WHERE seq = 3")
    vandal.close()
    kernel = await SqliteKernel.open(path)
    for after, reverse in ((0, False), (2, False), (0, True)):
        with pytest.raises(Corrupt, match="gap"):
            await kernel.log("s/1", after=after, reverse=reverse)
    assert [record.seq for record in await kernel.log("s/1", after=3)] == [4, 5]
    await kernel.close()


async def test_text_that_is_not_what_was_written_is_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    kernel = await SqliteKernel.open(path)
    await applied(kernel, Lane().put("s/1", "k", bytes(5_000)))
    await kernel.close()
    vandal = apsw.Connection(str(path))
    vandal.execute("UPDATE log SET touched = '{'; DELETE FROM apart")
    vandal.close()
    kernel = await SqliteKernel.open(path)
    for verb in (
        kernel.log("s/1"),
        kernel.log("s/1", limit=1_000),
        value_of(kernel, "s/1", "k"),
        kernel.read([Read("s/1", (), (EVERYTHING,))], now_us=NOW_US),
    ):
        with pytest.raises(Corrupt):
            await verb
    await kernel.close()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE log SET touched = CAST(x'5B2280225D' AS TEXT)",
        "UPDATE cells SET key = key || CAST(x'80' AS TEXT) WHERE epoch >= 0",
    ],
)
async def test_text_that_is_no_utf_8_is_corrupt(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "store.db"
    kernel = await SqliteKernel.open(path)
    await applied(kernel, Lane().put("s/1", "k", b"1"))
    await kernel.close()
    vandal = apsw.Connection(str(path))
    vandal.execute(damage)
    vandal.close()
    kernel = await SqliteKernel.open(path)
    with pytest.raises(Corrupt):
        await kernel.log("s/1")
        await kernel.read([Read("s/1", (), (EVERYTHING,))], now_us=NOW_US)
    await kernel.close()


async def test_a_head_without_its_log_is_corrupt(tmp_path: Path) -> None:
    """Head and log are checked against each other."""
    path = tmp_path / "store.db"
    kernel = await SqliteKernel.open(path)
    lane = Lane()
    await applied(kernel, lane.put("s/1", "k", b"v"))
    await kernel.close()
    vandal = apsw.Connection(str(path))
    vandal.execute("DELETE FROM log; DELETE FROM cells WHERE epoch = -1")
    vandal.close()
    kernel = await SqliteKernel.open(path)
    with pytest.raises(Corrupt):
        await value_of(kernel, "s/1", "k")
    with pytest.raises(Corrupt):
        await kernel.log("s/1")
    with pytest.raises(Corrupt):
        await kernel.commit([lane.put("s/1", "k", b"v")])
    await kernel.close()


async def test_a_failed_sync_at_commit_is_indeterminate_and_closes_the_store(tmp_path: Path) -> None:
    """G6: nobody is told that it is durable, nobody builds on it, and the store says why it stopped."""
    vfs = FaultyVfs()
    path = tmp_path / "store.db"
    kernel = await SqliteKernel.open(path, vfs=vfs.name)
    lane = Lane()
    await applied(kernel, lane.put("s/1", "k", b"durable"))

    def fail(kind: str) -> None:
        raise apsw.IOError("the disk is gone")

    vfs.on_sync = fail
    with pytest.raises(Indeterminate):
        await kernel.commit([lane.put("s/1", "k", b"unknown")])
    vfs.on_sync = lambda kind: None
    for verb in (
        kernel.scopes(),
        kernel.moved(),
        value_of(kernel, "s/1", "k"),
        kernel.commit([lane.put("s/1", "k", b"x")]),
    ):
        with pytest.raises(Closed, match="disk"):
            await verb
    await kernel.close()
    again = await SqliteKernel.open(path)
    assert await value_of(again, "s/1", "k") in (b"durable", b"unknown")
    head = (await again.read([Read("s/1")], now_us=NOW_US))[0].head
    assert [record.seq for record in await again.log("s/1")] == list(range(1, head.seq + 1))
    await again.close()


async def test_a_failed_sync_in_a_checkpoint_closes_the_store_and_loses_nothing(tmp_path: Path) -> None:
    """The log is not begun anew after it, so the next opening repeats the checkpoint from it."""
    vfs = FaultyVfs()
    path = tmp_path / "store.db"
    kernel = await SqliteKernel.open(path, vfs=vfs.name, durability="process")
    lane = Lane()
    acknowledged: dict[str, bytes] = {}

    def fail(kind: str) -> None:
        if kind == "file":
            raise apsw.IOError("the disk is gone")

    vfs.on_sync = fail
    with pytest.raises((Closed, Indeterminate)):
        for n in range(2_000):
            value = bytes(100_000) + b"%d" % n
            await applied(kernel, lane.put(f"s/{n % 7}", "k", value))
            acknowledged[f"s/{n % 7}"] = value
    await kernel.close()
    vfs.on_sync = lambda kind: None
    again = await SqliteKernel.open(path)
    for scope, value in acknowledged.items():
        assert await value_of(again, scope, "k") == value
    await again.close()
