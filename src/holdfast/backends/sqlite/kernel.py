"""The verbs of the kernel on SQLite: each checks its arguments and sends the work to where it is done."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from holdfast.backends.sqlite.evidence import first_seq
from holdfast.backends.sqlite.find import Wanted, ended_names, find_entries, scope_names
from holdfast.backends.sqlite.heads import SpaceCache
from holdfast.backends.sqlite.log import read_log, read_log_back, read_moved
from holdfast.backends.sqlite.purge import Purge
from holdfast.backends.sqlite.read import read_views, rows_at_most
from holdfast.backends.sqlite.rewrite import read_stored, rewrite
from holdfast.backends.sqlite.stats import count
from holdfast.backends.sqlite.store import BUSY_TIMEOUT_S, SqliteStore
from holdfast.backends.sqlite.sweep import Limits, Sweep
from holdfast.backends.sqlite.writer import Failpoint
from holdfast.backends.sqlite.writer_thread import WriterThread
from holdfast.errors import Closed, HoldfastError
from holdfast.kernel.commit import (
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
from holdfast.kernel.keys import check_name
from holdfast.kernel.limits import (
    MIB,
    Durability,
    Traits,
    check_bytes,
    check_commit,
    check_limit,
    check_range,
    check_rewrites,
    check_signal,
)

T = TypeVar("T")

TRAITS = Traits(
    durability="fsync",
    span="store",
    cache="exact",
    value_bytes_max=16 * MIB,
    operations_max=10_000,
    commit_bytes_max=64 * MIB,
    poll_s=0.003,
)

ROWS_HERE_MAX = 100
"""An answer of so many rows is read on the calling thread, a longer one in a reader thread."""


class SqliteKernel(Kernel):
    """One space of a SQLite store."""

    def __init__(self, store: SqliteStore, space: SpaceCache, *, owns_store: bool) -> None:
        self.space = space.name
        self.traits = Traits(
            durability=store.opening.durability,
            span=TRAITS.span,
            cache=TRAITS.cache,
            value_bytes_max=TRAITS.value_bytes_max,
            operations_max=TRAITS.operations_max,
            commit_bytes_max=TRAITS.commit_bytes_max,
            poll_s=TRAITS.poll_s,
        )
        self._store = store
        self._space = space
        self._owns_store = owns_store
        self._watches: set[object] = set()
        self._ends: set[Callable[[], None]] = set()  # of those who listen
        self._closed = False

    @classmethod
    async def open(
        cls,
        path: str | os.PathLike[str],
        *,
        space: str = "default",
        durability: Durability = "fsync",
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        max_pages: int | None = None,
        vfs: str | None = None,
        mounts: str | None = None,
        failpoint: Failpoint | None = None,
    ) -> SqliteKernel:
        """Open a store of its own for one space; `close` closes it. See `SqliteStore.open`."""
        check_name(space, "a space")
        store = await SqliteStore.open(
            path,
            durability=durability,
            busy_timeout_s=busy_timeout_s,
            max_pages=max_pages,
            vfs=vfs,
            mounts=mounts,
            failpoint=failpoint,
        )
        try:
            return cls(store, await store.space(space), owns_store=True)
        except asyncio.CancelledError:
            store.abandon()  # its writer may wait for a lock
            raise
        except BaseException:
            await store.close()
            raise

    @classmethod
    async def on(cls, store: SqliteStore, *, space: str = "default") -> SqliteKernel:
        """A space of a store that somebody else opened and will close. Kernels on one store share its barriers."""
        check_name(space, "a space")
        return cls(store, await store.space(space), owns_store=False)

    def _open(self) -> SqliteStore:
        if self._closed:
            self._store.check_open()
            raise Closed("this kernel is closed")
        return self._store

    async def read(self, reads: Sequence[Read], *, now_us: int) -> list[View]:
        """See `Kernel.read`."""
        store = self._open()
        for read in reads:
            for wanted in read.ranges:
                check_range(wanted)
        look = store.look_here if rows_at_most(reads) <= ROWS_HERE_MAX else store.look
        return await look(read_views, self._space.id, reads, now_us)

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """See `Kernel.commit`."""
        writer = self._open().writer
        try:
            for commit in commits:
                check_commit(commit, self.traits)
        except HoldfastError:
            return await self._commit_but_refused(writer, commits)
        outcomes: list[Outcome] = await writer.submit(self._space, commits) if commits else []
        return outcomes

    async def _commit_but_refused(self, writer: WriterThread, commits: Sequence[Commit]) -> list[Outcome]:
        refusals = {at: refusal for at, commit in enumerate(commits) if (refusal := self._refused(commit)) is not None}
        sent = [commit for at, commit in enumerate(commits) if at not in refusals]
        answers = iter(await writer.submit(self._space, sent) if sent else [])
        return [refusals[at] if at in refusals else next(answers) for at in range(len(commits))]

    def _refused(self, commit: Commit) -> HoldfastError | None:
        try:
            check_commit(commit, self.traits)
        except HoldfastError as refusal:
            return refusal
        return None

    async def log(
        self, scope: str, *, after: int = 0, limit: int = 1000, reverse: bool = False, bytes_max: int | None = None
    ) -> tuple[Record, ...]:
        """See `Kernel.log`."""
        check_limit(limit)
        check_bytes(bytes_max)
        read = read_log_back if reverse else read_log
        return await self._read(limit, read, self._space.id, scope, after, limit, bytes_max)

    async def moved(self, after: str | None = None, *, limit: int = 1000) -> Moved:
        """See `Kernel.moved`. On the calling thread: nearly always nothing has moved."""
        check_limit(limit)
        return await self._open().look_here(read_moved, self._space.id, after, limit)

    def mark(self) -> int | None:
        """See `Kernel.mark`. The data version, which tells of other spaces' commits too."""
        return self._open().mark()

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
        check_limit(limit)
        wanted = Wanted(index, value, now_us, lo, hi, after, limit, reverse)
        return await self._read(limit, find_entries, self._space.id, wanted)

    async def scopes(self, *, after: str = "", limit: int = 1000) -> tuple[str, ...]:
        """See `Kernel.scopes`."""
        check_limit(limit)
        return await self._read(limit, scope_names, self._space.id, after, limit)

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        """See `Kernel.watch`. Tells of the commits of this store object; `traits.poll_s` covers other processes'."""
        self._open()
        watch = object()
        self._watches.add(watch)
        self._space.wakes[watch] = wake
        return lambda: self._unwatch(watch)

    def _unwatch(self, watch: object) -> None:
        self._watches.discard(watch)
        self._space.wakes.pop(watch, None)

    async def signal(self, scope: str, payload: bytes) -> None:
        """See `Kernel.signal`."""
        store = self._open()
        store.check_open()
        check_signal(scope, payload, self.traits)
        await store.signals.send(self.space, scope, payload)

    def listen(self, hear: Callable[[str, bytes], None]) -> Callable[[], None]:
        """See `Kernel.listen`."""
        store = self._open()
        store.check_open()
        end = store.signals.listen(self.space, hear)
        self._ends.add(end)

        def ended() -> None:
            self._ends.discard(end)
            end()

        return ended

    async def sweep(self, *, now_us: int, retention: Retention, budget: int = 10_000) -> Swept:
        """See `Kernel.sweep`."""
        store = self._open()
        limits = Limits(self._space.id, now_us, retention)
        return await Sweep(limits, budget, look=store.look, act=store.act).run()

    async def ended(self, *, after: str = "", limit: int = 1000) -> tuple[str, ...]:
        """See `Kernel.ended`. In a reader thread: it passes over the scopes that were never dropped."""
        check_limit(limit)
        return await self._open().look(ended_names, self._space.id, after, limit)

    async def purge(self, scope: str, *, budget: int = 10_000) -> Swept:
        """See `Kernel.purge`."""
        store = self._open()
        return await Purge(self._space.id, scope, budget, look=store.look, act=store.act).run()

    async def stored(
        self, scope: str, *, after: str | None = None, limit: int = 1000, bytes_max: int | None = None
    ) -> tuple[Stored, ...]:
        """See `Kernel.stored`."""
        check_limit(limit)
        check_bytes(bytes_max)
        return await self._read(limit, read_stored, self._space.id, scope, after, limit, bytes_max)

    async def rewrite(self, scope: str, *, cells: Sequence[Rewrite] = (), records: Sequence[Record] = ()) -> int:
        """See `Kernel.rewrite`. In the writer's thread, a transaction for each call."""
        check_rewrites(cells, self.traits)
        return await self._open().act(lambda writer: rewrite(writer, self._space.id, scope, cells, records))

    async def scrub(self) -> bool:
        """See `Kernel.scrub`. VACUUM and an empty log; False while a reader in another process holds the log."""
        return await self._open().scrub()

    async def outcome(self, scope: str, commit_id: CommitId) -> Committed | None:
        """See `Kernel.outcome`."""
        seq = await self._open().look(first_seq, self._space.id, scope, commit_id)
        return None if seq is None else Committed({scope: seq}, replayed=True)

    async def stats(self) -> Mapping[str, int | float | str]:
        """See `Kernel.stats`."""
        store = self._open()
        figures = await store.look(count, self._space.id)
        return {**figures, "signals": await asyncio.to_thread(store.signals.reach)}

    async def close(self) -> None:
        """See `Kernel.close`."""
        self._closed = True
        for watch in tuple(self._watches):
            self._unwatch(watch)
        while self._ends:
            self._ends.pop()()
        if self._owns_store:
            await self._store.close()

    async def _read(self, rows: int, read: Callable[..., T], *args: Any) -> T:
        store = self._open()
        return await (store.look_here if rows <= ROWS_HERE_MAX else store.look)(read, *args)
