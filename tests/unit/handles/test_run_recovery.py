"""Runs that nobody works on are found; those of whom somebody is heard are left alone."""

import asyncio

import pytest

from holdfast import Config, Holdfast, Session
from holdfast.handles.run import Run
from holdfast.model.config import RunsConfig
from holdfast.model.node import NodeStatus
from holdfast.model.node_spec import NodeSpec, Retry
from holdfast.model.run import RunStatus
from tests.unit.handles.exclusive import apart, process, until
from tests.unit.stores import StillClock, Stores

TRIP = {"search": [], "pay": ["search"]}


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s", user="ada")


async def found_by(hold: Holdfast, **names: str) -> list[str]:
    """The ids of the runs that this process may take up."""
    return [run.id async for run in hold.runs.recoverable(**names)]


async def test_runs_that_nobody_holds_are_found_at_once(stores: Stores, hold: Holdfast, s: Session) -> None:
    """Pending and running, in sessions and alone; not what is paused, has ended, or is held here."""
    for id in ("pending", "running", "paused", "ended", "held"):
        await s.runs.start("trip", id=id, nodes=TRIP)
    await hold.runs.start("nightly", id="alone")
    runs = {run.id: run for run in (await hold.runs.list()).items}
    await runs["running"].progress("search", "completed")
    await runs["paused"].pause()
    await runs["ended"].cancel()
    async with runs["held"].claim():
        assert sorted(await found_by(hold)) == ["alone", "pending", "running"]
        assert await found_by(hold, workflow="nightly") == ["alone"]
        assert sorted(await found_by(hold, user="ada")) == ["pending", "running"]
    assert "held" in await found_by(await stores.open())


async def test_a_run_is_left_alone_until_a_node_of_it_may_begin(stores: Stores, hold: Holdfast, s: Session) -> None:
    """While what is left of it pauses before its next try, or was paused, claiming it would come to nothing."""
    run = await s.runs.start("trip", id="r", nodes={"a": NodeSpec(retry=Retry(1, delay="10s")), "b": ["a"]})
    await run.progress("a", "failed", error="full")
    assert await found_by(hold) == []
    stores.clock.jump(10)
    assert await found_by(hold) == ["r"]
    await run.progress("a", "paused")
    assert await found_by(hold) == []
    await run.resume()
    assert await found_by(hold) == ["r"]
    await run.progress("a", "running")  # and whoever began it is gone
    assert await found_by(hold) == ["r"]
    await run.progress({"a": "completed", "b": "completed"})  # to be completed itself
    assert await found_by(hold) == ["r"]


async def test_a_run_whose_worker_died_is_found_after_its_ttl(stores: Stores, hold: Holdfast, s: Session) -> None:
    """A fresh process watches for so long; what the worker had under way is ready for who takes it up."""
    await s.runs.start("trip", id="r", nodes=TRIP)
    dead = await process(stores, StillClock(), 70)
    theirs = await _get(dead, "r")
    held = theirs.claim(ttl="30s")
    await held.__aenter__()
    await theirs.progress("search", "running")
    finding = apart(found_by(hold))
    await _time_passes(stores, finding, 29)
    assert not finding.done()
    await _time_passes(stores, finding, 10)
    assert await finding == ["r"]
    run = await _get(hold, "r")
    async with run.claim(wait=None):
        assert run.ready_nodes() == ["search"]
    await held.__aexit__(ValueError, ValueError(), None)
    await dead.close()


async def _time_passes(stores: Stores, until_done: asyncio.Task[list[str]], seconds: int) -> None:
    for _ in range(seconds):
        await asyncio.sleep(0.005)
        if not until_done.done():
            stores.clock.advance(1)


async def _get(hold: Holdfast, id: str) -> Run:
    found = await hold.runs.get(id)
    assert found is not None
    return found


async def test_a_run_whose_worker_beats_is_not_found(stores: Stores, hold: Holdfast, s: Session) -> None:
    """However long it works; the search ends."""
    await s.runs.start("trip", id="r", nodes=TRIP)
    clock = StillClock()
    busy = await process(stores, clock, 70)
    theirs = await _get(busy, "r")
    async with theirs.claim(ttl="30s") as claim:
        finding = apart(found_by(hold))
        await asyncio.sleep(0.01)
        for _ in range(5):
            before = claim._holding.current()._keeper.renewed_s
            clock.advance(11)
            await until(lambda before=before: claim._holding.current()._keeper.renewed_s > before)  # type: ignore[misc]
            stores.clock.advance(11)
            await asyncio.sleep(0.005)
        assert await finding == []
    await busy.close()


async def test_a_run_that_was_given_back_while_it_was_watched_is_found_and_one_that_ended_is_not(
    stores: Stores, hold: Holdfast, s: Session
) -> None:
    """As it is then."""
    other = await stores.open()
    for id in ("back", "done"):
        await s.runs.start("trip", id=id, nodes=TRIP)
    back, done = await _get(other, "back"), await _get(other, "done")
    async with done.claim(ttl="30s"):
        async with back.claim(ttl="30s"):
            finding = apart(found_by(hold))
            await asyncio.sleep(0.02)
        await done.complete()
    await _time_passes(stores, finding, 40)
    assert await finding == ["back"]


async def test_a_run_that_is_not_resumable_is_not_recovered(stores: Stores) -> None:
    """`runs.resumable` off."""
    hold = await stores.open(config=Config(runs=RunsConfig(resumable=False)))
    await hold.runs.start("nightly", id="r")
    assert await found_by(hold) == []


async def test_a_session_pauses_and_resumes_its_runs(stores: Stores, hold: Holdfast, s: Session) -> None:
    """All that go on, or those that have a node; what has ended is left alone."""
    for id in ("a", "b"):
        await s.runs.start("trip", id=id, nodes=TRIP)
    await (await s.runs.start("walk", id="c", nodes=["go"])).progress("go", "running")
    await (await s.runs.start("walk", id="ended")).cancel()
    other = await (await stores.open()).sessions.get("s")
    assert other is not None
    assert sorted(run.id for run in await other.pause_runs("no money", node="pay")) == ["a", "b"]
    a = await _get(hold, "a")
    assert (a.status, a.pause_reason, a.nodes["pay"].status) == (RunStatus.PAUSED, "no money", NodeStatus.PAUSED)
    assert [run.id for run in await other.pause_runs("night")] == ["c"]
    assert sorted(run.id for run in await s.resume_runs(node="pay")) == ["a", "b"]
    assert [run.id for run in await s.resume_runs()] == ["c"]
    assert sorted(await found_by(hold)) == ["a", "b", "c"]
    assert await other.resume_runs() == []
