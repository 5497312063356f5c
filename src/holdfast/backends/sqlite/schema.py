"""The identity of a store's file: ours or not, new, current, or too new. Nothing foreign is ever written to.

`application_id` marks the file as Holdfast's, `user_version` the version of its schema. Both stand in the header and
change in the transaction that creates the tables, so a file is either empty or complete. Processes that open a new
file at once take turns; whoever comes second finds it made.
"""

from __future__ import annotations

import time
from typing import Any

import apsw

from holdfast.backends.sqlite import gate
from holdfast.backends.sqlite.connection import Opening
from holdfast.backends.sqlite.turns import Turns
from holdfast.errors import Corrupt, ReadOnlyStore, StoreLocked, StoreTooNew, Unavailable

APPLICATION_ID = 0x48466173  # "HFas"
VERSION = 1

_IDENTITY = (
    "SELECT (SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version), "
    "(SELECT count(*) FROM sqlite_schema)"
)
"""In one statement, which is one cut: another process may be making the store at this moment."""


def ensure_schema(connection: apsw.Connection, opening: Opening, turns: Turns) -> None:
    """Make the tables if the file is empty, else see that it is one of ours and not too new.

    Raises Corrupt (not a database, or another program's), StoreTooNew, ReadOnlyStore, StoreLocked, StoreFull.
    """
    if connection.readonly("main"):
        raise ReadOnlyStore(f"{opening.path} cannot be written", path=str(opening.path))
    if _is_current(connection, opening):
        _use_wal(connection, opening)
        return
    with turns.held():
        if not _is_current(connection, opening):
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
            _use_wal(connection, opening)
            _create(connection, opening)


def _is_current(connection: apsw.Connection, opening: Opening) -> bool:
    """True: ours and current; False: empty. Reads only."""
    row: tuple[Any, ...] = connection.execute(_IDENTITY).fetchall()[0]
    application, version, tables = row
    if application == APPLICATION_ID:
        if version > VERSION:
            raise _too_new(connection, opening, version)
        return bool(version == VERSION and tables)
    if application or version or tables:
        raise Corrupt(
            f"{opening.path} is a SQLite database of another program; it was left as it is",
            remedy="Name another file for the store.",
            path=str(opening.path),
            foreign=True,
        )
    return False


def _too_new(connection: apsw.Connection, opening: Opening, version: int) -> StoreTooNew:
    try:
        by = connection.execute("SELECT written_by FROM meta").fetchall()[0][0]
    except (apsw.Error, IndexError):
        by = "a newer version"
    return StoreTooNew(
        f"{opening.path} has schema {version}, written by Holdfast {by}; this one knows schema {VERSION}",
        path=str(opening.path),
        schema=version,
        known=VERSION,
        written_by=by,
    )


def _use_wal(connection: apsw.Connection, opening: Opening) -> None:
    """Switching takes an exclusive lock that SQLite does not always wait for; so wait here."""
    until = time.monotonic() + opening.busy_timeout_s
    mode = None
    while mode is None:
        try:
            mode = connection.pragma("journal_mode", "wal")
        except apsw.BusyError as busy:
            if time.monotonic() >= until:
                raise StoreLocked(f"another process holds {opening.path}", path=str(opening.path)) from busy
            gate.wait(0.001)
    if mode != "wal":
        raise Unavailable(f"{opening.path} cannot use a write-ahead log here (journal mode {mode})", mode=mode)


def _create(connection: apsw.Connection, opening: Opening) -> None:
    from importlib import resources  # here: most openings make nothing

    connection.execute("BEGIN IMMEDIATE")
    try:
        if not _is_current(connection, opening):
            connection.execute(resources.files(__package__).joinpath("schema.sql").read_text(encoding="utf-8"))
            connection.execute("INSERT INTO meta VALUES (1, 0, 0, ?)", (_library_version(),))
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version={VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _library_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("holdfast")
    except PackageNotFoundError:
        return "unreleased"
