"""How a handle reads and writes: each call by itself (`Alone`), or all in one unit (`Together`).

`Target` is what a handle points at. It remembers the epoch it first saw of its scope, so that a handle kept over a
deletion never writes into what was made afterwards under the same name.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Protocol, TypeVar

from holdfast import errors
from holdfast.errors import HoldfastError, UseTransaction
from holdfast.handles.store import Store
from holdfast.kernel.commit import Committed, Conflict, Head, Need
from holdfast.kernel.work import Work

T = TypeVar("T")

ATTEMPTS = 100
"""How often a single method tries again when others keep writing what it depends on."""

PAUSE_S = 0.001
"""The longest pause before the second try; doubles up to PAUSE_MAX_S, and is jittered down to nothing."""

PAUSE_MAX_S = 0.064


class Target:
    """What a handle points at: a scope, whether writing may make it, and the epoch first seen of it."""

    __slots__ = ("epoch", "need", "scope")

    def __init__(self, scope: str, need: Need, epoch: int | None = None) -> None:
        self.scope = scope
        self.need: Need = need
        self.epoch = epoch


class Unit(Protocol):
    """How a handle reads and writes."""

    @property
    def store(self) -> Store:
        """What the handles share."""
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

    def __init__(self, store: Store) -> None:
        self.store = store

    async def read(self, target: Target, look: Callable[[Work], Awaitable[T]]) -> T:
        """See `Unit.read`. The unit is not committed: a single read is one cut already, and what takes several raises
        Conflict if they are not; then it looks again."""
        attempt = 0
        while True:
            work = self.store.work()
            part = work.part(target.scope, need=target.need, epoch=target.epoch)
            try:
                result = await look(work)
            except errors.Conflict as conflict:
                attempt = await self._once_more(attempt, conflict)
                continue
            if part.head is not None:
                observe(target, part.head, part.need)
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

    async def write(self, target: Target, stage: Callable[[Work], object]) -> int:
        """See `Unit.write`.

        A handle that never saw its scope takes it to be in its first life, and the write is sent once more where
        that proves wrong: so no write is blind to a deletion, and none needs a read.
        """
        refuse_inside(self.store, target.scope)
        known = epoch = target.epoch
        while True:
            work = self.store.work()
            work.part(target.scope, need=target.need, epoch=epoch or 0)
            stage(work)
            outcome = await work.commit()
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
        refuse_inside(self.store, target.scope)
        attempt = 0
        while True:
            work = self.store.work()
            part = work.part(target.scope, need=target.need, epoch=target.epoch)
            result = await stage(work)
            outcome = await work.commit()
            if isinstance(outcome, Committed):
                if target.epoch is None:
                    target.epoch = part.epoch
                return result, outcome.seqs.get(target.scope, 0)
            attempt += 1
            if outcome.what in ("need", "epoch") or attempt == ATTEMPTS:
                raise explain(outcome)
            await pause(self.store, attempt)


class Together:
    """Every call goes into one shared unit of work; whoever owns it commits it."""

    __slots__ = ("store", "work")

    def __init__(self, store: Store, work: Work) -> None:
        self.store = store
        self.work = work

    async def read(self, target: Target, look: Callable[[Work], Awaitable[T]]) -> T:
        """See `Unit.read`."""
        part = self.work.part(target.scope, need=target.need, epoch=target.epoch)
        result = await look(self.work)
        if part.head is not None:
            observe(target, part.head, part.need)
        return result

    async def write(self, target: Target, stage: Callable[[Work], object]) -> int:
        """See `Unit.write`."""
        self.touch(target)
        stage(self.work)
        return 0

    async def change(self, target: Target, stage: Callable[[Work], Awaitable[T]]) -> tuple[T, int]:
        """See `Unit.change`. Never repeated: the transaction as a whole is what may be run again."""
        self.touch(target)
        return await stage(self.work), 0

    def touch(self, target: Target) -> None:
        """Make the target part of the unit, to be written. Raises UseTransaction if it is part of another one."""
        refuse_inside(self.store, target.scope, but=self.work)
        self.work.part(target.scope, need=target.need, epoch=target.epoch)


def observe(target: Target, head: Head, need: Need) -> None:
    """Judge what a read found of the target's scope.

    Raises NotFound if it must exist, or existed, and does not; AlreadyExists if it is yet to be made.
    """
    if need == "must_exist" and not head.live:
        raise missing(target.scope)
    if need == "must_not_exist" and head.live:
        raise errors.AlreadyExists(f"{target.scope} exists already", scope=target.scope)
    if target.epoch is None:
        target.epoch = head.epoch
    elif target.epoch != head.epoch:
        raise missing(target.scope)


def missing(scope: str) -> errors.NotFound:
    """The error that says that a scope is not there, or no longer the one it was."""
    return errors.NotFound(f"{scope} does not exist, or was deleted since this handle was made", scope=scope)


def explain(conflict: Conflict) -> HoldfastError:
    """The error that a refused commit means to a caller."""
    scope = conflict.scope
    if conflict.what == "need" and conflict.expected == "must_not_exist":
        return errors.AlreadyExists(f"{scope} exists already", scope=scope)
    if conflict.what in ("need", "epoch"):
        return missing(scope)
    about = f" ({conflict.key})" if conflict.key else ""
    return errors.Conflict(
        f"{scope}{about} was written by somebody else",
        scope=scope,
        what=conflict.what,
        key=conflict.key,
        expected=conflict.expected,
        found=conflict.found,
    )


async def pause(store: Store, attempt: int) -> None:
    """Wait a random while before trying again, longer each time, so that rivals spread out."""
    longest = min(PAUSE_S * 2.0 ** min(attempt - 1, 16), PAUSE_MAX_S)
    await store.clock.sleep(longest * store.ids.random())


# --- transactions of the current task -------------------------------------------------------------


class Covering(Protocol):
    """A transaction, as far as this module needs to know it."""

    def covers(self, store: Store, scope: str, *, but: Work | None) -> bool:
        """Whether it is open on that store, has touched that scope, and is not the one with that unit."""
        ...


open_transactions: ContextVar[tuple[Covering, ...]] = ContextVar("holdfast_transactions", default=())


def refuse_inside(store: Store, scope: str, *, but: Work | None = None) -> None:
    """Raise UseTransaction if this task is inside a transaction on that scope, other than the one with that unit."""
    for transaction in open_transactions.get():
        if transaction.covers(store, scope, but=but):
            raise UseTransaction(
                f"{scope} is part of the transaction this task is in, and was written past it", scope=scope
            )
