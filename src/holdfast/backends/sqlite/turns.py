"""Taking turns between processes, which is fairness in front of SQLite's write lock; and who has which file open.

SQLite's own waiting is a lottery: whoever polls at the right moment gets the lock, so a busy process can starve another
for half a second. Here a side file `<store>-lock` has two places to lock. A writer first takes the waiting bench, then
the room, then gives up the bench; so while one waits, the one that just left cannot overtake it.

    from byte 0      room: held while writing
    from byte 2**30  bench: held by whoever is next
    2**62 + inode    of the store's file: shared by all who have it open

How many bytes are locked tells one turn of a process from its next: who finds the place taken is told by F_GETLK.

The last is safety. Who opens a file that took the place of one that a process still has open would share its index, and
take its log for their own; so they are refused until it is closed. Who has to make the side file anew, though the store
has an index that another process has open, cannot know who has which file, and is refused as well.

POSIX record locks: they belong to the process, so a forked child never holds one by accident and the end of a process
frees them. (flock was tried: a forked child shares the lock and may keep it when its parent dies.)

Whoever waits longer than `PATIENCE_S` goes on without: BEGIN IMMEDIATE decides, as it does alone where there are no
such locks. A process that was waited for in vain (stopped, in a debugger, in a suspended machine) is not waited for
again in that turn of its: it costs the others one wait, not one a commit.

The file is also where the reserve stands (see `reserve`), which has no more to do with it than that both must outlive
the closing of the store.
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from holdfast.backends.sqlite import gate
from holdfast.backends.sqlite.errors import NO_SPACE
from holdfast.backends.sqlite.place import FileId, file_id
from holdfast.errors import InvalidValue, ReadOnlyStore, StoreLocked, Unavailable

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]

ROOM, BENCH = 0, 2**30
TURNS_MAX = 2**20
"""After so many the numbers of turns begin anew."""

FILES, FILES_SIZE = 2**62, 2**61

INDEX_HELD = 128
"""What every process that has the index open holds a shared lock on: UNIX_SHM_DMS in SQLite's os_unix.c."""

PATIENCE_S = 1.0
POLL_S = 0.0002

_looked_at: dict[FileId | None, int] = {}  # never closed: that would end every lock of this process on the index
_here: set[Turns] = set()  # of this process, all that are open


class Holder(NamedTuple):
    """Who has a place, and in which turn of its own."""

    process: int
    turn: int


class Turns:
    """One store's place in the queue of processes. Not thread-safe: one thread uses it."""

    def __init__(self, path: Path) -> None:
        self.path = path.with_name(path.name + "-lock")
        index = path.with_name(path.name + "-shm")
        had_index = file_id(index)  # before: who opens the store makes the side file first
        self.fd, self._made = _open(self.path)
        if self._made and had_index is not None and (process := _holder_of_index(index)) is not None:
            self._refuse(path, process)
        self._turn = 0
        self._in_vain: dict[int, Holder] = {}  # place -> who did not let go of it
        self._byte: int | None = None  # of the file that is open
        _here.add(self)

    def file(self) -> tuple[str, FileId] | None:
        """The name of the side file and which one it is; None if there is none."""
        if self.fd < 0:
            return None
        status = os.fstat(self.fd)
        return str(self.path), (status.st_dev, status.st_ino)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the room for the block."""
        self.enter()
        try:
            yield
        finally:
            self.leave()

    def enter(self) -> None:
        """Wait for bench and room, at most `PATIENCE_S` each, and not for a process that was waited for in vain."""
        self._turn = (self._turn + 1) % TURNS_MAX
        self._wait(BENCH)
        self._wait(ROOM)
        self._give(BENCH)

    def holder(self) -> int | None:
        """The process that is in the room, 0 where the system does not tell; None if nobody else is."""
        holder = self._holder(ROOM)
        return None if holder is None else holder.process

    def waiting(self) -> int | None:
        """The same of the bench: who is next."""
        holder = self._holder(BENCH)
        return None if holder is None else holder.process

    def leave(self) -> None:
        """Leave the room; allowed also when it was not held."""
        self._give(ROOM)

    def hold_file(self, identity: FileId) -> None:
        """Tell other processes which file is open here under this name.

        Raises StoreLocked if one of them has another file open that was here before.
        """
        self._byte = FILES + identity[1] % FILES_SIZE
        self._share()
        until = time.monotonic() + PATIENCE_S
        while not self._is_only_file():
            if time.monotonic() >= until:
                path = self.path.with_name(self.path.name.removesuffix("-lock"))
                raise StoreLocked(
                    f"another process still has the file open that was at {path} before",
                    remedy="Close the store in every process before its file is replaced; then open it again.",
                    path=str(path),
                )
            gate.wait(POLL_S)  # others may be looking at this very moment, which takes the same locks

    def close(self) -> None:
        """Release the file. Allowed twice."""
        _here.discard(self)
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
            for other in list(_here):  # closing a file ends all locks that the process has on it
                if other.path == self.path:
                    other._share()

    def unmake(self) -> None:
        """Remove the side file if it was made here: what stands beside it turned out to be no store."""
        if self._made and self.fd >= 0:
            self.path.unlink(missing_ok=True)

    def _refuse(self, path: Path, process: int) -> None:
        self.path.unlink(missing_ok=True)  # or the next attempt would find it
        os.close(self.fd)
        raise StoreLocked(
            f"process {process} has {path} open, or the file that was there before, and its {self.path.name} is gone",
            remedy="Close the store in every process; then open it again.",
            path=str(path),
            process=process,
        )

    def _share(self) -> None:
        if fcntl is not None and self.fd >= 0 and self._byte is not None:
            with contextlib.suppress(OSError):
                fcntl.lockf(self.fd, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, self._byte)

    def _is_only_file(self) -> bool:
        if fcntl is None or self.fd < 0:
            return True
        assert self._byte is not None
        rest = ((FILES, self._byte - FILES), (self._byte + 1, FILES + FILES_SIZE - self._byte - 1))
        return all(self._is_free(first, size) for first, size in rest if size)

    def _is_free(self, first: int, size: int) -> bool:
        try:
            fcntl.lockf(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB, size, first)
            fcntl.lockf(self.fd, fcntl.LOCK_UN, size, first)
        except (BlockingIOError, PermissionError):
            return False
        except OSError:  # no such locks here: go on without
            return True
        return True

    def _wait(self, place: int) -> None:
        if self._take(place):
            return
        until = time.monotonic() + PATIENCE_S
        first = self._holder(place)
        while not self._take(place):
            holder = self._holder(place)
            if holder is not None and holder == self._in_vain.get(place):
                return
            if time.monotonic() >= until:
                if holder is not None and holder == first:  # else they take turns: it is crowded
                    self._in_vain[place] = holder
                return
            gate.wait(POLL_S)

    def _holder(self, place: int) -> Holder | None:
        if fcntl is None or self.fd < 0:
            return None
        try:
            answer = fcntl.fcntl(self.fd, fcntl.F_GETLK, _FLOCK.pack(*_in_order(fcntl.F_WRLCK, 0, place, 1, 0)))
        except OSError:
            return None
        kind, _, _, turn, process = _from_order(*_FLOCK.unpack(answer))
        return None if kind == fcntl.F_UNLCK else Holder(max(0, process), turn)  # -1: it runs on another machine

    def _take(self, place: int) -> bool:
        if fcntl is None or self.fd < 0:
            return True
        try:
            fcntl.lockf(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1 + self._turn, place)
        except (BlockingIOError, PermissionError):
            return False
        except OSError:  # no such locks here: go on without
            return True
        return True

    def _give(self, place: int) -> None:
        if fcntl is not None and self.fd >= 0:
            with contextlib.suppress(OSError):
                fcntl.lockf(self.fd, fcntl.LOCK_UN, TURNS_MAX, place)


if sys.platform == "linux":
    _FLOCK = struct.Struct("@hhqqi4x")  # l_type, l_whence, l_start, l_len, l_pid

    def _in_order(kind: int, whence: int, start: int, length: int, process: int) -> tuple[int, ...]:
        return kind, whence, start, length, process

    _from_order = _in_order
else:
    _FLOCK = struct.Struct("@qqihh")  # l_start, l_len, l_pid, l_type, l_whence

    def _in_order(kind: int, whence: int, start: int, length: int, process: int) -> tuple[int, ...]:
        return start, length, process, kind, whence

    def _from_order(start: int, length: int, process: int, kind: int, whence: int) -> tuple[int, ...]:
        return kind, whence, start, length, process


def _holder_of_index(path: Path) -> int | None:
    """Another process that has the index open; None if there is none, or that cannot be told."""
    if fcntl is None:
        return None  # type: ignore[unreachable]
    try:
        fd = _looked_at.get(file_id(path))
        if fd is None:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            status = os.fstat(fd)
            _looked_at[status.st_dev, status.st_ino] = fd
        answer = fcntl.fcntl(fd, fcntl.F_GETLK, _FLOCK.pack(*_in_order(fcntl.F_WRLCK, 0, INDEX_HELD, 1, 0)))
    except OSError:
        return None
    kind, _, _, _, process = _from_order(*_FLOCK.unpack(answer))
    return None if kind == fcntl.F_UNLCK else max(0, process)


def _open(path: Path) -> tuple[int, bool]:
    """The open file, and whether it was made here."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
    try:
        try:
            return os.open(path, flags | os.O_EXCL, 0o666), True
        except FileExistsError:
            return os.open(path, flags, 0o666), False
    except PermissionError as error:
        raise ReadOnlyStore(f"{path} cannot be written: {error.strerror}", path=str(path)) from error
    except OSError as error:
        if error.errno in NO_SPACE:  # a store that was copied without its side file, on a full disk
            return -1, False
        if error.errno == errno.ENOENT and path.parent.is_dir():  # such as /proc
            remedy = "Name a file in a folder of a disk."
            raise InvalidValue(f"the folder {path.parent} takes no files", remedy=remedy, path=str(path)) from error
        raise Unavailable(f"{path} cannot be opened: {error.strerror}", path=str(path)) from error
