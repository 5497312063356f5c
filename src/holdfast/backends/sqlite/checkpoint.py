"""Checkpoints: moving the log's pages into the file, mostly on a thread and a connection of their own.

Automatic checkpoints are off. When the log has grown to `PAGES`, the writer's WAL hook wakes the thread, which makes
passive passes until at most `REST` pages are left. Those the writer copies itself, between two batches: under steady
writing a pass aside never reaches the end, and the log would never be begun anew (it grew by 200 MB a second). While
a reader somewhere holds the log back, the next attempt waits for another `AGAIN` pages. Where the disk is so slow
that the log reaches `PAGES_MAX` meanwhile, the writer waits for the pass and finishes it: callers feel it, the log
is bounded.

A checkpoint whose sync fails must not be tried again here: the pages may be gone from the page cache and counted as
written. The store closes itself and leaves the log, from which the next opening repeats all of it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue

import apsw

from holdfast.backends.sqlite import gate
from holdfast.backends.sqlite.connection import READER_CACHE_KIB, Opening, Waiting, abandon, connect_beside, release
from holdfast.backends.sqlite.errors import is_full
from holdfast.backends.sqlite.place import Place
from holdfast.backends.sqlite.writer import Failpoint, Writer
from holdfast.errors import Closed

PAGES = 4_000
AGAIN = 1_000
REST = 200
PAGES_MAX = 16_000
PASSES = 4
READERS_WAIT_S = 0.25


class Checkpointer:
    """Copies the log into the file when it has grown."""

    def __init__(self, opening: Opening, failpoint: Failpoint | None, on_broken: Callable[[Closed], None]) -> None:
        self.connection: apsw.Connection | None = None
        self._opening = opening
        self._failpoint = failpoint
        self._on_broken = on_broken
        self._bell: SimpleQueue[bool] = SimpleQueue()
        self._pages = 0
        self._ask_at = PAGES
        self._wait_at = PAGES_MAX
        self._place: Place | None = None
        self._one_at_a_time = threading.Lock()
        self._rest = False  # set by the thread, cleared by the writer
        self._broken = False
        self._thread = threading.Thread(target=self._run, name="holdfast-sqlite-checkpoint", daemon=True)

    def start(self, writer: Writer) -> None:
        """Watch the log of the writer's connection."""
        self._place = writer.place
        writer.connection.set_wal_hook(self._grown)
        self._thread.start()

    def leave_log(self) -> None:
        """The store is broken: the log stays as it is from now on."""
        self._broken = True

    def stop(self) -> None:
        """End the thread after the checkpoint it may be at. Blocks."""
        self._bell.put(False)
        if self._thread.ident is not None:
            self._thread.join()

    def begin_anew(self, writer: apsw.Connection) -> None:
        """Copy all of the log into the file now, as far as that can be done, so that the next commit overwrites it from
        its beginning. In the writer's thread, between transactions; waits for readers at most `READERS_WAIT_S`."""
        writer.set_busy_handler(Waiting(READERS_WAIT_S, on_loop=False))
        try:
            self._checkpoint(writer, apsw.SQLITE_CHECKPOINT_RESTART)
        finally:
            writer.set_busy_handler(Waiting(self._opening.busy_timeout_s, on_loop=False))

    def empty_log(self, writer: apsw.Connection) -> bool:
        """Copy all of the log into the file and cut the log to nothing; whether that could be done. In the writer's
        thread, between transactions; waits for readers as long as a write waits for another process."""
        return self._checkpoint(writer, apsw.SQLITE_CHECKPOINT_TRUNCATE) == 0

    def _grown(self, writer: apsw.Connection, _database: str, pages: int) -> int:
        """After every commit, in the writer's thread."""
        self._pages = pages
        if self._rest:
            self._rest = False
            self._checkpoint(writer)
        elif pages >= self._wait_at:
            self._wait_at = 2 * pages  # if a reader holds the log back, waiting again at once would not help
            self._checkpoint(writer)
        elif pages >= self._ask_at:
            self._ask_at = pages + AGAIN
            self._bell.put(True)
        elif pages < PAGES:
            self._ask_at, self._wait_at = PAGES, PAGES_MAX
        return apsw.SQLITE_OK

    def _run(self) -> None:
        try:
            while self._bell.get() and not self._broken:
                with gate.Inside(self), contextlib.suppress(apsw.Error, Closed):  # the writer will meet it too
                    self._pass(self._connected())
        finally:
            if self.connection is not None:
                with gate.Inside(self):
                    if self._broken:
                        abandon(self.connection)
                    else:
                        release(self.connection)

    def _connected(self) -> apsw.Connection:
        if self.connection is None:
            self.connection = connect_beside(
                self._opening, self._place, waits_s=self._opening.busy_timeout_s, cache_kib=READER_CACHE_KIB
            )
        return self.connection

    def _pass(self, connection: apsw.Connection) -> None:
        for _ in range(PASSES):
            gate.wait(0)  # let a fork go first
            copied = self._checkpoint(connection)
            if copied is None:
                return
            if self._pages - copied <= REST:  # what was written meanwhile; SQLite's own answer knows only of the start
                break
        self._rest = True

    def _checkpoint(self, connection: apsw.Connection, mode: int = apsw.SQLITE_CHECKPOINT_PASSIVE) -> int | None:
        """One checkpoint; up to which page the log is copied, None if it could not be made now."""
        if self._failpoint is not None:
            self._failpoint("checkpoint.begun")
        try:
            with self._one_at_a_time:
                copied = connection.wal_checkpoint(mode=mode)[1]
        except apsw.IOError as error:
            if not is_full(error, connection):
                self._broken = True
                self._on_broken(Closed(f"the store closed itself, for its disk failed in a checkpoint: {error}"))
            return None
        except apsw.Error:  # another process is at it, or there is no room: the log keeps everything
            return None
        if self._failpoint is not None:
            self._failpoint("checkpoint.done")
        return copied
