"""Exclusive use of a run: one worker at a time, in any process, fenced; what a dead one had under way is done again."""

import asyncio

import pytest

from holdfast import Busy, Holdfast, LeaseLost, Session
from holdfast.errors import Closed, NotFound, UseTransaction
from holdfast.handles.run import Run
from holdfast.model.node import NodeStatus
from tests.unit.handles.exclusive import apart, process, until
from tests.unit.stores import StillClock, Stores

TRIP = {"search": [], "pay": ["search"], "tell": ["pay"]}


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s", user="ada")


async def seen_by(hold: Holdfast, id: str = "r") -> Run:
    """The run, as another process sees it."""
    found = await hold.runs.get(id)
    assert found is not None
    return found


async def test_workers_of_one_run_never_overlap_in_any_process(stores: Stores, hold: Holdfast, s: Session) -> None:
    """Whoever waits takes it up where the one before left it; claims of other runs are not in the way."""
    await s.runs.start("trip", id="r", nodes=TRIP)
    other = await s.runs.start("trip", id="other", nodes=TRIP)
    holds = [hold, await stores.open()]
    inside = 0

    async def work(number: int) -> None:
        nonlocal inside
        run = await seen_by(holds[number % 2])
        async with run.claim(worker=f"w{number}", wait=None):
            inside += 1
            assert inside == 1
            await asyncio.sleep(0)
            await run.progress(run.ready_nodes()[0], "completed", output=number)
            inside -= 1

    async with other.claim():
        await asyncio.gather(*(apart(work(number)) for number in range(3)))
    assert (await seen_by(hold)).is_done


async def test_a_run_that_is_held_is_refused_and_says_by_whom(stores: Stores, hold: Holdfast, s: Session) -> None:
    """In the session or alone; the task that holds it would wait for itself."""
    await s.runs.start("trip", id="r", nodes=TRIP)
    await hold.runs.start("trip", id="alone", nodes=TRIP)
    for id, scope in (("r", "session/s"), ("alone", "run/alone")):
        run, other = await seen_by(hold, id), await seen_by(await stores.open(), id)
        async with run.claim(worker="w1") as claim:
            with pytest.raises(Busy, match=f"the run '{id}' of {scope} is held by the claim of 'w1' since 20"):
                await apart(_enter(other, busy="reject"))
            with pytest.raises(Busy, match="by the claim or turn that this task is in"):
                await _enter(run)
            assert claim.token > 0
        await _enter(other, busy="reject")
        with pytest.raises(Closed):
            await claim.__aenter__()


async def _enter(run: Run, **terms: object) -> None:
    async with run.claim(**terms):  # type: ignore[arg-type]
        pass


async def test_a_superseded_worker_can_write_by_no_handle(stores: Stores, hold: Holdfast, s: Session) -> None:
    """The run, the session and handles fetched inside all carry the fence; steps that come late are not kept."""
    run = await s.runs.start("trip", id="r", nodes=TRIP)
    other = await seen_by(await stores.open())
    with pytest.raises(LeaseLost, match="the run 'r' of session/s is not held here any more"):
        async with run.claim(ttl="1h"):
            again = await seen_by(hold)
            await run.progress("search", "completed")
            await apart(_enter(other, busy="supersede"))
            for write in (
                lambda: run.progress("pay", "completed"),
                lambda: again.cancel(),
                lambda: again.step("late", lambda: 1),
                lambda: s.state.set("late", True),
            ):
                with pytest.raises(LeaseLost):
                    await write()
    assert (await run.refresh()).ready_nodes() == ["pay"]
    assert await s.state.get("late") is None
    await run.progress("pay", "completed")  # outside nothing is fenced


@pytest.mark.parametrize("alone", [False, True])
async def test_what_a_dead_worker_had_under_way_is_ready_for_the_next(
    stores: Stores, hold: Holdfast, s: Session, alone: bool
) -> None:
    """Its beat stood still for its ttl; what it sends later is refused."""
    starts = hold.runs if alone else s.runs
    run = await starts.start("trip", id="r", nodes=TRIP)
    dead = await process(stores, StillClock(), 70)
    theirs = await seen_by(dead)
    held = theirs.claim(ttl="30s")
    await held.__aenter__()
    await theirs.progress("search", "running")
    assert (await run.refresh()).ready_nodes() == []
    taken = apart(_take_up(run))
    for _ in range(8):
        await asyncio.sleep(0.005)
        stores.clock.advance(8)
    assert await taken == ["search"]
    with pytest.raises(LeaseLost):
        await theirs.progress("search", "completed")
    await held.__aexit__(ValueError, ValueError(), None)
    await dead.close()
    assert (await seen_by(hold)).nodes["search"].status is NodeStatus.COMPLETED


async def _take_up(run: Run) -> list[str]:
    async with run.claim(wait=None):
        ready = run.ready_nodes()
        for node in ready:
            await run.progress(node, "completed")
        return ready


async def test_a_worker_that_beats_keeps_a_run_that_is_alone(stores: Stores, hold: Holdfast) -> None:
    """Renewed by itself, though no session is kept alive with it."""
    run = await hold.runs.start("trip", id="r", nodes=TRIP)
    clock = StillClock()
    busy = await process(stores, clock, 70)
    theirs = await seen_by(busy)
    async with theirs.claim(ttl="30s") as claim:
        waiting = apart(_enter(run, wait=None))
        for _ in range(6):
            before = claim._holding.current()._keeper.renewed_s
            clock.advance(11)
            await until(lambda before=before: claim._holding.current()._keeper.renewed_s > before)  # type: ignore[misc]
            stores.clock.advance(11)
            for _ in range(5):
                await asyncio.sleep(0.001)
            assert not waiting.done()
        await theirs.progress("search", "completed")
    await waiting
    await busy.close()


async def test_a_run_that_is_gone_or_bound_to_a_transaction_is_not_held(hold: Holdfast, s: Session) -> None:
    """NotFound where it begins; nothing stays held."""
    run = await s.runs.start("trip", id="r", nodes=TRIP)
    async with s.transaction() as tx:
        inside = await tx.runs.get("r")
        assert inside is not None
        with pytest.raises(UseTransaction, match="claim commits by itself"):
            inside.claim()
    await hold.sessions.delete("s")
    with pytest.raises(NotFound):
        await _enter(run)
