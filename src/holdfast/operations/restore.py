"""Restoring a checkpoint: one commit that makes a scope what it was, and takes a checkpoint of what it is.

    what is there        is read like a checkpoint that is taken now, which the commit stores
    what was there       is read from the checkpoint
    what differs         is written; each value is told to followers as any other write
    messages since       are hidden by an interval, and shown again by restoring the checkpoint taken beforehand
    questions since      are withdrawn; those that were answered stay so (`fate_of_question`)

The commit rests on the scope's head: whatever anybody else wrote since it was read, it is refused and made anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from holdfast.kernel.commit import ORDINAL_DIGITS, Cell, HeadAt, Range, Read, stamp
from holdfast.kernel.work import Work
from holdfast.model.checkpoint import (
    KEYS,
    CheckpointRecord,
    Stand,
    difference,
    fate_of_question,
    hidden_after,
    restored_session,
)
from holdfast.model.event import RESTORED, EventRecord
from holdfast.model.interaction import InteractionRecord
from holdfast.model.run import Asked
from holdfast.services import checkpoint, event, interaction, message, run, runtime, session, state, variable
from holdfast.services.checkpoint import Gathered, Kept, Standing

Questions = Mapping[str, Asked]
"""What there is of the questions of each run, by its id."""


class Restore(Struct, frozen=True):
    """What is to be restored: the checkpoint, with the user's state or without. `id` is that of the entry in the event
    log; `streaming`: whether runtime state is told to followers."""

    record: CheckpointRecord
    id: str
    user: bool
    streaming: bool


async def stage(work: Work, scope: str, wanted: Restore, before: Gathered, standing: Standing) -> None:
    """Stage the restore of a scope whose present state is `before`, which was gathered after that look.

    Raises Conflict where what was looked at has changed already, NotFound if the checkpoint was dropped.
    """
    record, at_us = wanted.record, work.now_us
    now = await checkpoint.shown(work, scope, before, standing)
    then = await checkpoint.contents(work, scope, record)
    work.require(scope, HeadAt(before.record.seq))
    checkpoint.put(work, scope, before, standing)
    withdrawn, questions = _settle_questions(work, scope, now.cells, then.cells)
    _write(work, scope, now.cells, then.cells, record, streaming=wanted.streaming, questions=questions)
    if wanted.user and record.user is not None and before.record.user is not None:
        user = record.user.scope
        work.ask(user, "create")
        work.require(user, HeadAt(before.record.user.seq))
        _write(work, user, now.user_cells, then.user_cells, record, streaming=wanted.streaming)
    if session.is_scope(scope):
        hidden = message.HIDDEN
        await _hide(work, scope, then.cells.get(hidden), now.cells.get(hidden), record, before.record)
        told: dict[str, Any] = {
            "checkpoint": record.id,
            "label": record.label,
            "version": record.seq,
            "before": before.record.id,
        }
        if withdrawn:
            told["withdrawn"] = withdrawn
        event.append(work, scope, EventRecord(wanted.id, RESTORED, at_us, told))
    checkpoint.note(work, scope, record, before=before.record.id)


def _write(
    work: Work,
    scope: str,
    now: Mapping[str, Kept],
    then: Mapping[str, Kept],
    record: CheckpointRecord,
    *,
    streaming: bool,
    questions: Questions | None = None,
) -> None:
    """Stage what differs; what expires has as long to live as it had then."""
    left = _left(then, record.at_us)
    present = _left(now, work.now_us)
    renewed = {key for key in left.keys() | present.keys() if left.get(key) != present.get(key)}
    wanted = difference(_values(now), _values(then), renewed=renewed)
    for key, value in wanted.puts.items():
        if key == session.CELL:
            _put_session(work, value, now[key].value or b"")
        elif key not in KEYS and not key.startswith(interaction.AREA):
            put_back(work, scope, key, value, ttl_us=left.get(key), streaming=streaming, questions=questions)
    for key in wanted.deletes:
        if key not in KEYS and not key.startswith(interaction.AREA):
            put_back(work, scope, key, None, streaming=streaming)


def put_back(
    work: Work,
    scope: str,
    key: str,
    raw: bytes | None,
    *,
    streaming: bool,
    ttl_us: int | None = None,
    questions: Questions | None = None,
) -> None:
    """Stage a cell as it was kept, or without a value that it is gone, and tell followers as of any other write."""
    area = key.partition("/")[0]
    if area in ("state", "temp"):
        state.put_back(work, scope, key, raw, ttl_us=ttl_us)
    elif area == "runtime":
        runtime.put_back(work, scope, key, raw, streaming=streaming)
    elif area in ("run", "graph", "node", "step"):
        run.put_back(work, scope, key, raw, questions=questions)
    elif area == "variable":
        variable.put_back(work, scope, key, raw)
    elif raw is None:
        work.delete(scope, key)
    else:
        work.put(scope, key, raw)


def _left(cells: Mapping[str, Kept], at_us: int) -> dict[str, int]:
    """How long what expires had to live at that time."""
    return {key: kept.expires_us - at_us for key, kept in cells.items() if kept.expires_us is not None}


def _values(cells: Mapping[str, Kept]) -> dict[str, bytes]:
    return {key: kept.value for key, kept in cells.items() if kept.value is not None}


def _put_session(work: Work, then: bytes, now: bytes) -> None:
    present = session.decode_raw(now)
    restored = restored_session(session.decode_raw(then), present, at_us=work.now_us)
    if restored != present:
        session.put(work, restored)


def _settle_questions(
    work: Work, scope: str, now: Mapping[str, Kept], then: Mapping[str, Kept]
) -> tuple[list[str], Questions]:
    """Stage what becomes of the questions; returns the ids of those that are withdrawn, and what there is then."""
    withdrawn: list[str] = []
    open: dict[str, set[str]] = {}
    closed: dict[str, list[InteractionRecord]] = {}
    for key in sorted([key for key in {**now, **then} if key.startswith(interaction.AREA)]):
        of, before, after = interaction.run_of(key), _stand(key, then), _stand(key, now)
        fate = fate_of_question(before, after, run_stays=run.key_of(of) in then)
        if fate == "put_back":
            interaction.put(work, scope, _question(key, then), seen=None)
        elif fate == "withdraw":
            record = _question(key, now)
            interaction.remove(work, scope, record)
            withdrawn.append(record.id)
        elif after == "open":
            open.setdefault(of, set()).add(_question(key, now).id)
        elif before == "open":
            closed.setdefault(of, []).append(_question(key, then))
    return withdrawn, {
        id: _asked(id, frozenset(open.get(id, ())), closed.get(id, ()), now, then)
        for id in [key.removeprefix(run.AREA) for key in then if key.startswith(run.AREA)]
    }


def _asked(
    id: str,
    open: frozenset[str],
    closed: Sequence[InteractionRecord],
    now: Mapping[str, Kept],
    then: Mapping[str, Kept],
) -> Asked:
    """What there is of the questions of a run: some are open, and some were then that are closed, or gone."""

    def is_free(question: InteractionRecord) -> bool:
        """Whether what waited for it waits for no other."""
        kept = None if question.node is None else then.get(run.node_key(id, question.node))
        return kept is None or kept.value is None or open.isdisjoint(run.decode_node(Cell("", kept.value, 0)).asks)

    present = now.get(run.key_of(id))
    count = 0 if present is None or present.value is None else run.decode_raw(present.value).asked
    return Asked(open, any(one.required and is_free(one) for one in closed), count)


def _question(key: str, cells: Mapping[str, Kept]) -> InteractionRecord:
    return interaction.decode(Cell(key, cells[key].value or b"", 0))


def _stand(key: str, cells: Mapping[str, Kept]) -> Stand:
    kept = cells.get(key)
    if kept is None or kept.value is None:
        return "absent"
    return "open" if _question(key, cells).is_pending else "closed"


async def _hide(
    work: Work, scope: str, then: Kept | None, now: Kept | None, record: CheckpointRecord, before: CheckpointRecord
) -> None:
    """Stage that messages are hidden which came after the checkpoint, if there are any, and only they are besides those
    that were hidden then."""
    since = Range(message.AREA, 1, message.AREA + stamp(record.seq, 10**ORDINAL_DIGITS - 1))
    came = bool((await work.peek([Read(scope, (), (since,))]))[0].ranges[0])
    was = message.hidden_of(None if then is None else then.value).now
    hidden = hidden_after(was, (record.seq, before.seq) if came else None)
    present = message.hidden_of(None if now is None else now.value)
    if hidden != present.now:
        message.hide(work, scope, present.changed(before.seq + 1, hidden))
