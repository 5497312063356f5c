"""One file, opened in one process: the writer's thread, the reading connections and the checkpoints.

Kernels of several spaces may share a store and then share its barriers. Two stores on one file in one process work
too, as two processes would.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import apsw

from holdfast.backends.sqlite import forks
from holdfast.backends.sqlite.checkpoint import Checkpointer
from holdfast.backends.sqlite.connection import Opening
from holdfast.backends.sqlite.errors import READ_ERRORS, translated
from holdfast.backends.sqlite.filesystem import check_filesystem
from holdfast.backends.sqlite.heads import SpaceCache
from holdfast.backends.sqlite.place import FileId, file_id
from holdfast.backends.sqlite.readers import Readers
from holdfast.backends.sqlite.signals import Signals
from holdfast.backends.sqlite.writer import Failpoint, Writer
from holdfast.backends.sqlite.writer_thread import WriterThread
from holdfast.errors import Closed, InvalidValue, ReadOnlyStore
from holdfast.kernel.limits import Durability

T = TypeVar("T")

BUSY_TIMEOUT_S = 15.0


class SqliteStore:
    """The open file. Who opens it closes it; kernels made on it do not."""

    def __init__(self, opening: Opening, failpoint: Failpoint | None) -> None:
        self.opening = opening
        self.readers = Readers(opening)
        self.signals = Signals()
        self._closing = threading.Lock()
        self._refusal: Closed | None = None
        self._closed = False
        self._checkpointer = Checkpointer(opening, failpoint, self._break)
        self._writer = WriterThread(
            lambda: Writer(opening, failpoint, self._checkpointer.begin_anew),
            on_broken=self._break,
            on_ended=self._let_go_if_broken,
        )
        self._inherited = False

    @classmethod
    async def open(
        cls,
        path: str | os.PathLike[str],
        *,
        durability: Durability = "fsync",
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        max_pages: int | None = None,
        vfs: str | None = None,
        mounts: str | None = None,
        failpoint: Failpoint | None = None,
    ) -> SqliteStore:
        """Open the file at `path`, making it if it is missing; its folder must exist.

        durability      "fsync" (a commit survives the end of the machine) or "process" (of the process)
        busy_timeout_s  how long a write waits for another process before it raises StoreLocked
        max_pages       the file's largest size in pages of 4 KiB; beyond it StoreFull
        vfs             the name of a registered apsw VFS to go through
        mounts          the text of /proc/self/mounts, for tests
        failpoint       called at named places, for crash tests (see `writer.Failpoint`)

        Raises UnsafeFilesystem, ReadOnlyStore, StoreFull, StoreLocked, StoreTooNew, Corrupt (not a database, or another
        program's: it is left as it is), InvalidValue (no such folder, not a file, another durability), Closed (the file
        was inherited by a fork), Unavailable (the file was removed or replaced meanwhile). Cancelled while it opens, it
        raises at once, and what it opened is closed in a thread.
        """
        if durability not in ("fsync", "process"):
            raise InvalidValue(f"durability is fsync or process, not {durability!r}", path="durability")
        opening = Opening(Path(path), durability, busy_timeout_s, vfs, max_pages)
        attempt = _Attempt(lambda: cls._open_blocking(opening, mounts, failpoint))
        try:
            return await asyncio.to_thread(attempt.run)
        except asyncio.CancelledError:
            attempt.give_up()
            raise

    @classmethod
    def _open_blocking(cls, opening: Opening, mounts: str | None, failpoint: Failpoint | None) -> SqliteStore:
        name = Path(os.path.abspath(opening.path))  # the working directory may change later
        path = _real(name)
        opening = opening._replace(path=path, name=None if name == path else name)
        _check_path(path)
        forks.check_not_inherited(str(path))
        check_filesystem(path, mounts=mounts)
        forks.close_the_lost()
        store = cls(opening, failpoint)
        forks.register(store)
        try:
            store._writer.start()
        except BaseException as error:
            forks.forget(store)
            if isinstance(error, (apsw.Error, OSError)):
                raise translated(error, path) from error
            raise
        writer = store._writer.writer
        assert writer is not None
        store.readers.place = writer.place
        store.signals.at(store.file_id())
        store._checkpointer.start(writer)
        return store

    async def space(self, name: str) -> SpaceCache:
        """The space of that name, made when missing."""

        def make(writer: Writer) -> SpaceCache:
            find = "SELECT id FROM spaces WHERE name = ?"
            found = writer.cursor.execute(find, (name,)).fetchall()
            if not found:
                with writer.transaction("space") as cursor:
                    cursor.execute("INSERT OR IGNORE INTO spaces(name) VALUES (?)", (name,))
                    found = cursor.execute(find, (name,)).fetchall()
            return writer.heads.space(found[0][0], name)

        return await self.act(make)

    @property
    def writer(self) -> WriterThread:
        """Where commits go. Raises Closed when the store is."""
        if self._refusal is not None:
            raise self._refusal
        return self._writer

    def check_open(self) -> None:
        """Raise Closed if the store is closed, broke, or belongs to the parent of this process."""
        if self._refusal is not None:
            raise self._refusal

    async def act(self, work: Callable[[Writer], T]) -> T:
        """Do something in the writer's thread, between two batches."""
        try:
            answer: T = await self.writer.perform(work)
        except apsw.Error as error:
            raise translated(error, self.opening.path) from error
        return answer

    async def scrub(self) -> bool:
        """Leave nothing in the files of what was overwritten or removed; False: a reader elsewhere holds the log."""

        def scrub(writer: Writer) -> bool:
            writer.write_anew()
            return self._checkpointer.empty_log(writer.connection)

        return await self.act(scrub)

    async def look(self, read: Callable[..., T], *args: Any) -> T:
        """Read in a reader thread."""
        await self._check_place()
        answer: T = await asyncio.wrap_future(self.readers.in_thread(read, *args))
        return answer

    async def look_here(self, read: Callable[..., T], *args: Any) -> T:
        """Read on this thread: for what takes microseconds. When the file is locked for longer, in a reader thread."""
        await self._check_place()
        try:
            return self.readers.here(read, *args)
        except apsw.BusyError:
            return await self.look(read, *args)
        except READ_ERRORS as error:
            raise translated(error, self.opening.path) from error

    def mark(self) -> int:
        """See `Kernel.mark`. Where the path may lead elsewhere by now, it moves, so that a read will say so."""
        self.check_open()
        if self.readers.place is not None and self.readers.place.lost_lately() is not None:
            return self.readers.odd_mark()
        try:
            return self.readers.mark()
        except READ_ERRORS:  # the read that follows meets it as well
            return self.readers.odd_mark()

    async def _check_place(self) -> None:
        """Raise Closed if the store is closed, or has to be because the path leads elsewhere by now.

        What is read before that is noticed, at most `place.FRESH_S` later, is what the open file holds.
        """
        self.check_open()
        if self.readers.place is not None and self.readers.place.lost_lately() is not None:
            await self.writer.perform(Writer.check_place)  # in the thread that ends with it

    async def close(self) -> None:
        """Finish what was sent, end the threads, close the connections. Allowed twice, from any loop."""
        if self._inherited:
            return  # a forked child's: nothing of it may be touched
        refusal = self._refusal = self._refusal or Closed(f"{self.opening.path} is closed")
        await asyncio.shield(asyncio.to_thread(self._close_blocking, refusal))

    def abandon(self) -> None:
        """Close it in a thread that nobody waits for."""
        refusal = self._refusal = self._refusal or Closed(f"{self.opening.path} is closed")
        threading.Thread(target=self._close_blocking, args=(refusal,), name="holdfast-sqlite-close").start()

    def _close_blocking(self, refusal: Closed) -> None:
        with self._closing:
            if self._closed:
                return
            self._writer.stop(refusal)
            self._let_go(refusal)
            forks.forget(self)
            self._closed = True

    def _let_go(self, refusal: Closed) -> None:
        """Close the other connections. Allowed twice, and in two threads at once."""
        writer = self._writer.writer
        if writer is not None and writer.broken is not None:
            self._leave_log()
        self.signals.close()
        self._checkpointer.stop()
        self.readers.close(refusal)
        if writer is not None:
            writer.leave()

    def _let_go_if_broken(self) -> None:
        """The writer ended: what it lost must not stay open, or the next to open the path finds its index in use."""
        writer = self._writer.writer
        if self._refusal is not None and writer is not None and writer.broken is not None:
            self._let_go(self._refusal)

    def _break(self, refusal: Closed) -> None:
        """A sync failed, or the file is lost: nothing more may be written or checkpointed here. Called in the thread
        that saw it."""
        self._refusal = refusal
        self._leave_log()
        writer = self._writer.writer
        if writer is not None and writer.broken is None:
            writer.broken = refusal

    def _leave_log(self) -> None:
        self._checkpointer.leave_log()
        self.readers.leave_log()

    # --- forks ------------------------------------------------------------------------------------------

    def file_id(self) -> FileId | None:
        """See `forks.Forkable`."""
        place = self.readers.place
        return file_id(self.opening.path) if place is None else place.ids[0]

    def close_if_lost(self) -> None:
        """See `forks.Forkable`."""
        lost = None if self.readers.place is None else self.readers.place.lost()
        if lost is not None:
            self._refusal = self._refusal or lost
            self._close_blocking(self._refusal)

    def poison(self) -> list[Any]:
        """See `forks.Forkable`."""
        self._refusal = Closed(f"{self.opening.path} was opened before this process was forked: open it in the child")
        self._inherited = True
        self.signals.abandon()
        writer = self._writer.writer
        held: list[Any] = [*self.readers.inherited(), writer, self._checkpointer.connection, self._writer]
        if writer is not None:
            held += [writer.connection, writer.cursor]
        return [one for one in held if one is not None]


class _Attempt:
    """An opening in a thread, whose caller may stop waiting: then the store is closed, as soon as it is open."""

    def __init__(self, opens: Callable[[], SqliteStore]) -> None:
        self._opens = opens
        self._lock = threading.Lock()
        self._given_up = False
        self._store: SqliteStore | None = None

    def run(self) -> SqliteStore:
        """Open it. In the thread."""
        store = self._opens()
        with self._lock:
            self._store = store
            given_up = self._given_up
        if given_up:
            store.abandon()
        return store

    def give_up(self) -> None:
        """Nobody will take what it opens, or has opened."""
        with self._lock:
            self._given_up = True
            store = self._store
        if store is not None:
            store.abandon()


def _real(name: Path) -> Path:
    """Where the file is that the name leads to. Under two names it would have two side files."""
    try:
        path = os.path.realpath(name)
        loops = os.path.islink(path)
    except OSError as problem:
        remedy = "Name another file."
        raise InvalidValue(f"{name} names no file: {problem.strerror}", remedy=remedy, path=str(name)) from problem
    if loops:
        remedy = "Mend the symbolic link, or name the file itself."
        raise InvalidValue(f"{name} leads back to itself", remedy=remedy, path=str(name))
    return Path(path)


def _check_path(path: Path) -> None:
    """Say clearly what SQLite would only call "unable to open". The file itself is not opened here: closing it again
    would end every lock this process has on it."""
    folder = path.parent
    try:
        if not folder.is_dir():
            raise _no_folder(folder, path)
        exists = path.exists()
        if exists and not path.is_file():
            raise _no_file(path)
    except PermissionError as refusal:
        raise ReadOnlyStore(f"the folder {folder} cannot be entered", path=str(path)) from refusal
    except OSError as problem:
        remedy = "Name another file."
        raise InvalidValue(f"{path} names no file: {problem.strerror}", remedy=remedy, path=str(path)) from problem
    if exists and not os.access(path, os.R_OK | os.W_OK):
        raise ReadOnlyStore(f"{path} cannot be read and written", path=str(path))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ReadOnlyStore(f"the folder {folder} cannot be written", path=str(path))


def _no_folder(folder: Path, path: Path) -> InvalidValue:
    if folder.exists():
        remedy = "Name a file in a folder."
        return InvalidValue(f"{folder} is not a folder", remedy=remedy, path=str(path))
    remedy = "Create the folder, or name another file."
    return InvalidValue(f"the folder {folder} does not exist", remedy=remedy, path=str(path))


def _no_file(path: Path) -> InvalidValue:
    if path.is_dir():
        remedy = f"Name a file in it, such as {path / 'app.db'}; it is made when it is missing."
        return InvalidValue(f"{path} is a folder, not a file", remedy=remedy, path=str(path))
    remedy = "Name another file; it is made when it is missing."
    return InvalidValue(f"{path} is no regular file", remedy=remedy, path=str(path))
