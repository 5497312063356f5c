"""What a forked child must not do with a store that its parent has open.

The child inherits the descriptors, the memory of SQLite's lock table and no lock at all. Using or closing such a
connection, or opening the same file again, would act on locks that the child believes in and does not have (tried: a
connection opened in the child holds no lock at all, or waits for ever for one that only its memory knows). So in the
child every store is poisoned, its connections are made immortal so that nothing ever closes them, and opening the same
file is refused. Other files may be opened, because no thread of the parent is inside SQLite when it forks (`gate`);
should one have been there nevertheless, every file is refused, for a clear error is better than a child that hangs.
Opening after the fork, or starting the child by exec (`spawn`), is fine.
"""

from __future__ import annotations

import ctypes
import os
import weakref
from typing import Any, Protocol

from holdfast.backends.sqlite import gate
from holdfast.backends.sqlite.place import FileId, file_id
from holdfast.errors import Closed


class Forkable(Protocol):
    """What holds SQLite connections open, or is about to."""

    def file_id(self) -> FileId | None:
        """Device and inode of the file, None when there is none yet."""
        ...

    def poison(self) -> list[Any]:
        """In the child: refuse everything from now on. Returns what must never be finalised."""
        ...

    def close_if_lost(self) -> None:
        """Close if the path does not lead to the open file any more. Blocks."""
        ...


_open: dict[int, weakref.ref[Forkable]] = {}
_inherited: set[FileId] = set()
_unsound = False  # a thread was inside SQLite when this process was forked


def register(store: Forkable) -> None:
    """Have the store poisoned in children forked from now on; called before it opens anything."""
    key = id(store)

    def gone(_: object) -> None:
        _open.pop(key, None)

    _open[key] = weakref.ref(store, gone)


def forget(store: Forkable) -> None:
    """The store is closed."""
    _open.pop(id(store), None)


def close_the_lost() -> None:
    """Close every store of this process that lost its file. Blocks.

    Its connections have the old index mapped, by a name that the next to open it goes by; and the locks of one process
    do not keep its own threads apart.
    """
    for store in _stores():
        store.close_if_lost()


def check_not_inherited(path: str) -> None:
    """Raise Closed if the file at `path` cannot be opened here because this process was forked."""
    if _unsound:
        raise Closed(
            f"{path} cannot be opened: this process was forked while another thread was inside SQLite, "
            "whose locks nobody can give back here",
            remedy="Start the process with spawn, or fork before the first store is opened.",
            path=path,
        )
    if _inherited and file_id(path) in _inherited:
        raise Closed(
            f"{path} was open when this process was forked: SQLite's locks do not survive that. "
            "Open it after the fork, or start the process with spawn",
            path=path,
        )


def _stores() -> list[Forkable]:
    return [store for known in list(_open.values()) if (store := known()) is not None]


def _after_fork_in_child() -> None:
    global _unsound
    _unsound = not gate.after_fork_in_child() or _unsound
    for store in _stores():
        identity = store.file_id()
        if identity is not None:
            _inherited.add(identity)
        for held in store.poison():
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(held))
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=gate.before_fork,
        after_in_parent=gate.after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
