"""Transactions: several reads and writes that commit as one, serialisably, over one session or over many scopes.

Reads see the transaction's own writes; what was read is checked at the commit, phantoms included, and appends and
blind writes never conflict. That a session is missing is read and checked like anything else. An exception, a
cancellation or `rollback` writes nothing. A transaction never runs its body again by itself; `transact` does.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, NoReturn, TypeVar, cast

from holdfast.errors import Conflict, InvalidValue
from holdfast.handles.beginning import new_session
from holdfast.handles.block import Block
from holdfast.handles.crowding import arrived
from holdfast.handles.expiry import make_way
from holdfast.handles.state import State, state_of
from holdfast.handles.store import Store
from holdfast.handles.surface import SessionSurface, Update
from holdfast.handles.unit import Target, Together, check_attempts, check_callable, pause, refuse_inside
from holdfast.handles.variables import Variables, variables_of
from holdfast.kernel.commit import Committed
from holdfast.model.budget import Account, Budget
from holdfast.model.duration import Duration
from holdfast.model.scope import Scope
from holdfast.model.session import SessionRecord
from holdfast.operations.begin import begin
from holdfast.services import session
from holdfast.services.state import Place

T = TypeVar("T")
B = TypeVar("B", bound="Block")


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
        self._unit.along.arrived.append(record)
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
        if name in ("state", "temp", "runtime", "messages", "runs", "user_state", "agent_state", "_unit"):
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
