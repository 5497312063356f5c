"""Runs in transactions: one handle of each, and what is told of their nodes."""

from __future__ import annotations

import asyncio

import pytest

from holdfast import AlreadyExists, Change, Config, Holdfast, Session
from holdfast.errors import InvalidTransition
from holdfast.handles.changes import Changes
from holdfast.handles.run import Run
from holdfast.model.config import RunsConfig
from tests.unit.stores import Stores

TRIP = {"search": [], "pay": ["search"]}


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s", user="ada")


async def test_one_run_has_one_handle_in_a_transaction(hold: Holdfast, s: Session) -> None:
    """However it is come by: so what one call stages the next is judged by."""
    await s.runs.start("trip", id="r", nodes=TRIP)
    async with hold.transaction() as tx:
        first, second = await tx.session("s").runs.get("r"), await tx.session("s").runs.get("r")
        assert first is not None
        assert second is first
        await first.cancel()
        with pytest.raises(InvalidTransition, match="is cancelled"):
            await second.progress("search", "completed")


async def test_a_run_is_started_once_in_a_transaction(hold: Holdfast, s: Session) -> None:
    """The second start is refused, or gives the run that is staged, whoever makes it."""
    async with hold.transaction() as tx:
        run = await tx.session("s").runs.start("trip", id="r", nodes=TRIP)
        await run.progress("search", "completed")
        with pytest.raises(AlreadyExists, match="a run 'r' already"):
            await tx.session("s").runs.start("trip", id="r")
        assert await tx.session("s").runs.start("trip", id="r", on_exists="return") is run
        assert await tx.session("s").runs.get("r") is run
    kept = await s.runs.get("r")
    assert kept is not None
    assert kept.ready_nodes() == ["pay"]


async def test_a_session_that_is_made_twice_in_a_transaction_has_none_of_its_first_runs(hold: Holdfast) -> None:
    """A run of the life before is another one."""
    async with hold.transaction() as tx:
        first = await tx.sessions.create(id="s")
        await first.runs.start("trip", id="r", nodes=TRIP)
        await tx.sessions.delete("s")
        again = await tx.sessions.create(id="s")
        assert await again.runs.get("r") is None
        await again.runs.start("walk", id="r", nodes=["go"])
    kept = await hold.runs.get("r")
    assert kept is not None
    assert (kept.workflow, kept.ready_nodes()) == ("walk", ["go"])


async def heard(changes: Changes, run: Run) -> Change:
    """The next that is told of nodes; the last node is told of until it arrives, for any signal may be lost."""
    arriving = asyncio.ensure_future(anext(changes))
    while not arriving.done():
        await run.progress("tell", "running")
        await asyncio.wait([arriving], timeout=0.01)
    return await arriving


@pytest.mark.parametrize("stores", ["memory", "sqlite"], indirect=True)
async def test_without_tracking_a_transaction_tells_of_nodes_once_it_has_committed(stores: Stores) -> None:
    """What was rolled back is not told, nor that a node is completed whose block failed."""
    hold = await stores.open(config=Config(runs=RunsConfig(track_nodes=False)))
    s = await hold.sessions.create(id="s")
    run = await s.runs.start("trip", id="r", nodes=[*TRIP, "tell"])
    async with s.changes(kinds={"run"}) as changes:
        async with s.transaction() as tx:
            staged = await tx.runs.get("r")
            assert staged is not None
            await staged.progress("search", "completed")
            tx.rollback()
        first = await heard(changes, run)
        assert (first.key, first.op) == ("tell", "emit")
        async with s.transaction() as tx:
            staged = await tx.runs.get("r")
            assert staged is not None
            await staged.progress("search", "completed", output=3)
            await run.progress("tell", "completed")
        while (told := await anext(changes)).value["status"] == "running":
            pass
        assert told.key == "tell"
        assert (await anext(changes)).value == {"run": "r", "status": "completed", "output": 3}
