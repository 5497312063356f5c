"""What an error of SQLite means in Holdfast's terms.

The system's errno decides where SQLite's own code is too coarse: a quota or a file size limit is a full store, though
SQLite calls it an I/O error.
"""

from __future__ import annotations

import errno
from pathlib import Path

import apsw
import msgspec

from holdfast.errors import (
    Corrupt,
    HoldfastError,
    InvalidValue,
    ReadOnlyStore,
    StoreFull,
    StoreLocked,
    TooLarge,
    Unavailable,
)

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
SYNCS = frozenset({apsw.SQLITE_IOERR_FSYNC, apsw.SQLITE_IOERR_DIR_FSYNC})
DAMAGE = (apsw.CorruptError, apsw.FormatError, apsw.SQLError, apsw.MismatchError)
DAMAGED = frozenset(
    {apsw.SQLITE_IOERR_SHORT_READ, apsw.SQLITE_IOERR_CORRUPTFS, apsw.SQLITE_IOERR_IN_PAGE, apsw.SQLITE_IOERR_DATA}
)

READ_ERRORS = (apsw.Error, UnicodeError, OverflowError, msgspec.DecodeError)
"""What reading may raise: of SQLite, of arguments it cannot take, of text that is not what was written."""


def is_full(error: BaseException, connection: apsw.Connection | None) -> bool:
    """Whether no space was left. Then nothing of the transaction was applied: its last frame was never complete.

    Not so when the sync found no space (file systems that allocate late, quotas of a server): by then every frame is in
    the log, and whoever opens the store next may find the transaction there.
    """
    if isinstance(error, (apsw.FullError, StoreFull)):
        return True
    if connection is None or getattr(error, "extendedresult", 0) in SYNCS:
        return False
    return isinstance(error, (apsw.IOError, apsw.CantOpenError)) and connection.system_errno in NO_SPACE


HEADER = b"SQLite format 3\0"


def translated(error: BaseException, path: Path, connection: apsw.Connection | None = None) -> HoldfastError:
    """The error to raise in place of `error`, which is then its cause. For anything but a failed COMMIT."""
    if isinstance(error, HoldfastError):
        return error
    if isinstance(error, UnicodeEncodeError):
        return InvalidValue(f"text with a lone surrogate: {error.object[:80]!r}", path=error.object[:80])
    if isinstance(error, OverflowError):
        return InvalidValue(f"a number beyond 64 bits: {error}", path="")
    if is_full(error, connection):
        return StoreFull(f"no space is left for {path}: {error}", path=str(path))
    if isinstance(error, (apsw.BusyError, apsw.LockedError)):
        return StoreLocked(f"another process holds {path}: {error}", path=str(path))
    if getattr(error, "extendedresult", 0) == apsw.SQLITE_READONLY_DBMOVED:  # noticed by SQLite as it makes the tables
        return Unavailable(f"{path} was removed or replaced while it was being opened", path=str(path))
    if isinstance(error, (apsw.ReadOnlyError, apsw.PermissionsError)):
        return ReadOnlyStore(f"{path} cannot be written: {error}", path=str(path))
    if isinstance(error, apsw.NotADBError):
        return _no_database(path)
    if isinstance(error, (*DAMAGE, msgspec.DecodeError, UnicodeDecodeError)):
        return Corrupt(f"{path} is damaged: {error}", path=str(path))
    if isinstance(error, apsw.TooBigError):
        return TooLarge(f"too large for SQLite: {error}", what="value", size=0, limit=0)
    if isinstance(error, (apsw.IOError, apsw.CantOpenError)):
        return _input_output(error, path, connection)
    return Unavailable(f"{path}: {error or 'SQLite does not say what is wrong'}", path=str(path))


def _no_database(path: Path) -> Corrupt:
    message = f"{path} is not a SQLite database"
    try:
        with path.open("rb") as file:
            begins_as_one = file.read(len(HEADER)) == HEADER
    except OSError:
        begins_as_one = True
    if begins_as_one:
        return Corrupt(message, path=str(path))
    remedy = "Name another file for the store. If this one was a store, keep it, and restore a backup."
    return Corrupt(message, remedy=remedy, path=str(path), foreign=True)


def _input_output(error: apsw.Error, path: Path, connection: apsw.Connection | None) -> HoldfastError:
    if getattr(error, "extendedresult", 0) in DAMAGED:
        return Corrupt(f"{path} is damaged: {error}", path=str(path))
    if connection is not None and connection.system_errno in NOT_ALLOWED:
        return ReadOnlyStore(f"{path} cannot be written: {error}", path=str(path))
    return Unavailable(f"{path}: {error}", path=str(path))
