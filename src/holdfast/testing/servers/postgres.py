"""A real PostgreSQL in a temporary folder, reached by a socket in it.

It lives as long as somebody holds it: a process of its own (`leash`) starts it, keeps a socket open to each holder, and
when the last of them has ended, in whatever way, stops the server and removes the folder. So a killed test run leaves
nothing behind, and the workers of one run can share a server.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from holdfast.testing.servers.binaries import account, programs

READY_S = 60.0

SETTINGS = (
    "shared_buffers=32MB",
    "max_connections=200",
    "dynamic_shared_memory_type=mmap",
    "max_wal_size=256MB",
    "autovacuum_naptime=5s",
)


class PostgresServer:
    """One server, as long as it is held. Leave it by `release` or `stop`; a block releases it at its end."""

    def __init__(self, folder: Path, line: socket.socket) -> None:
        self.folder = folder
        self._line = line

    @classmethod
    def start(cls, *settings: str) -> PostgresServer:
        """A server of one's own, with these settings ("name=value") besides. Blocks until it answers."""
        folder = Path(tempfile.mkdtemp(prefix="holdfast-pg-"))
        try:
            return cls._start(folder, settings)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    @classmethod
    def shared(cls, name: str) -> PostgresServer:
        """The server of that name on this machine, started by the first who asks and stopped after the last."""
        place = Path(tempfile.gettempdir()) / f"holdfast-pg-{os.getuid()}-{name}"
        with alone(Path(f"{place}.lock")):
            if (held := _hold(place)) is not None:
                return cls(place, held)
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(mode=0o700)
            return cls._start(place, ())

    @classmethod
    def held(cls, folder: Path) -> PostgresServer | None:
        """The server in that folder, held by one more; None if there is none."""
        line = _hold(folder)
        return None if line is None else cls(folder, line)

    @classmethod
    def _start(cls, folder: Path, settings: tuple[str, ...]) -> PostgresServer:
        owner = account()
        if owner.user is not None:
            os.chown(folder, owner.user, owner.group or 0)
        bin_folder = programs(folder, owner)
        data = folder / "data"
        subprocess.run(
            [bin_folder / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=folder,
            user=owner.user,
            group=owner.group,
            extra_groups=None if owner.user is None else [],
        )
        options = (f"unix_socket_directories={folder}", "listen_addresses=", *SETTINGS, *settings)
        log = os.open(folder / "leash.log", os.O_WRONLY | os.O_CREAT, 0o600)
        leash = subprocess.Popen(
            [sys.executable, "-m", "holdfast.testing.servers.leash", folder, bin_folder, *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # so that an interrupt of the tests does not take it before it has cleaned up
        )
        os.close(log)
        assert leash.stdout is not None
        with leash.stdout as told:
            if told.readline() != b"ready\n":
                raise RuntimeError(f"PostgreSQL did not start: {(folder / 'leash.log').read_text()[-2000:]}")
        leash.returncode = 0  # it is nobody's child to wait for
        held = _hold(folder)
        assert held is not None
        return cls(folder, held)

    def __enter__(self) -> PostgresServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def url(self, **options: object) -> str:
        """The URL of its database for Holdfast, with these options."""
        query = "".join(f"&{name}={value}" for name, value in options.items())
        return f"postgresql://postgres@/postgres?host={self.folder}{query}"

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.folder / ".s.PGSQL.5432"

    def restart(self, how: Literal["fast", "immediate"] = "fast") -> None:
        """Stop it, "immediate" like a power cut of the server alone, and start it again. Blocks until it answers."""
        self._line.sendall(f"{how}\n".encode())
        answer = self._line.recv(100)
        if answer != b"ready\n":
            raise RuntimeError(f"PostgreSQL did not start again: {(self.folder / 'leash.log').read_text()[-2000:]}")

    def release(self) -> None:
        """Hold it no longer; the last to do so stops it."""
        self._line.close()

    def stop(self) -> None:
        """Release it, and wait until it has stopped and its folder is gone. Does nothing once it is released."""
        if self._line.fileno() < 0:
            return
        self._line.sendall(b"leave\n")
        while self._line.recv(100):
            pass
        self._line.close()


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Keep others out of the block, in any process, by a file that is there only as long as somebody is in it."""
    while True:
        with open(path, "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not _is_at(path, lock.fileno()):
                continue  # whoever had it has removed it meanwhile, and another may stand there
            try:
                yield
            finally:
                path.unlink()  # while it is held: who waits for it will look where it is
            return


def _is_at(path: Path, fd: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(fd))
    except FileNotFoundError:
        return False


def _hold(folder: Path) -> socket.socket | None:
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    line.settimeout(READY_S)
    try:
        line.connect(str(folder / "leash"))
        if line.recv(100) == b"held\n":
            return line
    except OSError:
        pass
    line.close()
    return None
