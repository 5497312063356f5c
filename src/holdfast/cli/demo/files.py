"""Which files the demo works through, and how a path of any bytes is written as text.

Left out: hidden folders, environments (pyvenv.cfg, conda-meta), what tools put aside (node_modules, __pycache__ …),
links, what is no regular file, and the demo's own store. The work is bounded, so that it ends in less than a minute.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from msgspec import Struct

FILES_MAX = 5_000
"""The list ends after so many files …"""

FILE_BYTES_MAX = 8 * 1024 * 1024
"""A larger file is noted with its size and not read."""

BYTES_MAX = 32 * 1024 * 1024
"""… or so many bytes in them …"""

LIST_BYTES_MAX = 768 * 1024
"""… or so many bytes of names."""

BEYOND_MAX = 100_000
"""Of what comes after the end of the list so many are counted, to say how much was left out."""

SET_ASIDE = frozenset(
    (b"node_modules", b"bower_components", b"__pycache__", b"__pypackages__", b"site-packages", b"CVS")
)
"""Folders that tools fill."""

NO_FILES = frozenset((b"/proc", b"/sys", b"/dev"))
"""Folders in which the system shows itself."""


class Listing(Struct, frozen=True):
    """The files found, as texts relative to the root, and what was left out. `capped`: at what the list ends, if the
    bounds end it, with `files_beyond` files after that (BEYOND_MAX: so many or more)."""

    names: list[str]
    bytes: int
    folders_left_out: int
    links_left_out: int
    others_left_out: int
    capped: str | None = None
    files_beyond: int = 0


class Found(NamedTuple):
    """One entry of a folder, judged."""

    path: bytes
    kind: str
    size: int = 0


def list_files(root: bytes, *, store: Path, files_max: int = FILES_MAX, bytes_max: int = BYTES_MAX) -> Listing:
    """The files under `root`, folder by folder in the order of their names, up to the bounds."""
    own = os.fsencode(os.path.abspath(store)), os.fsencode(os.path.realpath(store))
    names: list[str] = []
    left_out = {"folder": 0, "link": 0, "other": 0}
    size = to_read = spelt = beyond = 0
    capped = None
    for found in _walk(os.path.abspath(root), own):
        if found.kind != "file":
            left_out[found.kind] += 1
            continue
        name = spell(os.path.relpath(found.path, root))
        if capped is not None:
            pass
        elif len(names) == files_max:
            capped = f"the first {files_max:,} files"
        elif to_read + _read_of(found) > bytes_max and names:
            capped = f"the first {len(names):,} files, about {bytes_max // 2**20} MiB"
        elif spelt + len(name.encode()) > LIST_BYTES_MAX:
            capped = f"the first {len(names):,} files, {LIST_BYTES_MAX // 1024} KiB of names"
        if capped is not None:
            beyond += 1
            if beyond == BEYOND_MAX:
                break
            continue
        names.append(name)
        size += found.size
        to_read += _read_of(found)
        spelt += len(name.encode())
    return Listing(names, size, left_out["folder"], left_out["link"], left_out["other"], capped, beyond)


def _read_of(found: Found) -> int:
    """The bytes that counting the file will read: none of a file that is too large."""
    return found.size if found.size <= FILE_BYTES_MAX else 0


def _walk(root: bytes, own: tuple[bytes, ...]) -> Iterator[Found]:
    folders = [root]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError:
            yield Found(folder, "folder")
            continue
        inner = []
        for entry in entries:
            found = _judge(entry, own)
            if found is None:
                inner.append(entry.path)
            else:
                yield found
        folders.extend(reversed(inner))


def _judge(entry: os.DirEntry[bytes], own: tuple[bytes, ...]) -> Found | None:
    """What an entry counts as; None for a folder to go into."""
    path = entry.path
    try:
        if entry.is_symlink():
            return Found(path, "link")
        if entry.is_dir(follow_symlinks=False):
            return Found(path, "folder") if _is_left_out(entry.name, path) else None
        if not entry.is_file(follow_symlinks=False) or path in own or path.startswith(tuple(one + b"-" for one in own)):
            return Found(path, "other")
        return Found(path, "file", entry.stat(follow_symlinks=False).st_size)
    except OSError:
        return Found(path, "other")


def _is_left_out(name: bytes, path: bytes) -> bool:
    return (
        name.startswith(b".")
        or name in SET_ASIDE
        or path in NO_FILES
        or os.path.exists(os.path.join(path, b"pyvenv.cfg"))
        or os.path.exists(os.path.join(path, b"conda-meta"))
    )


def spell(path: bytes) -> str:
    """A path as text: bytes that are no UTF-8, control characters and `%` as %XX. `unspell` gives it back exactly."""
    text = path.decode("utf-8", "surrogateescape")
    if text.isprintable() and "%" not in text:
        return text
    return "".join(
        char if char.isprintable() and char != "%" else _percent(char.encode("utf-8", "surrogateescape"))
        for char in text
    )


def unspell(text: str) -> bytes:
    """The path that was spelt as this text."""
    return unquote_to_bytes(text)


def _percent(raw: bytes) -> str:
    return "".join(f"%{byte:02X}" for byte in raw)
