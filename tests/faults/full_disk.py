"""A disk of a certain size under SQLite: what would make a file grow beyond it finds no space left.

Real files otherwise. All that stands in the folder counts, SQLite's shared memory too, and so does the reserve, whose
blocks are not asked for through SQLite.
"""

import errno
import itertools
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw

_names = itertools.count()
_fallocate = os.posix_fallocate
_disk_usage = shutil.disk_usage


class FullDisk(apsw.VFS):
    """`fill` takes all that is left; `free_bytes` is what there is then. `before` is called before each write."""

    def __init__(self, folder: Path) -> None:
        self.name = f"full{next(_names)}"
        self.folder = folder
        self.before: Callable[[], None] = lambda: None
        self.refused = 0
        self._size: int | None = None
        super().__init__(self.name, "")

    def used(self) -> int:
        return sum(path.stat().st_size for path in self.folder.iterdir() if path.name != "notes")

    def fill(self) -> None:
        self._size = self.used()

    def mend(self) -> None:
        self._size = None

    @property
    def free_bytes(self) -> int | None:
        return None if self._size is None else self._size - self.used()

    def usage(self, path: Path) -> Any:
        """In place of shutil.disk_usage."""
        real, free = _disk_usage(path), self.free_bytes
        return real if free is None else real._replace(free=free)

    def has(self, more: int) -> bool:
        free = self.free_bytes
        fits = more <= 0 or free is None or more <= free
        self.refused += not fits
        return fits

    def allocate(self, fd: int, offset: int, length: int) -> None:
        """In place of os.posix_fallocate."""
        if not self.has(offset + length - os.fstat(fd).st_size):
            raise OSError(errno.ENOSPC, "simulated: no space left")
        _fallocate(fd, offset, length)

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return _File(self, name, flags)


class _File(apsw.VFSFile):
    def __init__(self, disk: FullDisk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        super().__init__("", name, flags)

    def xWrite(self, data: Any, offset: int) -> None:
        self._disk.before()
        if not self._disk.has(offset + len(data) - super().xFileSize()):
            raise apsw.FullError("simulated: no space left")
        super().xWrite(data, offset)
