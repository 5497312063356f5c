"""How a handle reads and writes: each call by itself (`Alone`), or all in one unit (`Together`).

`Target` is what a handle points at. It remembers the epoch it first saw of its scope, so that a handle kept over a
deletion never writes into what was made afterwards under the same name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import NamedTuple, Protocol, TypeVar

from holdfast import errors
from holdfast.errors import HoldfastError, InvalidValue, NotFound, UseTransaction, shown
from holdfast.handles.along import Along
from holdfast.handles.fence import carry, lost
from holdfast.handles.store import Store
from holdfast.kernel.commit import Cell, Committed, Conflict, Need
from holdfast.kernel.part import Part, existing, missing
from holdfast.kernel.work import Work

T = TypeVar("T")

ATTEMPTS = 100
"""How often a single method tries again when others keep writing what it depends on."""

PAUSE_S = 0.001
"""The longest pause before the second try; doubles up to PAUSE_MAX_S, and is jittered down to nothing."""

PAUSE_MAX_S = 0.064


class Target:
    """What a handle points at: a scope, whether writing may make it, and the epoch first seen of it.

    `life` is the same within one transaction, which may delete what it made and make it again: how often it had been
    deleted there when the handle first saw it.
    """

    __slots__ = ("epoch", "life", "need", "scope")

    def __init__(self, scope: str, need: Need, epoch: int | None = None, *, life: int | None = None) -> None:
        self.scope = scope
        self.need: Need = need
        self.epoch = epoch
        self.life = life


class Unit(Protocol):
    """How a handle reads and writes."""

    @property
    def store(self) -> Store:
        """What the handles share."""
        ...

    def check(self) -> None:
        """Raise where nothing can be done with it any more: Closed, or what else has ended it."""
        ...

    async def read(self, target: Target, look: Callable[[Work], Awaitable[T]]) -> T:
        """Let `look` read in a unit of work. Raises NotFound where the target must exist and does not."""
        ...

    async def write(self, target: Target, stage: Callable[[Work], object]) -> int:
        """Let `stage` stage writes without reading; returns the scope's new seq, 0 while it is not committed."""
        ...

    async def change(self, target: Target, stage: Callable[[Work], Awaitable[T]]) -> tuple[T, int]:
        """Let `stage` read and stage; again on conflict, where that is safe. Returns its result and the seq."""
        ...


class Alone:
    """Each call is a unit of work of its own."""

    __slots__ = ("store",)

    _beside: tuple[str, ...] = ()
    """What those transactions are called in which it may write their scopes all the same."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def check(self) -> None:
        """See `Unit.check`."""
        self.store.check_open()

    async def read(self, target: Target, look: Callable[[Work], Awaitable[T]]) -> T:
        """See `Unit.read`. The unit is not committed: a single read is one cut already, and what takes several raises
        Conflict if they are not; then it looks again."""
        attempt = 0
        while True:
            work = self.store.work()
            part = work.part(target.scope, need=target.need, epoch=target.epoch)
            try:
                if self.store.principal is not None:
                    await admit(self.store, target, work)
                result = await look(work)
            except errors.Conflict as conflict:
                attempt = await self._once_more(attempt, conflict)
                continue
            observe(target, part)
            return result

    async def look(self, look: Callable[[Work], Awaitable[T]]) -> T:
        """Let `look` read any scopes in a unit of work; again, in a new one, where it raises Conflict."""
        attempt = 0
        while True:
            try:
                return await look(self.store.work())
            except errors.Conflict as conflict:
                attempt = await self._once_more(attempt, conflict)

    async def _once_more(self, attempt: int, conflict: errors.Conflict) -> int:
        attempt += 1
        if attempt == ATTEMPTS:
            raise conflict
        await pause(self.store, attempt)
        return attempt

    async def bind(self, target: Target) -> None:
        """Bind a handle to the present life of its scope, which for a principal must be theirs. Raises NotFound."""
        if target.epoch is None and target.need == "must_exist":
            await self.read(target, lambda work: work.look_for(target.scope))

    async def _commit(self, work: Work) -> Committed | Conflict:
        return await self.store.commit(work)

    async def write(self, target: Target, stage: Callable[[Work], object]) -> int:
        """See `Unit.write`.

        A handle that never saw its scope takes it to be in its first life, and the write is sent once more where
        that proves wrong: so no write is blind to a deletion, and none needs a read.
        """
        refuse_inside(self.store, target.scope, beside=self._beside)
        if self.store.principal is not None:
            await self.bind(target)
        known = epoch = target.epoch
        while True:
            work = self.store.work()
            work.ask(target.scope, target.need, epoch=epoch or 0)
            stage(work)
            carry(self.store, work)
            outcome = await self._commit(work)
            if isinstance(outcome, Committed):
                if known is None and target.epoch is None:
                    target.epoch = epoch or 0
                return outcome.seqs.get(target.scope, 0)
            found = outcome.head.epoch
            if known is not None or outcome.what != "epoch" or target.epoch not in (None, found):
                raise explain(outcome)
            epoch = found

    async def change(self, target: Target, stage: Callable[[Work], Awaitable[T]]) -> tuple[T, int]:
        """See `Unit.change`."""
        refuse_inside(self.store, target.scope, beside=self._beside)
        if self.store.principal is not None:
            await self.bind(target)
        attempt = 0
        while True:
            work = self.store.work()
            part = work.part(target.scope, need=target.need, epoch=target.epoch)
            result = await stage(work)
            work.ask(target.scope, target.need)
            carry(self.store, work)
            outcome = await self._commit(work)
            if isinstance(outcome, Committed):
                if target.epoch is None:
                    target.epoch = part.known_epoch
                return result, outcome.seqs.get(target.scope, 0)
            attempt += 1
            if outcome.what in ("need", "epoch") or attempt == ATTEMPTS or lost(outcome) is not None:
                raise explain(outcome)
            await pause(self.store, attempt)


class Direct(Alone):
    """The same, for what is itself what waits: nothing is carried along."""

    __slots__ = ()

    async def _commit(self, work: Work) -> Committed | Conflict:
        return await work.commit()


class Together:
    """Every call goes into one shared unit of work; whoever owns it commits it."""

    __slots__ = ("along", "store", "work")
    _beside: tuple[str, ...] = ()  # as of `Alone`

    def __init__(self, store: Store, work: Work, along: Along) -> None:
        self.store = store
        self.work = work
        self.along = along
        """What whoever commits it does then, and what its handles share."""

    def check(self) -> None:
        """See `Unit.check`."""
        self.work.check()

    async def read(self, target: Target, look: Callable[[Work], Awaitable[T]]) -> T:
        """See `Unit.read`."""
        part = self._part(target)
        if self.store.principal is not None:
            await admit(self.store, target, self.work)
        result = await look(self.work)
        observe(target, part)
        return result

    async def write(self, target: Target, stage: Callable[[Work], object]) -> int:
        """See `Unit.write`. What `stage` refuses leaves nothing of it staged."""
        refuse_inside(self.store, target.scope, but=self.work, beside=self._beside)
        if self.store.principal is not None:
            await admit(self.store, target, self.work)
        undo = self.work.savepoint(target.scope)
        try:
            self._ask(target)
            stage(self.work)
        except BaseException:
            undo()
            raise
        return 0

    async def change(self, target: Target, stage: Callable[[Work], Awaitable[T]]) -> tuple[T, int]:
        """See `Unit.change`. Never repeated: the transaction as a whole is what may be run again."""
        refuse_inside(self.store, target.scope, but=self.work, beside=self._beside)
        async with self._alone():
            self._part(target)
            if self.store.principal is not None:
                await admit(self.store, target, self.work)
            result = await stage(self.work)
            self._ask(target)
        return result, 0

    async def drop(self, target: Target, stage: Callable[[Work], object]) -> bool:
        """Let `stage` end the target's scope; False if it does not exist, which is a condition like any read."""
        refuse_inside(self.store, target.scope, but=self.work, beside=self._beside)
        async with self._alone():
            try:
                await self.read(target, lambda work: work.look_for(target.scope))
                stage(self.work)
            except NotFound:
                return False
        return True

    def _alone(self) -> asyncio.Lock:
        """What keeps tasks that share the unit apart: between what one reads and what it stages of that, no other may
        end the scope, or the one would stage into what is made after it."""
        return self.store.queue(self.work)

    def _ask(self, target: Target) -> None:
        if target.need == "must_not_exist":
            target.life = self.work.ask(target.scope, target.need, epoch=target.epoch).life
        else:
            self._part(target).ask()

    def _part(self, target: Target) -> Part:
        part = self.work.part(target.scope, need=target.need, epoch=target.epoch)
        if target.life is None:
            target.life = part.life
        elif target.life != part.life:
            raise missing(target.scope)
        return part


async def admit(store: Store, target: Target, work: Work) -> None:
    """For a principal: raise NotFound unless the session, or the run that is alone, is theirs, which the unit's commit
    then rests on.

    A handle that knows the life of its scope was let in before.
    """
    rights = store.principal
    if rights is None or target.epoch is not None or target.need != "must_exist":
        return
    if not await rights.owns(target.scope, work):
        raise missing(target.scope)


def observe(target: Target, part: Part) -> None:
    """Bind a handle to the life of its scope that a read found. Raises NotFound if it is bound to another one."""
    if part.head is None:
        return
    if target.epoch is None:
        target.epoch = part.head.epoch
    elif target.epoch != part.head.epoch:
        raise missing(target.scope)


def explain(conflict: Conflict, *, asked: bool = True) -> HoldfastError:
    """The error that a refused commit means to a caller: `asked` for the existence of the scope, or who had read it."""
    scope = conflict.scope
    if (lease_lost := lost(conflict)) is not None:
        return lease_lost
    if asked and conflict.what == "need" and conflict.expected == "must_not_exist":
        return existing(scope)
    if asked and conflict.what in ("need", "epoch"):
        return missing(scope)
    if conflict.what in ("need", "epoch"):  # of another life, which may be somebody else's, nothing more is told
        return errors.Conflict(
            f"{scope} was created or deleted by somebody else since it was read",
            scope=scope,
            what=conflict.what,
            key=None,
            expected=conflict.expected,
            found=None,
        )
    about = f" ({conflict.key})" if conflict.key else ""
    return errors.Conflict(
        f"{scope}{about} was written by somebody else{_how_it_stands(conflict)}",
        scope=scope,
        what=conflict.what,
        key=conflict.key,
        expected=conflict.expected,
        found=conflict.found,
    )


def _how_it_stands(conflict: Conflict) -> str:
    found = conflict.found
    if isinstance(found, Cell):
        after = f" after version {conflict.expected}" if isinstance(conflict.expected, int) else ""
        return f"{after}: it is at version {found.version}"
    if found is None:
        return f" after version {conflict.expected}: it is not there any more"
    return f": the scope is at version {found.seq}"


async def pause(store: Store, attempt: int) -> None:
    """Wait a random while before trying again, longer each time, so that rivals spread out."""
    longest = min(PAUSE_S * 2.0 ** min(attempt - 1, 16), PAUSE_MAX_S)
    await store.clock.sleep(longest * store.ids.random())


def check_callable(fn: object, what: str) -> None:
    """Refuse what cannot be called (InvalidValue), naming `what` it was given as."""
    if not callable(fn):
        raise InvalidValue(f"{what} must be a function, not {shown(fn)}", path=what)


def check_attempts(attempts: int) -> None:
    """Refuse a number of attempts that is none (InvalidValue)."""
    if type(attempts) is not int or attempts < 1:
        raise InvalidValue(f"attempts must be a positive whole number, not {shown(attempts)}", path="attempts")


# --- transactions of the current task -------------------------------------------------------------


class Called(NamedTuple):
    """What a transaction is called, what begins it, and the name that examples give it."""

    what: str
    begun_by: str
    name: str


class Covering(Protocol):
    """A transaction, as far as this module needs to know it."""

    @property
    def is_open(self) -> bool:
        """Whether its block was entered and not yet left."""
        ...

    def covers(self, store: Store, scope: str, *, but: Work | None) -> Called | None:
        """What it is called, if it is open on that store, has touched that scope, and is not the one with that unit."""
        ...


open_transactions: ContextVar[tuple[Covering, ...]] = ContextVar("holdfast_transactions", default=())


def refuse_inside(store: Store, scope: str, *, but: Work | None = None, beside: tuple[str, ...] = ()) -> None:
    """Raise UseTransaction if this task is inside a transaction on that scope, other than the one with that unit, and
    called otherwise than those `beside` which it may be written."""
    for transaction in open_transactions.get():
        if (called := transaction.covers(store, scope, but=but)) is not None and called.what not in beside:
            raise UseTransaction(
                f"{scope} is part of the {called.what} this task is in, and was written past it",
                remedy=f"Inside `async with {called.begun_by} as {called.name}`, write through `{called.name}`.",
                scope=scope,
            )


def enter(transaction: Covering) -> None:
    """Let this task, and those it starts, be inside that transaction."""
    open_transactions.set((*_still_open(), transaction))


def leave(transaction: Covering) -> None:
    """Let this task be outside again. Tasks started inside keep it in their context, where it covers nothing more."""
    open_transactions.set(tuple([other for other in _still_open() if other is not transaction]))


def _still_open() -> list[Covering]:
    return [transaction for transaction in open_transactions.get() if transaction.is_open]
