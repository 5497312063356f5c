"""Signals between the openings of one file, in any processes: datagrams beside the store, never through it.

Every opening that listens has one socket in a folder that follows from which file it is, whatever its name:

    <temporary folder>/holdfast-<uid>/<device>-<inode>/<16 hexadecimal digits>

Both folders are private (0700, and ours), or signals stay within the opening: so they do where the system has no such
sockets, where the temporary folder cannot be written, and between users or containers that do not share it. Nothing
of this ever fails a caller: a signal may be lost.

Who sends lists the folder, again only when its time moved, and removes sockets that nobody reads any more. A listener
that does not keep up is waited for a few milliseconds, so that a burst of tokens arrives whole (Linux queues ten
datagrams), and then passed over for a second. Nobody listens: no socket, no thread, one `stat` for each signal.

A signal is cut into parts that every system takes as one datagram:

    sender 8, number 4, part 2, parts 2, then its share of: length of space 2, length of scope 2, space, scope, payload
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import secrets
import socket
import stat
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from holdfast.backends.sqlite.place import FileId

Hear = Callable[[str, bytes], None]

PART_BYTES = 32 * 1024
"""What of a signal goes into one datagram."""

PATH_BYTES_MAX = 100
"""How long the path of a socket may be on every system (104 with its end on some)."""

FRESH_NS = 100_000_000
"""A folder that changed so lately may change again without its time telling."""

WAITS, WAIT_S = 5, 0.001
"""How often, and how long each time, a listener that does not keep up is waited for …"""

PASSED_OVER_S = 1.0
"""… before it is not, for so long."""

MAKING = "."
"""What the name of a socket begins with until it hears: so nobody who sends takes it for one that was left behind."""

PARTIAL_MAX = 64
"""Signals that may be incomplete at one listener; beyond, the oldest is given up."""

_PART = struct.Struct("!8sIHH")
_NAMES = struct.Struct("!HH")


class Signals:
    """The signals of one opening of a file. Any thread may use it."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._hears: dict[str, dict[object, Hear]] = {}  # by space
        self._lock = threading.Lock()  # of the above and of the ear
        self._ear: Ear | None = None
        self._ending: list[Ear] = []
        self._voice = Voice()

    def at(self, file: FileId | None) -> None:
        """Which file it is; without one, and before, signals stay within the opening."""
        self._folder = None if file is None else _folder_of(file)

    def listen(self, space: str, hear: Hear) -> Callable[[], None]:
        """Hear the signals of a space; returns what ends it."""
        mark = object()
        with self._lock:
            self._hears.setdefault(space, {})[mark] = hear
            if self._ear is None and self._folder is not None:
                self._ear = Ear(self._folder, self._spread)

        def end() -> None:
            with self._lock:
                self._hears.get(space, {}).pop(mark, None)
                if not any(self._hears.values()):
                    self._end_ear()

        return end

    def _end_ear(self) -> None:
        if self._ear is not None:
            self._ear.end()
            self._ending = [ear for ear in (*self._ending, self._ear) if ear.is_alive]
            self._ear = None

    async def send(self, space: str, scope: str, payload: bytes) -> None:
        """Tell everybody who listens."""
        self._spread(space, scope, payload)
        if self._folder is not None:
            ear = self._ear
            await self._voice.tell(self._folder, None if ear is None else ear.name, space, scope, payload)

    def _spread(self, space: str, scope: str, payload: bytes) -> None:
        for hear in tuple(self._hears.get(space, {}).values()):
            hear(scope, payload)

    def reach(self) -> str:
        """How far signals go, for people. Blocks."""
        folder = self._folder
        if folder is None:
            return "this process"
        with contextlib.suppress(OSError):
            if not folder.parent.exists() and os.access(folder.parent.parent, os.W_OK | os.X_OK):
                return "processes of this user"
            if _is_private(folder.parent):
                return "processes of this user"
        return "this process"

    def close(self) -> None:
        """Hear and tell nothing more. Blocks until the thread has ended."""
        with self._lock:
            self._folder = None
            self._hears.clear()
            self._end_ear()
            ending, self._ending = self._ending, []
        for ear in ending:
            ear.join()
        self._voice.close()

    def abandon(self) -> None:
        """In a forked child: close what was inherited, which is the parent's."""
        ears = [self._ear, *self._ending]
        self._ear, self._folder, self._ending, self._hears = None, None, [], {}
        for ear in ears:
            if ear is not None:
                ear.abandon()
        self._voice.close()


class Ear:
    """The thread that hears for one opening, with its socket, which it makes and removes."""

    def __init__(self, folder: Path, hear: Callable[[str, str, bytes], None]) -> None:
        self.name = secrets.token_hex(8)
        self._folder = folder
        self._hear = hear
        self._ended = False
        self._partial: dict[tuple[bytes, int], list[bytes]] = {}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._is_bound = self._bind(folder / self.name)  # before anybody is told that signals are heard
        self._thread = threading.Thread(target=self._run, name="holdfast-sqlite-signals", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Let the thread end soon."""
        self._ended = True
        with contextlib.suppress(OSError):  # not bound, or closed already
            self._socket.shutdown(socket.SHUT_RDWR)

    @property
    def is_alive(self) -> bool:
        """Whether the thread has not ended yet."""
        return self._thread.is_alive()

    def join(self) -> None:
        """Wait until it has. Blocks."""
        if self._thread is not threading.current_thread():
            self._thread.join()

    def abandon(self) -> None:
        """In a forked child, which has no such thread."""
        self._socket.close()

    def _run(self) -> None:
        path = self._folder / self.name
        try:
            while self._is_bound and not self._ended:
                datagram = self._socket.recv(2 * PART_BYTES)
                with contextlib.suppress(struct.error, UnicodeDecodeError):  # not from one of us
                    self._take(datagram)
        except OSError:  # the socket is gone: then nothing more is heard
            return
        finally:
            self._socket.close()
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
                self._folder.rmdir()  # unless others listen

    def _bind(self, path: Path) -> bool:
        with contextlib.suppress(OSError):  # there can be no such socket here
            for _ in range(10):
                with contextlib.suppress(FileNotFoundError):  # the last to leave removed the folder
                    _make_private(self._folder.parent)
                    _make_private(self._folder)
                    making = path.with_name(MAKING + path.name[1:])
                    self._socket.bind(str(making))
                    os.rename(making, path)
                    return True
        return False

    def _take(self, datagram: bytes) -> None:
        sender, number, part, parts = _PART.unpack_from(datagram)
        chunk = datagram[_PART.size :]
        if parts > 1:
            key = (sender, number)
            chunks = self._partial.pop(key, [])
            if len(chunks) != part:  # one was lost
                return
            chunks.append(chunk)
            if len(chunks) < parts:
                self._partial[key] = chunks
                if len(self._partial) > PARTIAL_MAX:
                    del self._partial[next(iter(self._partial))]
                return
            chunk = b"".join(chunks)
        names = _NAMES.size
        space, scope = _NAMES.unpack_from(chunk)
        text = chunk[names : names + space + scope]
        self._hear(text[:space].decode(), text[space:].decode(), chunk[names + space + scope :])


class Voice:
    """What sends: one socket, and who listens as far as that is known."""

    def __init__(self) -> None:
        self._sender = secrets.token_bytes(8)
        self._numbers = itertools.count()
        self._socket: socket.socket | None = None
        self._listed_ns = 0  # when the folder was listed, and the time it then had
        self._changed_ns = -1
        self._names: tuple[str, ...] = ()
        self._passed_over: dict[str, float] = {}

    async def tell(self, folder: Path, own: str | None, space: str, scope: str, payload: bytes) -> None:
        """Send one signal to everybody in the folder but the socket of that name."""
        names = [name for name in self._listeners(folder) if name != own]
        if not names:
            return
        parts = self._cut(space, scope, payload)
        for name in names:
            for part in parts:
                if not await self._pass(str(folder / name), part):
                    break

    def close(self) -> None:
        """Send nothing more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _listeners(self, folder: Path) -> tuple[str, ...]:
        try:
            changed_ns = os.stat(folder).st_mtime_ns
            if changed_ns != self._changed_ns or self._listed_ns - changed_ns < FRESH_NS:
                self._changed_ns, self._listed_ns = changed_ns, time.time_ns()
                found = os.listdir(folder) if _is_private(folder.parent) else []
                self._names = tuple([name for name in found if not name.startswith(MAKING)])
                self._passed_over.clear()
        except OSError:  # nobody listens
            self._changed_ns = -1
            return ()
        return self._names

    def _cut(self, space: str, scope: str, payload: bytes) -> list[bytes]:
        names = space.encode(), scope.encode()
        whole = b"".join((_NAMES.pack(*map(len, names)), *names, payload))
        number = next(self._numbers) % 2**32
        chunks = [whole[start : start + PART_BYTES] for start in range(0, len(whole), PART_BYTES)]
        return [_PART.pack(self._sender, number, part, len(chunks)) + chunk for part, chunk in enumerate(chunks)]

    async def _pass(self, path: str, part: bytes) -> bool:
        for tried in _tries():
            try:
                self._out.sendto(part, path)
            except BlockingIOError:
                if self._passed_over.get(path, 0.0) > time.monotonic():
                    return False
                if tried:
                    await asyncio.sleep(WAIT_S)
            except (ConnectionRefusedError, FileNotFoundError):  # its process ended without removing it, or with
                with contextlib.suppress(OSError):
                    os.unlink(path)
                return False
            except OSError:
                return False
            else:
                return True
        self._passed_over[path] = time.monotonic() + PASSED_OVER_S
        return False

    @property
    def _out(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)
        return self._socket


def _tries() -> Iterator[bool]:
    """Whether to wait after each try."""
    yield from itertools.repeat(True, WAITS)
    yield False


def _folder_of(file: FileId) -> Path | None:
    """Where the sockets of that file are; None where there can be none."""
    if not hasattr(socket, "AF_UNIX") or not hasattr(os, "getuid"):
        return None
    device, inode = file
    folder = Path(tempfile.gettempdir()) / f"holdfast-{os.getuid()}" / f"{device:x}-{inode:x}"
    return folder if len(os.fsencode(folder)) + 17 <= PATH_BYTES_MAX else None


def _make_private(folder: Path) -> None:
    """Make it if it is missing. Raises OSError where others may write to it, or it is not ours."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    if not _is_private(folder):
        raise PermissionError(f"{folder} is not private")


def _is_private(folder: Path) -> bool:
    status = os.lstat(folder)
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077
