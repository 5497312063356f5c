"""What an error of PostgreSQL or of its driver means in Holdfast's terms.

A commit is one statement in a transaction of its own. Where the server answers with an error it was not applied; where
the connection ended, by whatever end, or the server said that it is going down, nobody knows: with a standby that is
waited for, the transaction is committed before the wait.
"""

from __future__ import annotations

import socket

import asyncpg

from holdfast.errors import (
    Corrupt,
    HoldfastError,
    Indeterminate,
    InvalidValue,
    ReadOnlyStore,
    StoreFull,
    TooLarge,
    Unavailable,
)

DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, EOFError)
"""What the driver may raise. A timeout is an OSError too."""

_GOING = ("57P0", "08")
"""The server's last words, and those of a connection: admin_shutdown, crash_shutdown, cannot_connect_now, …"""
_FULL = frozenset({"53100"})
_READ_ONLY = frozenset({"25006", "42501"})
_DAMAGED = frozenset({"XX001", "XX002", "42P01", "42703", "42883"})
_ADDRESS = frozenset({"28000", "28P01", "3D000"})
_TOO_LARGE = frozenset({"54000", "53200"})
_NO_SOCKET = (
    "See that the server runs, and that host= in the URL names the folder of its socket and port= the number in it "
    "(`SHOW unix_socket_directories` there tells)."
)

_NO_HOST = "Correct the host that the URL names, or see that this machine can look its name up."


def is_lost(error: BaseException) -> bool:
    """Whether the connection ended with this error, so that a new one may do."""
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "").startswith(_GOING)
    return not isinstance(error, ValueError) and isinstance(error, DRIVER_ERRORS)


def translated(error: BaseException, shown: str, *, sent: bool = False) -> HoldfastError:
    """The error to raise in place of `error`, which is then its cause. `sent`: a commit was on its way."""
    if isinstance(error, HoldfastError):
        return error
    text = f"{shown}: {_words(error)}"
    if is_lost(error):
        if sent:
            return Indeterminate(f"the connection ended before the reply: {text}")
        remedy = _NO_SOCKET if isinstance(error, OSError) and error.filename else None
        return Unavailable(text, remedy=_NO_HOST if isinstance(error, socket.gaierror) else remedy)
    if isinstance(error, asyncpg.ClientConfigurationError):
        return InvalidValue(text, remedy="Correct the option that the message names, in the URL.", path="url")
    if isinstance(error, ValueError | OverflowError):  # an argument or an address that the driver cannot take
        return InvalidValue(f"what PostgreSQL cannot take: {error}", path="")
    state = getattr(error, "sqlstate", "") or ""
    if state in _FULL:
        return StoreFull(f"no space is left for {text}")
    if state in _READ_ONLY:
        return ReadOnlyStore(
            f"{text}", remedy="Connect to the primary, with a role that may create and write tables in the schema."
        )
    if state in _DAMAGED:
        return Corrupt(text)
    if state in _ADDRESS:
        return InvalidValue(
            f"{text}", remedy="Correct the role, the password or the database that the URL names.", path="url"
        )
    if state in _TOO_LARGE:
        return TooLarge(text, what="commit", size=0, limit=0)
    return Unavailable(text)


def _words(error: BaseException) -> str:
    """What an error of the driver or the system says, without the names of Python."""
    if isinstance(error, socket.gaierror):
        return f"the host was not found: {error.strerror}"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error) or ("no answer in time" if isinstance(error, TimeoutError) else "the connection failed")
