"""What a store's file tells without opening the store: sizes, file system, integrity, locks. Writes nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import apsw

from holdfast.cli.finding import Finding

AREA = "file"
MIB = 2**20
WAL_LARGE_BYTES = 64 * MIB
FREE_LOW_BYTES = 256 * MIB
LOCK_WAIT_MS = 1000
INTEGRITY_ROWS = 10
"""How many damages are shown."""

MOUNTS = Path("/proc/self/mountinfo")
"""Where Linux lists what is mounted: fields 3 and 5 are the device and the place, the first after " - " is the type."""


def examine_file(path: Path) -> Iterator[Finding]:
    """Facts about the file and its surroundings."""
    status = path.stat()
    yield Finding(AREA, "path", os.path.abspath(path))
    yield Finding(AREA, "size", status.st_size)
    yield from _examine_wal(path)
    if not os.access(path, os.W_OK) or not os.access(path.absolute().parent, os.W_OK):
        yield Finding(
            AREA, "writable", False, "problem", "Make the file and its folder writable for this user, or open a copy."
        )
    yield Finding(AREA, "file system", _filesystem(status.st_dev))
    yield _free_space(path)
    if status.st_size:
        yield from _examine_database(path)


def _examine_wal(path: Path) -> Iterator[Finding]:
    for suffix, name in (("-wal", "write-ahead log"), ("-shm", "shared memory"), ("-lock", "turns and reserve")):
        beside = path.with_name(path.name + suffix)
        if beside.exists():
            size = beside.stat().st_size
            large = suffix == "-wal" and size > WAL_LARGE_BYTES
            yield Finding(
                AREA,
                name,
                size,
                "note" if large else "ok",
                "Some process reads an old state and does not end: find and end it." if large else "",
            )


def _free_space(path: Path) -> Finding:
    disk = os.statvfs(path)
    free = disk.f_bavail * disk.f_frsize
    low = free < FREE_LOW_BYTES
    return Finding(
        AREA, "free on disk", free, "note" if low else "ok", "Free disk space before the store is full." if low else ""
    )


def _filesystem(device: int) -> str:
    """The type of the file system that holds a device; "unknown" where the system does not say."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return "unknown"
    for line in lines:
        fields, _, rest = line.partition(" - ")
        if fields.split(" ")[2] == wanted:
            return f"{rest.split(' ')[0]} at {fields.split(' ')[4]}"
    return "unknown"


def _examine_database(path: Path) -> Iterator[Finding]:
    try:
        connection = apsw.Connection(os.path.abspath(path), flags=apsw.SQLITE_OPEN_READWRITE)
    except apsw.Error as error:
        yield _damage("opens", error)
        return
    try:
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)  # looking changes nothing
        connection.set_busy_timeout(LOCK_WAIT_MS)
        yield Finding(AREA, "journal mode", connection.pragma("journal_mode"))
        yield Finding(AREA, "schema", connection.pragma("user_version"))
        yield _integrity(connection)
        yield _write_lock(connection)
    except apsw.Error as error:
        yield _damage("reads", error)
    finally:
        connection.close()


def _integrity(connection: apsw.Connection) -> Finding:
    rows = [str(row[0]) for row in connection.execute(f"PRAGMA integrity_check({INTEGRITY_ROWS})")]
    if rows == ["ok"]:
        return Finding(AREA, "integrity", "ok")
    return Finding(AREA, "integrity", "; ".join(rows), "problem", "Stop writing, keep the file, and restore a backup.")


def _write_lock(connection: apsw.Connection) -> Finding:
    try:
        connection.execute("BEGIN IMMEDIATE")
    except apsw.BusyError:
        remedy = "Find the process that holds the file (a backup, a database browser, a stopped process) and end it."
        return Finding(AREA, "write lock", f"held for more than {LOCK_WAIT_MS} ms", "problem", remedy)
    except apsw.ReadOnlyError:
        return Finding(AREA, "write lock", "not tried: the file is read-only", "note")
    connection.execute("ROLLBACK")
    return Finding(AREA, "write lock", "free")


def _damage(what: str, error: apsw.Error) -> Finding:
    return Finding(AREA, what, str(error), "problem", "Stop writing, keep the file, and restore a backup.")
