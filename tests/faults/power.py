"""A file layer under SQLite that knows what a power cut would leave.

Everything goes through to real files, but the layer keeps, for each of them, what was synced and what was written
since. `image` draws what the disk holds if the power goes now: all that was synced, and of the rest any part. Each
write is there whole, torn into sectors of which some are there, or gone, whatever came before or after it; a change of
the size happened or not. So one run has as many power cuts as one likes, each at an exact place.
"""

import itertools
import threading
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import apsw

SECTOR_BYTES = 512

_names = itertools.count()


class Write(NamedTuple):
    offset: int
    data: bytes


class Truncate(NamedTuple):
    size: int


class Disk:
    """One file: what is surely on the disk, and what was asked for since."""

    def __init__(self) -> None:
        self.synced = bytearray()
        self.pending: list[Write | Truncate] = []
        self.was_synced = False

    def sync(self) -> None:
        for change in self.pending:
            apply(self.synced, change)
        self.pending.clear()
        self.was_synced = True

    def after_power_cut(self, chance: Random) -> bytes | None:
        """The content that is found; None if the file is not there."""
        if not self.was_synced and chance.random() < 0.5:
            return None
        content = bytearray(self.synced)
        mood = chance.choice(["nothing", "everything", "any", "any", "any"])
        for change in self.pending:
            if mood == "everything" or (mood == "any" and chance.random() < 0.5):
                apply(content, change)
            elif mood == "any" and isinstance(change, Write) and chance.random() < 0.5:
                for sector in torn(change):
                    if chance.random() < 0.5:
                        apply(content, sector)
        return bytes(content)


def apply(content: bytearray, change: Write | Truncate) -> None:
    if isinstance(change, Truncate):
        del content[change.size :]
        return
    if len(content) < change.offset:
        content.extend(bytes(change.offset - len(content)))
    content[change.offset : change.offset + len(change.data)] = change.data


def torn(write: Write) -> list[Write]:
    """The write in pieces, none of which crosses the boundary of a sector."""
    pieces = []
    at, end = write.offset, write.offset + len(write.data)
    while at < end:
        stop = min(end, (at // SECTOR_BYTES + 1) * SECTOR_BYTES)
        pieces.append(Write(at, write.data[at - write.offset : stop - write.offset]))
        at = stop
    return pieces


class PowerVfs(apsw.VFS):
    """The layer. `before(kind)` is called, with the layer at rest, before each "write", "truncate" and "sync"."""

    def __init__(self) -> None:
        self.name = f"power{next(_names)}"
        self.before: Callable[[str], None] = lambda kind: None
        self.disks: dict[str, Disk] = {}
        self.lock = threading.RLock()
        super().__init__(self.name, "")

    def image(self, chance: Random) -> dict[str, bytes]:
        """What is found after a power cut at this moment: file name -> content."""
        with self.lock:
            found = {name: disk.after_power_cut(chance) for name, disk in self.disks.items()}
        return {Path(name).name: content for name, content in found.items() if content is not None}

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        with self.lock:
            disk = self.disks.setdefault(path, Disk()) if path else Disk()
        return _File(self, disk, name, flags)

    def xDelete(self, name: str, sync_folder: bool) -> None:
        with self.lock:
            super().xDelete(name, sync_folder)
            self.disks.pop(name, None)


class _File(apsw.VFSFile):
    def __init__(self, vfs: PowerVfs, disk: Disk, name: Any, flags: list[int]) -> None:
        self._vfs = vfs
        self._disk = disk
        super().__init__("", name, flags)

    def xWrite(self, data: Any, offset: int) -> None:
        with self._vfs.lock:
            self._vfs.before("write")
            super().xWrite(data, offset)
            self._disk.pending.append(Write(offset, bytes(data)))

    def xTruncate(self, size: int) -> None:
        with self._vfs.lock:
            self._vfs.before("truncate")
            super().xTruncate(size)
            self._disk.pending.append(Truncate(size))

    def xSync(self, flags: int) -> None:
        with self._vfs.lock:
            self._vfs.before("sync")
            self._disk.sync()
