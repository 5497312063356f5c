"""Runs that have ended leave: after a while, beyond so many, or with their session; nothing of them stays."""

from datetime import timedelta

import pytest

from holdfast import Config, Holdfast, Session
from holdfast.errors import NotFound
from holdfast.handles.run import Run
from holdfast.kernel.commit import Range, Read
from holdfast.model.config import Limits, RunsConfig, SweepConfig
from holdfast.operations import sweep
from holdfast.operations.leave import leave
from holdfast.services import run as service
from tests.unit.stores import Stores

DAY = timedelta(days=1)


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s", user="ada")


async def ended(s: Session, id: str) -> Run:
    """A run with nodes, steps and a claim, that has ended."""
    run = await s.runs.start("trip", id=id, nodes=["a", "b"], variables={"to": "KIX"})
    async with run.claim():
        await run.ask("Pay?", required=False)
        async with run.node("a") as node:
            await node.state.set("kept", id)
            await node.variables.set("seen", id)
        await run.step("one", lambda: 1)
        await run.atomic("two", _two)
        return await run.complete()


async def _two(step: object) -> int:
    return 2


async def keys(stores: Stores, scope: str = "session/s") -> set[str]:
    """The areas of what a scope has."""
    kernel = await stores.plain()
    views = await kernel.read([Read(scope, (), (Range("", 500),))], now_us=stores.clock.now_us())
    await kernel.close()
    areas = {"run", "node", "graph", "step", "run-claim", "interaction", "variable"}
    return {cell.key.split("/")[0] for cell in views[0].ranges[0]} & areas


async def test_a_run_leaves_a_while_after_it_has_ended(stores: Stores, hold: Holdfast, s: Session) -> None:
    """`runs.finished_ttl`: to the microsecond, with all that it consisted of; what it wrote stays."""
    run = await ended(s, "r")
    going = await s.runs.start("trip", id="going", nodes=["a"])
    stores.clock.advance(DAY.total_seconds() - 0.000_001)
    assert (await hold.sweep()).runs == 0
    stores.clock.advance(0.000_001)
    assert (await hold.sweep(dry_run=True)).runs == 1
    async with s.changes(kinds={"run"}) as changes:
        assert (await hold.sweep()).runs == 1
        told = await anext(changes)
    assert (told.op, told.key) == ("delete", "r")
    assert await hold.runs.get("r") is None
    with pytest.raises(NotFound, match="there is no run 'r'"):
        await run.refresh()
    with pytest.raises(NotFound):
        await run.step("new", lambda: 1)
    assert [one.id for one in (await hold.runs.list()).items] == ["going"]
    await going.progress("a", "completed")
    await going.complete()
    stores.clock.advance(DAY.total_seconds())
    assert (await hold.sweep()).runs == 1
    assert await keys(stores) == set()
    assert await s.state.get("kept") == "r"
    await s.runs.start("trip", id="r")  # the id is free again


async def test_a_run_that_is_alone_leaves_with_its_scope(stores: Stores, hold: Holdfast) -> None:
    """With the state it had."""
    run = await hold.runs.start("nightly", id="r")
    async with run.atomic_step("one") as step:
        await step.state.set("n", 1)
    await run.fail("no")
    scopes = (await hold.stats()).scopes
    stores.clock.advance(DAY.total_seconds())
    assert (await hold.sweep()).runs == 1
    assert (await hold.stats()).scopes == scopes - 1
    assert await hold.runs.get("r") is None


async def test_a_run_of_more_than_a_commit_may_have_leaves(stores: Stores, hold: Holdfast, s: Session) -> None:
    """By the limits that commits have, which are lower than those of most stores."""
    run = await s.runs.start("trip", id="r")
    for number in range(Config().limits.operations_max + 10):
        await run.step("one", lambda: 1, key=number)
    await run.complete()
    stores.clock.advance(DAY.total_seconds())
    assert (await hold.sweep()).runs == 1
    assert await keys(stores) == set()


async def test_of_a_session_the_last_so_many_runs_that_ended_are_kept(stores: Stores) -> None:
    """`runs.history_max`, for each session; those that go on do not count. Without a ttl the others stay."""
    hold = await stores.open(config=Config(runs=RunsConfig(history_max=2, finished_ttl=None)))
    s, other = await hold.sessions.create(id="s"), await hold.sessions.create(id="other")
    await s.runs.start("trip", id="going")
    for number in range(4):
        await ended(s, f"r{number}")
        stores.clock.advance(DAY.total_seconds())
    await ended(other, "theirs")
    assert (await hold.sweep()).runs == 2
    assert [run.id for run in (await hold.runs.list()).items] == ["theirs", "r3", "r2", "going"]
    assert (await hold.sweep()).runs == 0


async def test_a_run_larger_than_a_commit_leaves_in_several_and_is_gone_from_the_first_on(stores: Stores) -> None:
    """Whoever sweeps next goes on where a crash left it."""
    hold = await stores.open(config=Config(limits=Limits(operations_max=20)))
    s = await hold.sessions.create(id="s")
    run = await s.runs.start("wide", id="r")
    for number in range(30):
        await run.step("one", lambda: 1, key=number)
    await run.complete()
    stores.clock.advance(DAY.total_seconds())
    store = hold._store
    [found] = await sweep.due(store.work(), "run", until_us=store.now_us(), after=None, limit=9)
    view = (await store.work().peek([Read("session/s", (found.key,))]))[0]
    work = store.work()
    service.leave(work, "session/s", service.decode(view.cells[found.key]))
    await work.commit()  # and there it crashed
    assert await hold.runs.get("r") is None
    assert await keys(stores) == {"run", "step"}
    assert await leave(store.work, found, operations_max=20)
    assert await keys(stores) == set()
    assert not await leave(store.work, found, operations_max=20)


async def test_runs_go_with_their_session(stores: Stores, hold: Holdfast, s: Session) -> None:
    """Those that go on too."""
    await ended(s, "r")
    await s.runs.start("trip", id="going")
    await hold.sessions.delete("s")
    assert (await hold.runs.list()).items == ()
    assert await keys(stores) == set()
    await hold.sweep()
    assert (await hold.sweep()).runs == 0


async def test_nothing_of_runs_is_left_after_the_end_of_their_session(stores: Stores, s: Session) -> None:
    """Neither of one that has ended, nor of one that goes on."""
    await ended(s, "r")
    going = await s.runs.start("trip", id="going", nodes=["a"], variables={"to": "KIX"})
    await going.ask("Pay?", node="a")
    assert await keys(stores) >= {"run", "node", "graph", "step", "interaction", "variable"}
    await s.end()
    assert await keys(stores) == set()


async def test_runs_that_are_too_many_leave_by_steps_that_look_at_a_few(stores: Stores) -> None:
    """Each step looks at so many ends as its budget says; a later one at those that are new."""
    hold = await stores.open(
        config=Config(runs=RunsConfig(history_max=1, finished_ttl=None), sweep=SweepConfig(budget=2))
    )
    s = await hold.sessions.create(id="s")
    for number in range(7):
        run = await s.runs.start("trip", id=f"r{number}")
        await run.complete()
        stores.clock.advance(1)
    await hold.sweep()
    assert [run.id for run in (await hold.runs.list()).items] == ["r6"]
    run = await s.runs.start("trip", id="new")
    await run.complete()
    assert (await hold.sweep()).runs == 1
    assert [run.id for run in (await hold.runs.list()).items] == ["new"]


async def test_variables_that_parallel_nodes_write_both_land(stores: Stores, hold: Holdfast, s: Session) -> None:
    """Of two workers on one run, each with a handle of its own, whichever ends first."""
    await s.runs.start("trip", id="r", nodes=["a", "b"])
    one, other = await hold.runs.get("r"), await (await stores.open()).runs.get("r")
    assert one is not None
    assert other is not None
    async with one.node("a") as a:
        await a.variables.set("left", 1)
        async with other.node("b") as b:
            await b.variables.set("right", 2)
            await other.variables.set("right", 2)
        await one.variables.set("left", 1)
    seen = await one.refresh()
    assert (await seen.variables.get("left"), await seen.variables.get("right")) == (1, 2)
    assert seen.is_done
