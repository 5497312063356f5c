"""A file layer under SQLite whose n-th call fails, once or from then on, as a disk's does; real files otherwise."""

import errno
import itertools
from collections import Counter
from typing import Any, Literal

import apsw

_names = itertools.count()

Call = Literal["write", "truncate", "sync", "lock", "read", "size", "delete", "open"]
Reason = Literal["broken", "full"]

CODES: dict[Call, int] = {
    "write": apsw.SQLITE_IOERR_WRITE,
    "truncate": apsw.SQLITE_IOERR_TRUNCATE,
    "sync": apsw.SQLITE_IOERR_FSYNC,
    "lock": apsw.SQLITE_IOERR_LOCK,
    "read": apsw.SQLITE_IOERR_READ,
    "size": apsw.SQLITE_IOERR_FSTAT,
    "delete": apsw.SQLITE_IOERR_DELETE,
}
"""What SQLite's own layer answers when the system's call fails."""

FULL: tuple[Call, ...] = ("write", "sync", "truncate", "open")
"""The calls in which a system says that no space is left: also in a sync, where it allocates late."""

ERRNOS: dict[Reason, int] = {"broken": errno.EIO, "full": errno.ENOSPC}


class FailingVfs(apsw.VFS):
    """Counts calls of each kind; `arm` makes one kind fail, beginning with its n-th call from now."""

    def __init__(self) -> None:
        self.name = f"failing{next(_names)}"
        self.counts: Counter[Call] = Counter()
        self.failed = 0
        self._call: Call | None = None
        self._reason: Reason = "broken"
        self._first = self._last = 0
        super().__init__(self.name, "")

    def arm(self, call: Call, n: int, *, times: int, reason: Reason) -> None:
        self.counts.clear()
        self.failed = 0
        self._call, self._first, self._last, self._reason = call, n, n + times, reason

    def disarm(self) -> None:
        self._call = None

    def meet(self, call: Call) -> None:
        self.counts[call] += 1
        if call == self._call and self._first <= self.counts[call] < self._last:
            self.failed += 1
            raise self._error(call)

    def _error(self, call: Call) -> apsw.Error:
        text = f"simulated: {call} {self.counts[call]} failed ({self._reason})"
        if call == "open":
            return apsw.CantOpenError(text)
        if call == "write" and self._reason == "full":
            return apsw.FullError(text)
        error = apsw.IOError(text)
        error.extendedresult = CODES[call]
        return error

    def xGetLastError(self) -> tuple[int, str]:
        return ERRNOS[self._reason], "simulated"

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        self.meet("open")
        return _File(self, name, flags)

    def xDelete(self, name: str, sync_folder: bool) -> None:
        self.meet("delete")
        super().xDelete(name, sync_folder)


class _File(apsw.VFSFile):
    def __init__(self, vfs: FailingVfs, name: Any, flags: list[int]) -> None:
        self._vfs = vfs
        super().__init__("", name, flags)

    def xWrite(self, data: Any, offset: int) -> None:
        self._vfs.meet("write")
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:
        self._vfs.meet("truncate")
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:
        self._vfs.meet("sync")
        super().xSync(flags)

    def xLock(self, level: int) -> None:
        self._vfs.meet("lock")
        super().xLock(level)

    def xRead(self, amount: int, offset: int) -> bytes:
        self._vfs.meet("read")
        return super().xRead(amount, offset)

    def xFileSize(self) -> int:
        self._vfs.meet("size")
        return super().xFileSize()
