"""A file layer under SQLite that lets something happen between two of its calls: real files otherwise."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import apsw

_names = itertools.count()


class Striking(apsw.VFS):
    """Calls `strike` after the n-th call of SQLite to its file layer; of a lock, before it."""

    def __init__(self, strike: Callable[[], None], *, after: int) -> None:
        self.name = f"striking{next(_names)}"
        self.left = after
        self._strike = strike
        super().__init__(self.name, "")

    def count(self) -> None:
        self.left -= 1
        if self.left == 0:
            self._strike()

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        file = _File(self, name, flags)
        self.count()
        return file

    def xAccess(self, path: str, flags: int) -> bool:
        found = super().xAccess(path, flags)
        self.count()
        return found


class _File(apsw.VFSFile):
    def __init__(self, vfs: Striking, name: Any, flags: list[int]) -> None:
        self._vfs = vfs
        super().__init__("", name, flags)

    def xRead(self, amount: int, offset: int) -> bytes:
        data = super().xRead(amount, offset)
        self._vfs.count()
        return data

    def xWrite(self, data: Any, offset: int) -> None:
        super().xWrite(data, offset)
        self._vfs.count()

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        self._vfs.count()

    def xLock(self, level: int) -> None:
        self._vfs.count()
        super().xLock(level)
