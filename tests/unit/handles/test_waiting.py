"""Waiting for an answer: from whichever process it comes, until the question ends."""

from __future__ import annotations

import asyncio

import pytest

from holdfast import Holdfast, Session
from holdfast.errors import (
    InteractionCancelled,
)
from holdfast.handles.run import Run
from holdfast.model.node import NodeStatus
from holdfast.model.run import RunStatus
from holdfast.testing.clock import ManualClock, settle
from tests.unit.handles.trip import again, trip
from tests.unit.stores import Stores


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s", user="ada")


@pytest.fixture
async def run(s: Session) -> Run:
    return await trip(s)


async def test_whoever_waits_gets_the_answer_from_another_process(stores: Stores, hold: Holdfast, run: Run) -> None:
    """And again after a restart; the run is as the answer left it."""
    q = await run.ask("Pay?", node="pay")
    waiting = asyncio.ensure_future(q.wait())
    await settle()
    other = await stores.open()
    answer = await other.interactions.answer(q.id, "approved", by="bo")
    assert await waiting == answer
    assert run.ready_nodes() == ["pay"]
    assert await (await (await again(other)).ask("Pay?", node="pay")).wait() == answer


async def test_waiting_ends_when_the_question_does(hold: Holdfast, s: Session, run: Run, clock: ManualClock) -> None:
    """Cancelled, its run ended, or its session deleted; or after as long as was said, and then it is open still."""
    q = await run.ask("Pay?", node="pay")
    waiting = asyncio.ensure_future(q.wait(timeout="1s"))
    await settle()
    await clock.elapse(2)
    with pytest.raises(TimeoutError):
        await waiting
    waiting = asyncio.ensure_future(q.wait())
    await settle()
    await hold.interactions.cancel(q.id)
    with pytest.raises(InteractionCancelled):
        await waiting
    with pytest.raises(InteractionCancelled):
        await hold.interactions.answer(q.id, "approved")
    second = await run.ask("Pay 2?", node="pay")
    await run.cancel()
    with pytest.raises(InteractionCancelled):
        await second.wait()
    third = await (await s.runs.start("w")).ask("Go on?")
    waiting = asyncio.ensure_future(third.wait())
    await settle()
    await hold.sessions.delete("s")
    with pytest.raises(InteractionCancelled, match="session is gone"):
        await waiting


async def test_asking_gives_the_run_back_and_waiting_takes_it_again(hold: Holdfast, s: Session) -> None:
    """Anybody may work on the run meanwhile; a node that asks inside its block is completed by it."""
    run = await s.runs.start("trip", id="r", nodes=["pay"])
    async with run.claim(worker="w1") as mine:
        before = mine.token
        async with run.node("pay") as node:
            q = await run.ask("Pay?", node="pay")
            async with (await again(hold)).claim(worker="w2", busy="reject"):
                pass
            await hold.interactions.answer(q.id, "approved")
            node.output = (await q.wait()).decision
            assert mine.token > before
        assert (run.nodes["pay"].status, run.nodes["pay"].output) == (NodeStatus.COMPLETED, "approved")
        await run.complete()
    assert (await again(hold)).status is RunStatus.COMPLETED
