"""Questions that are asked inside of the block of their own node."""

from __future__ import annotations

import asyncio

import pytest

from holdfast import Holdfast, Session
from holdfast.errors import InvalidTransition
from holdfast.handles.run import Run
from holdfast.model.node import NodeStatus
from holdfast.model.node_spec import NodeSpec, Retry
from tests.unit.handles.exclusive import apart, until
from tests.unit.stores import Stores


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s", user="ada")


@pytest.mark.parametrize("others", [[], ["free"]])
@pytest.mark.parametrize("when", ["after the block", "in the block"])
async def test_a_block_that_asked_and_did_not_wait_is_done_once_it_was_answered(
    hold: Holdfast, s: Session, others: list[str], when: str
) -> None:
    """Nothing of it is kept before, also where the answer came meanwhile unheard; then it is the same try."""
    run = await s.runs.start("w", id="r", nodes=["pay", *others])
    async with run.node("pay") as node:
        await node.state.set("paid", 900)
        q = await run.ask("Pay?", node="pay")
        if when == "in the block":
            await hold.interactions.answer(q.id, "approved")
        node.output = "unheard"
    await run.refresh()
    assert (run.nodes["pay"].output, await s.state.get("paid"), run.is_done) == (None, None, False)
    if when == "after the block":
        assert (run.nodes["pay"].status, q.status) == (NodeStatus.PAUSED, "pending")
        await hold.interactions.answer(q.id, "approved")
        await run.refresh()
    assert run.ready_nodes() == ["pay", *others]
    async with run.node("pay") as node:
        await node.state.set("paid", 900)
        answer = (await run.ask("Pay?", node="pay")).answer
        node.output = answer is not None and answer.decision
    pay = run.nodes["pay"]
    assert (pay.status, pay.output, pay.attempt, await s.state.get("paid")) == ("completed", "approved", 1, 900)


async def _pay(run: Run) -> None:
    async with run.node("pay") as node:
        answer = await run.ask_and_wait("Pay?", node="pay")
        node.output = answer.decision


@pytest.mark.parametrize("claims", [False, True])
async def test_a_node_that_waited_in_a_process_that_is_gone_is_entered_again(
    stores: Stores, hold: Holdfast, s: Session, *, claims: bool
) -> None:
    """It asks the same question, and waits on, as the same try; a node that was asked for before it began is not."""

    async def work(run: Run) -> None:
        if not claims:
            return await _pay(run)
        async with run.claim():
            await _pay(run)

    run = await s.runs.start("w", id="r", nodes=["pay", "gate"])
    gate = await run.ask("May it?", node="gate")
    lost = apart(work(run))
    await until(lambda: run.status == "paused")
    other = await (await stores.open()).runs.get("r")
    assert other is not None
    with pytest.raises(InvalidTransition, match=f"the node 'gate' waits for an answer to the question {gate.id}"):
        await other.progress("gate", "running")
    [_, asked], seen = other.interactions.pending, other.version
    going = apart(work(other))
    await until(lambda: other.version > seen and other.status == "paused")
    assert [q.id for q in (await other.refresh()).interactions.pending] == [gate.id, asked.id]
    assert (other.status, other.nodes["pay"].status) == ("paused", NodeStatus.PAUSED)
    lost.cancel()
    await asyncio.gather(lost, return_exceptions=True)
    await hold.interactions.answer(asked.id, "approved")
    await going
    pay = (await other.refresh()).nodes["pay"]
    assert (pay.status, pay.output, pay.attempt) == (NodeStatus.COMPLETED, "approved", 1)


async def test_a_try_that_waited_when_it_was_lost_and_asks_nothing_anew_waits_on(hold: Holdfast, s: Session) -> None:
    """No block completes a node whose question is open."""
    run = await s.runs.start("w", id="r", nodes=["pay"])
    await run.progress("pay", "running")
    q = await run.ask("Pay?", node="pay")
    other = await hold.runs.get("r")
    assert other is not None
    async with other.node("pay") as node:
        node.output = "paid"
    assert ((await q.refresh()).status, other.status, other.nodes["pay"].status) == ("pending", "paused", "paused")


async def test_an_exception_after_a_question_is_kept(s: Session) -> None:
    """The error and the try; a node with tries left waits on, one without them fails, and withdraws what it asked."""
    run = await s.runs.start("w", nodes={"pay": NodeSpec(retry=Retry(1, delay="1ms"))})
    for attempt, status, open in ((1, "paused", 1), (2, "failed", 0)):
        with pytest.raises(ValueError, match="no money"):
            async with run.node("pay"):
                await run.ask("Pay?", node="pay", key=str(attempt))
                raise ValueError("no money")
        pay = (await run.refresh()).nodes["pay"]
        assert (pay.status, pay.attempt, run.status, run.interactions.pending_count) == (status, attempt, status, open)
        assert pay.error == {"type": "ValueError", "message": "no money"}
        if open:
            await run.answer("approved")
