"""What keeps the leases of one event loop alive: its beats, and what is still to be cleaned up.

One commit per interval, a third of the shortest ttl, however many leases; none at all while no lease is as old as that.
With the beats, sessions that are held are kept alive that would expire before the lease does: only those cost a commit
of their own. So such a session is there as long as its holder is believed in, and lapses by itself when it is not.
The scope it beats in is made by the first beat and removed when the store is closed; what a killed process leaves, a
sweep removes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from holdfast.errors import Closed, HoldfastError
from holdfast.handles.background import start
from holdfast.handles.store import Store
from holdfast.kernel.commit import Cell, Committed, Conflict, Read
from holdfast.kernel.work import Work
from holdfast.model.claim import ClaimRecord, Ticket
from holdfast.services import claim

BEATS_PER_TTL = 3
"""How often a process beats while its shortest lease lasts."""

RETRY_S = 1.0
"""The pause before cleaning up is tried again."""

DEAD_US = 86_400_000_000
"""How long after its last beat a sweep removes what a process left."""

KNOWN_MAX = 10_000
"""Beats of others that are remembered at most."""


class Keeper:
    """The beats of one event loop, and what it saw of others'."""

    def __init__(self, store: Store) -> None:
        self.holder = f"beat/{store.ids.writer()}"
        """The scope it beats in."""
        self.renewed_s = float("-inf")
        """When the last beat that arrived was sent, by the monotonic clock."""
        self._store = store
        self._ttls_s: dict[object, float] = {}
        self._with_beats: dict[object, Callable[[], Awaitable[object]]] = {}
        self._beaten_s = self._due_s = 0.0
        self._beats: asyncio.Task[None] | None = None
        self._has_beaten = False
        self._cleaning: set[asyncio.Task[None]] = set()
        self._seen: dict[tuple[str, str, int], tuple[object, float]] = {}

    # --- own beats --------------------------------------------------------------------------------

    def keep(self, lease: object, ttl_s: float, also: Callable[[], Awaitable[object]] | None = None) -> None:
        """Beat for this lease from now on, and do that too with every beat."""
        if also is not None:
            self._with_beats[lease] = also
        if not self._ttls_s:
            self._beaten_s = self._store.clock.monotonic_s()
        self._ttls_s[lease] = ttl_s
        if self._beats is None or self._beaten_s + ttl_s / BEATS_PER_TTL < self._due_s:
            self._restart()

    def leave(self, lease: object) -> None:
        """Beat no more for this lease. Who beats is left asleep: mostly the next lease comes before it is due."""
        self._ttls_s.pop(lease, None)
        self._with_beats.pop(lease, None)

    def _restart(self) -> None:
        if self._beats is not None:
            self._beats.cancel()
        self._due_s = float("-inf")
        self._beats = start(self._run(), "beats")

    async def _run(self) -> None:
        clock = self._store.clock
        while self._ttls_s:
            interval_s = min(self._ttls_s.values()) / BEATS_PER_TTL
            self._due_s = self._beaten_s + interval_s
            left_s = self._due_s - clock.monotonic_s()
            if left_s > 0:
                await clock.sleep(left_s)
                continue
            sent_s = clock.monotonic_s()
            try:
                await self._beat()
                self.renewed_s = sent_s
                await asyncio.gather(*(also() for also in self._with_beats.values()))
            except Closed:
                return
            except HoldfastError:
                await clock.sleep(interval_s / BEATS_PER_TTL)  # until then it is as if it had not been tried
                continue
            self._beaten_s = sent_s
        self._beats = None

    async def _beat(self) -> None:
        work = self._store.work()
        work.durable = False  # it tells that this process lives, to those who live
        work.ask(self.holder, "create")
        claim.beat(work, self.holder, work.now_us)
        self._has_beaten = True
        await work.commit()

    # --- the beats of others ----------------------------------------------------------------------

    async def is_dead(self, scope: str, cell: Cell, record: ClaimRecord | Ticket) -> bool:
        """Whether whoever wrote that cell, a claim or a ticket, is not heard of any more: as far as it was watched, or
        for so long that even the walls of two machines tell it."""
        if record.holder == self.holder:
            return False  # this very process
        asked_s, ttl_us = self._store.clock.monotonic_s(), record.ttl_us
        view = (await self._store.work().peek([Read(record.holder, (claim.BEAT,))]))[0]
        if claim.is_long_silent(record, beat_us=view.head.at_us, now_us=self._store.now_us()):
            return True
        beat = view.cells.get(claim.BEAT)
        mark = (view.head.epoch, 0 if beat is None else beat.version)
        return self.stands_still(scope, cell.key, cell.version, beat=mark, asked_s=asked_s, ttl_s=ttl_us / 1_000_000)

    def stands_still(self, scope: str, key: str, version: int, *, beat: object, asked_s: float, ttl_s: float) -> bool:
        """Whether whoever wrote that cell has not beaten for that long, as far as it was watched here.

        `asked_s` is when the beat was asked for, which may be long before it was answered.
        """
        watched = (scope, key, version)
        before = self._seen.get(watched)
        if before is None or before[0] != beat:
            if len(self._seen) >= KNOWN_MAX:
                del self._seen[next(iter(self._seen))]
            self._seen.pop(watched, None)
            self._seen[watched] = (beat, self._store.clock.monotonic_s())
            return False
        return asked_s - before[1] >= ttl_s

    # --- cleaning up ------------------------------------------------------------------------------

    async def surely(self, work: Work, undo: Callable[[Committed], Awaitable[object]]) -> Committed | Conflict:
        """Commit the unit; if the caller stops waiting and it lands all the same, undo what it did."""
        work.missed = lambda landed: self.later(lambda: undo(landed))
        return await work.commit()

    async def now_or_later(self, clean: Callable[[], Awaitable[object]]) -> None:
        """Clean up now, though this task is cancelled meanwhile; what fails is tried again until it succeeds."""
        await asyncio.shield(self.later(clean))

    def later(self, clean: Callable[[], Awaitable[object]]) -> asyncio.Future[None]:
        """Clean up; what comes back is done after the first try."""
        tried: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        task = start(self._until_done(clean, tried), "cleaning up")
        self._cleaning.add(task)
        task.add_done_callback(self._cleaning.discard)
        return tried

    async def _until_done(self, clean: Callable[[], Awaitable[object]], tried: asyncio.Future[None]) -> None:
        try:
            while True:
                try:
                    await clean()
                except Closed:
                    return
                except HoldfastError:
                    _done(tried)
                    await self._store.clock.sleep(RETRY_S)
                else:
                    return
        finally:
            _done(tried)

    async def close(self) -> None:
        """End the beats, give up cleaning, and remove the scope."""
        tasks = [task for task in (self._beats, *self._cleaning) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._has_beaten:
            work = Work(self._store.writer, limits=self._store.limits)
            work.ask(self.holder, "must_exist")
            work.drop(self.holder)
            try:
                await work.commit()
            except HoldfastError:  # a sweep will
                return


def _done(tried: asyncio.Future[None]) -> None:
    if not tried.done():
        tried.set_result(None)


async def remove_dead_beats(store: Store) -> None:
    """Remove the beats of processes that have not beaten for a day: killed ones. One that lives makes its own anew."""
    before = f"{max(store.now_us() - DEAD_US, 0):016d}"
    for found in await store.patiently(lambda: store.kernel.find(claim.BEAT, "", now_us=store.now_us(), hi=before)):
        work = store.work()
        await work.head(found.scope)
        work.drop(found.scope)
        await work.commit()  # refused: it beats


def keeper_of(store: Store) -> Keeper:
    """The keeper of the running event loop."""
    return store.of_loop(Keeper, lambda: Keeper(store), Keeper.close)
