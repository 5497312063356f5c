"""Transactions: several reads and writes that commit as one, serialisably, over one session or over many scopes.

Reads see the transaction's own writes; what was read is checked at the commit, phantoms included, and appends and
blind writes never conflict. That a session is missing is read and checked like anything else. An exception, a
cancellation or `rollback` writes nothing. A transaction never runs its body again by itself; `transact` does.

A transaction belongs to the event loop in which its block was entered. Tasks that are started inside may share it as
long as the block is open; after it they get Closed, and may write to its scopes by themselves.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Literal, NoReturn, Self, TypeVar, cast

from holdfast.errors import Closed, Conflict, HoldfastError, InvalidValue, UseTransaction, shown
from holdfast.handles.beginning import new_session
from holdfast.handles.crowding import arrived, make_room
from holdfast.handles.expiry import make_way
from holdfast.handles.fence import carry
from holdfast.handles.measured import measured
from holdfast.handles.state import State
from holdfast.handles.store import Store
from holdfast.handles.surface import SessionSurface, Update, scope_name, state_of, variables_of
from holdfast.handles.threads import loop_of_call
from holdfast.handles.unit import Called, Target, Together, check_callable, enter, explain, leave, pause, refuse_inside
from holdfast.handles.variables import Variables
from holdfast.kernel.commit import Committed
from holdfast.kernel.commit import Conflict as Refusal
from holdfast.kernel.work import Work
from holdfast.model.budget import Account, Budget
from holdfast.model.duration import Duration
from holdfast.model.scope import Scope
from holdfast.model.session import SessionRecord
from holdfast.operations.begin import begin
from holdfast.services import session
from holdfast.services.state import Place

T = TypeVar("T")
B = TypeVar("B", bound="Block")


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
        self._arrived: list[SessionRecord] = []

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
        outcome = await self._store.commit(work)
        if not isinstance(outcome, Committed):
            raise self._explain(outcome, asked=work.asked(outcome))
        self._committed = outcome
        self._finish(outcome)
        for record in self._arrived:
            await make_room(self._store, record)

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
        return Together(self._store, self._current(), self._arrived)

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


class Transaction(Block):
    """A transaction over any scopes: `async with hold.transaction() as tx`.

    Raises Conflict at the end of the block if what it read was changed by somebody else, and then nothing was written:
    a key, a list, or that a session was there, or was not. NotFound if a session that it wrote to without reading is
    not there; AlreadyExists if one that it created without looking is. Unsupported, at the touch, for a scope that
    the backend cannot commit together with those touched before.
    """

    def state(self, scope: Scope, namespace: str = "") -> State:
        """The state of any scope, in this transaction."""
        return state_of(self._together(), scope, namespace=namespace)

    def variables(self, scope: Scope) -> Variables:
        """The variables of any scope, in this transaction."""
        return variables_of(self._together(), scope)

    def session(self, id: str) -> SessionSurface:
        """The writing surface of a session, in this transaction. It must exist when the transaction commits."""
        target = Target(session.scope_of(id), "must_exist")
        return SessionSurface(self._together(), target, user=None, agent=None)

    @property
    def sessions(self) -> SessionsInTransaction:
        """Creates, updates and deletes sessions in this transaction."""
        return SessionsInTransaction(self._together())


class SessionsInTransaction:
    """Sessions as a transaction can change them: `tx.sessions`."""

    def __init__(self, unit: Together) -> None:
        self._unit = unit

    async def create(
        self,
        *,
        id: str | None = None,
        user: str | None = None,
        app: str | None = None,
        agent: str | None = None,
        mode: str | None = None,
        channel: str | None = None,
        task: str | None = None,
        ttl: Duration | None = None,
        tags: Iterable[str] = (),
        metadata: Mapping[str, Any] | None = None,
        budget: Budget | None = None,
        template: str | None = None,
    ) -> SessionSurface:
        """Stage a new session and return its writing surface. The commit raises AlreadyExists if the id is taken.

        The `template` is read at once, past the transaction: as it is then. Raises NotFound if there is none of that
        name, Unsupported for a session that this transaction deletes.
        """
        store = self._unit.store
        names = {"user": user, "app": app, "agent": agent, "mode": mode, "channel": channel}
        record, values = await new_session(
            store, id, names, task=task, ttl=ttl, tags=tags, metadata=metadata, budget=budget, template=template
        )
        new = Target(session.scope_of(record.id), "must_not_exist")
        if id is not None:
            await make_way(store, new.scope)
        record = await arrived(store, record)
        place = Place(new.scope, "state", "", store.config.state.value_bytes_max)
        entry = store.ids.uuid7(record.created_us)
        await self._unit.write(new, lambda work: begin(work, record, id=entry, place=place, values=values))
        self._unit.arrived.append(record)
        target = Target(new.scope, "must_exist", life=new.life)
        return SessionSurface(self._unit, target, user=record.user, agent=record.agent)

    async def update(
        self,
        id: str,
        *,
        metadata: Mapping[str, Any] | None = None,
        tags: Iterable[str] | None = None,
        budget: Budget | None = None,
        if_version: int | None = None,
    ) -> None:
        """Stage a change of a session's record: metadata merges by key, tags replace, and so does what a `budget`
        says of each limit. Raises NotFound."""
        change = Update(self._unit.store, metadata=metadata, tags=tags, budget=budget, if_version=if_version)
        await self._unit.change(Target(session.scope_of(id), "must_exist"), lambda work: change.stage(work, id))

    async def delete(self, id: str) -> bool:
        """Stage the end of a session with everything in it. False if there is none: then there must be none still
        when the transaction commits."""
        return await self._unit.drop(Target(session.scope_of(id), "must_exist"), lambda work: session.drop(work, id))


class SessionTransaction(Block, SessionSurface):
    """A transaction on one session: its whole writing surface, bound to one unit of work.

    Raises at the end of the block what `Transaction` does, and NotFound if the session was gone before it was read, or
    is gone by then, whatever else was done in it.
    """

    def __init__(
        self,
        store: Store,
        target: Target,
        *,
        user: str | None,
        agent: str | None,
        on_commit: Callable[[SessionRecord | None, Account | None, int], None],
    ) -> None:
        Block.__init__(self, store)
        self._target = Target(target.scope, target.need, target.epoch)
        self._user = user
        self._agent = agent
        self._on_commit = on_commit
        self._updated: SessionRecord | None = None
        self._account: Account | None = None

    def __getattr__(self, name: str) -> NoReturn:
        # Only what is missing comes here: the surface that the block's beginning brings, and what that rests on.
        if name in ("state", "temp", "runtime", "messages", "user_state", "agent_state", "_unit"):
            self._current()
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")

    def _begin(self) -> None:
        refuse_inside(self._store, self._target.scope)
        Block._begin(self)
        self._current().ask(self._target.scope, "must_exist", epoch=self._target.epoch)
        SessionSurface.__init__(self, self._together(), self._target, user=self._user, agent=self._agent)

    async def update(
        self,
        *,
        metadata: Mapping[str, Any] | None = None,
        tags: Iterable[str] | None = None,
        budget: Budget | None = None,
        if_version: int | None = None,
    ) -> None:
        """Stage a change of the session's record: metadata merges by key, tags replace, and so does what a `budget`
        says of each limit."""
        change = Update(self._store, metadata=metadata, tags=tags, budget=budget, if_version=if_version)
        self._saw(await change.stage(self._current(), self.id), 0)

    def _saw(self, record: SessionRecord, version: int) -> None:
        self._updated = record

    def _counted(self, account: Account, record: SessionRecord | None, seq: int) -> None:
        super()._counted(account, record, seq)
        self._account = account

    def _finish(self, outcome: Committed) -> None:
        if (seq := outcome.seqs.get(self._target.scope)) is not None:
            self._on_commit(self._updated, self._account, seq)


async def repeat(store: Store, begin: Callable[[], B], fn: Callable[[B], Awaitable[T]], attempts: int) -> T:
    """Run `fn(tx)` in a transaction; on Conflict again, after a jittered pause, up to `attempts` times in all.

    The result is what `fn` returned; None if it rolled back.
    """
    check_attempts(attempts)
    check_callable(fn, "fn")
    attempt = 0
    while True:
        result: Any = None
        try:
            async with begin() as tx:
                answer = fn(tx)
                if not inspect.isawaitable(answer):
                    raise InvalidValue("fn must be an async function: it returned no awaitable", path="fn")
                result = await answer
            return cast(T, None if tx._rolled_back else result)
        except Conflict:
            attempt += 1
            if attempt == attempts:
                raise
            await pause(store, attempt)


def check_attempts(attempts: int) -> None:
    """Refuse a number of attempts that is none (InvalidValue)."""
    if type(attempts) is not int or attempts < 1:
        raise InvalidValue(f"attempts must be a positive whole number, not {shown(attempts)}", path="attempts")
