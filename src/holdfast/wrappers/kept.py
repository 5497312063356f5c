"""What a cache remembers: of each scope its head, and cells that were found there or were not.

All that is known of one scope is as of one seq. So what is learned at a later one replaces it, what is learned at an
earlier one is dropped together with it, and what is learned at the same one adds to it. A commit's own writes can be
added as well if its seq is the next one, for then nothing came between.

A cell that was not found may only have expired. So its absence holds from the time that was asked for on, and not
before: clocks are set back.

Bounded by cells and by bytes; the scopes longest unused go first, whole. Not thread-safe: whoever has it locks it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from holdfast.kernel.commit import Cell, Commit, Committed, Head, Outcome, Read, ScopeCommit, View, stamp

CELL_BYTES = 300
"""What a cell costs beyond key and value, about."""

ALWAYS = 0
"""The time from which on a deleted cell is absent."""


class Known:
    """One scope as of one seq: `cells` has the time from which on it is absent where there was none."""

    __slots__ = ("bytes", "cells", "head", "since_s")

    def __init__(self, head: Head, since_s: float) -> None:
        self.head = head
        self.since_s = since_s
        self.cells: dict[str, Cell | int] = {}
        self.bytes = CELL_BYTES

    def set(self, key: str, cell: Cell | int) -> None:
        """Know one cell, or from when on there is none."""
        before = self.cells.get(key)
        self.cells[key] = cell
        if isinstance(before, Cell) and isinstance(cell, Cell):
            self.bytes += len(cell.value) - len(before.value)
        else:
            self.bytes += _weight(key, cell) - (0 if before is None else _weight(key, before))

    def forget(self, key: str) -> None:
        """Know nothing of a cell."""
        before = self.cells.pop(key, None)
        if before is not None:
            self.bytes -= _weight(key, before)


class Kept:
    """What is remembered of all scopes."""

    def __init__(self, *, entries_max: int, bytes_max: int) -> None:
        self.entries = self.bytes = 0
        self._entries_max = entries_max
        self._bytes_max = bytes_max
        self._scopes: OrderedDict[str, Known] = OrderedDict()

    def answer(self, reads: Sequence[Read], now_us: int, *, since_s: float | None = None) -> list[View] | None:
        """What the reads would find, if all of it is known (not longer than `since_s`); else None."""
        views = []
        for read in reads:
            known = self._scopes.get(read.scope)
            if known is None or read.ranges or (since_s is not None and known.since_s < since_s):
                return None
            cells: dict[str, Cell] = {}
            for key in read.keys:
                cell = known.cells.get(key)
                if isinstance(cell, Cell):
                    if cell.expires_us is None or cell.expires_us > now_us:
                        cells[key] = cell
                elif cell is None or now_us < cell:
                    return None
            views.append(View(read.scope, known.head, cells))
        for view in views:
            self._scopes.move_to_end(view.scope)
        return views

    def learn(self, reads: Sequence[Read], views: Sequence[View], now_us: int, *, since_s: float = 0.0) -> None:
        """Remember what reads that began at `since_s` found."""
        for read, view in zip(reads, views, strict=True):
            known = self._at(view, since_s)
            if known is None:
                continue
            for key in read.keys:
                cell = view.cells.get(key)
                if cell is not None:
                    known.set(key, cell)
                elif (before := known.cells.get(key)) is None:
                    known.set(key, now_us)
                elif not isinstance(before, Cell):
                    known.cells[key] = min(now_us, before)
            self._add(read.scope, known)
        self._evict()

    def wrote(self, commits: Sequence[Commit], outcomes: Sequence[Outcome]) -> None:
        """Add what these commits wrote; forget the scopes of those of which it cannot be said what they did."""
        for commit, outcome in zip(commits, outcomes, strict=True):
            for part in commit.scopes:
                if isinstance(outcome, Committed) and not outcome.replayed:
                    if part.writes:
                        self._wrote(commit, part, outcome.seqs.get(part.scope, 0))
                else:
                    self.forget(part.scope)
        self._evict()

    def outdated(self, scope: str, seq: int) -> None:
        """Forget a scope unless it is known as of that seq or a later one."""
        known = self._scopes.get(scope)
        if known is not None and known.head.seq < seq:
            self.forget(scope)

    def forget(self, scope: str) -> None:
        """Forget a scope."""
        self._take(scope)

    def clear(self) -> None:
        """Forget everything."""
        self._scopes.clear()
        self.entries = self.bytes = 0

    def _at(self, view: View, since_s: float) -> Known | None:
        """What is known as of the view's seq, taken out to be added to; None if something later is known."""
        known, head = self._take(view.scope), view.head
        if known is None or known.head.seq < head.seq:
            return Known(head, since_s)
        if (known.head.seq, known.head.epoch, known.head.at_us) != (head.seq, head.epoch, head.at_us):
            return None
        known.head, known.since_s = head, max(known.since_s, since_s)
        return known

    def _wrote(self, commit: Commit, part: ScopeCommit, seq: int) -> None:
        known = self._scopes.get(part.scope)
        if known is None or known.head.seq >= seq:
            return
        known, head = self._take(part.scope) or known, known.head
        if part.drop or not head.live or head.seq + 1 != seq:
            return
        known.head = Head(seq, head.epoch, True, head.floor, commit.at_us, commit.cause)
        for key in part.deletes:
            known.set(key, ALWAYS)
        for put in part.puts:
            known.set(put.key, Cell(put.key, bytes(memoryview(put.value)), seq, put.expires_us))
        for ordinal, append in enumerate(part.appends):
            known.forget(append.prefix + stamp(seq, ordinal))
        self._add(part.scope, known)

    def _take(self, scope: str) -> Known | None:
        known = self._scopes.pop(scope, None)
        if known is not None:
            self.entries -= 1 + len(known.cells)
            self.bytes -= known.bytes
        return known

    def _add(self, scope: str, known: Known) -> None:
        self._scopes[scope] = known
        self.entries += 1 + len(known.cells)
        self.bytes += known.bytes

    def _evict(self) -> None:
        while self.entries > self._entries_max or self.bytes > self._bytes_max:
            self._take(next(iter(self._scopes)))


def _weight(key: str, cell: Cell | int) -> int:
    return CELL_BYTES + len(key) + (len(cell.value) if isinstance(cell, Cell) else 0)
