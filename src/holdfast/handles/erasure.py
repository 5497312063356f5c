"""Erasing a user: all they have is ended, then what ended lives have left is purged, then the files are scrubbed.

    note whose erasure it is            before anything is removed, or nobody would know after a crash
    end their sessions and their scope  until a look finds none
    purge                               every scope that was ever dropped and that is theirs, or may be
    all of it again                     as long as somebody makes sessions for them meanwhile
    take the name out of the note       or the files would keep it
    scrub, and strike out the note

Each step may be the last one of this process. Whoever calls again goes on, and so does any sweep: what was ended is
found among the scopes that were ever dropped, by what their logs say of whose they were.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from msgspec.structs import replace

from holdfast.errors import Indeterminate, Unavailable
from holdfast.handles.state import scope_name
from holdfast.handles.store import Store
from holdfast.handles.unit import refuse_inside
from holdfast.kernel.commit import Committed, Head, Read, Swept
from holdfast.kernel.limits import PAGE_MAX
from holdfast.kernel.work import Work
from holdfast.model.erasure import ErasureReport
from holdfast.model.scope import Scope
from holdfast.operations import erase, fork
from holdfast.operations.user_sessions import UserSessions
from holdfast.services import run, session

T = TypeVar("T")

BATCH = 32
"""Scopes ended at once, so that they share the barriers."""


class Erasure:
    """One call of `Holdfast.erase`, or with a note one that was interrupted; used once."""

    def __init__(self, store: Store, user: str, noted: erase.Noted | None = None) -> None:
        self._store = store
        self._user = user
        self._own = scope_name(Scope.user(user))
        self._interrupted = None if noted is None else noted.note
        until_us = None if noted is None else noted.note.called_us
        limit = store.limits.value_bytes_max
        self._sessions = UserSessions(self._work, user, record_bytes_max=limit, until_us=until_us)
        self._note: str | None = None if noted is None else noted.cell.key
        self._seen_us = store.now_us()
        self._epoch = -1
        self._report = ErasureReport()
        self._until_us = until_us

    async def run(self) -> ErasureReport:
        """See `Holdfast.erase`."""
        self._store.check_open()
        await self._end_all()
        await self._purge_all()
        while await self._end_all():
            await self._purge_all()
        while not await erase.forget_name(self._work(), self._user):
            pass
        self._report = replace(self._report, scrubbed=await scrub(self._store))
        return self._report

    def _work(self) -> Work:
        return _work(self._store)

    async def _owe(self) -> None:
        """Note it before anything is removed, and from then on that it goes on."""
        now_us, work = self._store.now_us(), self._work()
        if self._note is None:
            self._note = erase.owe(work, self._store.ids.uuid7(now_us), self._user, self._epoch)
            await work.commit()
        elif now_us - self._seen_us >= erase.SEEN_US:
            self._seen_us = now_us
            await erase.still(work, self._note)

    # --- what is there ----------------------------------------------------------------------------

    async def _end_all(self) -> bool:
        """End the sessions and the scope of the user until none is found; whether there was any."""
        found = False
        while there := await self._there():
            for scope in there:
                refuse_inside(self._store, scope)
            found = True
            lives = [*there.items()]
            for first in range(0, len(lives), BATCH):
                await self._owe()
                await asyncio.gather(*(self._end(scope, head) for scope, head in lives[first : first + BATCH]))
        return found

    async def _there(self) -> dict[str, Head]:
        there = await self._sessions.present() | await fork.unfinished_of(self._work(), self._user)
        there |= await erase.runs_of(self._work(), self._user, self._until_us)
        [own] = await self._work().peek([Read(self._own)])
        if not own.head.live or (self._interrupted is not None and own.head.epoch != self._interrupted.epoch):
            return there
        self._epoch = own.head.epoch
        return there | {self._own: own.head}

    async def _end(self, scope: str, head: Head) -> None:
        work = self._work()
        erase.end_scope(work, scope, head.epoch)
        if isinstance(await self._store.commit(work), Committed) and session.is_scope(scope):
            self._report = replace(self._report, sessions=self._report.sessions + 1)

    # --- what is left -----------------------------------------------------------------------------

    async def _purge_all(self) -> None:
        """Purge every scope of which a life has ended that was theirs, or may have been."""
        ended = partial(self._store.kernel.ended, limit=PAGE_MAX)
        after = ""
        while names := await self._ask(partial(ended, after=after)):
            reads = [
                Read(name) for name in names if name == self._own or session.is_scope(name) or name.startswith(run.AREA)
            ]
            for view in await self._work().peek(reads):
                if await self._was_theirs(view.scope, view.head):
                    await self._purge(view.scope)
            after = names[-1]

    async def _was_theirs(self, scope: str, head: Head) -> bool:
        if scope == self._own:
            return True
        if session.is_scope(scope):
            return await self._sessions.may_have_had(scope, head)
        return await erase.may_have_been_run_of(self._work(), scope, self._user, head)

    async def _purge(self, scope: str) -> None:
        first = await erase.oldest(self._work(), scope)
        if first is not None and (first.op != "drop" or first.cause):
            await self._owe()
        removed = Swept(more=True)
        cells = records = 0
        while removed.more:
            if self._note is not None:
                await self._owe()
            removed = await self._ask(lambda: self._store.kernel.purge(scope))
            cells, records = cells + removed.cells, records + removed.records
        if cells or records:
            await self._owe()
        if await self._forget_cause(scope) or cells or records:
            told = self._report
            self._report = replace(
                told, scopes=told.scopes + 1, cells=told.cells + cells, records=told.records + records
            )

    async def _forget_cause(self, scope: str) -> bool:
        """Leave of the drop's record that it was dropped, and not who did it; whether it said so."""
        first = await erase.oldest(self._work(), scope)
        if first is None or first.op != "drop" or not first.cause:
            return False
        record = replace(first, cause=b"")
        return bool(await self._ask(lambda: self._store.kernel.rewrite(scope, records=[record])))

    async def _ask(self, call: Callable[[], Awaitable[T]]) -> T:
        return await _ask(self._store, call)


async def carry_on(store: Store) -> bool:
    """Carry one erasure that was interrupted on to its end, of what there was when it was called for; whether there may
    be another one.

    Of several processes one does: whoever takes the note.
    """
    waiting = await erase.interrupted(_work(store))
    if not waiting:
        return False
    first = waiting[0]
    if await erase.take(_work(store), first):
        if first.note.user is None:
            await scrub(store)
        else:
            await Erasure(store, first.note.user, first).run()
    return len(waiting) > 1


async def scrub(store: Store) -> bool:
    """Scrub the store's files if any erasure owes that; False if something may be left in them.

    It settles what notes owe that named nobody before it began. What is still named is gone on with by whoever does.
    """
    owed = await erase.notes(_work(store))
    if not owed:
        return True
    nameless = {noted.cell.key for noted in owed if noted.note.user is None}
    scrubbed = await _ask(store, store.kernel.scrub)
    while not await erase.settle(_work(store), nameless, scrubbed=scrubbed):
        pass
    return scrubbed


def _work(store: Store) -> Work:
    """A unit of work for which expired sessions exist, and whose commit names nobody."""
    return Work(store.writer, limits=store.limits)


async def _ask(store: Store, call: Callable[[], Awaitable[T]]) -> T:
    """Make a call that does no harm when repeated, again while the store is out of reach."""

    async def asked() -> T:
        try:
            return await call()
        except Indeterminate as lost:
            raise Unavailable(str(lost)) from lost

    return await store.patiently(asked)
