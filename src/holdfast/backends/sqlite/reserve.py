"""The reserve: disk space kept aside, so that what removes works when the disk is full.

A commit grows the write-ahead log. The file itself grows later, when a checkpoint copies the log into it, and only then
can the log be begun anew, in the space that it has. So on a full disk everything hangs on one thing: that the file can
still take in what was acknowledged. Hence the invariant, kept before each COMMIT:

    reserve  >=  what the file has still to grow, to take in the log  +  room to remove

A commit that would break it is refused, StoreFull, and nothing of it was written. What removes (drops, deletes, sweeps)
may use the room too: its record must stand somewhere before the first page is free. The room is `ROOM_BYTES`, less the
blocks that the log has already, which it can be begun anew in.

    disk:  |  file  |  log  |  reserve: growth of the file + room to remove  |  everything else

When no space is left, the reserve is given up piece by piece (`give_up`) to whoever asks the disk next: the checkpoint,
or the log. It is taken again when there is space (`refill`). It stands in the side file of the turns, which outlives
the closing of the store, so that a store can be opened on a full disk. A limit that is the file's own (`max_pages`,
RLIMIT_FSIZE) has no need of blocks; there the last `SPARE_PAGES` are left to what removes.

Tried: keeping the file itself larger than the database (SQLITE_FCNTL_SIZE_HINT). Where SQLite was built without
posix_fallocate it writes a byte into each new block, which may be a page that another process's checkpoint has just
written. What remains open here: between `give_up` and the write another program may be quicker, and a file system that
copies what is overwritten (btrfs, ZFS) may need space where others do not. Then the answer is StoreFull, and the next
attempt may do.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path
from typing import Any, Literal

import apsw

from holdfast.errors import StoreFull

try:
    import resource
except ImportError:  # not a POSIX system
    resource = None  # type: ignore[assignment]

What = Literal["adds", "removes"]
"""What a transaction does, on the whole."""

Given = Literal["growth", "all"]
"""What is given up of the reserve: what the file has still to grow, or all."""

ROOM_BYTES = 1024 * 1024
STEP_BYTES = 1024 * 1024
OPENING_BYTES = 128 * 1024
SPARE_PAGES = 16
UNSUPPORTED = frozenset({errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS})


class Reserve:
    """One store's reserve, in the file `fd` (-1: it has none). Used by the writer's thread, in its turn."""

    def __init__(self, path: Path, fd: int, *, max_pages: int | None) -> None:
        self._path = path
        self._log = path.with_name(path.name + "-wal")
        self._fd = fd
        self._max_pages = max_pages
        self._page_bytes = 4096
        self._version = -1
        self._allowed = 0
        self._pages = self._admitted = 0
        self._limit: int | None = None
        self._used = 0

    # --- deciding what may be committed -----------------------------------------------------------------

    def begin(self, connection: apsw.Connection) -> None:
        """At the beginning of a write transaction."""
        if connection.data_version() != self._version:  # others may have lengthened or shortened the file
            self._allowed = 0
            self._pages = _pages(connection)
        self._limit = self._pages_max()
        self._used = 0 if self._limit is None else _used(connection)

    def admit(self, connection: apsw.Connection, what: What) -> None:
        """Before COMMIT: raise StoreFull if the file might not be able to take in what was written."""
        pages = self._admitted = _pages(connection)
        if pages > self._allowed:
            self._admit_growth(pages, what)
        if self._limit is not None and what == "adds":
            self._admit_use(_used(connection), self._limit)

    def committed(self, connection: apsw.Connection) -> None:
        """After COMMIT: what was admitted is what the file says."""
        self._pages = self._admitted
        self._version = connection.data_version()

    def forget(self) -> None:
        """What was remembered of file and reserve is no longer true."""
        self._version = -1

    def _admit_growth(self, pages: int, what: What) -> None:
        growth = (pages - self._file_pages()) * self._page_bytes
        room = self._room()
        kept = growth + room if what == "adds" else growth
        if growth > 0 and not self._keep(kept) and pages > self._pages:
            raise self._full("the file could not take in what the log has")
        self._allowed = self._file_pages() + max(0, self.size() - room) // self._page_bytes

    def _admit_use(self, used: int, limit: int) -> None:
        spare = min(SPARE_PAGES, limit // 8)
        if used > limit - spare and used > self._used:
            raise self._full(f"the last {spare} of {limit} pages are left to what removes")

    def _full(self, why: str) -> StoreFull:
        return StoreFull(f"no space is left for {self._path}: {why}", path=str(self._path))

    def _pages_max(self) -> int | None:
        file_bytes = _file_bytes_max()
        if file_bytes is None:
            return self._max_pages
        pages = file_bytes // self._page_bytes
        return pages if self._max_pages is None else min(pages, self._max_pages)

    def _file_pages(self) -> int:
        return _size_of(self._path) // self._page_bytes

    def _room(self) -> int:
        return max(OPENING_BYTES, ROOM_BYTES - _size_of(self._log))

    # --- keeping it -------------------------------------------------------------------------------------

    def refill(self, connection: apsw.Connection) -> bool:
        """Take the whole reserve from the disk, as far as there is space; whether it is whole."""
        self._page_bytes = connection.pragma("page_size")
        growth = (_pages(connection) - self._file_pages()) * self._page_bytes
        self.forget()
        return self._keep_most(max(0, growth))

    def lend(self, given: Literal["some", "all"] = "some") -> None:
        """Before the first connection is opened: see that a full disk has the blocks of SQLite's shared memory.

        SQLite asks for them by a byte in each 4 KiB and then writes through a mapping: where blocks are smaller and the
        disk is full, that is SIGBUS.
        """
        if given == "all":
            self._release(0)
            return
        with contextlib.suppress(OSError):
            if shutil.disk_usage(self._path.parent).free < OPENING_BYTES:
                self._release(self.size() - OPENING_BYTES)

    def give_up(self, connection: apsw.Connection, given: Given) -> None:
        """Give the disk what the file has still to grow, and what the file system may need beside it; or all."""
        growth = (_pages(connection) - self._file_pages()) * self._page_bytes
        if given == "all":
            self._release(0)
        elif growth > 0:
            self._release(self.size() - growth - OPENING_BYTES // 2)

    def _release(self, kept_bytes: int) -> None:
        self.forget()
        if self.size() > max(0, kept_bytes):
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, max(0, kept_bytes))

    def settle(self) -> None:
        """The last connection is closed, and the log is in the file: only the room is kept."""
        if not self._log.exists():
            self._release(ROOM_BYTES)
            self._keep_most(0)

    def size(self) -> int:
        """Its bytes."""
        return 0 if self._fd < 0 else _size_of(self._fd)

    def _keep_most(self, growth: int) -> bool:
        """Have the room beside what the file has to grow, or a part of the room; whether all of it."""
        room = self._room()
        for part in (1, 2, 4, 8):
            if self._keep(growth + room // part):
                return part == 1
        return False

    def _keep(self, wanted: int) -> bool:
        """Have at least so many bytes; False if the disk does not have them."""
        if self._fd < 0:  # nowhere to keep it: the store goes on without
            return True
        most = _file_bytes_max()  # no file, so no log either, can be larger than that
        wanted = wanted if most is None else min(wanted, most)
        size = self.size()
        if size >= wanted:
            return True
        rounded = -(-wanted // STEP_BYTES) * STEP_BYTES
        return _allocated(self._fd, size, rounded) or (rounded > wanted and _allocated(self._fd, size, wanted))


def _allocated(fd: int, size: int, wanted: int) -> bool:
    """Grow the file with blocks, not with a hole; if they are not there it stays as it was."""
    try:
        try:
            os.posix_fallocate(fd, size, wanted - size)
        except (AttributeError, OSError) as error:
            if isinstance(error, OSError) and error.errno not in UNSUPPORTED:
                raise
            _fill(fd, size, wanted)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(fd, size)
        return False
    return True


def _size_of(file: Path | int) -> int:
    try:
        return os.stat(file).st_size
    except OSError:
        return 0


def _fill(fd: int, at: int, end: int) -> None:
    while at < end:
        at += os.pwrite(fd, bytes(min(STEP_BYTES, end - at)), at)


def _pages(connection: apsw.Connection) -> int:
    pages: Any = connection.execute("PRAGMA page_count").fetchall()[0][0]
    return int(pages)


def _used(connection: apsw.Connection) -> int:
    free: Any = connection.execute("PRAGMA freelist_count").fetchall()[0][0]
    return _pages(connection) - int(free)


def _file_bytes_max() -> int | None:
    if resource is None:
        return None  # type: ignore[unreachable]
    limit: int = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return None if limit == resource.RLIM_INFINITY else limit
