"""Checkpoints, on a thread and a connection of their own: moving the log's pages into the file without holding up writes.

The writer's WAL hook rings at `PAGES`. A passive checkpoint never waits for anyone, but under steady writing it may never
catch up, and then the log is never begun anew. So when it has grown to `PAGES_HELP` the writer itself finishes the rest,
which is short, between two batches.

A checkpoint whose sync fails must not be tried again here: the pages may be gone from the cache and counted as
written. The store closes itself and leaves the log, from which the next opening repeats all of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

import apsw

from holdfast.backends.sqlite.connection import READER_CACHE_KIB, Opening, connect, tune
from holdfast.backends.sqlite.errors import is_full
from holdfast.backends.sqlite.writer import Failpoint

PAGES = 4_000
PAGES_HELP = 16_000


class Checkpointer:
    """Copies the log into the file when it has grown."""

    def __init__(self, opening: Opening, failpoint: Failpoint | None, on_broken: Callable[[BaseException], None]) -> None:
        self._opening = opening
        self._failpoint = failpoint
        self._on_broken = on_broken
        self._bell: SimpleQueue[bool] = SimpleQueue()
        self._asked = False
        self._help_at = PAGES_HELP
        self.connection: apsw.Connection | None = None
        self._thread = threading.Thread(target=self._run, name="holdfast-sqlite-checkpoint", daemon=True)

    def start(self, writer: apsw.Connection) -> None:
        """Watch this connection's log."""
        writer.set_wal_hook(self._grown)
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the checkpoint it may be at. Blocks."""
        self._bell.put(False)
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _grown(self, writer: apsw.Connection, _database: str, pages: int) -> int:
        if pages >= PAGES and not self._asked:
            self._asked = True
            self._bell.put(True)
        if pages < PAGES_HELP:
            self._help_at = PAGES_HELP
        elif pages >= self._help_at:
            self._help_at = 2 * pages  # a reader may hold the log: do not try at every commit
            self._checkpoint(writer)
        return apsw.SQLITE_OK

    def _run(self) -> None:
        while self._bell.get():
            try:
                if self.connection is None:
                    self.connection = connect(self._opening, waits_s=self._opening.busy_timeout_s)
                    tune(self.connection, self._opening, cache_kib=READER_CACHE_KIB)
                self._checkpoint(self.connection)
            except apsw.Error:
                pass  # opening it failed, which the writer will meet too; the hook asks again
            finally:
                self._asked = False
        if self.connection is not None:
            self.connection.close(True)

    def _checkpoint(self, connection: apsw.Connection) -> None:
        self._reach("checkpoint.begun")
        try:
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.IOError as error:
            if not is_full(error, connection):
                connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
                self._on_broken(error)
        except apsw.Error:
            pass  # busy or full: the log keeps everything, the hook asks again
        self._reach("checkpoint.done")

    def _reach(self, name: str) -> None:
        if self._failpoint is not None:
            self._failpoint(name)
