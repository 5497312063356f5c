"""The block of a transaction: begun at its start, committed or discarded at its end.

It belongs to the event loop in which it was entered. Tasks that are started inside may share it as long as it is open;
after it they get Closed, and may write to its scopes by themselves.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Literal, NoReturn, Self

from holdfast.errors import Closed, HoldfastError, UseTransaction
from holdfast.handles.along import Along
from holdfast.handles.crowding import make_room
from holdfast.handles.fence import carry
from holdfast.handles.measured import measured
from holdfast.handles.state import scope_name
from holdfast.handles.store import Store
from holdfast.handles.threads import loop_of_call
from holdfast.handles.unit import Called, Together, enter, explain, leave
from holdfast.kernel.commit import Committed
from holdfast.kernel.commit import Conflict as Refusal
from holdfast.kernel.work import Work
from holdfast.model.scope import Scope


class _Rollback(BaseException):
    """Leaves the block of one transaction. Not an Exception, so that no handler in the block takes it for one."""

    def __init__(self, transaction: Block) -> None:
        super().__init__("a transaction was rolled back by a task that its block does not wait for")
        self.transaction = transaction

    def is_of(self, transaction: Block) -> bool:
        """Whether it is that one's block that it leaves."""
        return self.transaction is transaction


@measured("transaction", store="_store", block=True)
class Block:
    """The life of a transaction: begun at the block's start, committed or discarded at its end."""

    _called = Called("transaction", "s.transaction()", "tx")

    def __init__(self, store: Store) -> None:
        self._store = store
        self._work: Work | None = None
        self._committed: Committed | None = None
        self._state: Literal["new", "open", "ended"] = "new"
        self._rolled_back = False
        self._along = Along()

    async def __aenter__(self) -> Self:
        if self._state != "new":
            raise Closed(f"a {self._called.what} is used once; begin another")
        self._begin()
        return self

    def _begin(self) -> None:
        self._work = self._store.work()
        self._work.guard, self._work.called = self._check, self._called.what
        self._state = "open"
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._cancelled = 0 if self._task is None else self._task.cancelling()
        enter(self)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        work = self._work
        if work is None or not self.is_open:
            raise self._closed()
        commits = error is None and not self._rolled_back
        self._state = "ended"
        leave(self)
        try:
            if not commits:
                return await self._left_by(error)
            await self._commit(work)
        finally:
            work.discard()
        return False

    async def _commit(self, work: Work) -> None:
        carry(self._store, work)
        outcome = await self._send(work)
        if not isinstance(outcome, Committed):
            raise self._explain(outcome, asked=work.asked(outcome))
        self._committed = outcome
        self._finish(outcome)
        for record in self._along.arrived:
            await make_room(self._store, record)
        for tell in self._along.told:
            await tell()

    async def _send(self, work: Work) -> Committed | Refusal:
        return await self._store.commit(work)

    def _explain(self, conflict: Refusal, *, asked: bool) -> HoldfastError:
        return explain(conflict, asked=asked)

    def _finish(self, outcome: Committed) -> None:
        """What is to be done once it has committed."""

    async def _left_by(self, error: BaseException | None) -> bool:
        """Whether that was a rollback of this transaction and nothing else; raises the rest of a group."""
        if isinstance(error, BaseExceptionGroup):
            rolled_back, rest = error.split(lambda one: isinstance(one, _Rollback) and one.is_of(self))
            if rolled_back is None:
                return False
            if rest is not None:
                raise rest from rest.__cause__
        elif not (isinstance(error, _Rollback) and error.is_of(self)):
            return False
        if _was_cancelled(error):
            await self._heed_cancellation()
        return True

    async def _heed_cancellation(self) -> None:
        """Let a cancellation of this task be one, though the rollback took its place."""
        task = asyncio.current_task()
        if task is not None and task is self._task and task.cancelling() > self._cancelled:
            task.uncancel()
            task.cancel()
            await asyncio.sleep(0)  # where it is delivered, once

    def rollback(self) -> NoReturn:
        """Leave the block and write nothing, whatever becomes of the exception that leaves it.

        It may be called in the block, in a function called there, in the block of another transaction inside, and in
        tasks that the block waits for, by themselves, by `gather` or in a task group: these leave the block too, and
        cancel what they cancel for any exception. Nobody outside sees it; if other exceptions left the block with it,
        they are raised, in their group. A task that was cancelled before it rolled back, in a `finally` say, ends
        cancelled. If something in the block swallows it (`except BaseException`, `gather(…, return_exceptions=True)`),
        the next use of the transaction leaves the block.
        """
        self._current()
        self._rolled_back = True
        raise _Rollback(self)

    @property
    def is_open(self) -> bool:
        """Whether its block was entered and not yet left."""
        return self._state == "open"

    def covers(self, store: Store, scope: str, *, but: Work | None) -> Called | None:
        """What it is called, if it is open on that store, has touched that scope, and is not the one with that unit."""
        work = self._work
        if work is None or work is but or not self.is_open:
            return None
        return self._called if store.kernel is self._store.kernel and scope in work.touched else None

    def version(self, scope: Scope) -> int | None:
        """The version the commit gave that scope; None if it wrote nothing there, or has not committed."""
        name = scope_name(scope)
        return None if self._committed is None else self._committed.seqs.get(name)

    def _together(self) -> Together:
        return Together(self._store, self._current(), self._along)

    def _current(self) -> Work:
        if self._work is None or not self.is_open:
            raise self._closed()
        self._check()
        return self._work

    def _closed(self) -> Closed:
        what, begun_by, name = self._called
        if self._state == "ended":
            return Closed(f"this {what} has ended", remedy=f"Begin another: `async with {begun_by} as {name}`.")
        return Closed(f"use a {what} as `async with … as {name}`")

    def _check(self) -> None:
        """Raise where an open transaction may not be used."""
        if loop_of_call() is not self._loop:
            raise UseTransaction(
                f"a {self._called.what} was used outside the event loop of its block",
                remedy="Use it in the event loop in which its block was entered, by tasks that the block waits for.",
            )
        if self._rolled_back:
            raise _Rollback(self)


def _was_cancelled(error: BaseException | None) -> bool:
    """Whether a rollback, or every one in a group, was called while a cancellation was on its way.

    `Task.cancelling` alone does not tell: a task group of Python 3.11 does not take back its own cancellations.
    """
    if isinstance(error, BaseExceptionGroup) and all(map(_was_cancelled, error.exceptions)):
        return True
    while error is not None and not isinstance(error, asyncio.CancelledError):
        error = error.__context__
    return error is not None
