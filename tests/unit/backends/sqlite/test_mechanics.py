"""Small mechanisms of the SQLite backend by themselves: leaving lost files, the reserve of two that grow, the gate."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

from holdfast.backends.sqlite import gate, turns
from holdfast.backends.sqlite.place import SHARED_FIRST, SHARED_SIZE, Place
from holdfast.backends.sqlite.reserve import Reserve
from holdfast.backends.sqlite.turns import Turns
from holdfast.errors import StoreFull, StoreLocked

HOLDER = """
import fcntl, os, sys
fcntl.lockf(os.open(sys.argv[1], os.O_RDWR), fcntl.LOCK_SH, int(sys.argv[2]), int(sys.argv[3]))
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held_by_another(path: Path, size: int, first: int) -> Iterator[int]:
    """Another process with a shared lock on that range of a file; its id."""
    command = [sys.executable, "-c", HOLDER, str(path), str(size), str(first)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        try:
            assert holder.stdout.readline() == b"held\n"
            yield holder.pid
        finally:
            holder.stdin.close()


# --- leaving files that were replaced -------------------------------------------------------------


@contextmanager
def replaced(folder: Path) -> Iterator[tuple[Path, apsw.Connection, Place]]:
    """A store with something in its log, whose file was replaced by another database under the open connection."""
    path, other = folder / "store.db", folder / "other.db"
    connection = apsw.Connection(str(path))
    connection.wal_autocheckpoint(0)
    connection.pragma("journal_mode", "wal")
    connection.execute("CREATE TABLE t(x)")
    connection.execute("INSERT INTO t VALUES (1)")
    place = Place.of(connection, path)
    successor = sqlite3.connect(other)
    successor.execute("CREATE TABLE theirs(x)")
    successor.close()
    os.replace(other, path)
    try:
        yield path, connection, place
    finally:
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.close(True)


def log_bytes(path: Path) -> int:
    return path.with_name("store.db-wal").stat().st_size


def test_the_log_beside_a_successor_that_nobody_has_open_is_emptied(tmp_path: Path) -> None:
    """Else the successor's next opener would take it for its own."""
    with replaced(tmp_path) as (path, connection, place):
        assert log_bytes(path) > 0
        place.leave(connection)
        assert log_bytes(path) == 0


def test_the_log_beside_a_successor_that_another_process_reads_is_left(tmp_path: Path) -> None:
    """That process may rest on the log already: what stands in it is not taken away under it."""
    with replaced(tmp_path) as (path, connection, place):
        before = log_bytes(path)
        with held_by_another(path, SHARED_SIZE, SHARED_FIRST):
            place.leave(connection)
            assert log_bytes(path) == before > 0
        place.leave(connection)
        assert log_bytes(path) == 0


def test_the_log_beside_a_successor_that_is_open_in_this_process_is_left(tmp_path: Path) -> None:
    """Looking whether it is locked would end the locks that this very process has on it."""
    with replaced(tmp_path) as (path, connection, place), open(path, "rb"):
        before = log_bytes(path)
        place.leave(connection)
        assert log_bytes(path) == before > 0


# --- the reserve of two that grow one file --------------------------------------------------------


class Grower:
    """One of two that write to a file, each with its own connection and its own memory of the reserve."""

    def __init__(self, path: Path, fd: int) -> None:
        self.connection = apsw.Connection(str(path))
        self.connection.set_busy_timeout(1000)
        self.connection.wal_autocheckpoint(0)
        self.connection.execute("PRAGMA journal_mode=wal")
        self.reserve = Reserve(path, fd, max_pages=None)
        self.reserve.refill(self.connection)

    def write(self, pages: int, *, removes: bool = False) -> None:
        """One transaction that makes the file longer by about so many pages, or by none."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            self.reserve.begin(self.connection)
            if removes:
                self.connection.execute("DELETE FROM t WHERE rowid = 1")
            else:
                self.connection.execute("INSERT INTO t VALUES (zeroblob(?))", (pages * 4096,))
            self.reserve.admit(self.connection, "removes" if removes else "adds")
            self.connection.execute("COMMIT")
            self.reserve.committed(self.connection)
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise


@pytest.fixture
def growing(tmp_path: Path) -> Iterator[tuple[Grower, Grower, int]]:
    """Two connections to one file, of which the second made it long; and the file of their reserve."""
    path = tmp_path / "store.db"
    sqlite3.connect(path).execute("CREATE TABLE t(x)").connection.close()
    fd = os.open(tmp_path / "store.db-lock", os.O_RDWR | os.O_CREAT)
    one, other = Grower(path, fd), Grower(path, fd)
    one.write(1)
    other.write(600)
    yield one, other, fd
    one.connection.close()
    other.connection.close()
    os.close(fd)


def fill_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No reserve can be made any more."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)


def test_of_two_that_grow_one_file_each_counts_what_the_other_took_of_the_reserve(
    growing: tuple[Grower, Grower, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk what makes the file longer is refused, whoever made it longer before; what does not is taken."""
    one, other, fd = growing
    assert one.reserve.size() >= 600 * 4096
    fill_the_disk(monkeypatch)
    os.ftruncate(fd, 600 * 4096)  # somebody gave a part of it up
    for grower in (one, other):
        grower.reserve.forget()
        grower.write(0, removes=True)
        with pytest.raises(StoreFull):
            grower.write(300)


def test_what_one_remembers_of_the_file_is_forgotten_when_another_made_it_longer(
    growing: tuple[Grower, Grower, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else who only removes would be told that the store is full, for the other's growth."""
    one, _, fd = growing
    fill_the_disk(monkeypatch)
    os.ftruncate(fd, 0)
    one.write(0, removes=True)


# --- who is inside SQLite while a thread waits ----------------------------------------------------


def test_who_waits_for_a_lock_is_outside_meanwhile_and_others_stay_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fork need not wait for one that sleeps; it is inside again before it goes on."""
    mine, theirs = object(), object()
    entered, leaves = threading.Event(), threading.Event()

    def be_inside() -> None:
        with gate.Inside(theirs):
            entered.set()
            leaves.wait(10)

    other = threading.Thread(target=be_inside)
    other.start()
    entered.wait(10)
    seen: list[set[object]] = []
    monkeypatch.setattr("time.sleep", lambda seconds: seen.append({mine, theirs} & set(gate._inside)))
    with gate.Inside(mine):
        gate.wait(0.001)
        assert {mine, theirs} <= set(gate._inside)
    leaves.set()
    other.join()
    assert seen == [{theirs}]
    assert not {mine, theirs} & set(gate._inside)


def test_who_waited_while_another_thread_forks_goes_in_again_only_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait ends outside: until the fork is over nobody is let in."""
    mine, forker = object(), -1
    seen: list[bool] = []

    def sleep(seconds: float) -> None:
        seen.append(mine in gate._inside)
        if len(seen) == 1:
            gate._forking.add(forker)
        elif len(seen) == 3:
            gate._forking.discard(forker)

    monkeypatch.setattr("time.sleep", sleep)
    with gate.Inside(mine):
        gate.wait(0.001)
        assert mine in gate._inside
    assert seen == [False, False, False]


# --- the lock file --------------------------------------------------------------------------------


def test_a_refused_opening_removes_the_side_file_it_made_and_closes_it(tmp_path: Path) -> None:
    """Its index is held by another process and its side file is gone: the next attempt must find neither file nor a
    place taken, and be refused for the same reason."""
    path = tmp_path / "store.db"
    index = tmp_path / "store.db-shm"
    index.write_bytes(b"\0" * 32768)
    with held_by_another(index, 1, turns.INDEX_HELD) as process:
        handles = len(os.listdir("/dev/fd"))
        for _ in range(2):
            with pytest.raises(StoreLocked, match=f"process {process} "):
                Turns(path)
            assert not path.with_name("store.db-lock").exists()
        assert len(os.listdir("/dev/fd")) <= handles + 1  # the look at the index stays open
    made = Turns(path)
    made.close()
    assert path.with_name("store.db-lock").exists()
