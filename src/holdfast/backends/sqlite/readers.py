"""The connections that read: one for every thread, used in place, so that a point read is a few steps and no hop.

Every reading function runs its statements to their end: a statement left open would hold its snapshot, and the log
could never be begun anew. One that is interrupted cannot, and an exception out of a signal handler may strike at any
step; so a read that did not return is tidied up after, at once and again before the next one.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import apsw

from holdfast.backends.sqlite.bulk import Cursor
from holdfast.backends.sqlite.connection import READER_CACHE_KIB, Opening, connect, release, tune
from holdfast.backends.sqlite.errors import READ_ERRORS, translated
from holdfast.errors import Closed

T = TypeVar("T")

WAITS_ON_LOOP_S = 0.05
THREADS = 2


class Reader:
    """One thread's connection. The lock is for `close`, which comes from another thread."""

    __slots__ = ("__weakref__", "connection", "cursor", "lock", "tidy")

    def __init__(self, connection: apsw.Connection) -> None:
        self.connection = connection
        self.cursor: Cursor = connection.cursor()
        self.lock = threading.Lock()
        self.tidy = True  # False: a read began and has not returned

    def tidy_up(self) -> None:
        """End the statement and the transaction that an interrupted read left open."""
        self.cursor.close(force=True)
        self.cursor = self.connection.cursor()
        if self.connection.in_transaction:
            self.cursor.execute("ROLLBACK")
        self.tidy = True


class Readers:
    """All reading of one store."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._local = threading.local()
        self._lock = threading.Lock()
        self._all: weakref.WeakSet[Reader] = weakref.WeakSet()
        self._closed: Closed | None = None
        self._pool = ThreadPoolExecutor(
            THREADS, thread_name_prefix="holdfast-sqlite-reader", initializer=self._wait_long
        )

    def here(self, read: Callable[..., T], *args: Any) -> T:
        """Run `read(cursor, *args)` on this thread. Raises apsw.BusyError if it would have to wait."""
        try:
            reader: Reader = self._local.reader
        except AttributeError:
            reader = self._open()
        with reader.lock:
            if self._closed is not None:
                raise self._closed
            if not reader.tidy:
                reader.tidy_up()
            reader.tidy = False
            try:
                answer = read(reader.cursor, *args)
            except BaseException:
                with contextlib.suppress(apsw.Error):
                    reader.tidy_up()
                raise
            reader.tidy = True
            return answer

    def in_thread(self, read: Callable[..., T], *args: Any) -> Any:
        """The same in a reader thread; returns a concurrent future."""
        if self._closed is not None:
            raise self._closed
        return self._pool.submit(self._in_pool, read, args)

    def connections(self) -> list[apsw.Connection]:
        """Every open one."""
        return [reader.connection for reader in self._all]

    def close(self, refusal: Closed, *, checkpoint: bool) -> None:
        """Wait for what is being read, then close every connection. Blocks."""
        with self._lock:
            self._closed = self._closed or refusal
        self._pool.shutdown(wait=True)
        for reader in tuple(self._all):
            with reader.lock:
                if not checkpoint:
                    reader.connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
                release(reader.connection)
        self._all.clear()

    def _in_pool(self, read: Callable[..., T], args: tuple[Any, ...]) -> T:
        try:
            return self.here(read, *args)
        except READ_ERRORS as error:
            raise translated(error, self._opening.path) from error

    def _wait_long(self) -> None:
        self._local.waits_s = self._opening.busy_timeout_s

    def _open(self) -> Reader:
        waits_s = getattr(self._local, "waits_s", None)
        with self._lock:
            if self._closed is not None:
                raise self._closed
            if waits_s is None:
                connection = connect(self._opening, waits_s=WAITS_ON_LOOP_S, on_loop=True)
            else:
                connection = connect(self._opening, waits_s=waits_s)
            tune(connection, self._opening, cache_kib=READER_CACHE_KIB)
            reader = Reader(connection)
            self._all.add(reader)
            self._local.reader = reader
            return reader
