"""What a forked child must not do with a store that its parent has open.

The child inherits the descriptors, the memory of SQLite's lock table and no lock at all. Using or closing such a
connection, or opening the same file again, would act on locks that the child believes in and does not have (tried: a
connection opened in the child holds no lock at all, or waits for ever for one that only its memory knows). So in the
child every store is poisoned, its connections are made immortal so that nothing ever closes them, and opening the same
file is refused. Opening after the fork, or starting the child by exec (`spawn`), is fine.
"""

from __future__ import annotations

import ctypes
import os
import weakref
from typing import Any, Protocol

from holdfast.errors import Closed

FileId = tuple[int, int]


class Forkable(Protocol):
    """What holds SQLite connections open."""

    def file_id(self) -> FileId | None:
        """Device and inode of the file, None when it is not open."""
        ...

    def poison(self) -> list[Any]:
        """In the child: refuse everything from now on. Returns what must never be finalised."""
        ...


_open: weakref.WeakSet[Any] = weakref.WeakSet()
_inherited: set[FileId] = set()


def register(store: Forkable) -> None:
    """Have the store poisoned in children forked from now on."""
    _open.add(store)


def forget(store: Forkable) -> None:
    """The store is closed."""
    _open.discard(store)


def check_not_inherited(path: str) -> None:
    """Raise Closed if the file at `path` was open in the parent when this process was forked."""
    if not _inherited:
        return
    try:
        status = os.stat(path)
    except OSError:
        return
    if (status.st_dev, status.st_ino) in _inherited:
        raise Closed(
            f"{path} was open when this process was forked: SQLite's locks do not survive that. "
            "Open it after the fork, or start the process with spawn",
            path=path,
        )


def _after_fork_in_child() -> None:
    for store in tuple(_open):
        identity = store.file_id()
        if identity is not None:
            _inherited.add(identity)
        for held in store.poison():
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(held))
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
