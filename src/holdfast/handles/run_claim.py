"""Exclusive use of a run: `async with run.claim(worker="w1")`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from holdfast.errors import Closed
from holdfast.handles.claim import refuse_held
from holdfast.handles.fence import hold, holds, lease_lost, let_go
from holdfast.handles.lease import Lease, Taking, Terms
from holdfast.handles.measured import measured
from holdfast.handles.store import Store
from holdfast.handles.unit import Target
from holdfast.services import claim


@measured("run_claim", store="store", block=True)
class RunClaim:
    """A block in which one worker has a run to itself, in any process; renewed by itself.

    The run is refreshed where it begins: what an earlier worker had under way and did not finish is ready again. Every
    write of this task inside, by any handle, is refused with LeaseLost once the run was taken away, or the claim could
    not be renewed for its ttl. Raises Busy where it begins, NotFound if the run is gone, and LeaseLost where it ends if
    it was lost meanwhile.
    """

    def __init__(
        self, store: Store, target: Target, terms: Terms, run: str, *, took: Callable[[int], Awaitable[object]]
    ) -> None:
        self.store = store
        """What the handles share."""
        self.cell = claim.of_run(run)
        """The key of the claim in its scope."""
        self._target = target
        self._terms = terms
        self._took = took
        self._lease: Lease | None = None
        self._is_held = False

    @property
    def scope(self) -> str:
        """The scope the run stands in."""
        return self._target.scope

    @property
    def worker(self) -> str | None:
        """Who holds it, as was said."""
        return self._terms.worker

    @property
    def token(self) -> int:
        """The fencing token: greater with every claim of the run. For systems outside that can check one."""
        return self._current().token

    def check(self) -> None:
        """Raise LeaseLost if it is known to be lost; asks nobody."""
        self._current().check()

    def _current(self) -> Lease:
        if self._lease is None:
            raise Closed("use a claim as `async with run.claim(…) as claim`")
        return self._lease

    async def __aenter__(self) -> Self:
        if self._lease is not None:
            raise Closed("a claim is used once; make another")
        refuse_held(self.store, self.scope, cell=self.cell)
        await self._take()
        return self

    async def _take(self) -> None:
        lease, _ = await Taking(self.store, self._target, self._terms, cell=self.cell).run()
        assert lease is not None
        self._lease, self._is_held = lease, True
        if not holds(self.store, self.scope, cell=self.cell):
            hold(self)
        try:
            await self._took(lease.token)
        except BaseException:
            await self._give_back()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        why = await self._give_back()
        await self._took(0)
        if why is not None and error is None:
            raise lease_lost(self.scope, why, cell=self.cell)

    async def _give_back(self) -> str | None:
        """Why it was not held any more, if so."""
        let_go(self)
        was_held, self._is_held = self._is_held, False
        return await self._current().give_back() if was_held else None

    async def pause(self) -> None:
        """Give the run back for a while, inside the block: what this task writes meanwhile carries no fence, and that
        of other tasks in the block is refused. Raises LeaseLost if it was lost already."""
        self.check()
        why = await self._give_back()
        if why is not None:
            raise lease_lost(self.scope, why, cell=self.cell)
        await self._took(0)

    async def retake(self) -> None:
        """Take it again after a pause, on the same terms, as its block's beginning does."""
        if not self._is_held:
            await self._take()
