"""Pausing and resuming runs: at any point, whoever works on them, and from the session all at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from holdfast import AtomicStep, Config, Holdfast, Session
from holdfast.errors import InvalidTransition, NotFound
from holdfast.handles.run import Run
from holdfast.model.config import RunsConfig
from holdfast.model.node import NodeStatus
from holdfast.model.node_spec import NodeSpec, Retry
from holdfast.model.run import WAITS, RunStatus
from holdfast.testing.clock import SeededIds
from tests.unit.handles.exclusive import apart, until
from tests.unit.kernel.gated import Gated
from tests.unit.stores import Stores

TRIP = {"search": [], "pay": ["search"], "tell": ["pay"]}


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s", user="ada")


async def seen_by(hold: Holdfast, id: str = "r") -> Run:
    """The run, as another process sees it."""
    found = await hold.runs.get(id)
    assert found is not None
    return found


def ids(runs: list[Run]) -> list[str]:
    return sorted(run.id for run in runs)


# --- resuming -----------------------------------------------------------------------------------------


async def test_any_number_of_paused_nodes_goes_on_with_one_commit(stores: Stores, s: Session) -> None:
    """However little one commit may hold: all of them are ready, for everybody, or none is."""
    names = [f"n{n}" for n in range(300)]
    run = await s.runs.start("wide", id="r", nodes=names)
    for first in range(0, 300, 60):
        await run.progress(dict.fromkeys(names[first : first + 60], "paused"))
    await run.pause()
    before = run.version
    await run.resume()
    seen = await seen_by(await stores.open())
    assert seen.ready_nodes() == run.ready_nodes() == names
    assert seen.version == before + 1


async def test_what_is_paused_after_it_was_resumed_holds_until_the_next_time(stores: Stores, s: Session) -> None:
    """Each pause of a node is over with the first resuming after it, and not sooner."""
    run = await s.runs.start("wide", id="r", nodes=["a", "b"])
    for _ in range(2):
        await run.progress("a", "paused")
        assert run.ready_nodes() == ["b"]
        await run.pause()
        await run.resume()
        assert run.ready_nodes() == (await seen_by(await stores.open())).ready_nodes() == ["a", "b"]


async def test_a_node_that_goes_on_is_what_those_make_it_that_it_depends_on(s: Session) -> None:
    """Waiting, or skipped, if that is how it stands."""
    nodes = {"a": NodeSpec(optional=True), "b": ["a"], "c": [], "d": ["c"]}
    run = await s.runs.start("trip", nodes=nodes)
    await run.progress({"b": "paused", "d": "paused", "a": {"status": "failed", "error": "full"}})
    await run.pause()
    await run.resume()
    assert (run.nodes["b"].status, run.nodes["d"].status) == (NodeStatus.SKIPPED, NodeStatus.WAITING)
    assert run.ready_nodes() == ["c"]


# --- a try that is under way --------------------------------------------------------------------------


@pytest.mark.parametrize("at", [None, "a"])
async def test_the_end_of_a_try_is_kept_while_the_run_is_paused(stores: Stores, s: Session, at: str | None) -> None:
    """Paused at that very node too, by another process: what came of it and what it wrote are there, and it is done."""
    run = await s.runs.start("trip", id="r", nodes={"a": [], "b": ["a"]})
    other = await seen_by(await stores.open())
    async with run.node("a") as node:
        await node.state.set("n", 1)
        await apart(other.pause("by Bo", node=at))
        assert (await apart(other.refresh())).nodes["a"].status == ("running" if at is None else "paused")
        node.output = "done"
    await other.refresh()
    assert (other.nodes["a"].status, other.nodes["a"].output, other.status) == ("completed", "done", "paused")
    assert await s.state.get("n") == 1
    assert (await other.resume()).ready_nodes() == ["b"]


async def test_the_end_that_is_told_of_a_paused_node_is_kept(stores: Stores, s: Session) -> None:
    """Completed and failed, by `progress`, at the node that somebody paused, and at one that was paused by itself."""
    spec = NodeSpec(retry=Retry(1, delay="10s"))
    run = await s.runs.start("trip", id="r", nodes={"a": [], "b": spec, "c": []})
    other = await seen_by(await stores.open())
    await run.progress({"a": "running", "b": "running", "c": "running"})
    await other.progress("c", "paused")
    await other.pause("by Bo", node="a")
    await run.progress({"a": {"status": "completed", "output": 1}, "c": {"status": "completed", "output": 3}})
    await run.progress("b", "failed", error="no money")
    await other.resume()
    a, b, c = (other.nodes[name] for name in "abc")
    assert (a.output, c.output, b.status, b.attempt, b.error) == (1, 3, NodeStatus.READY, 1, "no money")


async def test_a_node_that_runs_on_begins_no_second_time_when_the_run_is_resumed(stores: Stores, s: Session) -> None:
    """It is running still, and its end counts; who takes the run over from a dead worker finds it ready."""
    run = await s.runs.start("trip", id="r", nodes={"a": [], "b": []})
    other = await seen_by(await stores.open())
    async with run.node("a") as node:
        await apart(other.pause("by Bo", node="a"))
        await apart(other.resume())
        assert (other.nodes["a"].status, other.ready_nodes()) == (NodeStatus.RUNNING, ["b"])
        node.output = "once"
    assert (await other.refresh()).nodes["a"].output == "once"
    await run.progress("b", "running")  # and then it is killed
    await other.pause(node="b")
    await other.resume()
    async with other.claim():
        assert other.ready_nodes() == ["b"]


@pytest.mark.parametrize("at", [None, "a"])
async def test_a_try_that_is_broken_off_while_the_run_is_paused_is_given_back(
    stores: Stores, s: Session, at: str | None
) -> None:
    """It begins again when the run goes on, as the same try."""
    run = await s.runs.start("trip", id="r", nodes=["a"])
    other = await seen_by(await stores.open())
    begun = asyncio.Event()

    async def work() -> None:
        async with run.node("a"):
            begun.set()
            await asyncio.Event().wait()

    task = apart(work())
    await begun.wait()
    await other.pause(node=at)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await other.resume()).ready_nodes() == ["a"]
    async with other.node("a") as node:
        assert node.attempt == 1


async def test_steps_that_have_begun_end_while_the_run_is_paused(stores: Stores, s: Session) -> None:
    """By this process or another; what is new waits, and is done once when the run goes on."""
    run = await s.runs.start("trip", id="r", nodes=["a"])
    other = await seen_by(await stores.open())
    calls: list[str] = []

    async def price() -> int:
        calls.append("price")
        await apart(other.pause("by Bo"))
        return 9

    async def pay(step: AtomicStep) -> str:
        calls.append("pay")
        await step.state.set("paid", True)
        await run.pause("by Ada", node="a")
        return "paid"

    assert await run.step("price", price) == 9
    with pytest.raises(InvalidTransition, match="paused: by Bo"):
        await run.atomic("pay", pay)
    await run.resume()
    assert await run.atomic("pay", pay) == "paid"
    with pytest.raises(InvalidTransition, match="paused: by Ada"):
        await run.step("tell", lambda: calls.append("tell"))
    await other.resume()
    assert (await other.step("price", price), await other.atomic("pay", pay)) == (9, "paid")
    assert (calls, await s.state.get("paid")) == (["price", "pay"], True)


async def test_a_pause_that_comes_in_between_takes_nothing_from_an_end(stores: Stores, s: Session) -> None:
    """Between the look and the commit of a node, a step and an atomic step: each is judged anew, and runs no second
    time; and an atomic step that others interfere with ends too, though it has to run again."""
    gated = Gated(await stores.kernel())
    hold = Holdfast.over(gated, clock=stores.clock, ids=SeededIds(9))
    await s.runs.start("trip", id="r", nodes=["a"])
    run, other = await seen_by(hold), await seen_by(await stores.open())
    calls: list[str] = []

    async def paused_at_its_end(work: Coroutine[Any, Any, object]) -> None:
        gated.gate.set()
        before = len(calls)
        working = apart(work)
        await until(lambda: len(calls) > before)
        sent = len(gated.batches)
        await until(lambda: len(gated.batches) > sent)  # it has looked, and its commit is on its way
        await other.pause("by Bo")
        gated.gate.set()
        await working
        assert (await other.refresh()).status is RunStatus.PAUSED
        await other.resume()

    async def in_node() -> None:
        async with run.node("a") as node:
            await node.state.set("a", 1)
            node.output = "once"
            close("node")

    def close(name: str) -> str:
        calls.append(name)
        gated.gate.clear()
        return name

    async def pay(step: AtomicStep) -> str:
        n = await step.state.get("n", int, default=0)
        if not n:
            await apart(s.state.set("n", 10))  # read by this try, which comes to nothing
            await apart(other.pause("by Ada"))
        await step.state.set("n", n + 1)
        return "paid"

    await paused_at_its_end(in_node())
    assert (other.nodes["a"].output, await s.state.get("a")) == ("once", 1)
    await paused_at_its_end(run.step("tell", lambda: close("step")))
    await paused_at_its_end(run.atomic("count", lambda step: _counts(step, close)))
    assert (calls, await s.state.get("count")) == (["node", "step", "atomic"], 1)
    gated.gate.set()
    assert await run.atomic("pay", pay) == "paid"
    assert await s.state.get("n") == 11
    await hold.close()


async def _counts(step: AtomicStep, then: Callable[[str], str]) -> None:
    await step.state.set("count", await step.state.get("count", int, default=0) + 1)
    then("atomic")


async def test_paused_nodes_of_a_run_that_goes_on_are_resumed(stores: Stores, s: Session) -> None:
    """By the run, or from the session, wherever they were paused; the run itself stays as it is, and one that has no
    paused node is left out."""
    run = await s.runs.start("wide", id="r", nodes=["a", "b"])
    await s.runs.start("wide", id="other", nodes=["a"])
    await run.progress({"a": "running", "b": "paused"})
    assert (await run.resume()).status is RunStatus.RUNNING
    assert (run.ready_nodes(), run.nodes["a"].status) == (["b"], NodeStatus.RUNNING)
    with pytest.raises(InvalidTransition):
        await run.resume()
    for node in (None, "b"):
        await run.progress("b", "paused")
        assert await s.resume_runs(node="a") == []
        assert ids(await s.resume_runs(node=node)) == ["r"]
        seen = await seen_by(await stores.open())
        assert (seen.status, seen.ready_nodes()) == (RunStatus.RUNNING, ["b"])
        await run.refresh()
    await run.ask("ok?", node="b")
    with pytest.raises(InvalidTransition):
        await run.resume()
    assert await s.resume_runs() == []


async def test_nodes_of_a_run_that_is_not_resumable_stay_paused(stores: Stores) -> None:
    """As the run does."""
    hold = await stores.open(config=Config(runs=RunsConfig(resumable=False)))
    run = await hold.runs.start("wide", id="r", nodes=["a"])
    await run.progress("a", "paused")
    with pytest.raises(InvalidTransition):
        await run.resume()


# --- where it waits for a person ----------------------------------------------------------------------


async def test_an_answer_lets_no_run_go_on_that_somebody_holds(stores: Stores, s: Session) -> None:
    """By the run or by the session: the answer is taken, and what it lets go on is ready once it is resumed."""
    hold = await stores.open()
    for id in ("one", "all"):
        run = await s.runs.start("trip", id=id, nodes={"pay": [], "tell": ["pay"]})
        await run.ask("Pay?", node="pay")
    one = await seen_by(hold, "one")
    await one.pause("night")
    assert ids(await s.pause_runs("night")) == ["all"]
    for id in ("one", "all"):
        run = await seen_by(hold, id)
        assert (run.status, run.pause_reason) == (RunStatus.PAUSED, "night")
        await run.answer("approved", by="bo")
        assert (run.status, run.pause_reason, run.ready_nodes()) == (RunStatus.PAUSED, "night", [])
    assert ids(await s.resume_runs()) == ["all", "one"]
    assert (await one.refresh()).ready_nodes() == ["pay"]


async def test_a_run_that_only_waits_for_a_person_is_not_resumed(stores: Stores, s: Session) -> None:
    """It goes on with the answer; nothing is written of it. One that was held besides waits on."""
    run = await s.runs.start("trip", id="r", nodes=["pay"])
    await run.ask("Pay?", node="pay")
    before = run.version
    assert await s.resume_runs() == []
    await run.resume()
    assert (run.status, run.pause_reason, run.version) == (RunStatus.PAUSED, WAITS, before)
    assert await s.resume_runs(node="pay") == []
    await s.pause_runs("night")
    assert ids(await s.resume_runs()) == ["r"]
    assert (await run.refresh()).pause_reason == WAITS
    await run.answer("approved")
    assert run.ready_nodes() == ["pay"]


async def test_a_node_that_waits_for_a_person_is_paused_at(s: Session) -> None:
    """The run is held there; the answer is taken, and lets nothing begin."""
    run = await s.runs.start("trip", id="r", nodes={"pay": [], "tell": []})
    await run.ask("Pay?", node="pay")
    assert run.status is RunStatus.PENDING
    assert ids(await s.pause_runs("night", node="pay")) == ["r"]
    await run.answer("approved")
    assert (run.status, run.ready_nodes()) == (RunStatus.PAUSED, [])
    assert ids(await s.resume_runs(node="pay")) == ["r"]
    assert (await run.refresh()).ready_nodes() == ["pay", "tell"]


# --- all runs of a session ----------------------------------------------------------------------------


async def test_runs_are_paused_at_a_node_that_they_have_before_them(stores: Stores, s: Session) -> None:
    """Waiting, ready, running or paused; one that has it behind it, or has none, goes on."""
    for id in ("waits", "ready", "runs", "stands", "done", "skipped"):
        await s.runs.start("trip", id=id, nodes=TRIP)
    hold = await stores.open()
    for id in ("ready", "runs", "stands", "done"):
        await (await seen_by(hold, id)).progress("search", "completed")
    await (await seen_by(hold, "runs")).progress("pay", "running")
    await (await seen_by(hold, "stands")).progress("pay", "paused")
    await (await seen_by(hold, "done")).progress("pay", "completed")
    await (await seen_by(hold, "skipped")).progress("search", "skipped")
    await s.runs.start("walk", id="other", nodes=["go"])
    held = ["ready", "runs", "stands", "waits"]
    assert ids(await s.pause_runs("no money", node="pay")) == held
    for id in held:
        assert (await seen_by(hold, id)).nodes["pay"].status is NodeStatus.PAUSED
    assert (await seen_by(hold, "done")).ready_nodes() == ["tell"]
    with pytest.raises(InvalidTransition, match="completed and cannot become paused"):
        await (await seen_by(hold, "done")).pause(node="pay")
    await (await seen_by(hold, "runs")).progress("pay", "completed")
    assert ids(await s.resume_runs(node="tell")) == []
    assert ids(await s.resume_runs(node="pay")) == held  # it was paused there, though it has got on since
    assert (await seen_by(hold, "runs")).ready_nodes() == ["tell"]


async def test_what_keeps_a_run_from_being_paused_is_told_unless_somebody_was_faster(
    stores: Stores, s: Session
) -> None:
    """A run that cannot be resumed is left out; an unknown node is the caller's mistake where the run is named."""
    hold = await stores.open(config=Config(runs=RunsConfig(resumable=False)))
    run = await (await hold.sessions.open("s")).runs.start("trip", id="r", nodes=TRIP)
    with pytest.raises(NotFound, match="has no node 'nobody'"):
        await run.pause(node="nobody")
    assert await s.pause_runs(node="nobody") == []
    assert ids(await s.pause_runs()) == ["r"]
    assert await s.pause_runs() == []
    assert await s.resume_runs() == []
