"""A file layer under SQLite that fails when it is told to: real writes and syncs otherwise."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import apsw

_names = itertools.count()


class FaultyVfs(apsw.VFS):
    """`on_write` and `on_sync` are called with "log" or "file" before the real call, and may raise an apsw error."""

    def __init__(self) -> None:
        self.name = f"faulty{next(_names)}"
        self.on_write: Callable[[str], None] = lambda kind: None
        self.on_sync: Callable[[str], None] = lambda kind: None
        super().__init__(self.name, "")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return _File(self, name, flags)


class _File(apsw.VFSFile):
    def __init__(self, vfs: FaultyVfs, name: Any, flags: list[int]) -> None:
        self._vfs = vfs
        self._kind = "log" if flags[0] & apsw.SQLITE_OPEN_WAL else "file"
        super().__init__("", name, flags)

    def xWrite(self, data: Any, offset: int) -> None:
        self._vfs.on_write(self._kind)
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        self._vfs.on_sync(self._kind)
        super().xSync(flags)
