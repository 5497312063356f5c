"""The SQLite backend: one file, any number of spaces in it and of processes on it."""

from holdfast.backends.sqlite.kernel import SqliteKernel
from holdfast.backends.sqlite.store import SqliteStore

__all__ = ["SqliteKernel", "SqliteStore"]
