"""Opening connections: every one the store uses comes from here.

Waiting for a lock is ours (`Waiting`), not SQLite's busy timeout: its steps grow to 100 ms, ours stay below one.
Automatic checkpoints are off everywhere; `checkpoint` runs them.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import NamedTuple

import apsw

from holdfast.backends.sqlite import gate
from holdfast.backends.sqlite.place import Place
from holdfast.kernel.limits import Durability

STATEMENTS_CACHED = 300
WRITER_CACHE_KIB = 32 * 1024
READER_CACHE_KIB = 8 * 1024
LOG_BYTES_KEPT = 64 * 1024 * 1024
"""A log that grew beyond this is cut back to it when it is begun anew."""


class Opening(NamedTuple):
    """How the connections of one store are opened.

    path             where the file really is: everything beside it is named after that, as SQLite does it
    busy_timeout_s   how long a write waits for another process before StoreLocked
    vfs              the name of the apsw VFS to go through, None for the system's
    max_pages        the largest size of the file in pages of 4 KiB, None for SQLite's own limit (16 TB)
    name             the path that was given, where that is another, through a symbolic link
    """

    path: Path
    durability: Durability
    busy_timeout_s: float
    vfs: str | None
    max_pages: int | None
    name: Path | None = None


class Waiting:
    """A busy handler that gives up after `limit_s`. With `on_loop` it waits without Python's sleep."""

    __slots__ = ("_since", "limit_s", "on_loop")

    def __init__(self, limit_s: float, *, on_loop: bool) -> None:
        self.limit_s = limit_s
        self.on_loop = on_loop
        self._since = 0.0

    def __call__(self, calls: int) -> bool:
        """Wait a little; False: give up. `calls` counts from 0 for each lock waited for."""
        now = time.monotonic()
        if calls == 0:
            self._since = now
        elif now - self._since >= self.limit_s:
            return False
        if self.on_loop:
            apsw.sleep(1)
        else:
            gate.wait(0.0002 if calls < 20 else 0.001)
        return True


def connect(opening: Opening, *, waits_s: float, on_loop: bool = False) -> apsw.Connection:
    """A connection that waits for locks and does not checkpoint. It reads nothing yet, so it cannot fail on content."""
    connection = apsw.Connection(
        str(opening.path),
        flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE,
        vfs=opening.vfs,
        statementcachesize=STATEMENTS_CACHED,
    )
    connection.set_busy_handler(Waiting(waits_s, on_loop=on_loop))
    connection.wal_autocheckpoint(0)
    # Without this SQLite looks at bound values while planning, and plans again whenever they change: a point read of
    # two tables with a partial index took 21 µs instead of 7.
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    return connection


def connect_beside(
    opening: Opening, place: Place | None, *, waits_s: float, cache_kib: int, on_loop: bool = False
) -> apsw.Connection:
    """A tuned connection to the files that the writer has open. Raises Closed if the path leads elsewhere by now."""
    connection = connect(opening, waits_s=waits_s, on_loop=on_loop)
    try:
        if place is not None and (lost := place.lost()) is not None:  # before it reads: it would open another's log
            raise lost
        tune(connection, opening, cache_kib=cache_kib)
    except BaseException:
        abandon(connection)
        raise
    return connection


def tune(connection: apsw.Connection, opening: Opening, *, cache_kib: int) -> None:
    """Set what each connection has to set for itself.

    synchronous=FULL syncs the log at every commit. NORMAL syncs it at checkpoints only: a commit then survives the
    end of the process but perhaps not of the machine, and the file stays whole either way. (OFF would not keep it so.)
    """
    connection.execute(f"PRAGMA synchronous={'FULL' if opening.durability == 'fsync' else 'NORMAL'}")
    connection.execute(f"PRAGMA cache_size=-{cache_kib}")
    connection.execute("PRAGMA temp_store=MEMORY")
    connection.execute(f"PRAGMA journal_size_limit={LOG_BYTES_KEPT}")
    connection.execute("PRAGMA trusted_schema=OFF")
    if opening.max_pages is not None:
        connection.execute(f"PRAGMA max_page_count={opening.max_pages}")


def abandon(connection: apsw.Connection) -> None:
    """Close without the checkpoint that the last connection would run: after a failed sync the log is the truth."""
    with contextlib.suppress(apsw.ConnectionClosedError):  # by another thread
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        release(connection)


def release(connection: apsw.Connection) -> None:
    """Close, whatever the disk does: if the last connection's checkpoint fails, the log keeps everything."""
    with contextlib.suppress(apsw.Error):
        connection.close(True)
