"""Whether the path of a store still leads to the files that are written.

A file that is removed or replaced while it is open is written on, and nobody ever finds what was acknowledged. So the
device and inode of the file, of its log, its index and its lock file are compared with what their names lead to: after
every COMMIT, before anybody is answered; and before reads and transactions when the last look is older than `FRESH_S`.

None of them changes rightly while a connection is open. SQLite removes log and index when the last connection of
all processes closes, under an exclusive lock on the file, of which every other connection holds a shared one
(sqlite3WalClose in its wal.c; https://sqlite.org/walformat.html, 1.1); a checkpoint begins the log anew or cuts it
back, in the same inode. The index counts as much as the others: writers exclude each other by locks on it, so two
processes with two of them write over each other's commits. The lock file tells who has which file open (see `turns`),
which nobody can tell from a second one. A path through a symbolic link must go on leading to the file.

Four calls of stat cost a few microseconds beside a sync. (Tried: SQLITE_FCNTL_HAS_MOVED knows of the file only, not of
its log. The folder's times would be one call, and depend on the resolution of its file system's clock.)
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import apsw

from holdfast.errors import Closed, Unavailable

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]

FileId = tuple[int, int]
"""Device and inode."""

FRESH_S = 0.02
"""How long a look is good for, but for acknowledging."""

SHARED_FIRST, SHARED_SIZE = 0x40000002, 510
"""What every connection holds a shared lock on: SHARED_FIRST in SQLite's os.h, the same on every system."""

REMEDY = (
    "Open the store again: that takes what is at the path now. Close every store on a file before it is moved, removed "
    "or restored, and keep its -wal and -shm with it."
)


def file_id(path: str | os.PathLike[str]) -> FileId | None:
    """What the path leads to, None for nothing."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


class Place:
    """The file, log and index that one writer's connection has open, and their names; then the lock file and the path
    that was given, where there are such."""

    def __init__(self, path: Path, known: Sequence[tuple[str, FileId]]) -> None:
        self.ids = tuple(identity for _, identity in known[:3])
        self._path = path
        self._known = tuple(known)
        self._seen_s = time.monotonic()

    @classmethod
    def of(
        cls,
        connection: apsw.Connection,
        path: Path,
        *,
        name: Path | None = None,
        lock: tuple[str, FileId] | None = None,
    ) -> Place:
        """`name` leads to the path, `lock` is the open lock file.

        Raises Unavailable if they were removed or replaced since they were opened.
        """
        connection.pragma("schema_version")  # a read: from here on log and index are open
        ours = _open_here()
        known = []
        for file in (str(path), connection.filename_wal, f"{connection.filename}-shm"):
            identity = file_id(file)
            if identity is None or (ours is not None and identity not in ours):
                raise _replaced_meanwhile(file, path)
            known.append((file, identity))
        also = [] if lock is None else [lock]
        also += [] if name is None else [(str(name), known[0][1])]
        for file, identity in also:
            if file_id(file) != identity:
                raise _replaced_meanwhile(file, path)
        return cls(path, known + also)

    def lost(self) -> Closed | None:
        """Look, and say why the store has to close; None if everything is in its place."""
        for name, known in self._known:
            try:
                status = os.stat(name)
            except OSError as error:
                return self._closed(f"{name}: {error.strerror}")
            if (status.st_dev, status.st_ino) != known:
                return self._closed(f"{name} is another file now")
        self._seen_s = time.monotonic()
        return None

    def lost_lately(self) -> Closed | None:
        """The same; nothing is looked at when the last look is fresh."""
        return None if time.monotonic() - self._seen_s < FRESH_S else self.lost()

    def _closed(self, what: str) -> Closed:
        return Closed(
            f"{self._path} was removed or replaced while it was open here ({what}); the store closed itself",
            remedy=REMEDY,
            path=str(self._path),
        )

    def leave(self, connection: apsw.Connection) -> None:
        """Before a connection to lost files is closed: bring the log to where it belongs, as far as that is safe.

        If the log was removed, what it holds is copied into the file, for nobody else will find it. If the file
        was removed or replaced, the log that stands beside its successor would be taken for the successor's, and be
        mixed into it: so it is copied into the old file and emptied. What somebody else may rest on already is left.
        """
        (file, log, index), (file_now, log_now, index_now) = self.ids, [file_id(name) for name, _ in self._known[:3]]
        with contextlib.suppress(apsw.Error, OSError):
            if file_now == file:
                if log_now != log and index_now in (index, None):
                    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            elif log_now == log and index_now in (index, None):
                with _kept_out(self._path, file_now):
                    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


def _replaced_meanwhile(file: str, path: Path) -> Unavailable:
    return Unavailable(f"{file} was removed or replaced while {path} was being opened", path=str(path))


@contextlib.contextmanager
def _kept_out(path: Path, successor: FileId | None) -> Iterator[None]:
    """Keep everybody from opening the successor for a moment. Raises OSError if somebody has it open."""
    if successor is None or fcntl is None:
        yield
        return
    if successor in (_open_here() or ()):  # closing it below would end this process's locks on it
        raise BlockingIOError(f"{path} is open in this process")
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, SHARED_SIZE, SHARED_FIRST)
        yield
    finally:
        os.close(fd)


def _open_here() -> set[FileId] | None:
    """Every file that this process has open; None where the system does not tell."""
    try:
        fds = os.listdir("/dev/fd")
    except OSError:
        return None
    found = set()
    for fd in fds:
        with contextlib.suppress(OSError):  # that of the listing itself is closed again
            status = os.fstat(int(fd))
            found.add((status.st_dev, status.st_ino))
    return found
