"""Scopes that are kept alive by a cell: such a scope exists as long as the cell does, and the cell may expire.

    what a unit of work does        what it asks of the kernel
    reads the scope                 the cell too, in the same read; where it is absent, the scope is as if dropped
    writes to it, or found it       Present(cell): exact to the microsecond, by the kernel's own rule of expiry (G12)
    looked for it in vain           Absent(cell)
    makes it                        that it does not exist; it puts the cell

Whoever owns such scopes says by a `Keeper` which they are. What renews the cell travels in a commit that writes the
scope anyway, on the condition that nobody wrote the cell since; if somebody did, the commit is sent without it.
(Tried and rejected: to renew blindly. A process that knew an earlier deadline then cut short what another one had
prolonged.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from holdfast.kernel.commit import Cell, Conflict, Put, Read, View


class Renewal(Struct, frozen=True):
    """What a commit puts besides, to keep a scope alive. With `since`, only if the cell is not newer than that."""

    puts: tuple[Put, ...]
    since: int | None = None


class Keeper(Protocol):
    """Which scopes are kept alive by a cell, and what is known of those cells in this process. Any thread may ask."""

    key: str
    """The key of the cell, in each of these scopes."""

    prefix: str
    """What the names of these scopes, and of no others, start with."""

    def knows(self, scope: str) -> bool:
        """Whether enough is known of the scope's cell to tell whether it is to be renewed."""
        ...

    def learn(self, scope: str, cell: Cell | None) -> None:
        """Take note of the cell as it was read, or committed; None: it is not there."""
        ...

    def wrote(self, scope: str, puts: Sequence[Put], version: int) -> None:
        """Take note of what was committed to the scope."""
        ...

    def renewal(self, scope: str, now_us: int, least_us: int = 0, *, writes: bool = False) -> Renewal | None:
        """What a commit now should put besides, so that the cell lasts to `least_us` too; None most of the time.

        `writes` says that the commit writes to the scope by itself, and not only for that.
        """
        ...


def asking(read: Read, key: str) -> Read:
    """The same read, which asks for the cell too."""
    return read if key in read.keys else Read(read.scope, (*read.keys, key), read.ranges)


def lapsed(view: View) -> View:
    """How a scope looks whose cell is absent: as one that was dropped."""
    return View(view.scope, replace(view.head, live=False), {}, tuple([() for _ in view.ranges]))


def as_need(conflict: Conflict, *, exists: bool) -> Conflict:
    """What a condition on the cell that did not hold says of the scope: that it is not there or, with `exists`, is."""
    head = replace(conflict.head, live=exists)
    return Conflict(conflict.scope, "need", None, "must_not_exist" if exists else "must_exist", head, head)
