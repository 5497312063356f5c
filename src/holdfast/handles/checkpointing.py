"""Taking, listing and dropping checkpoints of one scope: what `s.checkpoint` and `hold.checkpoint` have in common.

A checkpoint is one commit, unless it keeps more than one should carry: then its parts come first, a few at a time, and
the last commit shows it. What a crash leaves of one that was begun, a sweep removes.
"""

from __future__ import annotations

from functools import partial

from holdfast.errors import Conflict
from holdfast.handles.fence import carry
from holdfast.handles.store import Store
from holdfast.handles.unit import ATTEMPTS, Alone, Target, explain, pause, refuse_inside
from holdfast.kernel.commit import Committed
from holdfast.kernel.limits import MIB
from holdfast.kernel.work import Work
from holdfast.model.checkpoint import CheckpointRecord
from holdfast.operations import checkpoint as operation
from holdfast.services import checkpoint
from holdfast.services.checkpoint import Gathered

CHUNK_BYTES = 4 * MIB
"""What one of several commits carries at most, so that others need not wait long behind it."""

CHUNK = 500
"""How many cells it writes at most."""

BESIDES = 8
"""Operations of a commit that are left for what it writes beside the parts of a checkpoint."""

UNFINISHED_US = 600_000_000
"""How long after its last commit what was begun counts as given up."""


async def take(store: Store, target: Target, *, user: str | None, label: str | None) -> CheckpointRecord:
    """Take a checkpoint of a scope and, of a session, of the state of its user, whose scope is that."""
    refuse_inside(store, target.scope)
    unit = Alone(store)
    if store.principal is not None:
        await unit.bind(target)
    await store.buffers.flush(target.scope, target.epoch)
    attempt = 0
    while True:
        taken = await _try(store, target, user=user, label=label)
        if isinstance(taken, CheckpointRecord):
            return taken
        attempt += 1
        if attempt == ATTEMPTS:
            raise taken
        await pause(store, attempt)


async def _try(store: Store, target: Target, *, user: str | None, label: str | None) -> CheckpointRecord | Conflict:
    scope, id = target.scope, store.ids.uuid7(store.now_us())
    work = _unit(store, target)
    standing = await checkpoint.look(work, scope, user)
    if target.epoch is None:
        target.epoch = standing.heads[0].epoch
    gather = partial(checkpoint.gather, work, scope, standing, id=id, label=label, user=user)
    try:
        gathered = await gather()
        if not fits(store, gathered):
            return await _in_pieces(store, target, await gather(whole=True), user)
    except Conflict as moving:
        return moving
    checkpoint.put(work, scope, gathered, standing)
    sent = await _sent(store, work)
    return sent if isinstance(sent, Conflict) else gathered.record


async def _sent(store: Store, work: Work) -> Committed | Conflict:
    carry(store, work)
    outcome = await work.commit()
    if isinstance(outcome, Committed):
        return outcome
    problem = explain(outcome)
    if isinstance(problem, Conflict):
        return problem
    raise problem


def fits(store: Store, gathered: Gathered) -> bool:
    """Whether one commit may carry all of it."""
    return len(gathered.parts) <= _most_parts(store)


def _most_parts(store: Store) -> int:
    traits = store.kernel.traits
    bytes_max = min(CHUNK_BYTES, traits.commit_bytes_max // 2)
    return max(1, min(CHUNK, traits.operations_max - BESIDES, bytes_max // (checkpoint.PART_BYTES + 2048)))


async def _in_pieces(store: Store, target: Target, gathered: Gathered, user: str | None) -> CheckpointRecord | Conflict:
    """Store one with everything that is too much for one commit: it rests on none, so only the last commit can find
    that others were taken meanwhile."""
    scope, record, most = target.scope, gathered.record, _most_parts(store)
    version, first = 0, 0
    while first + most < len(gathered.parts):
        work = _unit(store, target)
        checkpoint.begin(work, scope, record.id, since=version, due_us=work.now_us + UNFINISHED_US)
        checkpoint.put_parts(work, scope, record, gathered.parts[first : first + most], first)
        sent = await _sent(store, work)
        if isinstance(sent, Conflict):
            return sent
        version, first = sent.seqs[scope], first + most
    attempt = 0
    while True:
        work = _unit(store, target)
        standing = await checkpoint.look(work, scope, user)
        if first:
            checkpoint.finish(work, scope, record.id, since=version)
        checkpoint.put(work, scope, gathered, standing, parts_from=first)
        landed = await _sent(store, work)
        if isinstance(landed, Committed):
            return record
        attempt += 1
        if landed.facts.get("key") != checkpoint.LAST or attempt == ATTEMPTS:
            return landed
        await pause(store, attempt)


def _unit(store: Store, target: Target) -> Work:
    work = store.work(limits="kernel's")
    work.ask(target.scope, target.need, epoch=target.epoch)
    return work


async def drop(store: Store, target: Target, id: str) -> None:
    """Drop a checkpoint, and remove what nobody needs any more. Raises NotFound."""
    unit = Alone(store)
    keys, _ = await unit.change(target, lambda work: operation.drop(work, target.scope, id))
    await remove(store, target, keys)


async def remove(store: Store, target: Target, keys: list[str]) -> None:
    """Remove those cells, some at a time: what is shown to nobody, so a crash in between does no harm."""
    most = min(CHUNK, store.limits.operations_max)
    for first in range(0, len(keys), most):
        chunk = keys[first : first + most]
        await Alone(store).write(target, partial(_delete, scope=target.scope, keys=chunk))


def _delete(work: Work, *, scope: str, keys: list[str]) -> None:
    for key in keys:
        work.delete(scope, key)
