"""Fences: what every write of a task carries while it holds a session.

Held leases stand in a context variable, so that every handle used inside carries them, wherever it was made, and so do
the tasks that are started inside. A lease that was given back fences nothing more: who still writes by it is told.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Protocol

from holdfast.errors import LeaseLost, NotFound
from holdfast.handles.store import Store
from holdfast.kernel.commit import Cell, Conflict
from holdfast.kernel.keys import bucket
from holdfast.kernel.work import Work
from holdfast.services import claim


class Held(Protocol):
    """A lease, as far as a write needs to know it."""

    @property
    def store(self) -> Store:
        """Where it is held."""
        ...

    @property
    def scope(self) -> str:
        """The scope whose cell says so."""
        ...

    @property
    def cell(self) -> str:
        """The key of that cell."""
        ...

    @property
    def token(self) -> int:
        """The version of that cell. 0: it was given back for a while, inside of its block, and what is written
        meanwhile is on the condition that nobody else has taken it."""
        ...

    def check(self) -> None:
        """Raise LeaseLost where it is known to be over."""
        ...


held: ContextVar[tuple[Held, ...]] = ContextVar("holdfast_held", default=())


def carry(store: Store, work: Work) -> None:
    """Let the commit of this unit fail if a session that this task holds was taken away. Raises LeaseLost at once where
    that is known.

    Where the backend cannot commit what the unit touches together with the session, only that is asked.
    """
    for lease in held.get():
        if lease.store.writer is store.writer:  # a principal has a store of its own
            token = lease.token
            if token:
                lease.check()
            if _spans(store, work, lease.scope):
                try:
                    if token:
                        claim.fence(work, lease.scope, token, cell=lease.cell)
                    else:
                        claim.free(work, lease.scope, cell=lease.cell)
                except NotFound:  # this very unit ends the session
                    continue


def hold(lease: Held) -> None:
    """Let this task, and those it starts, hold it."""
    held.set((*held.get(), lease))


def let_go(lease: Held) -> None:
    """Let this task hold it no more."""
    held.set(tuple([other for other in held.get() if other is not lease]))


def holds(store: Store, scope: str, *, cell: str = claim.CELL) -> bool:
    """Whether this task holds that session, or the run whose claim is that cell."""
    return any(
        lease.store.writer is store.writer and lease.scope == scope and lease.cell == cell for lease in held.get()
    )


def token_of(store: Store, scope: str, cell: str) -> int:
    """The token by which this task holds the run whose claim is that cell; 0 if it does not."""
    for lease in held.get():
        if lease.store.writer is store.writer and lease.scope == scope and lease.cell == cell:
            return lease.token
    return 0


def is_fenced(store: Store) -> bool:
    """Whether this task holds any session of that store, so that what it writes carries a fence."""
    return any(lease.store.writer is store.writer for lease in held.get())


def lost(conflict: Conflict) -> LeaseLost | None:
    """The error if that is what a refused commit means."""
    why = why_lost(conflict)
    return None if why is None else lease_lost(conflict.scope, why, cell=conflict.key or claim.CELL)


def why_lost(conflict: Conflict) -> str | None:
    """Why a session is not held any more, as far as the refused commit tells; None if it was not refused for that."""
    if conflict.key is None or not claim.is_claim(conflict.key) or conflict.what not in ("unchanged", "absent"):
        return None
    if not isinstance(conflict.found, Cell):
        return "it was given back, or taken by somebody who has given it back since"
    record = claim.decode(conflict.found)
    return f"it was {'superseded' if record.supersedes else 'taken'} by {claim.whom(record)}"


def lease_lost(scope: str, why: str, *, cell: str = claim.CELL) -> LeaseLost:
    """The error that says that a session, or the run whose claim is that cell, is not held any more."""
    return LeaseLost(f"{claim.named(scope, cell)} is not held here any more: {why}", scope=scope)


def _spans(store: Store, work: Work, scope: str) -> bool:
    if store.limits.span == "store":
        return True
    return all(bucket(touched) == bucket(scope) for touched in work.touched)
