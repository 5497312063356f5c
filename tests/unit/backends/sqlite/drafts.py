"""Commits to send, and children to run, in the tests of the SQLite backend."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

from holdfast.backends.sqlite import SqliteKernel
from holdfast.kernel.commit import Commit, CommitId, Committed, Outcome, Put, Read, ScopeCommit

NOW_US = 1_800_000_000_000_000


class Lane:
    """Numbers the commits of one writer."""

    def __init__(self, writer: str = "w") -> None:
        self.writer = writer
        self.numbers = itertools.count(1)

    def commit(self, *parts: ScopeCommit, at_us: int = NOW_US) -> Commit:
        """A commit of these parts under the next number."""
        return Commit(parts, at_us, b"", CommitId(self.writer, next(self.numbers)))

    def put(self, scope: str, key: str, value: bytes, *, expires_us: int | None = None) -> Commit:
        """A blind put into a scope that is made when missing."""
        return self.commit(ScopeCommit(scope, "create", puts=(Put(key, value, expires_us),), body=b"put"))


async def sent(kernel: SqliteKernel, commit: Commit) -> Outcome:
    """The outcome of one commit sent alone."""
    return (await kernel.commit([commit]))[0]


async def applied(kernel: SqliteKernel, commit: Commit) -> dict[str, int]:
    """The seqs of one commit that must be applied."""
    outcome = await sent(kernel, commit)
    assert isinstance(outcome, Committed), outcome
    return outcome.seqs


async def value_of(kernel: SqliteKernel, scope: str, key: str, *, now_us: int = NOW_US) -> bytes | None:
    """What is stored under a key."""
    cell = (await kernel.read([Read(scope, (key,))], now_us=now_us))[0].cells.get(key)
    return None if cell is None else cell.value


def start(script: str, *args: object) -> subprocess.Popen[str]:
    """A fresh Python that runs the script; it finds the package and these tests where this process found them."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, args)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(child: subprocess.Popen[str], *, timeout_s: float = 240) -> str:
    """The child's output, once it has ended well."""
    out, err = child.communicate(timeout=timeout_s)
    assert child.returncode == 0, err
    return out


def size_of(path: Path) -> int:
    """The bytes of a file, 0 if it is missing."""
    return path.stat().st_size if path.exists() else 0
