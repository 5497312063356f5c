"""Nodes as blocks: what they write is there with their completion, or not at all."""

import asyncio

import pytest

from holdfast import AtomicStep, Config, Conflict, Holdfast, LeaseLost, Session
from holdfast.errors import Closed, InvalidTransition, NotFound, TooLarge, UseTransaction
from holdfast.handles.run import Run
from holdfast.model.config import RunsConfig
from holdfast.model.node import NodeStatus
from holdfast.model.node_spec import NodeSpec, Retry
from holdfast.model.run import RunStatus
from tests.unit.handles.exclusive import apart, until
from tests.unit.stores import Stores

TRIP = {"search": [], "pay": NodeSpec(after=("search",), retry=Retry(1, delay="10s")), "tell": ["pay"]}


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s", user="ada")


@pytest.fixture
async def run(s: Session) -> Run:
    return await s.runs.start("trip", id="r", nodes=TRIP)


async def seen_by(hold: Holdfast, id: str = "r") -> Run:
    """The run, as another process sees it."""
    found = await hold.runs.get(id)
    assert found is not None
    return found


async def test_what_a_node_writes_commits_with_its_completion(stores: Stores, run: Run, s: Session) -> None:
    """Running at its beginning, for everybody; then state, messages, events and output at once."""
    other = await stores.open()
    async with run.node("search", input="KIX") as node:
        seen = await seen_by(other)
        assert (seen.status, seen.current_node, seen.nodes["search"].input) == (RunStatus.RUNNING, "search", "KIX")
        assert (node.id, node.attempt, node.input) == ("search", 1, "KIX")
        await node.state.set("price", 900)
        await node.messages.add("assistant", "900")
        await node.log("found", {"price": 900})
        node.output = {"price": 900}
        assert await s.state.get("price") is None
    assert await s.state.get("price") == 900
    assert len((await s.events(types="found")).items) == len(await s.messages.last(5)) == 1
    seen = await seen_by(other)
    assert (seen.nodes["search"].output, seen.ready_nodes()) == ({"price": 900}, ["pay"])
    assert seen.version == (await s.state.snapshot()).version
    why = await s.why("price")
    assert why is not None
    assert why.cause is not None
    assert (why.cause.run, why.cause.node, why.cause.attempt) == ("r", "search", 1)


async def test_an_exception_ends_the_try_and_goes_on_out(stores: Stores, run: Run, s: Session) -> None:
    """Nothing that it wrote is kept; it is tried again after its pause, then the run has failed."""
    await run.progress("search", "completed")
    for attempt in (1, 2):
        with pytest.raises(ZeroDivisionError):
            async with run.node("pay") as node:
                assert node.attempt == attempt
                await node.state.set("paid", True)
                raise ZeroDivisionError("no money")
        seen = await seen_by(await stores.open())
        assert seen.nodes["pay"].error == {"type": "ZeroDivisionError", "message": "no money"}
        assert seen.status is (RunStatus.RUNNING if attempt == 1 else RunStatus.FAILED)
        with pytest.raises(InvalidTransition):
            async with run.node("tell"):
                pass
        stores.clock.advance(10)
    assert await s.state.get("paid") is None


async def test_a_node_that_takes_longer_than_its_timeout_is_interrupted(stores: Stores, s: Session) -> None:
    """By the clock that was handed in; TimeoutError goes on out, and is kept as its error."""
    run = await s.runs.start("slow", nodes={"wait": NodeSpec(timeout="60s", retry=Retry(3))})
    cancelled: list[bool] = []

    async def wait() -> None:
        async with run.node("wait") as node:
            await node.state.set("n", 1)
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(True)
                raise

    waiting = apart(wait())
    await until(lambda: run.current_node == "wait")
    stores.clock.advance(59)
    for _ in range(5):
        await asyncio.sleep(0.002)
    assert not waiting.done()
    stores.clock.advance(1)
    with pytest.raises(TimeoutError, match="the node 'wait' took longer than its timeout of 60 s"):
        await waiting
    assert cancelled
    wait_node = (await run.refresh()).nodes["wait"]
    assert (wait_node.status, wait_node.attempt, wait_node.error["type"]) == (NodeStatus.READY, 1, "TimeoutError")
    assert await s.state.get("n") is None
    with pytest.raises(TimeoutError):  # one that blocks, and cannot be interrupted
        async with run.node("wait"):
            stores.clock.advance(60)
    async with run.node("wait"):
        pass
    assert (await run.refresh()).nodes["wait"].status is NodeStatus.COMPLETED


@pytest.mark.parametrize("own_s", [39, 40])
async def test_the_time_a_person_takes_does_not_count_for_a_nodes_timeout(
    stores: Stores, s: Session, own_s: float
) -> None:
    """However many are waited for in the block, and in whatever task; its own time counts, before and after."""
    run = await s.runs.start("slow", id="r", nodes={"pay": NodeSpec(timeout="60s")})
    other = await stores.open()

    async def pays() -> None:
        async with run.node("pay"):
            stores.clock.advance(20)
            await asyncio.gather(*(run.ask_and_wait(prompt, node="pay") for prompt in ("Pay?", "Really?")))
            stores.clock.advance(own_s)

    paying = apart(pays())
    await until(lambda: run.interactions.pending_count == 2)
    for question in (await other.interactions.pending()).items:
        for _ in range(5):
            await asyncio.sleep(0.002)
        stores.clock.advance(3600)
        await other.interactions.answer(question.id, "approved")
    if own_s == 40:
        with pytest.raises(TimeoutError, match="its timeout of 60 s"):
            await paying
    else:
        await paying
        assert (await run.refresh()).nodes["pay"].status is NodeStatus.COMPLETED


async def test_a_cancellation_or_a_rollback_gives_the_node_back(run: Run, s: Session) -> None:
    """It is ready again, with all its tries."""
    begun = asyncio.Event()

    async def cancelled() -> None:
        async with run.node("search") as node:
            await node.state.set("n", 1)
            begun.set()
            await asyncio.Event().wait()

    task = apart(cancelled())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await run.refresh()).ready_nodes() == ["search"]
    async with run.node("search") as node:
        assert node.attempt == 1
        await node.state.set("n", 1)
        node.rollback()
    assert (await run.refresh()).ready_nodes() == ["search"]
    assert await s.state.get("n") is None


async def test_a_node_whose_reads_were_changed_is_given_back(run: Run, s: Session) -> None:
    """Nothing of it is kept."""
    await s.state.set("n", 1)
    with pytest.raises(Conflict):
        async with run.node("search") as node:
            n = await node.state.get("n", int, default=0)
            await apart(s.state.set("n", 10))
            await node.state.set("n", n + 1)
    assert (await run.refresh()).ready_nodes() == ["search"]
    assert await s.state.get("n") == 10


async def test_a_node_that_wrote_too_much_has_failed(stores: Stores, run: Run) -> None:
    """It would again."""
    with pytest.raises(TooLarge):
        async with run.node("search") as node:
            await node.state.update({f"k{n}": "x" * 200_000 for n in range(20)})
    seen = await seen_by(await stores.open())
    assert (seen.status, seen.error["node"]) == (RunStatus.FAILED, "search")


async def test_a_pause_lets_what_runs_end_and_an_end_does_not(stores: Stores, s: Session) -> None:
    """From any point, by anybody."""
    run = await s.runs.start("trip", id="r", nodes=["a", "b", "c"])
    other = await seen_by(await stores.open())
    async with run.node("a") as node:
        await node.state.set("a", 1)
        await apart(other.pause("by Bo"))
    assert (await other.refresh()).nodes["a"].status is NodeStatus.COMPLETED
    with pytest.raises(InvalidTransition, match="paused: by Bo"):
        async with run.node("b"):
            pass
    await other.resume()
    with pytest.raises(InvalidTransition, match="is cancelled"):
        async with run.node("b") as node:
            await node.state.set("b", 1)
            await apart(other.cancel())
    assert sorted(await s.state.keys()) == ["a"]


async def test_steps_inside_a_node_are_durable_at_once_and_outlive_its_failure(
    stores: Stores, run: Run, s: Session
) -> None:
    """A try that failed is taken up where it was; the session's own handle is refused inside."""
    with pytest.raises(ZeroDivisionError):
        async with run.node("search"):
            assert await run.step("price", lambda: 9) == 9
            assert await run.atomic("count", _count) == 1
            with pytest.raises(UseTransaction, match="part of the node this task is in"):
                await s.state.set("n", 1)
            raise ZeroDivisionError
    later = await seen_by(await stores.open())
    assert await later.step("price", lambda: 0) == 9
    assert await later.atomic("count", _count) == await s.state.get("count") == 1


async def _count(step: AtomicStep) -> int:
    count = await step.state.get("count", int, default=0)
    await step.state.set("count", count + 1)
    return count + 1


async def test_nodes_of_one_run_may_be_worked_on_at_once(s: Session) -> None:
    """By tasks of one handle; what they write lands, each with its own completion."""
    run = await s.runs.start("wide", nodes=[f"n{n}" for n in range(8)])

    async def work(name: str) -> None:
        async with run.node(name) as node:
            await asyncio.sleep(0)
            await node.state.set(name, 1)

    await asyncio.gather(*(work(name) for name in run.ready_nodes()))
    assert run.is_done
    assert len(await s.state.keys()) == 8


async def test_a_superseded_worker_completes_no_node(stores: Stores, run: Run, s: Session) -> None:
    """It is told LeaseLost, and the node is done by the other."""
    other = await seen_by(await stores.open())

    async def supersede() -> None:
        async with other.claim(busy="supersede"), other.node("search") as node:
            assert node.attempt == 2
            await node.state.set("by", "the second")

    with pytest.raises(LeaseLost):
        async with run.claim(ttl="1h"), run.node("search") as node:
            await node.state.set("by", "the first")
            await apart(supersede())
    assert await s.state.get("by") == "the second"


async def test_without_tracking_a_node_writes_all_the_same(stores: Stores) -> None:
    """Nothing is kept of the node itself."""
    hold = await stores.open(config=Config(runs=RunsConfig(track_nodes=False)))
    s = await hold.sessions.create(id="s")
    run = await s.runs.start("trip", id="r", nodes=TRIP)
    async with run.node("search") as node:
        await node.state.set("n", 1)
    assert await s.state.get("n") == 1
    assert (await run.refresh()).ready_nodes() == ["search"]
    async with run.claim():
        for name in ("search", "pay"):
            async with run.node(name) as node:
                node.output = "nothing to write"
    assert await run.step("price", lambda: 1) == 1


async def test_a_node_is_one_of_the_runs_and_its_block_is_used_once(run: Run) -> None:
    """Closed, before and after."""
    with pytest.raises(NotFound, match="has no node 'nobody'"):
        async with run.node("nobody"):
            pass
    node = run.node("search")
    with pytest.raises(Closed, match="use a node as"):
        node.output = 1
    async with node:
        pass
    with pytest.raises(Closed, match="this node has ended"):
        await node.state.set("late", True)
    with pytest.raises(Closed, match="used once"):
        await node.__aenter__()
