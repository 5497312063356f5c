"""The process that holds a PostgreSQL for as long as anybody holds it: `python -m holdfast.testing.servers.leash`."""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from holdfast.testing.servers.binaries import account

STOP_S = 30.0
UNHELD_S = 30.0
"""How long it waits for its first holder."""


class Leash:
    """The server, and the sockets of those who hold it."""

    def __init__(self, folder: Path, programs: Path, options: list[str]) -> None:
        self._folder = folder
        self._command = [str(programs / "postgres"), "-D", str(folder / "data")]
        for option in options:
            self._command += ["-c", option]
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._door.bind(str(folder / "leash"))
        self._door.listen(100)
        self._holders = selectors.DefaultSelector()
        self._holders.register(self._door, selectors.EVENT_READ)
        self._leaving: list[socket.socket] = []
        self._server = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        owner = account()
        with open(self._folder / "postgres.log", "ab") as log:
            server = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                user=owner.user,
                group=owner.group,
                extra_groups=None if owner.user is None else [],
                start_new_session=True,
            )
        status = self._folder / "data" / "postmaster.pid"
        while server.poll() is None:
            lines = status.read_text().split("\n") if status.exists() else []
            if len(lines) > 7 and lines[0] == str(server.pid) and lines[7].strip() == "ready":
                return server
            time.sleep(0.01)
        raise RuntimeError((self._folder / "postgres.log").read_text()[-2000:])

    def hold(self) -> None:
        """Serve the holders until the last is gone."""
        count = 0
        while True:
            ready = self._holders.select(None if count else UNHELD_S)
            if not ready:
                return
            for key, _ in ready:
                if key.fileobj is self._door:
                    holder, _ = self._door.accept()
                    self._holders.register(holder, selectors.EVENT_READ)
                    holder.sendall(b"held\n")
                    count += 1
                elif not self._serve(key.fileobj):  # type: ignore[arg-type]
                    count -= 1
                    if not count:
                        return

    def _serve(self, holder: socket.socket) -> bool:
        """Do what a holder asks; False if it holds the server no longer."""
        try:
            asked = holder.recv(100)
        except OSError:
            asked = b""
        if asked in (b"fast\n", b"immediate\n"):
            self._stop(signal.SIGINT if asked == b"fast\n" else signal.SIGQUIT)
            self._server = self._start()
            holder.sendall(b"ready\n")
            return True
        self._holders.unregister(holder)
        if asked == b"leave\n":
            self._leaving.append(holder)  # it waits for the end of this process
        else:
            holder.close()
        return False

    def _stop(self, how: signal.Signals) -> None:
        self._server.send_signal(how)
        try:
            self._server.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()

    def end(self) -> None:
        """Stop the server and remove the folder."""
        self._door.close()
        self._stop(signal.SIGQUIT)
        shutil.rmtree(self._folder, ignore_errors=True)


def main() -> None:
    """Start, say so, and hold."""
    folder, programs, *options = sys.argv[1:]
    leash = Leash(Path(folder), Path(programs), options)
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(name, lambda *_: sys.exit())
    try:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        os.close(1)
        leash.hold()
    finally:
        leash.end()


if __name__ == "__main__":
    main()
