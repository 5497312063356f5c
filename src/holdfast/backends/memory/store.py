"""What the memory backend holds: plain dicts and sorted lists, one `SpaceData` per space.

A scope's keys stand in a sorted list beside the dict of its cells, so that a range is two bisections and a slice.
Cells, heads and records are frozen and hold bytes and text only: handing them out is safe.
"""

from __future__ import annotations

import os
import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable
from itertools import islice

from holdfast.kernel.commit import NO_HEAD, Cell, Entry, Found, Head, Range, Record
from holdfast.kernel.evaluate import is_visible
from holdfast.kernel.keys import prefix_end
from holdfast.kernel.limits import within


class ScopeData:
    """One scope: its head, the cells of its present epoch, and its log from `head.floor` on with each record's position
    among the moves of the space."""

    __slots__ = ("cells", "entries", "head", "keys", "positions", "records")

    def __init__(self) -> None:
        self.head: Head = NO_HEAD
        self.cells: dict[str, Cell] = {}
        self.keys: list[str] = []
        self.entries: dict[str, tuple[Entry, ...]] = {}
        self.records: list[Record] = []
        self.positions: list[int] = []

    def cell(self, key: str, now_us: int) -> Cell | None:
        """The cell under that key if it is visible at that time."""
        cell = self.cells.get(key)
        return cell if cell is not None and is_visible(cell.expires_us, now_us) else None

    def put(self, cell: Cell) -> None:
        """Set one cell, present or not."""
        if cell.key not in self.cells:
            if not self.keys or cell.key > self.keys[-1]:
                self.keys.append(cell.key)
            else:
                insort(self.keys, cell.key)
        self.cells[cell.key] = cell

    def delete(self, key: str) -> None:
        """Remove one cell if it is there."""
        if self.cells.pop(key, None) is not None:
            del self.keys[bisect_left(self.keys, key)]

    def range(self, wanted: Range, now_us: int) -> tuple[Cell, ...]:
        """The visible cells of a range."""
        cells = (self.cells[key] for key in self._keys_in(wanted))
        visible = (cell for cell in cells if is_visible(cell.expires_us, now_us))
        return tuple(within(islice(visible, wanted.limit), wanted.bytes_max))

    def _keys_in(self, wanted: Range) -> Iterable[str]:
        keys = self.keys
        end = prefix_end(wanted.prefix)
        lo = bisect_left(keys, wanted.prefix)
        hi = len(keys) if end is None else bisect_left(keys, end)
        if wanted.reverse:
            if wanted.after is not None:
                hi = min(hi, bisect_left(keys, wanted.after))
            return (keys[i] for i in range(hi - 1, lo - 1, -1))
        if wanted.after is not None:
            lo = max(lo, bisect_right(keys, wanted.after))
        return (keys[i] for i in range(lo, hi))

    def records_after(self, after: int) -> list[Record]:
        """The records with a greater seq; the log is contiguous, so their place is arithmetic."""
        if not self.records:
            return []
        return self.records[max(0, after + 1 - self.records[0].seq) :]

    def before_last_drop(self) -> int:
        """How many records stand before that of the last drop; 0 if it is trimmed."""
        for place in range(len(self.records) - 1, -1, -1):
            if self.records[place].op == "drop":
                return place
        return 0

    def first_since(self, position: int) -> int:
        """The seq of the first record at that position or later; of the last one if there is none."""
        place = bisect_left(self.positions, position)
        return self.records[place].seq if place < len(self.records) else self.head.seq


class IndexData:
    """One (index, value): its entries in the order (order, scope, key)."""

    __slots__ = ("cursors", "payloads")

    def __init__(self) -> None:
        self.cursors: list[tuple[str, str, str]] = []
        self.payloads: dict[tuple[str, str, str], bytes] = {}

    def add(self, cursor: tuple[str, str, str], payload: bytes) -> None:
        """Set one entry."""
        if cursor not in self.payloads:
            insort(self.cursors, cursor)
        self.payloads[cursor] = payload

    def remove(self, cursor: tuple[str, str, str]) -> None:
        """Remove one entry."""
        del self.payloads[cursor]
        del self.cursors[bisect_left(self.cursors, cursor)]

    def between(
        self, lo: str | None, hi: str | None, after: tuple[str, str, str] | None, *, reverse: bool
    ) -> Iterable[Found]:
        """Entries with lo <= order < hi beyond `after`, in the direction of reading."""
        first = bisect_left(self.cursors, (lo,)) if lo is not None else 0
        last = bisect_left(self.cursors, (hi,)) if hi is not None else len(self.cursors)
        if after is not None:
            if reverse:
                last = min(last, bisect_left(self.cursors, after))
            else:
                first = max(first, bisect_right(self.cursors, after))
        places = range(last - 1, first - 1, -1) if reverse else range(first, last)
        return (Found(*self.cursors[i], self.payloads[self.cursors[i]]) for i in places)


MOVES_KEPT = 1_000
"""Moves beyond one of each scope that are kept before all but the last of each are forgotten."""


class SpaceData:
    """One space: its scopes, indexes, the order of all commits, and the ids each writer has used."""

    __slots__ = (
        "indexes", "lanes", "listeners", "lock", "moves", "moves_end", "moves_floor", "names", "pid", "scopes",
        "sweeps", "watchers",
    )  # fmt: skip

    def __init__(self) -> None:
        self.lock = threading.RLock()  # held by every verb, for event loops in several threads
        self.pid = os.getpid()  # a forked child may find the lock held, by a thread that it does not have
        self.scopes: dict[str, ScopeData] = {}
        self.names: list[str] = []  # of self.scopes, sorted
        self.indexes: dict[tuple[str, str], IndexData] = {}
        self.moves: list[tuple[int, str, int]] = []  # position, scope, seq; in the order of positions
        self.moves_end = 0  # the next position
        self.moves_floor = 0  # the first position from which every move can still be told
        self.sweeps = 0  # that removed anything, and rewrites
        self.lanes: dict[str, int] = {}
        self.watchers: dict[object, Callable[[], None]] = {}
        self.listeners: dict[object, Callable[[str, bytes], None]] = {}

    def head(self, scope: str) -> Head:
        """The head of a scope, NO_HEAD if it never was."""
        data = self.scopes.get(scope)
        return data.head if data is not None else NO_HEAD

    def scope(self, scope: str) -> ScopeData:
        """The data of a scope, made when missing."""
        data = self.scopes.get(scope)
        if data is None:
            data = self.scopes[scope] = ScopeData()
            insort(self.names, scope)
        return data

    def forget(self, scope: str) -> None:
        """Remove the last trace of a scope; `trim_moves` has to follow."""
        del self.scopes[scope]
        del self.names[bisect_left(self.names, scope)]

    def move(self, scope: str, seq: int) -> None:
        """Note that a scope committed."""
        self.scopes[scope].positions.append(self.moves_end)
        self._tell(scope, seq)
        if len(self.moves) > 2 * len(self.scopes) + MOVES_KEPT:
            self.trim_moves()

    def _tell(self, scope: str, seq: int) -> None:
        self.moves.append((self.moves_end, scope, seq))
        self.moves_end += 1

    def trim_moves(self) -> None:
        """Keep the last move of each scope, which tells of it from every earlier position, and none of forgotten ones.

        A position from before a forgotten scope's last move can no longer be answered truly, so it expires. The moves
        of living scopes from before it are told again, so that the oldest position tells of every living scope.
        """
        last = {scope: position for position, scope, _ in self.moves}
        for scope, position in last.items():
            if scope not in self.scopes:
                self.moves_floor = max(self.moves_floor, position + 1)
        kept = [move for move in self.moves if last[move[1]] == move[0] and move[1] in self.scopes]
        self.moves = [move for move in kept if move[0] >= self.moves_floor]
        for _, scope, seq in kept[: len(kept) - len(self.moves)]:
            self._tell(scope, seq)

    def set_entries(self, scope: str, key: str, entries: tuple[Entry, ...]) -> None:
        """Replace the index entries of one cell."""
        data = self.scopes[scope]
        for old in data.entries.pop(key, ()):
            index = self.indexes[(old.index, old.value)]
            index.remove((old.order, scope, key))
            if not index.cursors:
                del self.indexes[(old.index, old.value)]
        for new in entries:
            index = self.indexes.setdefault((new.index, new.value), IndexData())
            index.add((new.order, scope, key), new.payload)
        if entries:
            data.entries[key] = entries


class MemoryStore:
    """The spaces of one memory store. Kernels opened on it share them; it lives as long as they do."""

    def __init__(self) -> None:
        self._spaces: dict[str, SpaceData] = {}

    def space(self, name: str) -> SpaceData:
        """The data of one space, made when missing."""
        return self._spaces.setdefault(name, SpaceData())
