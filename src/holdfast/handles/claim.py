"""Exclusive use of a session without a turn: `async with s.claim(worker="w1")`."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from holdfast.errors import Busy, Closed
from holdfast.handles.fence import hold, holds, lease_lost, let_go
from holdfast.handles.lease import Lease, Taking, Terms
from holdfast.handles.measured import measured
from holdfast.handles.store import Store
from holdfast.handles.unit import Target
from holdfast.services import claim


@measured("claim", store="_store", block=True)
class Claim:
    """A block in which one worker has a session to itself, in any process; renewed by itself.

    Every write of this task inside, by any handle, is refused with LeaseLost once the session was taken away, or the
    claim could not be renewed for its ttl. What others write without a claim or turn is not held off. Raises Busy and
    NotFound where it begins, LeaseLost where it ends if it was lost meanwhile.
    """

    def __init__(self, store: Store, target: Target, terms: Terms) -> None:
        self._store = store
        self._target = target
        self._terms = terms
        self._lease: Lease | None = None

    def __repr__(self) -> str:
        return f"<Claim of {self._target.scope} worker={self._terms.worker!r}>"

    @property
    def worker(self) -> str | None:
        """Who holds it, as was said."""
        return self._terms.worker

    @property
    def token(self) -> int:
        """The fencing token: greater with every claim of the session. For systems outside that can check one."""
        return self._current().token

    def check(self) -> None:
        """Raise LeaseLost if it is known to be lost; asks nobody."""
        self._current().check()

    def _current(self) -> Lease:
        if self._lease is None:
            raise Closed("use a claim as `async with s.claim(…) as claim`")
        return self._lease

    async def __aenter__(self) -> Self:
        if self._lease is not None:
            raise Closed("a claim is used once; make another")
        refuse_held(self._store, self._target.scope)
        self._lease, _ = await Taking(self._store, self._target, self._terms).run()
        assert self._lease is not None
        hold(self._lease)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        lease = self._current()
        let_go(lease)
        why = await lease.give_back()
        if why is not None and error is None:
            raise lease_lost(lease.scope, why)


def refuse_held(store: Store, scope: str, *, cell: str = claim.CELL) -> None:
    """Raise Busy if this very task holds the session, or the run whose claim is that cell: it would wait for itself."""
    if holds(store, scope, cell=cell):
        remedy = "Take it once: leave the claim or turn this task is in, or work in that."
        raise held_here(scope, "claim or turn", remedy=remedy, what=claim.named(scope, cell))


def held_here(scope: str, by: str, *, remedy: str, what: str | None = None) -> Busy:
    """The error that says that this very task has the session: no retry helps inside."""
    message = f"{what or scope} is held already by the {by} that this task is in"
    return Busy(message, remedy=remedy, retryable=False, scope=scope, worker=None, request=None, since=None)
