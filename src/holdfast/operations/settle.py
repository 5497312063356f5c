"""Settling a question: what it becomes, what that makes of its node and its run, and the entry in the event log, in one
commit.

    answered, timed out, cancelled     the node may go on, once none of its questions is open
    "skip", "fail", failed in time     the node is skipped or failed for good, and with it the run unless it is optional
    the run waited for answers         it is pending: whoever takes it up goes on with what is answered
    no node asks it any more           nothing: the node went on without it, or is in another round
    else                               the run's record is written all the same, for whoever judged by the open question
    the run fails by it                its other questions are withdrawn, as many as there is room for: with more it
                                       lingers, and whoever settled goes on with that

A question of a run that has ended counts as withdrawn, and is written so where that is not refused. So it is where its
session has ended; but in one that has timed out, and may go on, nothing is written, and times are over as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Raw, Struct
from msgspec.structs import replace

from holdfast.kernel import codec
from holdfast.kernel.commit import Range
from holdfast.kernel.work import Work
from holdfast.model.interaction import InteractionRecord, InteractionStatus
from holdfast.model.node import NodeRecord, NodeStatus
from holdfast.model.run import RunRecord, RunStatus
from holdfast.services import event, interaction, run

BYTES_MAX = 128 * 1024
"""So many bytes of other questions are looked at to be withdrawn along with one."""


class Settled(Struct, frozen=True):
    """A question as it is now, whether that was made by this very unit, and whether its run lingers since."""

    record: InteractionRecord
    is_new: bool
    lingers: bool = False


async def settle(
    work: Work,
    scope: str,
    key: str,
    judge: Callable[[InteractionRecord], InteractionRecord],
    *,
    new_id: Callable[[], str],
    few: int,
    node: str | None = None,
    by_time: bool = False,
) -> Settled:
    """Let `judge` make of a question what it becomes, and stage that with all that follows.

    What it returns unchanged stays as it is. `new_id` makes ids of entries in the event log; up to `few` others are
    withdrawn with a run that fails; the `node` that waits, where it is known, saves a read; `by_time`: what is judged
    is whether its time is over. Raises NotFound, and what `judge` raises.
    """
    asking = interaction.run_of(key)
    nodes = () if node is None else (run.node_key(asking, node),)
    cells = await work.get_many(scope, (key, *run.end_keys(asking), *nodes))  # all in one read
    stored, _ = await interaction.read(work, scope, key)
    before = stored.met(run.ended_us(cells, asking, for_good=by_time))
    after = judge(before)
    rests = after is before and run.ended_us(cells, asking, for_good=True) is None
    if after is stored or rests:
        return Settled(before, is_new=False)
    interaction.put(work, scope, after, seen=None)
    lingers = False
    if after is not before and not after.is_pending and after.required:
        lingers = await _move_on(work, scope, after, new_id=new_id, few=few)
    event.note_question(work, scope, after, id=new_id(), step=_step(before, after))
    return Settled(after, after is not before, lingers)


def _step(before: InteractionRecord, after: InteractionRecord) -> str:
    if not after.is_pending:
        return after.status.value
    return "escalated" if before.on_timeout != after.on_timeout else "reassigned"


async def _move_on(work: Work, scope: str, record: InteractionRecord, *, new_id: Callable[[], str], few: int) -> bool:
    """Stage what a question that is closed makes of its node and its run; whether the run lingers then."""
    cell = await work.get(scope, run.key_of(record.run))
    if cell is None or not (whole := run.decode(cell)).status.is_open or whole.leaving:
        return False
    freed, node = True, None
    if record.node is not None:
        cell = await work.get(scope, run.node_key(record.run, record.node))
        if cell is None or record.id not in (node := run.decode_node(cell)).asks:
            return False
        after_node = freed_by(node, record, at_us=work.now_us)
        run.put_node(work, scope, record.run, record.node, after_node, seen=None)
        freed = after_node.status is not NodeStatus.PAUSED
    if record.lets == "fail" and not record.optional:
        error = {"node": record.node, "error": _failure(node, record)}
        after = whole.moved(RunStatus.FAILED, at_us=work.now_us, error=codec.encode(error))
        after = await _withdraw_others(work, scope, after, but=record.id, new_id=new_id, few=few)
    elif freed and whole.waits:
        after = whole.moved(RunStatus.PENDING, at_us=work.now_us)
    else:  # what others judged by is no more, as in `Run.progress`: that nothing but an answer lets it go on, say
        after = replace(whole, updated_us=work.now_us)
    run.put(work, scope, after)
    return after.lingers


def freed_by(before: NodeRecord, record: InteractionRecord, *, at_us: int) -> NodeRecord:
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


def _failure(node: NodeRecord | None, record: InteractionRecord) -> Mapping[str, Any]:
    """Why a run fails by an answer: where that decides about a failure, that failure, and who decided."""
    if node is None or not record.decides or record.given is None:
        return _why(record)
    error = codec.decode(bytes(node.error))
    told = error if isinstance(error, Mapping) else {"message": error}
    decided = {"interaction": record.id, "by": record.given.by, "status": record.status.value}
    return {**told, "decided": decided}


def _why(record: InteractionRecord) -> Mapping[str, str]:
    if record.status is InteractionStatus.TIMED_OUT:
        message = f"nobody answered in time: {record.question.prompt}"
        return {"type": "InteractionExpired", "message": message}
    return {"type": "Rejected", "message": record.question.prompt}


async def _withdraw_others(
    work: Work, scope: str, ended: RunRecord, *, but: str, new_id: Callable[[], str], few: int
) -> RunRecord:
    """Stage that up to so many of the other open questions of a run are withdrawn, since it ends; returns its record,
    which lingers if there may be more."""
    cells, goes_on = await work.page(scope, Range(interaction.prefix_of(ended.id), few, bytes_max=BYTES_MAX))
    for cell in cells:
        other = interaction.decode(cell)
        if other.is_pending and other.id != but:
            withdrawn = other.cancelled(work.now_us)
            interaction.put(work, scope, withdrawn, seen=None)
            event.note_question(work, scope, withdrawn, id=new_id(), step=withdrawn.status.value)
    return replace(ended, lingers=goes_on)
