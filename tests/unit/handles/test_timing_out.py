"""Timing out: what becomes of a question that nobody answers in time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from holdfast import Holdfast, Session
from holdfast.errors import (
    InteractionExpired,
    NotAssignee,
)
from holdfast.handles.run import Run
from holdfast.model.node import NodeStatus
from holdfast.model.run import RunStatus
from holdfast.testing.clock import ManualClock, settle
from tests.unit.handles.trip import trip


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s", user="ada")


@pytest.fixture
async def run(s: Session) -> Run:
    return await trip(s)


@pytest.mark.parametrize(
    ("question", "decision", "value", "node", "status"),
    [
        ({}, "rejected", None, NodeStatus.READY, RunStatus.PENDING),
        ({"on_timeout": "approve"}, "approved", None, NodeStatus.READY, RunStatus.PENDING),
        ({"kind": "input", "default": 3}, "answered", 3, NodeStatus.READY, RunStatus.PENDING),
        ({"kind": "input"}, "failed", None, NodeStatus.FAILED, RunStatus.FAILED),
    ],
)
async def test_a_sweep_times_questions_out(
    hold: Holdfast, run: Run, clock: ManualClock, question: Any, decision: str, value: Any, node: Any, status: Any
) -> None:
    """By the clock, as was said; whoever waits gets what counts, and an answer is too late."""
    q = await run.ask("Pay?", node="pay", timeout="1h", **question)
    clock.advance(3599)
    assert (await hold.sweep()).timed_out == 0
    clock.advance(1)
    assert (await hold.sweep(dry_run=True)).timed_out == 1
    assert (await hold.sweep()).timed_out == 1
    answer = await q.wait()
    assert (answer.status, answer.decision, answer.value) == ("timed_out", decision, value)
    assert (run.nodes["pay"].status, run.status) == (node, status)
    with pytest.raises(InteractionExpired):
        await hold.interactions.answer(q.id, "approved" if q.kind == "approval" else "answered")


@pytest.mark.parametrize("how", ["completed", "skipped", "ready", "loop", "another round"])
async def test_what_no_node_asks_any_more_is_withdrawn_and_fails_nothing(
    s: Session, hold: Holdfast, clock: ManualClock, how: str
) -> None:
    """The node went on without the answer, by other means; nobody is asked for it any more."""
    run = await s.runs.start("w", nodes={"search": [], "pay": ["search"], "free": []})
    await run.progress("search", "completed")
    q = await run.ask("Which card?", kind="input", node="pay", timeout="1h", on_timeout="fail")
    moves = {"loop": ["completed", "ready"], "another round": []}.get(how, [how])
    for move in moves:
        await run.progress("pay", move)
    if how == "another round":
        await run.progress("search", "ready")
    assert ((await q.refresh()).status, run.interactions.pending_count) == ("cancelled", 0)
    clock.advance(3600)
    assert (await hold.sweep()).timed_out == 0
    assert (await run.refresh()).status == "running"


async def test_whoever_waits_fires_the_timeout_and_so_does_an_answer_that_is_late(
    hold: Holdfast, run: Run, clock: ManualClock
) -> None:
    """No sweeper is needed; and that an answer was late stays so, if the clock is set back."""
    q = await run.ask("Pay?", node="pay", timeout="1m")
    waiting = asyncio.ensure_future(q.wait())
    await settle()
    await clock.elapse(60)
    assert (await waiting).status == "timed_out"
    late = await run.ask("Pay now?", node="pay", timeout="1m")
    clock.advance(61)
    with pytest.raises(InteractionExpired):
        await hold.interactions.answer(late.id, "approved")
    clock.jump(-3600)
    with pytest.raises(InteractionExpired):
        await hold.interactions.answer(late.id, "approved")
    assert (await late.wait()).decision == "rejected"


async def test_a_clock_that_leaps_times_nothing_out_twice(hold: Holdfast, run: Run, clock: ManualClock) -> None:
    """Forward: at the next look. Back: not before its time."""
    q = await run.ask("Pay?", node="pay", timeout="1h")
    waiting = asyncio.ensure_future(q.wait())
    await settle()
    clock.jump(-7200)
    await clock.elapse(10)
    assert (await hold.sweep()).timed_out == 0
    assert not waiting.done()
    clock.jump(7200 + 3600)
    await clock.elapse(10)
    assert (await waiting).status == "timed_out"
    assert (await hold.sweep()).timed_out == 0


async def test_a_question_escalates_to_somebody_else_for_as_long_again(
    hold: Holdfast, run: Run, clock: ManualClock
) -> None:
    """It stays open; who had it may answer no more; after that it ends as its kind does."""
    q = await run.ask("Pay?", node="pay", timeout="1h", assignees=["bo"], on_timeout="escalate", escalate_to=["cy"])
    clock.advance(3600)
    await hold.sweep()
    [mine] = (await hold.interactions.pending(assignee="cy")).items
    assert (mine.id, mine.status, (await hold.interactions.pending(assignee="bo")).items) == (q.id, "pending", ())
    with pytest.raises(NotAssignee):
        await hold.interactions.answer(q.id, "approved", by="bo")
    clock.advance(3600)
    await hold.sweep()
    assert (await q.wait()).decision == "rejected"


async def test_whoever_a_question_escalates_to_answers_as_soon_as_it_is_theirs(
    hold: Holdfast, run: Run, clock: ManualClock
) -> None:
    """Also where nobody swept meanwhile: the commit that gives it to them takes their answer, and no other's."""
    q = await run.ask("Pay?", node="pay", timeout="1h", assignees=["bo"], on_timeout="escalate", escalate_to=["cy"])
    clock.advance(3600)
    with pytest.raises(NotAssignee):
        await hold.interactions.answer(q.id, "approved", by="bo")
    assert (await hold.interactions.answer(q.id, "approved", by="cy")).status == "answered"
    assert (await q.refresh()).assignees == ("cy",)
    clock.advance(7200)
    assert (await hold.sweep()).timed_out == 0
