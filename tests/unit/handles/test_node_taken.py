"""A try of a node that somebody else has taken up meanwhile: its worker is told, and says nothing more of the node.

A worker that waits for an answer gives the run back, and any other may carry on with it; so may one where nobody
claimed it.
"""

import asyncio
from contextlib import nullcontext

import pytest

from holdfast import Holdfast, Session
from holdfast.errors import Busy, InteractionCancelled, LeaseLost, NotFound
from holdfast.handles.interaction import Interaction
from holdfast.handles.run import Run
from holdfast.model.node import NodeStatus
from tests.unit.stores import Stores


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s", user="ada")


@pytest.fixture
async def run(s: Session) -> Run:
    return await s.runs.start("trip", id="r", nodes={"pay": [], "ship": ["pay"]})


async def elsewhere(stores: Stores) -> Run:
    """The run, in another process."""
    found = await (await stores.open()).runs.get("r")
    assert found is not None
    return found


def told(run: Run) -> list[tuple[NodeStatus, int, object]]:
    return [(node.status, node.round, node.output) for node in run.nodes.values()]


async def does(run: Run, *nodes: str) -> None:
    """Do these nodes, as another worker."""
    await run.refresh()
    async with run.claim(worker="w2"):
        for name in nodes:
            async with run.node(name) as node:
                node.output = "w2"


DONE = [(NodeStatus.COMPLETED, 1, "w2"), (NodeStatus.COMPLETED, 1, "w2")]


async def test_who_waited_for_an_answer_goes_no_further_with_a_node_that_another_did(stores: Stores, run: Run) -> None:
    """It is told where it would go on, so the node is done once."""
    other, went_on = await elsewhere(stores), False
    async with run.claim(worker="w1"):
        with pytest.raises(LeaseLost, match="'pay' was taken up by somebody else"):
            async with run.node("pay"):
                question = await run.ask("Pay?", node="pay")
                await other.answer("approved")
                await does(other, "pay", "ship")
                await question.wait()
                went_on = True
    assert (went_on, told(await other.refresh())) == (False, DONE)


async def test_what_goes_wrong_while_the_run_is_given_back_is_no_failure_of_another_worker_s_node(
    stores: Stores, run: Run
) -> None:
    """What was begun under a claim that is not held any more was interrupted: whoever holds the run goes on with it."""
    other = await elsewhere(stores)
    with pytest.raises(ConnectionError):
        async with run.claim(worker="w1"), run.node("pay"):
            await run.ask("Pay?", node="pay")
            await other.answer("approved")
            raise ConnectionError("no network")
    assert (await other.refresh()).nodes["pay"].status is NodeStatus.READY
    await does(other, "pay", "ship")
    assert told(other) == DONE


@pytest.mark.parametrize("how", ["withdrawn", "not waited for", "seen by another handle"])
async def test_what_is_written_of_a_run_in_a_claim_s_block_is_fenced_however_a_question_ended(
    stores: Stores, run: Run, how: str
) -> None:
    """The run was given back while it waited: the next write of it takes it again, or is refused since another has
    it."""
    other = await elsewhere(stores)
    async with run.claim(worker="w1", busy="reject") as claim:
        question = await run.ask("Pay?", node="pay")
        with pytest.raises(LeaseLost):
            claim.check()
        if how == "withdrawn":
            await (await stores.open()).interactions.cancel(question.id)
            with pytest.raises(InteractionCancelled):
                await question.wait()
        else:
            await other.answer("approved")
        if how == "seen by another handle":
            await run.refresh()
            await (await run.interactions.history())[0].wait()
        await run.progress("pay", "running")
        claim.check()
    async with run.claim(worker="w1", busy="reject"):
        await run.ask("Ship?", node="pay")
        await other.answer("approved")
        async with other.claim(worker="w2"):
            with pytest.raises(Busy):
                await run.progress("pay", "completed")
            with pytest.raises(Busy):
                await run.step("price", lambda: 1)
    assert (await other.refresh()).nodes["pay"].status is NodeStatus.READY


@pytest.mark.parametrize("how", ["cancelled", "rolled back", "late", "failed"])
async def test_a_try_that_is_over_leaves_the_node_as_another_made_it(stores: Stores, run: Run, how: str) -> None:
    """Given back, completed or failed too late, it begins no other round of what is done."""
    other = await elsewhere(stores)
    errors = {"cancelled": asyncio.CancelledError, "late": LeaseLost, "failed": ValueError}
    with pytest.raises(errors[how]) if how in errors else nullcontext():
        async with run.node("pay") as node:
            await does(other, "pay", "ship")
            if how == "cancelled":
                raise asyncio.CancelledError
            if how == "failed":
                raise ValueError("no")
            if how == "rolled back":
                node.rollback()
    assert told(await other.refresh()) == DONE


async def test_a_handle_of_a_run_that_has_left_does_nothing_to_another_of_its_id(
    stores: Stores, hold: Holdfast, s: Session, run: Run
) -> None:
    """An id may be used again; what was remembered of the first is nothing of the second."""
    await run.complete()
    stores.clock.advance(2 * 86_400)
    await hold.sweep()
    again = await s.runs.start("trip", id="r", nodes=["pay"])
    with pytest.raises(NotFound):
        await run.step("price", lambda: 1)
    with pytest.raises(NotFound):
        await run.refresh()
    assert (await again.refresh()).status == "pending"


async def test_what_is_written_while_a_run_is_given_back_is_refused_once_another_has_it(
    stores: Stores, s: Session, run: Run
) -> None:
    """By any handle, in any task of the block; while nobody has it, it may be written."""
    other = await elsewhere(stores)
    async with run.claim(worker="w1", busy="reject"):
        await run.ask("Pay?", node="pay")
        await s.state.set("shown", True)
        async with other.claim(worker="w2"):
            with pytest.raises(LeaseLost):
                await s.state.set("late", True)
            with pytest.raises(LeaseLost):
                await asyncio.create_task(s.state.set("late", True))
        await s.state.set("again", True)
    assert await s.state.keys() == ["again", "shown"]


async def test_every_handle_and_task_of_a_claim_s_block_holds_the_run_again(
    stores: Stores, s: Session, run: Run
) -> None:
    """Whichever of them asked, and whichever was answered first; and none of them once the block is left."""
    other = await elsewhere(stores)
    async with run.claim(worker="w1") as claim:
        second = await s.runs.get("r")
        assert second is not None
        question = await second.ask("Pay?", node="pay")
        await other.answer("approved")
        await asyncio.create_task(_waited(question))
        claim.check()
        async with second.node("pay"):
            assert (await run.refresh()).ready_nodes() == []
        question = await second.ask("Ship?", node="ship")
    await other.refresh()
    await other.answer("approved")
    await question.wait()
    async with other.claim(worker="w2", busy="reject"):
        pass


async def _waited(question: Interaction) -> None:
    await question.wait()


async def test_a_step_that_another_did_while_it_waited_goes_no_further(stores: Stores, s: Session) -> None:
    """In one process or two: workers do not wait for each other's steps, and one of them does it."""
    run = await s.runs.start("loop", id="r")
    other, did = await elsewhere(stores), list[str]()

    async def pay(run: Run, worker: str) -> str:
        question = await run.ask("Pay?", key="pay")
        if worker == "w1":
            await other.answer("approved")
            async with other.claim(worker="w2"):
                await other.step("pay", pay, other, "w2", key="pay")
        await question.wait()
        did.append(worker)
        return worker

    async with run.claim(worker="w1"):
        with pytest.raises(LeaseLost, match="a step was done by somebody else"):
            await run.step("pay", pay, run, "w1", key="pay")
        assert await run.step("pay", pay, run, "w1", key="pay") == "w2"
    assert did == ["w2"]
