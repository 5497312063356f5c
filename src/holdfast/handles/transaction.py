"""Transactions: several reads and writes that commit as one, serialisably, over one session or over many scopes.

Reads see the transaction's own writes; what was read is checked at the commit, phantoms included, and appends and
blind writes never conflict. An exception, a cancellation or `rollback` writes nothing. A transaction never runs its
body again by itself; `transact` does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar, cast

from holdfast.errors import Closed, Conflict, InvalidValue, shown
from holdfast.handles.state import State
from holdfast.handles.store import Store
from holdfast.handles.surface import SessionSurface, Update, scope_name, state_of
from holdfast.handles.unit import Target, Together, explain, open_transactions, pause, refuse_inside
from holdfast.kernel.commit import Committed
from holdfast.kernel.work import Work
from holdfast.model.scope import Scope
from holdfast.model.session import SessionRecord
from holdfast.services import session

T = TypeVar("T")
B = TypeVar("B", bound="Block")


class _Rollback(BaseException):
    """Leaves the block of one transaction. Not an Exception, so that no handler in the block takes it for one."""

    def __init__(self, transaction: Block) -> None:
        super().__init__()
        self.transaction = transaction


class Block:
    """The life of a transaction: begun at the block's start, committed or discarded at its end."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._work: Work | None = None
        self._committed: Committed | None = None
        self._state = "new"

    async def __aenter__(self) -> Self:
        if self._state != "new":
            raise Closed("a transaction is used once; begin another")
        self._begin()
        return self

    def _begin(self) -> None:
        self._work = self._store.work()
        self._state = "open"
        open_transactions.set((*open_transactions.get(), self))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        work = self._current()
        self._state = "ended"
        open_transactions.set(tuple([other for other in open_transactions.get() if other is not self]))
        if error is not None:
            work.discard()
            return isinstance(error, _Rollback) and error.transaction is self
        outcome = await work.commit()
        if not isinstance(outcome, Committed):
            raise explain(outcome)
        self._committed = outcome
        self._finish(outcome)
        return False

    def _finish(self, outcome: Committed) -> None:
        """What is to be done once it has committed."""

    def rollback(self) -> NoReturn:
        """Leave the block and write nothing."""
        self._current()
        raise _Rollback(self)

    def covers(self, store: Store, scope: str, *, but: Work | None) -> bool:
        """Whether it is open on that store, has touched that scope, and is not the one with that unit."""
        work = self._work
        if self._state != "open" or work is None or work is but:
            return False
        return store is self._store and scope in work.touched

    def version(self, scope: Scope) -> int | None:
        """The version the commit gave that scope; None if it wrote nothing there, or has not committed."""
        name = scope_name(scope)
        return None if self._committed is None else self._committed.seqs.get(name)

    def _together(self) -> Together:
        return Together(self._store, self._current())

    def _current(self) -> Work:
        if self._state != "open" or self._work is None:
            raise Closed(
                "this transaction has ended" if self._state == "ended" else "use a transaction as `async with … as tx`"
            )
        return self._work


class Transaction(Block):
    """A transaction over any scopes: `async with hold.transaction() as tx`.

    Raises Conflict at the end of the block if what it read was changed by somebody else, and then nothing was
    written; NotFound if a session it wrote to is gone; Unsupported, at the touch, for a scope that the backend cannot
    commit together with those touched before.
    """

    def state(self, scope: Scope, namespace: str = "") -> State:
        """The state of any scope, in this transaction."""
        return state_of(self._together(), scope, namespace=namespace)

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
        tags: Iterable[str] = (),
        metadata: Mapping[str, Any] | None = None,
    ) -> SessionSurface:
        """Stage a new session and return its writing surface. The commit raises AlreadyExists if the id is taken."""
        store, work = self._unit.store, self._unit.work
        record = session.new_record(
            store.ids.uuid7(work.now_us) if id is None else id,
            at_us=work.now_us,
            names={"user": user, "app": app, "agent": agent, "mode": mode, "channel": channel},
            task=task,
            tags=tags,
            metadata=metadata,
            bytes_max=store.limits.value_bytes_max,
        )
        target = Target(session.scope_of(record.id), "must_not_exist")
        self._unit.touch(target)
        session.put(work, record)
        return SessionSurface(self._unit, Target(target.scope, "must_exist"), user=record.user, agent=record.agent)

    async def update(
        self,
        id: str,
        *,
        metadata: Mapping[str, Any] | None = None,
        tags: Iterable[str] | None = None,
        if_version: int | None = None,
    ) -> None:
        """Stage a change of a session's record: metadata merges by key, tags replace."""
        change = Update(self._unit.store, metadata=metadata, tags=tags, if_version=if_version)
        self._unit.touch(Target(session.scope_of(id), "must_exist"))
        await change.stage(self._unit.work, id)

    async def delete(self, id: str) -> None:
        """Stage the end of a session with everything in it. The commit raises NotFound if it does not exist."""
        self._unit.touch(Target(session.scope_of(id), "must_exist"))
        session.drop(self._unit.work, id)


class SessionTransaction(Block, SessionSurface):
    """A transaction on one session: its whole writing surface, bound to one unit of work."""

    def __init__(
        self,
        store: Store,
        target: Target,
        *,
        user: str | None,
        agent: str | None,
        on_update: Callable[[SessionRecord, int], None],
    ) -> None:
        Block.__init__(self, store)
        self._target = target
        self._user = user
        self._agent = agent
        self._on_update = on_update
        self._updated: SessionRecord | None = None

    def __getattr__(self, name: str) -> NoReturn:
        # Only what is missing comes here: the surface that the block's beginning brings.
        if name in ("state", "temp", "runtime", "messages"):
            self._current()
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")

    def _begin(self) -> None:
        refuse_inside(self._store, self._target.scope)
        Block._begin(self)
        work = self._current()
        work.part(self._target.scope, need="must_exist", epoch=self._target.epoch)
        SessionSurface.__init__(self, Together(self._store, work), self._target, user=self._user, agent=self._agent)

    async def update(
        self,
        *,
        metadata: Mapping[str, Any] | None = None,
        tags: Iterable[str] | None = None,
        if_version: int | None = None,
    ) -> None:
        """Stage a change of the session's record: metadata merges by key, tags replace."""
        change = Update(self._store, metadata=metadata, tags=tags, if_version=if_version)
        self._updated = await change.stage(self._current(), self.id)

    def _finish(self, outcome: Committed) -> None:
        if self._updated is not None:
            self._on_update(self._updated, outcome.seqs[self._target.scope])


async def repeat(store: Store, begin: Callable[[], B], fn: Callable[[B], Awaitable[T]], attempts: int) -> T:
    """Run `fn(tx)` in a transaction; on Conflict again, after a jittered pause, up to `attempts` times in all.

    The result is what `fn` returned; None if it rolled back.
    """
    check_attempts(attempts)
    attempt = 0
    while True:
        result: Any = None
        try:
            async with begin() as tx:
                result = await fn(tx)
            return cast(T, result)
        except Conflict:
            attempt += 1
            if attempt == attempts:
                raise
            await pause(store, attempt)


def check_attempts(attempts: int) -> None:
    """Refuse a number of attempts that is none (InvalidValue)."""
    if type(attempts) is not int or attempts < 1:
        raise InvalidValue(f"attempts must be a positive whole number, not {shown(attempts)}", path="attempts")
