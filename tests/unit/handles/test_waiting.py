"""Waiting for an answer: from whichever process it comes, until the question ends."""

from __future__ import annotations

import asyncio
from contextvars import Context

import pytest

from holdfast import Holdfast, NotFound, Session
from holdfast.errors import Busy, InteractionCancelled, InvalidValue
from holdfast.handles.run import Run
from holdfast.model.node import NodeStatus
from holdfast.model.run import RunStatus
from holdfast.testing.clock import ManualClock, settle
from tests.unit.handles.exclusive import apart
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


async def _taken(run: Run) -> None:
    async with run.claim(worker="w2", busy="reject"):
        pass


async def test_asking_gives_the_run_back_and_waiting_takes_it_again(hold: Holdfast, s: Session) -> None:
    """Anybody may work on the run meanwhile; a node that asks inside its block is completed by it."""
    run = await s.runs.start("trip", id="r", nodes=["pay"])
    async with run.claim(worker="w1") as mine:
        before = mine.token
        async with run.node("pay") as node:
            q = await run.ask("Pay?", node="pay")
            await apart(_taken(await again(hold)))
            await hold.interactions.answer(q.id, "approved")
            node.output = (await q.wait()).decision
            assert mine.token > before
        assert (run.nodes["pay"].status, run.nodes["pay"].output) == (NodeStatus.COMPLETED, "approved")
        await run.complete()
    assert (await again(hold)).status is RunStatus.COMPLETED


async def test_the_run_is_given_back_by_the_commit_that_asks(stores: Stores, hold: Holdfast, s: Session) -> None:
    """There is no moment in which the question is there and the run held by who waits: a process that dies then leaves
    nothing that others have to wait for."""
    run = await s.runs.start("trip", id="r", nodes=["pay"])
    other = await stores.open()
    async with run.claim(worker="w1"):
        await run.progress("pay", "running")
        before = (await s.context()).version
        q = await run.ask("Pay?", node="pay")
        assert (await s.context()).version == before + 1
        async with (await again(other)).claim(worker="w2", busy="reject"):
            pass
        await other.interactions.answer(q.id, "approved")
        await q.wait()
        assert (await run.refresh()).ready_nodes() == ["pay"]
        with pytest.raises(Busy):
            async with (await again(other)).claim(worker="w2", busy="reject"):
                pass


async def test_a_question_that_was_refused_leaves_the_run_held(hold: Holdfast, s: Session) -> None:
    """Asked and given back, or neither."""
    run = await s.runs.start("trip", id="r", nodes=["pay"])
    async with run.claim(worker="w1"):
        await run.pause()
        with pytest.raises(InvalidValue):
            await run.ask("Pay?", node="pay", kind="choice")
        with pytest.raises(Busy):
            await asyncio.create_task(_take(await again(hold)), context=Context())
        await run.ask("Window seat?", kind="input", required=False)  # for which nobody waits
        with pytest.raises(Busy):
            await asyncio.create_task(_take(await again(hold)), context=Context())
        await run.ask("Pay?", node="pay")
        await asyncio.create_task(_take(await again(hold)), context=Context())


async def _take(run: Run) -> None:
    async with run.claim(worker="w2", busy="reject"):
        pass


async def test_a_question_without_a_timeout_keeps_no_session_from_expiring(hold: Holdfast, clock: ManualClock) -> None:
    """One that nobody answers would keep it for good; whoever waits is told."""
    s = await hold.sessions.create(ttl="1h")
    q = await (await s.runs.start("w")).ask("Pay?")
    waiting = asyncio.ensure_future(q.wait())
    await settle()
    await clock.elapse(3601)
    with pytest.raises(InteractionCancelled, match="session is gone"):
        await waiting
    assert (await hold.interactions.pending()).items == ()
    with pytest.raises(NotFound):
        await hold.interactions.answer(q.id, "approved")
