"""The verbs of the kernel on memory. Each runs to its end without awaiting and under one lock, which is never held for
long: so each is atomic by itself, for the tasks of one event loop and for those of several in threads."""

from __future__ import annotations

import os
import threading
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from operator import itemgetter

from msgspec.structs import replace

from holdfast.backends.memory.commit import CommitPath, first_seq
from holdfast.backends.memory.rewrite import rewrite_cell, rewrite_record, stored_cells
from holdfast.backends.memory.store import MemoryStore, ScopeData, SpaceData
from holdfast.errors import Closed, Compacted, Corrupt, Diverged, Gone, InvalidValue
from holdfast.kernel.commit import (
    NO_HEAD,
    Commit,
    CommitId,
    Committed,
    Found,
    Moved,
    Outcome,
    Read,
    Record,
    Retention,
    Rewrite,
    Stored,
    Swept,
    View,
)
from holdfast.kernel.contract import Kernel
from holdfast.kernel.evaluate import is_visible
from holdfast.kernel.limits import Traits, check_bytes, check_limit, check_range, check_rewrites, check_signal, within

TRAITS = Traits(
    durability="none",
    span="store",
    cache="exact",
    value_bytes_max=1 << 30,
    operations_max=100_000,
    commit_bytes_max=1 << 30,
    poll_s=1.0,
)


class MemoryKernel(Kernel):
    """One space of a memory store. `traits` may declare lower limits than the backend has; they are then kept."""

    commit_path = CommitPath
    """How commits are applied."""

    def __init__(self, store: MemoryStore | None = None, *, space: str = "default", traits: Traits = TRAITS) -> None:
        self.space = space
        self.traits = traits
        self._store: MemoryStore = store if store is not None else MemoryStore()
        self._data: SpaceData = self._store.space(space)
        self._path = self.commit_path(self._data, traits)
        self._watches: set[object] = set()
        self._closed = False

    def _open(self) -> SpaceData:
        if self._closed:
            raise Closed("this memory store is closed")
        if self._data.pid != os.getpid():
            raise Closed(
                "this memory store was made before the fork: make one after it, or start the process with spawn"
            )
        return self._data

    @property
    def _lock(self) -> threading.RLock:
        """What every verb holds. Raises Closed when there is nothing to hold it for."""
        return self._open().lock

    async def read(self, reads: Sequence[Read], *, now_us: int) -> list[View]:
        """See `Kernel.read`."""
        with self._lock:
            space = self._open()
            return [_view(space.scopes.get(read.scope), read, now_us) for read in reads]

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """See `Kernel.commit`."""
        with self._lock:
            space = self._open()
            outcomes = [self._path.apply(commit) for commit in commits]
        for wake in tuple(space.watchers.values()):
            wake()
        return outcomes

    async def log(
        self, scope: str, *, after: int = 0, limit: int = 1000, reverse: bool = False, bytes_max: int | None = None
    ) -> tuple[Record, ...]:
        """See `Kernel.log`."""
        with self._lock:
            check_limit(limit)
            check_bytes(bytes_max)
            data = self._open().scopes.get(scope)
            if data is None:
                if after > 0 and not reverse:
                    raise Gone(f"{scope} has no trace left", scope=scope, after=after)
                return ()
            head = data.head
            _check_log(scope, data)
            if reverse:
                records = data.records if after == 0 else data.records[: max(0, after - head.floor)]
                return tuple(within(islice(reversed(records), limit), bytes_max))
            if after > head.seq:
                raise Diverged(f"{scope} is at {head.seq}, before {after}", scope=scope, after=after, seq=head.seq)
            if after + 1 < head.floor:
                raise Compacted(
                    f"the log of {scope} begins at {head.floor}, after {after}",
                    scope=scope,
                    after=after,
                    floor=head.floor,
                )
            return tuple(within(islice(data.records_after(after), limit), bytes_max))

    async def moved(self, after: str | None = None, *, limit: int = 1000) -> Moved:
        """See `Kernel.moved`.

        A position counts the moves from the store's beginning, "36". In the middle of a walk it also says where that
        began, "36-12": the first moves of a scope may have been trimmed from the pages before.
        """
        with self._lock:
            check_limit(limit)
            space = self._open()
            if after is None:
                return Moved((), str(space.moves_end), sweeps=space.sweeps)
            start, begin = _position(after) if after else (space.moves_floor, 0)
            if not space.moves_floor <= start <= space.moves_end:
                raise Compacted(
                    f"position {start} is outside of what is kept, {space.moves_floor} to {space.moves_end}",
                    floor=space.moves_floor,
                )
            first = bisect_left(space.moves, start, key=itemgetter(0))
            moves = space.moves[first : first + limit]
            more = first + limit < len(space.moves)
            seen = {scope: seq for _, scope, seq in moves}  # a scope's last move wins
            since = {scope: space.scopes[scope].first_since(begin) for scope in seen}
            firsts = {scope: first for scope, first in since.items() if first < seen[scope]}
            position = f"{moves[-1][0] + 1}-{begin}" if more else str(space.moves_end)
            return Moved(tuple(seen.items()), position, more, firsts, space.sweeps)

    def mark(self) -> int | None:
        """See `Kernel.mark`. Moves and sweeps, which only ever grow."""
        space = self._open()
        return space.moves_end + space.sweeps

    async def find(
        self,
        index: str,
        value: str,
        *,
        now_us: int,
        lo: str | None = None,
        hi: str | None = None,
        after: tuple[str, str, str] | None = None,
        limit: int = 1000,
        reverse: bool = False,
    ) -> tuple[Found, ...]:
        """See `Kernel.find`."""
        with self._lock:
            check_limit(limit)
            space = self._open()
            data = space.indexes.get((index, value))
            if data is None:
                return ()
            visible = (
                found
                for found in data.between(lo, hi, after, reverse=reverse)
                if space.scopes[found.scope].cell(found.key, now_us) is not None
            )
            return tuple(islice(visible, limit))

    async def scopes(self, *, after: str = "", limit: int = 1000) -> tuple[str, ...]:
        """See `Kernel.scopes`."""
        with self._lock:
            check_limit(limit)
            space = self._open()
            names = islice(space.names, bisect_right(space.names, after), None)
            return tuple(islice((name for name in names if space.scopes[name].head.live), limit))

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        """See `Kernel.watch`."""
        space = self._open()
        watch = object()
        self._watches.add(watch)
        space.watchers[watch] = wake
        return lambda: self._unwatch(watch)

    async def signal(self, scope: str, payload: bytes) -> None:
        """See `Kernel.signal`."""
        space = self._open()
        check_signal(scope, payload, self.traits)
        for hear in tuple(space.listeners.values()):
            hear(scope, payload)

    def listen(self, hear: Callable[[str, bytes], None]) -> Callable[[], None]:
        """See `Kernel.listen`."""
        space = self._open()
        watch = object()
        self._watches.add(watch)
        space.listeners[watch] = hear
        return lambda: self._unwatch(watch)

    def _unwatch(self, watch: object) -> None:
        self._watches.discard(watch)
        self._data.watchers.pop(watch, None)
        self._data.listeners.pop(watch, None)

    async def sweep(self, *, now_us: int, retention: Retention, budget: int = 10_000) -> Swept:
        """See `Kernel.sweep`."""
        with self._lock:
            space = self._open()
            cells = records = scopes = 0
            more = False
            for name in tuple(space.names):
                left = budget - cells - records - scopes
                if more or left <= 0:
                    more = True
                    break
                data = space.scopes[name]
                if _is_over(data, now_us, retention):
                    space.forget(name)
                    scopes += 1
                    continue
                expired = _expired(data, now_us)
                beyond = _beyond(data, now_us, retention)
                more = len(expired) + beyond > left
                for key in expired[:left]:
                    data.delete(key)
                    space.set_entries(name, key, ())
                cells += len(expired[:left])
                records += _trim(data, min(beyond, left - len(expired[:left])))
            if scopes or len(space.moves) > 2 * len(space.scopes):
                space.trim_moves()
            space.sweeps += bool(cells or records or scopes)
            return Swept(cells, records, scopes, more)

    async def ended(self, *, after: str = "", limit: int = 1000) -> tuple[str, ...]:
        """See `Kernel.ended`."""
        with self._lock:
            check_limit(limit)
            space = self._open()
            names = islice(space.names, bisect_right(space.names, after), None)
            return tuple(islice((name for name in names if space.scopes[name].head.epoch), limit))

    async def purge(self, scope: str, *, budget: int = 10_000) -> Swept:
        """See `Kernel.purge`. Cells and entries went with the drop."""
        with self._lock:
            space = self._open()
            data = space.scopes.get(scope)
            left = 0 if data is None else data.before_last_drop()
            if data is None or not left:
                return Swept()
            removed = _trim(data, min(left, budget))
            space.sweeps += bool(removed)
            return Swept(records=removed, more=removed < left)

    async def stored(
        self, scope: str, *, after: str | None = None, limit: int = 1000, bytes_max: int | None = None
    ) -> tuple[Stored, ...]:
        """See `Kernel.stored`."""
        with self._lock:
            check_limit(limit)
            check_bytes(bytes_max)
            data = self._open().scopes.get(scope)
            return () if data is None else tuple(within(islice(stored_cells(data, after), limit), bytes_max))

    async def rewrite(self, scope: str, *, cells: Sequence[Rewrite] = (), records: Sequence[Record] = ()) -> int:
        """See `Kernel.rewrite`."""
        with self._lock:
            space = self._open()
            check_rewrites(cells, self.traits)
            if scope not in space.scopes:
                return 0
            rewritten = [rewrite_cell(space, scope, rewrite) for rewrite in cells]
            rewritten += [rewrite_record(space.scopes[scope], record) for record in records]
            space.sweeps += any(rewritten)
            return sum(rewritten)

    async def scrub(self) -> bool:
        """See `Kernel.scrub`. What was replaced in memory is gone with its last reference."""
        self._open()
        return True

    async def outcome(self, scope: str, commit_id: CommitId) -> Committed | None:
        """See `Kernel.outcome`."""
        with self._lock:
            seq = first_seq(self._open(), scope, commit_id)
            return None if seq is None else Committed({scope: seq}, replayed=True)

    async def stats(self) -> Mapping[str, int | float | str]:
        """See `Kernel.stats`."""
        with self._lock:
            all_scopes = self._open().scopes.values()
            counts, sizes = Counter[str](), Counter[str]()
            for data in all_scopes:
                for cell in data.cells.values():
                    kind = cell.key.partition("/")[0]
                    counts[kind] += 1
                    sizes[kind] += len(cell.value)
            return {
                "scopes": sum(data.head.live for data in all_scopes),
                "cells": counts.total(),
                "records": sum(len(data.records) for data in all_scopes),
                "bytes": sizes.total() + sum(len(record.body) for data in all_scopes for record in data.records),
                **{f"cells/{kind}": count for kind, count in sorted(counts.items())},
                **{f"bytes/{kind}": size for kind, size in sorted(sizes.items())},
            }

    async def close(self) -> None:
        """See `Kernel.close`."""
        self._closed = True
        for watch in tuple(self._watches):
            self._unwatch(watch)


def _position(text: str) -> tuple[int, int]:
    """Where to go on, and where the walk began."""
    numbers = text.split("-")
    if len(numbers) > 2 or not all(part.isascii() and part.isdigit() and len(part) < 19 for part in numbers):
        raise InvalidValue(f"{text[:40]!r} is not a position of this store", path="after")
    return int(numbers[0]), int(numbers[-1])


def _view(data: ScopeData | None, read: Read, now_us: int) -> View:
    for wanted in read.ranges:
        check_range(wanted)
    if data is None:
        return View(read.scope, NO_HEAD, {}, tuple(() for _ in read.ranges))
    cells = {key: cell for key in read.keys if (cell := data.cell(key, now_us)) is not None}
    return View(read.scope, data.head, cells, tuple(data.range(wanted, now_us) for wanted in read.ranges))


def _check_log(scope: str, data: ScopeData) -> None:
    if len(data.records) != data.head.seq - data.head.floor + 1:
        raise Corrupt(f"the log of {scope} has a gap", scope=scope)


def _is_over(data: ScopeData, now_us: int, retention: Retention) -> bool:
    """Whether this is a tombstone past its time."""
    head, tombstone_us = data.head, retention.tombstone_us
    return not head.live and tombstone_us is not None and now_us - head.at_us >= tombstone_us


def _expired(data: ScopeData, now_us: int) -> list[str]:
    return [cell.key for cell in data.cells.values() if not is_visible(cell.expires_us, now_us)]


def _beyond(data: ScopeData, now_us: int, retention: Retention) -> int:
    """How many records at the front are beyond every bound that is given; never the newest."""
    age_us, records = retention.age_us, data.records
    if age_us is None and retention.count is None:
        return 0
    most = len(records) - max(1, retention.count or 0)
    if age_us is None:
        return max(0, most)
    count = 0
    while count < most and now_us - records[count].at_us >= age_us:
        count += 1
    return count


def _trim(data: ScopeData, count: int) -> int:
    if count:
        del data.records[:count]
        del data.positions[:count]
        data.head = replace(data.head, floor=data.records[0].seq)
    return count
