"""Restoring a checkpoint, again as long as others write meanwhile; who holds the scope is asked first."""

from __future__ import annotations

from holdfast.errors import Busy, Conflict, TooLarge
from holdfast.handles import checkpointing
from holdfast.handles.fence import carry, holds
from holdfast.handles.keeper import keeper_of
from holdfast.handles.store import Store
from holdfast.handles.unit import ATTEMPTS, Alone, Target, explain, pause, refuse_inside
from holdfast.kernel.commit import Committed, Range, Read
from holdfast.kernel.limits import PAGE_MAX
from holdfast.kernel.work import Work
from holdfast.model.checkpoint import BEFORE_RESTORE, CheckpointRecord
from holdfast.model.moment import to_datetime
from holdfast.operations import restore as operation
from holdfast.services import checkpoint, claim

PARTS_MAX = 8
"""So many parts of the checkpoint taken beforehand go with the restore; of a larger one a first is taken by itself, and
then there is little left."""


async def restore(
    store: Store, target: Target, id: str, *, user: str | None, includes_user: bool, force: bool
) -> CheckpointRecord:
    """Restore a checkpoint; returns the one that was taken beforehand."""
    refuse_inside(store, target.scope)
    if user is not None and includes_user:
        refuse_inside(store, user)
    await Alone(store).bind(target)
    await store.buffers.flush(target.scope, target.epoch)
    restoring = _Restoring(store, target, id, user, includes_user=includes_user, force=force)
    attempt = 0
    while True:
        try:
            before = await restoring.run()
        except Conflict:
            if attempt == ATTEMPTS:
                raise
        else:
            if before is not None:
                return before
        attempt += 1
        await pause(store, attempt)


class _Restoring:
    """One restore, tried as often as need be."""

    def __init__(
        self, store: Store, target: Target, id: str, user: str | None, *, includes_user: bool, force: bool
    ) -> None:
        self._store = store
        self._target = target
        self._id = id
        self._user = user
        self._includes_user = includes_user
        self._force = force

    async def run(self) -> CheckpointRecord | None:
        """Try it once; None: the checkpoint before is so large that it was taken by itself, and now there is less.

        Raises Conflict where somebody wrote meanwhile.
        """
        store, scope = self._store, self._target.scope
        work = store.work(limits="kernel's")
        work.ask(scope, "must_exist", epoch=self._target.epoch)
        record = await checkpoint.get(work, scope, self._id)
        standing = await checkpoint.look(work, scope, self._user)
        id = store.ids.uuid7(store.now_us())
        before = await checkpoint.gather(work, scope, standing, id=id, label=BEFORE_RESTORE, user=self._user)
        if len(before.parts) > PARTS_MAX:
            await checkpointing.take(store, self._target, user=self._user, label=BEFORE_RESTORE)
            return None
        for key in await self._to_fence(work):
            work.delete(scope, key)
        wanted = operation.Restore(
            record, store.ids.uuid7(store.now_us()), self._includes_user, store.config.runtime.streaming
        )
        await operation.stage(work, scope, wanted, before, standing)
        await self._commit(work)
        return before.record

    async def _commit(self, work: Work) -> None:
        carry(self._store, work)
        try:
            outcome = await work.commit()
        except TooLarge as problem:
            raise TooLarge(
                f"what differs from the checkpoint {self._id} is more than one commit of this store: {problem.args[0]}",
                remedy="Fork it instead, which takes as many commits as it needs: await s.fork(at=…).",
                **problem.facts,
            ) from problem
        if not isinstance(outcome, Committed):
            raise explain(outcome)

    async def _to_fence(self, work: Work) -> list[str]:
        """The claims that end with the restore: those of who is not heard of any more and, by force, of everybody.
        Raises Busy for one that lives."""
        store, scope = self._store, self._target.scope
        read = Read(scope, (claim.CELL,), (Range(claim.RUNS, PAGE_MAX),))
        view = (await work.peek([read]))[0]
        fenced = []
        for cell in (*view.cells.values(), *view.ranges[0]):
            if not claim.is_claim(cell.key) or holds(store, scope, cell=cell.key):
                continue  # held by this very task, whose commit carries the fence
            held = claim.decode(cell)
            if not self._force and not await keeper_of(store).is_dead(scope, cell, held):
                raise Busy(
                    f"{claim.named(scope, cell.key)} is held by {claim.whom(held)}",
                    remedy="Wait until it is done, or restore with force=True, which takes it away from who holds it.",
                    scope=scope,
                    worker=held.worker,
                    request=held.request,
                    since=to_datetime(held.at_us),
                )
            fenced.append(cell.key)
        return fenced
