"""Opening a file: made when it is missing, refused with a clear error when it cannot be used and then left alone."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import sqlite3
import threading
from pathlib import Path
from tempfile import gettempdir

import apsw
import pytest

from holdfast.backends.sqlite import SqliteKernel, SqliteStore
from holdfast.backends.sqlite.connection import Opening
from holdfast.backends.sqlite.schema import APPLICATION_ID, VERSION
from holdfast.backends.sqlite.writer import Writer
from holdfast.errors import (
    Corrupt,
    HoldfastError,
    InvalidId,
    InvalidValue,
    ReadOnlyStore,
    StoreLocked,
    StoreTooNew,
    UnsafeFilesystem,
)
from tests.unit.backends.sqlite.drafts import Lane, applied, finished, start, value_of
from tests.unit.backends.sqlite.striking import Striking

OPEN_AND_PUT = """
import asyncio, sys
from holdfast.backends.sqlite import SqliteKernel
from tests.unit.backends.sqlite.drafts import Lane, applied

async def main(path, writer):
    kernel = await SqliteKernel.open(path, space="space" + writer[-1])
    sys.stdin.readline() if writer == "" else None
    await applied(kernel, Lane(writer).put("s/" + writer, "k", b"v"))
    await kernel.close()

asyncio.run(main(*sys.argv[1:]))
"""

OPEN_AND_LEAVE = """
import asyncio, sys
from holdfast.backends.sqlite import SqliteKernel
from tests.unit.backends.sqlite.drafts import Lane, applied

async def main(path):
    kernel = await SqliteKernel.open(path)
    await applied(kernel, Lane().put("s/1", "k", b"v"))
    await kernel.scopes(limit=1000)
    print("left")

asyncio.run(main(sys.argv[1]))
"""

OPEN_AS_NOBODY = """
import asyncio, os, sys
from holdfast.backends.sqlite import SqliteKernel

async def main(path):
    if os.getuid() == 0:
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
    try:
        await SqliteKernel.open(path)
    except Exception as error:
        print(type(error).__name__)

asyncio.run(main(sys.argv[1]))
"""


async def test_a_missing_file_is_made_and_found_again(tmp_path: Path) -> None:
    """G6: what was acknowledged is there after closing and opening."""
    path = tmp_path / "new.db"
    kernel = await SqliteKernel.open(path)
    await applied(kernel, Lane().put("s/1", "k", b"v"))
    await kernel.close()
    again = await SqliteKernel.open(str(path))
    assert await value_of(again, "s/1", "k") == b"v"
    await again.close()


async def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    path.touch()
    kernel = await SqliteKernel.open(path)
    assert await kernel.scopes() == ()
    await kernel.close()


async def test_a_relative_path_is_meant_from_where_it_was_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = await SqliteStore.open("relative.db")
    monkeypatch.chdir("/")
    kernel = await SqliteKernel.on(store)
    await applied(kernel, Lane().put("s/1", "k", b"v"))
    assert await value_of(kernel, "s/1", "k") == b"v"
    await store.close()
    assert (tmp_path / "relative.db").exists()


async def test_many_processes_open_a_new_file_at_once(tmp_path: Path) -> None:
    """The schema is made once, under a lock; everybody else waits and finds it."""
    path = tmp_path / "race.db"
    children = [start(OPEN_AND_PUT, path, f"writer{n}") for n in range(6)]
    for child in children:
        finished(child)
    store = await SqliteStore.open(path)
    for n in range(6):
        kernel = await SqliteKernel.on(store, space=f"space{n}")
        assert await kernel.scopes() == (f"s/writer{n}",)
    await store.close()


async def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    text = b"These are my notes.\n" * 300
    path.write_bytes(text)
    with pytest.raises(Corrupt, match="not a SQLite database"):
        await SqliteKernel.open(path)
    assert path.read_bytes() == text
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("mode", ["delete", "wal"])
async def test_another_programs_database_is_left_as_it_is(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    other = sqlite3.connect(path)
    other.execute(f"PRAGMA journal_mode={mode}")
    other.execute("CREATE TABLE mine(x)")
    other.commit()
    other.close()
    before = path.read_bytes()
    with pytest.raises(Corrupt, match="another program"):
        await SqliteKernel.open(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


async def test_a_side_file_that_was_there_stays_whatever_the_file_is(tmp_path: Path) -> None:
    """Somebody may be holding it: only who made one removes it."""
    path, beside = tmp_path / "notes.txt", tmp_path / "notes.txt-lock"
    path.write_bytes(b"These are my notes.\n" * 300)
    beside.touch()
    with pytest.raises(Corrupt):
        await SqliteKernel.open(path)
    assert beside.exists()


async def test_a_newer_store_is_refused_and_says_who_wrote_it(tmp_path: Path) -> None:
    path = tmp_path / "newer.db"
    await (await SqliteKernel.open(path)).close()
    newer = apsw.Connection(str(path))
    newer.execute(f"PRAGMA user_version={VERSION + 1}")
    newer.execute("UPDATE meta SET written_by = '9.9'")
    newer.close()
    with pytest.raises(StoreTooNew, match=r"9\.9") as refusal:
        await SqliteKernel.open(path)
    assert refusal.value.schema == VERSION + 1
    assert apsw.Connection(str(path)).pragma("application_id") == APPLICATION_ID


@pytest.mark.parametrize(
    ("name", "says", "remedy"),
    [
        ("nowhere/store.db", "the folder .*nowhere does not exist", "Create the folder"),
        ("plain/store.db", "plain is not a folder", "Name a file in a folder"),
        (".", "is a folder", "Name a file in it"),
        ("pipe", "is no regular file", "Name another file"),
        ("loop", "leads back to itself", "Mend the symbolic link"),
        ("/dev/null", "is no regular file", "Name another file"),
        ("x" * 300, "File name too long", "Name another file"),
        ("d/" * 3000 + "x", "File name too long", "Name another file"),
    ],
)
async def test_a_path_that_can_be_no_store_is_an_invalid_value_and_says_what_to_name_instead(
    tmp_path: Path, name: str, says: str, remedy: str
) -> None:
    """Nothing is damaged there, so nobody is told to restore a backup."""
    (tmp_path / "plain").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(InvalidValue, match=says) as refusal:
        await SqliteKernel.open(tmp_path / name)
    assert remedy in refusal.value.remedy
    assert sorted(path.name for path in tmp_path.iterdir()) == ["loop", "pipe", "plain"]


async def test_a_read_only_file_or_folder_is_refused(tmp_path: Path) -> None:
    """The checks run as an unprivileged user, for the superuser may write everywhere."""
    folder = tmp_path / "folder"
    folder.mkdir()
    for parent in (folder, *(up for up in folder.parents if Path(gettempdir()) in up.parents)):
        os.chmod(parent, 0o755)
    path = folder / "store.db"
    await (await SqliteKernel.open(path)).close()
    os.chmod(folder, 0o777)
    os.chmod(path, 0o444)
    assert finished(start(OPEN_AS_NOBODY, path)).strip() == "ReadOnlyStore"
    os.chmod(path, 0o666)
    os.chmod(folder, 0o555)
    assert finished(start(OPEN_AS_NOBODY, path)).strip() == "ReadOnlyStore"
    assert finished(start(OPEN_AS_NOBODY, folder / "new.db")).strip() == "ReadOnlyStore"
    os.chmod(folder, 0o600)
    assert finished(start(OPEN_AS_NOBODY, path)).strip() == "ReadOnlyStore"
    os.chmod(folder, 0o755)


async def test_an_immutable_connection_is_read_only_too(tmp_path: Path) -> None:
    """What the permissions do not show, SQLite does: a file it could only open for reading is refused."""
    vfs = _ReadOnlyVfs()
    path = tmp_path / "store.db"
    await (await SqliteKernel.open(path)).close()
    with pytest.raises(ReadOnlyStore):
        await SqliteKernel.open(path, vfs=vfs.name)


class _ReadOnlyVfs(apsw.VFS):
    """Opens every database for reading only, as the system does on a medium that cannot be written."""

    def __init__(self) -> None:
        self.name = "readonly"
        super().__init__(self.name, "")

    def xOpen(self, name: object, flags: list[int]) -> apsw.VFSFile:
        if flags[0] & apsw.SQLITE_OPEN_MAIN_DB:
            flags[0] &= ~(apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
            flags[0] |= apsw.SQLITE_OPEN_READONLY
            flags[1] = flags[0]
        return apsw.VFSFile("", name, flags)  # type: ignore[arg-type]


async def test_a_network_file_system_is_refused(tmp_path: Path) -> None:
    mounts = f"/dev/sda / ext4 rw 0 0\nserver:/home {tmp_path} nfs4 rw 0 0\n"
    with pytest.raises(UnsafeFilesystem) as refusal:
        await SqliteKernel.open(tmp_path / "store.db", mounts=mounts)
    assert refusal.value.filesystem == "nfs4"
    assert not (tmp_path / "store.db").exists()


async def test_a_locked_file_is_waited_for_and_then_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    holder = apsw.Connection(str(path))
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreLocked):
        await SqliteKernel.open(path, busy_timeout_s=0.05)
    holder.execute("ROLLBACK")
    holder.close()
    await (await SqliteKernel.open(path)).close()


async def closed_aside() -> list[str]:
    """Wait for the threads that open and close for nobody; returns which of the stores' threads are left."""
    await asyncio.get_running_loop().shutdown_default_executor()
    for thread in threading.enumerate():
        if thread.name == "holdfast-sqlite-close":
            thread.join()
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("holdfast-sqlite")]


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("steps", [1, 2, 200])
async def test_an_opening_that_is_cancelled_closes_what_it_opened(tmp_path: Path, times: int, steps: int) -> None:
    """However often, and whether it has opened anything by then or not."""
    opening = asyncio.ensure_future(SqliteKernel.open(tmp_path / "store.db"))
    for _ in range(steps):
        await asyncio.sleep(0)
    for _ in range(times):
        opening.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert await closed_aside() == []


async def test_an_opening_that_waits_for_a_lock_is_cancelled_at_once(tmp_path: Path) -> None:
    """It is the thread that goes on waiting, and then closes what it opens."""
    path = tmp_path / "store.db"
    await (await SqliteKernel.open(path)).close()
    holder = apsw.Connection(str(path))
    holder.execute("PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE; CREATE TABLE t(x)").fetchall()
    opening = asyncio.ensure_future(SqliteKernel.open(path, busy_timeout_s=600))
    for _ in itertools.count():
        if any(thread.name == "holdfast-sqlite-writer" for thread in threading.enumerate()):
            break
        await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert "holdfast-sqlite-writer" in [thread.name for thread in threading.enumerate()]
    holder.execute("ROLLBACK")
    holder.close()
    assert await closed_aside() == []


async def test_another_durability_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="durability"):
        await SqliteKernel.open(tmp_path / "store.db", durability="replicated")
    assert not (tmp_path / "store.db").exists()


async def test_a_process_that_ends_without_closing_ends_and_loses_nothing(tmp_path: Path) -> None:
    """G6: the threads hold nobody up."""
    path = tmp_path / "store.db"
    assert finished(start(OPEN_AND_LEAVE, path)) == "left\n"
    kernel = await SqliteKernel.open(path)
    assert await kernel.scopes() == ("s/1",)
    await kernel.close()


async def test_a_space_needs_a_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidId):
        await SqliteKernel.open(tmp_path / "store.db", space="")
    assert not (tmp_path / "store.db").exists()


async def test_spaces_of_one_file_do_not_see_each_other(tmp_path: Path) -> None:
    """G9."""
    store = await SqliteStore.open(tmp_path / "store.db")
    ada, bo = [await SqliteKernel.on(store, space=name) for name in ("ada", "bo")]
    await applied(ada, Lane().put("s/1", "k", b"ada's"))
    await applied(bo, Lane().put("s/1", "k", b"bo's"))
    assert await value_of(ada, "s/1", "k") == b"ada's"
    assert await value_of(bo, "s/1", "k") == b"bo's"
    assert [seq for _, seq in (await bo.moved("")).scopes] == [1]
    await store.close()


async def test_a_store_that_another_process_makes_meanwhile_is_the_one_that_is_opened(tmp_path: Path) -> None:
    """Whatever instant it is complete at: the file is never taken for another program's."""
    for step in itertools.count(1):
        path = tmp_path / f"store{step}.db"

        def make(path: Path = path) -> None:
            with contextlib.suppress(HoldfastError, apsw.Error):  # who opens it may have locked it by then
                Writer(Opening(path, "process", 0.0, None, None), None, lambda _: None).close()

        vfs = Striking(make, after=step)
        try:
            kernel = await SqliteKernel.open(path, durability="process", vfs=vfs.name)
        except StoreLocked:  # a lock that SQLite does not wait for
            continue
        assert await applied(kernel, Lane().put("s/1", "k", b"v")) == {"s/1": 1}
        await kernel.close()
        if vfs.left > 0 or step == 60:  # beyond that it holds the lock, or it is made
            break
    assert step > 20
