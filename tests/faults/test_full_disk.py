"""The disk is full: what needs room is refused, and what frees some works, at whatever moment it filled up."""

import os
import shutil
from contextlib import closing
from pathlib import Path
from random import Random

import apsw
import pytest

from holdfast import Holdfast
from holdfast.backends.sqlite import SqliteKernel, checkpoint, reserve
from holdfast.errors import StoreFull
from holdfast.testing.clock import LeapingClock
from tests.crash.aftermath import integrity
from tests.faults.full_disk import FullDisk

VALUE_CHARS = 20_000

FOUNDED = 150
"""By so many writes a new store is open."""


class Store:
    """A store on a disk of its own, and what it acknowledged."""

    def __init__(self, folder: Path, monkeypatch) -> None:
        self.path = folder / "store.db"
        self.disk = FullDisk(folder)
        self.kept: dict[str, str] = {}
        self.chance = Random(1)
        self.refused: list[str] = []
        monkeypatch.setattr(os, "posix_fallocate", self.disk.allocate)
        monkeypatch.setattr(shutil, "disk_usage", self.disk.usage)

    async def open(self) -> Holdfast:
        kernel = await SqliteKernel.open(self.path, vfs=self.disk.name)
        return Holdfast.over(kernel, clock=LeapingClock())

    def text(self) -> str:
        return self.chance.randbytes(VALUE_CHARS // 2).hex()

    async def add(self, hold: Holdfast, id: str) -> None:
        """A session with a long value; raises StoreFull."""
        session = await hold.sessions.create(id=id)
        self.kept[id] = ""
        text = self.text()
        await session.state.set("k", text)
        self.kept[id] = text

    async def delete(self, hold: Holdfast, id: str) -> None:
        assert await hold.sessions.delete(id)
        del self.kept[id]

    def size_bytes(self) -> int:
        """How long the file will be once all of the log is in it."""
        with closing(apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READONLY)) as reader:
            return reader.pragma("page_count") * reader.pragma("page_size")

    async def check(self, hold: Holdfast) -> None:
        """What was acknowledged is there, and nothing that was refused."""
        for id, text in self.kept.items():
            session = await hold.sessions.get(id)
            assert session is not None
            assert await session.state.get("k", default="") == text
        ids = {session.id for session in (await hold.sessions.list(limit=500)).items}
        assert ids == set(self.kept)


@pytest.fixture
def store(tmp_path, monkeypatch):
    (tmp_path / "disk").mkdir()
    return Store(tmp_path / "disk", monkeypatch)


async def add_until_full(store: Store, hold: Holdfast, prefix: str) -> int:
    for n in range(500):
        try:
            await store.add(hold, f"{prefix}{n}")
        except StoreFull:
            return n
    raise AssertionError("the store never filled up")


async def empty(store: Store, hold: Holdfast) -> None:
    """Delete every other session, sweep, and go on."""
    before = store.size_bytes()  # of what the file and its log hold: how much of it is in the file yet, nobody says
    for id in sorted(store.kept)[::2]:
        await store.delete(hold, id)
    await store.check(hold)
    swept = await hold.sweep()
    assert swept.cells > 0
    assert store.path.stat().st_size < before, "the disk got nothing back"
    await store.check(hold)
    await store.add(hold, "afterwards")
    await store.check(hold)


async def test_a_disk_that_others_filled_can_be_emptied_by_deleting_and_sweeping(store):
    """G16: nothing is in the file yet and all of it in the log, which can neither grow nor be moved."""
    hold = await store.open()
    for n in range(30):
        await store.add(hold, f"s{n}")
    assert os.stat(store.path).st_size < 30 * VALUE_CHARS / 2
    store.disk.fill()
    await add_until_full(store, hold, "t")
    await store.check(hold)
    await empty(store, hold)
    await hold.close()
    hold = await store.open()
    await store.check(hold)
    await hold.close()
    assert integrity(store.path) == []


@pytest.mark.parametrize("closed", ["cleanly", "not at all"])
async def test_a_store_opens_on_a_full_disk_and_can_be_emptied(store, closed):
    """The reserve outlives the closing of the store."""
    hold = await store.open()
    for n in range(30):
        await store.add(hold, f"s{n}")
    if closed == "cleanly":
        await hold.close()
    store.disk.fill()
    again = await store.open()
    await store.check(again)
    await add_until_full(store, again, "t")
    await empty(store, again)
    await again.close()
    await hold.close()
    assert integrity(store.path) == []


async def test_a_disk_whose_every_byte_is_taken_at_once_by_others_can_be_emptied(store):
    """What the store gives back is gone; what it keeps is enough for deletes and sweeps."""
    hold = await store.open()
    for n in range(30):
        await store.add(hold, f"s{n}")
    await hold.close()
    store.disk.fill()
    hold = await store.open()
    for id in sorted(store.kept):
        store.disk.fill()
        await store.delete(hold, id)
    store.disk.fill()
    assert (await hold.sweep()).cells > 0
    store.disk.fill()
    assert (await hold.sweep()).more is False
    await hold.close()
    assert integrity(store.path) == []


@pytest.fixture
def small_log(monkeypatch):
    """Checkpoints come often, so that the disk fills up in some."""
    monkeypatch.setattr(checkpoint, "PAGES", 60)
    monkeypatch.setattr(checkpoint, "AGAIN", 20)
    monkeypatch.setattr(checkpoint, "REST", 10)


async def fill_at_every(tmp_path: Path, monkeypatch, *, step: int) -> int:
    """Let the disk fill up at every `step`-th write of a growing store; how often something found no space."""
    refused = 0
    n = FOUNDED
    while True:
        (folder := tmp_path / f"{n}").mkdir()
        store = Store(folder, monkeypatch)
        reached = await fill_at_write(store, n)
        refused += store.disk.refused
        shutil.rmtree(folder)
        if not reached:
            return refused
        n += step


async def test_wherever_the_disk_fills_up_it_can_be_emptied(tmp_path, monkeypatch, small_log):
    """At every so many-th write of a growing store, its checkpoints included."""
    assert await fill_at_every(tmp_path, monkeypatch, step=97) > 10


@pytest.mark.soak
async def test_at_whichever_write_the_disk_fills_up_it_can_be_emptied(tmp_path, monkeypatch, small_log):
    assert await fill_at_every(tmp_path, monkeypatch, step=1) > 100


async def fill_at_write(store: Store, n: int) -> bool:
    hold = await store.open()
    writes = 0

    def count() -> None:
        nonlocal writes
        writes += 1
        if writes == n:
            store.disk.fill()

    store.disk.before = count
    for number in range(20):
        try:
            await store.add(hold, f"s{number}")
        except StoreFull:
            break
    reached = writes >= n
    if not reached:  # nor is it to fill up in the middle of being emptied
        store.disk.before = lambda: None
        store.disk.fill()
    await empty(store, hold)
    await hold.close()
    assert integrity(store.path) == [], f"write {n}"
    hold = await store.open()
    await store.check(hold)
    await hold.close()
    return reached


async def test_keys_can_be_deleted_and_a_stream_goes_on_when_the_disk_is_full(store):
    """Reads and streams need no room; a delete has some."""
    hold = await store.open()
    session = await hold.sessions.create(id="s")
    await session.state.set("k", store.text())
    store.disk.fill()
    async with session.changes() as changes:
        await add_until_full(store, hold, "t")
        assert await session.state.delete("k") == 1
        change = await anext(changes)
        assert (change.kind, change.op, change.key) == ("state", "delete", "k")
    assert await session.state.get("k") is None
    await hold.close()


async def test_a_new_store_on_a_full_disk_is_refused_and_nothing_is_in_its_way_later(store):
    store.disk.fill()
    with pytest.raises(StoreFull):
        await store.open()
    store.disk.mend()
    hold = await store.open()
    await store.add(hold, "s")
    await hold.close()
    hold = await store.open()
    await store.check(hold)
    await hold.close()


async def test_a_store_without_its_reserve_takes_it_when_there_is_space(store):
    hold = await store.open()
    await store.add(hold, "s")
    await hold.close()
    side = store.path.with_name("store.db-lock")
    side.unlink()
    hold = await store.open()
    assert side.stat().st_size >= reserve.ROOM_BYTES
    await hold.close()
    assert side.stat().st_size == reserve.ROOM_BYTES
