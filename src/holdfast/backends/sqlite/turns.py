"""Taking turns between processes, which is fairness in front of SQLite's write lock; and who has which file open.

SQLite's own waiting is a lottery: whoever polls at the right moment gets the lock, so a busy process can starve another
for half a second. Here a side file `<store>-lock` has two bytes to lock. A writer first takes the waiting bench, then
the room, then gives up the bench; so while one waits, the one that just left cannot overtake it.

    byte 0  room: held while writing        byte 1  bench: held by whoever is next
    byte 2**62 + inode of the store's file: shared by all who have it open

The last is safety. Who opens a file that took the place of one that a process still has open would share its index, and
take its log for their own; so they are refused until it is closed.

POSIX record locks: they belong to the process, so a forked child never holds one by accident and the end of a process
frees them. Whoever waits longer than `PATIENCE_S` goes on without: BEGIN IMMEDIATE decides, as it does alone where
there are no such locks. (flock was tried: a forked child shares the lock and may keep it when its parent dies.)
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from holdfast.backends.sqlite import gate
from holdfast.backends.sqlite.place import FileId
from holdfast.errors import ReadOnlyStore, StoreFull, StoreLocked, Unavailable

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]

ROOM, BENCH = 0, 1
FILES, FILES_SIZE = 1 << 62, 1 << 61
PATIENCE_S = 1.0
POLL_S = 0.0002

_here: set[Turns] = set()  # of this process, all that are open


class Turns:
    """One store's place in the queue of processes. Not thread-safe: one thread uses it."""

    def __init__(self, path: Path) -> None:
        self.path = path.with_name(path.name + "-lock")
        self._fd = _open(self.path)
        self._byte: int | None = None
        _here.add(self)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the room for the block."""
        self.enter()
        try:
            yield
        finally:
            self.leave()

    def enter(self) -> None:
        """Wait for the room, at most `PATIENCE_S`."""
        if fcntl is None or (self._take(BENCH) and self._take(ROOM)):
            self._give(BENCH)
            return
        until = time.monotonic() + PATIENCE_S
        for byte in (BENCH, ROOM):
            while not self._take(byte) and time.monotonic() < until:
                gate.wait(POLL_S)
        self._give(BENCH)

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
        while fcntl is not None and not self._is_only_file():
            if time.monotonic() >= until:
                path = self.path.with_name(self.path.name.removesuffix("-lock"))
                raise StoreLocked(
                    f"another process still has the file open that was at {path} before",
                    remedy="Close the store in every process before its file is replaced; then open it again.",
                    path=str(path),
                )
            gate.wait(POLL_S)  # others may be looking at this very moment, which takes the same locks

    def close(self) -> None:
        """Release the file."""
        _here.discard(self)
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            for other in list(_here):  # closing a file ends all locks that the process has on it
                if other.path == self.path:
                    other._share()

    def _share(self) -> None:
        if fcntl is not None and self._byte is not None:
            with contextlib.suppress(OSError):
                fcntl.lockf(self._fd, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, self._byte)

    def _is_only_file(self) -> bool:
        assert self._byte is not None
        rest = ((FILES, self._byte - FILES), (self._byte + 1, FILES + FILES_SIZE - self._byte - 1))
        return all(self._is_free(first, size) for first, size in rest if size)

    def _is_free(self, first: int, size: int) -> bool:
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, size, first)
            fcntl.lockf(self._fd, fcntl.LOCK_UN, size, first)
        except (BlockingIOError, PermissionError):
            return False
        except OSError:  # no such locks here: go on without
            return True
        return True

    def _take(self, byte: int) -> bool:
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
        except (BlockingIOError, PermissionError):
            return False
        except OSError:  # no such locks here: go on without
            return True
        return True

    def _give(self, byte: int) -> None:
        if fcntl is not None:
            with contextlib.suppress(OSError):
                fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, byte)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
    except PermissionError as error:
        raise ReadOnlyStore(f"{path} cannot be written: {error.strerror}", path=str(path)) from error
    except OSError as error:
        kind = StoreFull if error.errno == 28 else Unavailable
        raise kind(f"{path} cannot be opened: {error.strerror}", path=str(path)) from error
