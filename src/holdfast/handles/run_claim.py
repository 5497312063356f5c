"""Exclusive use of a run: `async with run.claim(worker="w1")`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from holdfast.errors import Closed
from holdfast.handles.claim import refuse_held
from holdfast.handles.fence import held, hold, holds, lease_lost, let_go
from holdfast.handles.lease import Lease, Taking, Terms
from holdfast.handles.measured import measured
from holdfast.handles.store import Store
from holdfast.handles.unit import Target
from holdfast.kernel.work import Work
from holdfast.services import claim


class _Holding:
    """That a run is held, as what is written inside has to know it: the same through pauses, for every task inside."""

    def __init__(self, owner: RunClaim, store: Store, scope: str, cell: str) -> None:
        self.owner = owner
        self.store = store
        self.scope = scope
        self.cell = cell
        self.lease: Lease | None = None
        self.is_held = False
        self.is_over = False

    @property
    def rests(self) -> bool:
        """Whether it was given back for a while, inside of its block."""
        return self.lease is not None and not self.is_held and not self.is_over

    def current(self) -> Lease:
        if self.lease is None:
            raise Closed("use a claim as `async with run.claim(…) as claim`")
        return self.lease

    @property
    def token(self) -> int:
        return 0 if self.rests else self.current().token

    def check(self) -> None:
        self.current().check()


@measured("run_claim", store="_store", block=True)
class RunClaim:
    """A block in which one worker has a run to itself, in any process; renewed by itself.

    The run is refreshed where it begins: what an earlier worker had under way and did not finish is ready again. Every
    write of this task inside, by any handle, is refused with LeaseLost once the run was taken away, or the claim could
    not be renewed for its ttl. Raises Busy where it begins, NotFound if the run is gone, InvalidTransition if its
    session has ended, and LeaseLost where it ends if it was lost meanwhile.
    """

    def __init__(
        self, store: Store, target: Target, terms: Terms, run: str, *, took: Callable[[int], Awaitable[object]]
    ) -> None:
        self._store = store
        self._target = target
        self._terms = terms
        self._holding = _Holding(self, store, target.scope, claim.of_run(run))
        self._took = took
        self._retaking = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<RunClaim of run {claim.run_of(self._holding.cell)!r} worker={self._terms.worker!r}>"

    @property
    def worker(self) -> str | None:
        """Who holds it, as was said."""
        return self._terms.worker

    @property
    def token(self) -> int:
        """The fencing token: greater with every claim of the run. For systems outside that can check one."""
        return self._holding.current().token

    def check(self) -> None:
        """Raise LeaseLost if it is known to be lost; asks nobody."""
        self._holding.check()

    async def __aenter__(self) -> Self:
        holding = self._holding
        if holding.lease is not None:
            raise Closed("a claim is used once; make another")
        refuse_held(self._store, holding.scope, cell=holding.cell)
        try:
            await self._take()
        except BaseException:
            let_go(holding)
            holding.is_over = True
            raise
        return self

    async def _take(self) -> None:
        holding = self._holding
        lease, _ = await Taking(self._store, self._target, self._terms, cell=holding.cell).run()
        assert lease is not None
        holding.lease, holding.is_held = lease, True
        if not holds(self._store, holding.scope, cell=holding.cell):
            hold(holding)
        try:
            await self._took(lease.token)
        except BaseException:
            await self._release()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        why = await self._give_back()
        await self._took(0)
        if why is not None and error is None:
            raise lease_lost(self._holding.scope, why, cell=self._holding.cell)

    async def _give_back(self) -> str | None:
        """End it; why it was not held any more, if so."""
        let_go(self._holding)
        self._holding.is_over = True
        return await self._release()

    async def _release(self) -> str | None:
        was_held, self._holding.is_held = self._holding.is_held, False
        return await self._holding.current().give_back() if was_held else None

    def _stage_pause(self, work: Work) -> None:
        """Stage that the run is given back for a while, inside the block, in a commit of this task: with all else it
        says, or not at all. `_paused` once that is made. Raises LeaseLost if it was lost already."""
        self.check()
        claim.give_back(work, self._holding.scope, cell=self._holding.cell)

    async def _paused(self) -> None:
        """Take note that it was given back by such a commit."""
        self._holding.is_held = False
        self._holding.current().end()
        await self._took(0)

    async def _retake(self) -> None:
        """Take it again after a pause, on the same terms, as its block's beginning does."""
        async with self._retaking:
            if self._holding.rests:
                await self._take()

    @property
    def rests(self) -> bool:
        """Whether it was given back for a while."""
        return self._holding.rests


def claim_of(store: Store, scope: str, cell: str) -> RunClaim | None:
    """The claim by which this task holds the run of that cell; None if it does not."""
    for one in held.get():
        if isinstance(one, _Holding) and one.store.writer is store.writer and (one.scope, one.cell) == (scope, cell):
            return one.owner
    return None
