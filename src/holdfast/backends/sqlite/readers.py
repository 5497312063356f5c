"""The connections that read: one for every thread, used in place, so that a point read is a few steps and no hop.

Every reading function runs its statements to their end: a statement left open would hold its snapshot, and the log
could never be begun anew. One that is interrupted cannot, and an exception out of a signal handler may strike at any
step; so a read that did not return is tidied up after, at once and again before the next one.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any, TypeVar

import apsw

from holdfast.backends.sqlite import gate
from holdfast.backends.sqlite.bulk import Cursor
from holdfast.backends.sqlite.connection import READER_CACHE_KIB, Opening, abandon, connect_beside, release
from holdfast.backends.sqlite.errors import READ_ERRORS, translated
from holdfast.backends.sqlite.place import Place
from holdfast.errors import Closed

T = TypeVar("T")

WAITS_ON_LOOP_S = 0.05
THREADS = 2


class Reader:
    """One thread's connection. The lock is for whoever closes it, which may be another thread."""

    __slots__ = ("checkpoint", "connection", "cursor", "lock", "tidy")

    def __init__(self, connection: apsw.Connection) -> None:
        self.connection = connection
        self.cursor: Cursor = connection.cursor()
        self.lock = threading.Lock()
        self.tidy = True  # False: a read began and has not returned
        self.checkpoint = True  # False: not even if this is the last connection that closes

    def tidy_up(self) -> None:
        """End the statement and the transaction that an interrupted read left open."""
        self.cursor.close(force=True)
        self.cursor = self.connection.cursor()
        if self.connection.in_transaction:
            self.cursor.execute("ROLLBACK")
        self.tidy = True

    def close(self) -> None:
        """Wait for what is being read, then close the connection."""
        with gate.Inside(self.lock), self.lock:
            if self.checkpoint:
                release(self.connection)
            else:
                abandon(self.connection)


class Tenancy:
    """What a thread has of its reader: when the thread ends, the connection closes.

    The reader itself is held by `Readers`. In a forked child the other threads end before anything can be poisoned, and
    would close what was inherited.
    """

    __slots__ = ("_pid", "_readers", "reader")

    def __init__(self, reader: Reader, readers: set[Reader]) -> None:
        self.reader = reader
        self._readers = readers
        self._pid = os.getpid()

    def __del__(self) -> None:
        if self._pid == os.getpid() and self.reader in self._readers:
            self._readers.discard(self.reader)
            self.reader.close()


class Readers:
    """All reading of one store."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._local = threading.local()
        self._lock = threading.Lock()
        self._all: set[Reader] = set()
        self._marking = threading.Lock()
        self._marker: Reader | None = None
        self._odd_marks = count(1)
        self.place: Place | None = None  # once the writer has it
        self._checkpoint = True
        self._closed: Closed | None = None
        self._pool = ThreadPoolExecutor(
            THREADS, thread_name_prefix="holdfast-sqlite-reader", initializer=self._wait_long
        )

    def here(self, read: Callable[..., T], *args: Any) -> T:
        """Run `read(cursor, *args)` on this thread. Raises apsw.BusyError if it would have to wait."""
        try:
            reader: Reader = self._local.tenancy.reader
        except AttributeError:
            with gate.Inside(object()):
                reader = self._open()
        return self._with(reader, read, args)

    def mark(self) -> int:
        """A number that moves with every commit of any connection; see `Kernel.mark`.

        Data versions of two connections have nothing to do with each other, so all threads ask the same one in turn.
        """
        with self._marking:
            if self._marker is None:
                with gate.Inside(self._marking):
                    self._marker = self._connect(WAITS_ON_LOOP_S, on_loop=True)
            return self._with(self._marker, _data_version, ())

    def odd_mark(self) -> int:
        """A mark that nothing has moved to, nor ever will."""
        return -next(self._odd_marks)

    def _with(self, reader: Reader, read: Callable[..., T], args: tuple[Any, ...]) -> T:
        try:
            gate.enter(reader)
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
        finally:
            gate.leave(reader)

    def in_thread(self, read: Callable[..., T], *args: Any) -> Any:
        """The same in a reader thread; returns a concurrent future."""
        if self._closed is not None:
            raise self._closed
        return self._pool.submit(self._in_pool, read, args)

    def leave_log(self) -> None:
        """The store is broken: no connection may copy the log into the file when it closes."""
        with self._lock:
            self._checkpoint = False
            for reader in tuple(self._all):
                reader.checkpoint = False

    def inherited(self) -> list[Any]:
        """What a forked child must never finalise."""
        return [self, *self._all]

    def close(self, refusal: Closed) -> None:
        """Wait for what is being read, then close every connection. Blocks."""
        with self._lock:
            self._closed = self._closed or refusal
        self._pool.shutdown(wait=True)
        while self._all:
            with contextlib.suppress(KeyError):  # another thread closes too
                self._all.pop().close()

    def _in_pool(self, read: Callable[..., T], args: tuple[Any, ...]) -> T:
        try:
            return self.here(read, *args)
        except READ_ERRORS as error:
            raise translated(error, self._opening.path) from error

    def _wait_long(self) -> None:
        self._local.waits_s = self._opening.busy_timeout_s

    def _open(self) -> Reader:
        waits_s = getattr(self._local, "waits_s", None)
        reader = self._connect(WAITS_ON_LOOP_S if waits_s is None else waits_s, on_loop=waits_s is None)
        self._local.tenancy = Tenancy(reader, self._all)
        return reader

    def _connect(self, waits_s: float, *, on_loop: bool) -> Reader:
        with self._lock:
            if self._closed is not None:
                raise self._closed
            connection = connect_beside(
                self._opening, self.place, waits_s=waits_s, cache_kib=READER_CACHE_KIB, on_loop=on_loop
            )
            reader = Reader(connection)
            reader.checkpoint = self._checkpoint
            self._all.add(reader)
            return reader


def _data_version(cursor: Cursor) -> int:
    version: int = cursor.execute("PRAGMA data_version").fetchall()[0][0]
    return version
