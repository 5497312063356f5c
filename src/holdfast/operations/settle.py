"""Settling a question: what it becomes, what that makes of its node and its run, and the entry in the event log, in one
commit.

    answered, timed out, cancelled     the node may go on, once none of its questions is open
    "skip", "fail", failed in time     the node is skipped or failed for good, and with it the run unless it is optional
    the run waited for answers         it is pending: whoever takes it up goes on with what is answered
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Raw, Struct
from msgspec.structs import replace

from holdfast.kernel import codec
from holdfast.kernel.work import Work
from holdfast.model.event import INTERACTION, EventRecord
from holdfast.model.interaction import InteractionRecord, InteractionStatus
from holdfast.model.node import NodeRecord, NodeStatus
from holdfast.model.run import RunRecord, RunStatus
from holdfast.services import event, interaction, run, session


class Settled(Struct, frozen=True):
    """A question as it is now, and whether that was made by this very unit."""

    record: InteractionRecord
    is_new: bool


async def settle(
    work: Work,
    scope: str,
    key: str,
    judge: Callable[[InteractionRecord], InteractionRecord],
    *,
    id: str,
    node: str | None = None,
) -> Settled:
    """Let `judge` make of a question what it becomes, and stage that with all that follows.

    What it returns unchanged stays as it is. `id` is that of the entry in the event log; the `node` that waits, where
    it is known, saves a read. Raises NotFound, and what `judge` raises.
    """
    asking = interaction.run_of(key)
    nodes = () if node is None else (run.node_key(asking, node),)
    await work.get_many(scope, (key, run.key_of(asking), *nodes))  # all in one read
    before, _ = await interaction.read(work, scope, key)
    after = judge(before)
    if after is before:
        return Settled(before, is_new=False)
    interaction.put(work, scope, after, seen=None)
    if not after.is_pending and after.required:
        await _move_on(work, scope, after)
    note(work, scope, after, id=id, step=_step(before, after))
    return Settled(after, is_new=True)


def _step(before: InteractionRecord, after: InteractionRecord) -> str:
    if not after.is_pending:
        return after.status.value
    return "escalated" if before.on_timeout != after.on_timeout else "reassigned"


def note(work: Work, scope: str, record: InteractionRecord, *, id: str, step: str) -> None:
    """Stage the entry in a session's event log that tells what was done about a question."""
    if not session.is_scope(scope):
        return
    told: dict[str, Any] = {"interaction": record.id, "step": step, "run": record.run, "kind": record.question.kind}
    if record.node is not None:
        told["node"] = record.node
    if record.given is not None and not record.is_pending:
        told["decision"] = record.given.decision
        if record.given.by is not None:
            told["by"] = record.given.by
    event.append(work, scope, EventRecord(id, INTERACTION, work.now_us, told))


async def _move_on(work: Work, scope: str, record: InteractionRecord) -> None:
    cell = await work.get(scope, run.key_of(record.run))
    if cell is None or not (whole := run.decode(cell)).status.is_open or whole.leaving:
        return
    freed = True
    if record.node is not None:
        freed = await _free(work, scope, record, record.node)
    if record.lets == "fail" and not record.optional:
        error = {"node": record.node, "error": _why(record)}
        after = whole.moved(RunStatus.FAILED, at_us=work.now_us, error=codec.encode(error))
        await cancel_others(work, scope, after, but=record.id)
    elif freed and whole.waits:
        after = whole.moved(RunStatus.PENDING, at_us=work.now_us)
    elif record.lets in ("skip", "fail"):  # what others judged by is no more, as in `Run.progress`
        after = replace(whole, updated_us=work.now_us)
    else:
        return
    run.put(work, scope, after)


async def _free(work: Work, scope: str, record: InteractionRecord, node: str) -> bool:
    """Stage what an answer makes of the node that waits for it; whether it waits for no other."""
    cell = await work.get(scope, run.node_key(record.run, node))
    if cell is None:
        return True
    before = run.decode_node(cell)
    if record.id not in before.asks:
        return False
    after = freed(before, record, at_us=work.now_us)
    run.put_node(work, scope, record.run, node, after, seen=None)
    return after.status is not NodeStatus.PAUSED


def freed(before: NodeRecord, record: InteractionRecord, *, at_us: int) -> NodeRecord:
    """What an answer makes of the node that waits for it."""
    asks = tuple([id for id in before.asks if id != record.id])
    if record.lets == "fail":
        error = before.error if record.decides else Raw(codec.encode(_why(record)))
        return replace(before, status=NodeStatus.FAILED, asks=(), next_us=None, ended_us=at_us, error=error)
    if record.lets == "skip":
        return replace(before, status=NodeStatus.SKIPPED, asks=(), next_us=None, ended_us=at_us)
    if record.lets == "retry":
        return replace(before, status=NodeStatus.READY, asks=(), attempt=0)
    if before.status is NodeStatus.PAUSED and not asks:
        return replace(before, status=NodeStatus.READY, asks=())
    return replace(before, asks=asks)


def _why(record: InteractionRecord) -> Mapping[str, str]:
    if record.status is InteractionStatus.TIMED_OUT:
        message = f"nobody answered in time: {record.question.prompt}"
        return {"type": "InteractionExpired", "message": message}
    return {"type": "Rejected", "message": record.question.prompt}


async def cancel_others(work: Work, scope: str, ended: RunRecord, *, but: str) -> None:
    """Stage that the other open questions of a run are withdrawn, since it ends."""
    for cell in await work.range(scope, interaction.all_of(ended.id)):
        other = interaction.decode(cell)
        if other.is_pending and other.id != but:
            interaction.put(work, scope, other.cancelled(work.now_us), seen=None)
