"""A run waits for answers as long as there are questions to be answered: whoever was faster, and whoever saw what."""

from __future__ import annotations

import pytest

from holdfast import Holdfast, Session
from holdfast.handles.interaction import Interaction
from holdfast.handles.run import Run
from holdfast.model.node import NodeStatus
from holdfast.model.run import WAITS, RunStatus
from holdfast.testing.clock import SeededIds
from tests.unit.handles.exclusive import apart, until
from tests.unit.kernel.gated import Gated
from tests.unit.stores import Stores


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s")


async def seen_by(hold: Holdfast) -> Run:
    """The run, as another process sees it."""
    found = await hold.runs.get("r")
    assert found is not None
    return found


async def close(hold: Holdfast, q: Interaction, how: str) -> None:
    if how == "answered":
        await hold.interactions.answer(q.id, "approved")
    else:
        await hold.interactions.cancel(q.id)


@pytest.mark.parametrize("how", ["answered", "cancelled"])
@pytest.mark.parametrize("of", ["b", None])
async def test_an_end_that_has_not_seen_an_answer_makes_no_run_wait(
    hold: Holdfast, s: Session, of: str | None, how: str
) -> None:
    """A worker goes on by what it saw; what was answered, of a node or of the whole run, it sees before it tells."""
    run = await s.runs.start("wf", id="r", nodes=["a", "b"])
    await run.progress("a", "running")
    if of is None:
        await run.progress("b", "paused")
    q = await run.ask("ok?", node=of)
    await close(hold, q, how)
    await run.progress("a", "completed")
    seen = await seen_by(hold)
    assert (seen.status, seen.ready_nodes()) == (RunStatus.RUNNING, [] if of is None else ["b"])


async def test_asking_pauses_no_run_of_which_another_node_was_answered(hold: Holdfast, s: Session) -> None:
    """The one that was answered is ready; once it is done the run waits for the other."""
    run = await s.runs.start("wf", id="r", nodes=["a", "b"])
    first = await run.ask("ok?", node="a")
    await hold.interactions.answer(first.id, "approved")
    await run.ask("ok?", node="b")
    seen = await seen_by(hold)
    assert (seen.status, seen.ready_nodes()) == (RunStatus.PENDING, ["a"])
    await run.progress("a", "completed")
    assert (run.status, run.pause_reason) == (RunStatus.PAUSED, WAITS)


async def test_an_end_pauses_no_run_of_which_a_paused_node_goes_on(hold: Holdfast, s: Session) -> None:
    """By whoever let it go on."""
    run = await s.runs.start("wf", id="r", nodes=["a", "b", "q"])
    await run.progress("a", "paused")
    await run.progress("b", "running")
    await run.ask("ok?", node="q")
    await (await seen_by(hold)).progress("a", "ready")
    await run.progress("b", "completed")
    seen = await seen_by(hold)
    assert (seen.status, seen.ready_nodes()) == (RunStatus.RUNNING, ["a"])


@pytest.mark.parametrize("what", ["answered", "another begins"])
async def test_what_comes_between_takes_nothing_from_the_end_of_a_node(stores: Stores, s: Session, what: str) -> None:
    """Between the look and the commit of its block a question is answered, or another node begins: the end is judged
    anew, and the block runs no second time."""
    gated = Gated(await stores.kernel())
    hold, elsewhere = Holdfast.over(gated, clock=stores.clock, ids=SeededIds(9)), await stores.open()
    nodes = ["a", "q"] if what == "answered" else ["a", "b", "q"]
    q = await (await s.runs.start("wf", id="r", nodes=nodes)).ask("ok?", node="q")
    run, other = await seen_by(hold), await seen_by(elsewhere)
    calls: list[str] = []

    async def work() -> None:
        async with run.node("a") as node:
            calls.append("done")
            await node.state.set("done", len(calls))
            gated.gate.clear()

    working = apart(work())
    await until(lambda: bool(calls))
    sent = len(gated.batches)
    await until(lambda: len(gated.batches) > sent)  # it has looked, and its commit is on its way
    if what == "answered":
        await elsewhere.interactions.answer(q.id, "approved")
    else:
        await other.progress("b", "running")
    gated.gate.set()
    await working
    await other.refresh()
    assert (other.nodes["a"].status, await s.state.get("done"), calls) == (NodeStatus.COMPLETED, 1, ["done"])
    assert (other.status, other.nodes["q" if what == "answered" else "b"].status) == (
        RunStatus.RUNNING,
        NodeStatus.READY if what == "answered" else NodeStatus.RUNNING,
    )
    await hold.close()
