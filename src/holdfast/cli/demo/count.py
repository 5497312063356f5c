"""What is counted in one file. Pure but for reading it once; nothing here knows of a store."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections import Counter
from typing import Literal

from msgspec import Struct

from holdfast.cli.demo.files import FILE_BYTES_MAX, unspell

IDENTIFIERS = 10
"""How many of the most used identifiers are kept."""

_IDENTIFIER = re.compile(r"[^\W\d]\w{0,63}")
_LOOKED_AT = 8192

Outcome = Literal["text", "binary", "too large", "unreadable", "vanished"]


class Count(Struct, frozen=True):
    """What one reading of one file found. `sha256` is of what was read, so that a later change can be told."""

    path: str
    outcome: Outcome
    bytes: int = 0
    sha256: str = ""
    lines: int = 0
    words: int = 0
    identifiers: dict[str, int] = {}
    reason: str = ""


class Totals(Struct, frozen=True):
    """Sums over files."""

    files: int = 0
    text: int = 0
    bytes: int = 0
    lines: int = 0
    words: int = 0

    def plus(self, count: Count) -> Totals:
        """The sums with one more file."""
        return Totals(
            self.files + 1,
            self.text + (count.outcome == "text"),
            self.bytes + count.bytes,
            self.lines + count.lines,
            self.words + count.words,
        )


def count_file(root: bytes, name: str) -> Count:
    """Read one file once and count it. What cannot be read is counted as that; nothing is raised."""
    try:
        size, data = _read(os.path.join(root, unspell(name)))
    except (FileNotFoundError, NotADirectoryError):
        return Count(name, "vanished")
    except OSError as problem:
        return Count(name, "unreadable", reason=problem.strerror or type(problem).__name__)
    if data is None:
        return Count(name, "too large", bytes=size)
    return count_bytes(name, data)


def count_bytes(name: str, data: bytes) -> Count:
    """Count what a file holds. One with a zero byte near its beginning is binary: only its size and hash count."""
    digest = hashlib.sha256(data).hexdigest()
    if b"\0" in data[:_LOOKED_AT]:
        return Count(name, "binary", len(data), digest)
    text = data.decode("utf-8", "surrogateescape")
    lines = data.count(b"\n") + (not data.endswith(b"\n") and bool(data))
    used = Counter(_IDENTIFIER.findall(text))
    # Of equally used ones the first in order of their characters: the same on every run.
    most = sorted(used.items(), key=lambda item: (-item[1], item[0]))[:IDENTIFIERS]
    return Count(name, "text", len(data), digest, lines, len(text.split()), dict(most))


def _read(path: bytes) -> tuple[int, bytes | None]:
    """The size and bytes of a regular file; no bytes if it is too large. Never waits for a pipe or follows a link."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "no regular file any more")
        if status.st_size > FILE_BYTES_MAX:
            return status.st_size, None
        pieces = []
        size = 0
        while piece := os.read(handle, 1024 * 1024):
            pieces.append(piece)
            size += len(piece)
            if size > FILE_BYTES_MAX:
                return size, None
        return size, b"".join(pieces)
    finally:
        os.close(handle)
