"""Sessions that end while runs go on in them: nothing of those goes on, and no question of theirs is open."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from holdfast import Budget, BudgetExceeded, Config, Holdfast, Session
from holdfast.errors import InteractionCancelled, InvalidTransition, NotFound
from holdfast.handles.interaction import Interaction
from holdfast.handles.run import Run
from holdfast.handles.winding_up import means_of
from holdfast.kernel.commit import Range, Read
from holdfast.model import end as ends
from holdfast.model.config import Limits, SessionConfig
from holdfast.model.run import RunStatus
from holdfast.operations.move import Move, end, move
from holdfast.operations.wind_up import clear
from holdfast.services import interaction, run
from tests.unit.stores import Stores

TEMPORARY = {"temp", "runtime", "run", "graph", "node", "step", "run-claim", "interaction", "variable"}
FINAL = [Session.complete, lambda s: s.fail("no"), Session.cancel]


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s", user="ada", budget=Budget(iterations=1))


async def busy(s: Session, id: str = "r") -> tuple[Run, Interaction]:
    """A run under way, with all that a run may have; and its open question."""
    run = await s.runs.start("trip", id=id, nodes=["a", "b"], variables={"v": 1})
    await run.progress({"a": {"status": "completed", "output": 1}, "b": "running"})
    await run.step("one", lambda: 1)
    await s.variables.set("mine", 2)
    return run, await run.ask("Pay?", node="b", timeout="1h", assignees=["bo"])


async def areas(stores: Stores, scope: str = "session/s") -> set[str]:
    """The areas of what a scope has, of those that go with the end of a session."""
    kernel = await stores.plain()
    views = await kernel.read([Read(scope, (), (Range("", 10_000),))], now_us=stores.clock.now_us())
    await kernel.close()
    return {cell.key.split("/")[0] for cell in views[0].ranges[0]} & TEMPORARY


async def stored(hold: Holdfast, id: str = "r") -> RunStatus:
    """Where a run is as it is written."""
    cell = await hold._store.work().get("session/s", run.key_of(id))
    assert cell is not None
    return run.decode(cell).status


async def is_refused(hold: Holdfast, going: Run, asked: Interaction) -> None:
    """Whether nothing of a run goes on, whoever has it in hand."""
    s = await hold.sessions.get("s")
    found = await hold.runs.get("r")
    assert s is not None
    assert found is not None
    for one in (going, found):
        for refused in (
            lambda one=one: one.progress("b", "completed"),
            lambda one=one: one.step("new", lambda: pytest.fail("it ran")),
            lambda one=one: one.atomic("new", lambda step: pytest.fail("it ran")),
            lambda one=one: one.ask("More?", node="b"),
            lambda one=one: one.complete(),
            lambda one=one: one.claim().__aenter__(),
            lambda one=one: one.add_nodes({"c": []}),
        ):
            with pytest.raises(InvalidTransition):
                await refused()
    with pytest.raises(InvalidTransition):
        async with found.node("b"):
            pytest.fail("it began")
    with pytest.raises(InvalidTransition):
        await s.runs.start("another")
    with pytest.raises(InteractionCancelled):
        await hold.interactions.answer(asked.id, "approved", by="bo")
    with pytest.raises(InteractionCancelled):
        await asked.wait()
    assert (await hold.interactions.pending()).items == ()
    assert found.ready_nodes() == []
    assert not found.resumable
    assert [one async for one in hold.runs.recoverable()] == []


@pytest.mark.parametrize("ending", FINAL)
async def test_the_runs_of_a_session_that_ends_are_cancelled_and_their_questions_withdrawn(
    hold: Holdfast, s: Session, ending: Callable[[Session], Awaitable[Session]]
) -> None:
    """In the same call; runs that have ended stay as they are."""
    done = await s.runs.start("trip", id="done")
    await done.complete()
    going, asked = await busy(s)
    await ending(s)
    await is_refused(hold, going, asked)
    assert (await stored(hold), await stored(hold, "done")) == ("cancelled", "completed")
    assert {one.id for one in (await hold.runs.list(status="cancelled")).items} == {"r"}
    assert (await hold.runs.list(status="running")).items == ()
    steps = [event.data["step"] for event in (await s.events(types=["interaction"])).items]
    assert sorted(steps) == ["asked", "cancelled"]
    assert (await asked.refresh()).status == "cancelled"


async def test_what_a_crash_leaves_open_in_a_session_that_has_ended_counts_as_cancelled(
    stores: Stores, hold: Holdfast, s: Session
) -> None:
    """Wherever it is met, until a sweep has written it."""
    going, asked = await busy(s)
    work = hold._store.work()
    await move(work, "session/s", Move("e", (await hold.sessions.create()).status.COMPLETED))
    await work.commit()  # and there it crashed
    assert await stored(hold) == "paused"
    await is_refused(hold, going, asked)
    assert going.status == "cancelled"
    assert (await hold.runs.list(status="paused")).items == ()
    stores.clock.advance(2 * 3600)
    assert (await hold.sweep()).timed_out == 0
    assert await stored(hold) == "cancelled"
    cell = await hold._store.work().get("session/s", interaction.key_of("r", asked.id))
    assert cell is not None
    assert interaction.decode(cell).status == "cancelled"
    last = (await s.refresh()).last_activity
    await hold.sweep()
    assert (await s.refresh()).last_activity == last


async def test_the_runs_of_a_session_that_timed_out_rest_until_it_goes_on(hold: Holdfast, s: Session) -> None:
    """A budget that is raised lets them go on where they were, with the question they had."""
    going, asked = await busy(s)
    await s.iterate()
    with pytest.raises(BudgetExceeded):
        await s.iterate()
    await is_refused(hold, going, asked)
    assert await stored(hold) == "paused"
    await hold.sweep()
    await s.resume(budget=Budget(iterations=5))
    assert [q.id for q in (await hold.interactions.pending()).items] == [asked.id]
    await hold.interactions.answer(asked.id, "approved", by="bo")
    async with going.claim():
        assert going.ready_nodes() == ["b"]
        await going.progress("b", "completed")
        await going.complete()
    assert await stored(hold) == "completed"


async def test_the_time_of_a_question_goes_on_while_its_session_has_timed_out(
    stores: Stores, hold: Holdfast, s: Session
) -> None:
    """So nothing that is due holds up a sweep."""
    _, asked = await busy(s)
    await s.iterate()
    with pytest.raises(BudgetExceeded):
        await s.iterate()
    stores.clock.advance(3600)
    assert (await hold.sweep()).timed_out == 1
    await s.resume(budget=Budget(iterations=5))
    assert (await asked.wait()).status == "timed_out"
    assert [one.id async for one in hold.runs.recoverable()] == ["r"]


async def test_the_runs_of_a_session_that_is_too_many_are_cancelled(stores: Stores) -> None:
    """By the next sweep; until then they count as cancelled."""
    hold = await stores.open(config=Config(session=SessionConfig(max_per_user=1)))
    going, asked = await busy(await hold.sessions.create(id="s", user="ada"))
    await hold.sessions.create(id="t", user="ada")
    assert (await going.refresh()).status == "cancelled"
    await hold.sweep()
    assert await stored(hold) == "cancelled"
    assert (await asked.refresh()).status == "cancelled"


@pytest.mark.parametrize("timed_out", [False, True])
async def test_nothing_of_a_run_is_left_after_the_end(stores: Stores, timed_out: bool) -> None:
    """`end`: runs, nodes, graphs, steps, questions and variables are gone; the open ones are told as withdrawn."""
    hold = await stores.open(config=Config(limits=Limits(operations_max=24)))
    s = await hold.sessions.create(id="s", budget=Budget(iterations=1))
    _, asked = await busy(s)
    for number in range(20):
        await busy(s, f"r{number}")
    await s.temp.set("t", 1)
    await s.runtime.set("phase", "x")
    if timed_out:
        await s.iterate()
        with pytest.raises(BudgetExceeded):
            await s.iterate()
    await s.end()
    assert await areas(stores) == set()
    assert s.status == ("timed_out" if timed_out else "completed")
    assert await hold.runs.get("r") is None
    assert await hold.interactions.get(asked.id) is None
    told = [event.data["step"] for event in (await s.events(types=["interaction"], limit=500)).items]
    assert (told.count("asked"), told.count("cancelled")) == (21, 21)
    version = (await s.refresh()).last_activity
    await s.end()
    assert (await s.refresh()).last_activity == version


async def test_an_end_that_was_cut_is_finished_by_a_sweep(stores: Stores) -> None:
    """The first commit says what is left, by which a sweep finds it."""
    hold = await stores.open(config=Config(limits=Limits(operations_max=24)))
    s = await hold.sessions.create(id="s")
    going, asked = await busy(s)
    await s.temp.update({f"t{number}": number for number in range(20)})
    work = hold._store.work()
    _, _, writes, has_runs = await end(work, "session/s", id="e")
    assert not await clear(work, "session/s", means_of(hold._store), room=24 - writes, has_runs=has_runs)
    await work.commit()  # and there it crashed
    await is_refused(hold, going, asked)
    cell = await hold._store.work().get("session/s", ends.KEY)
    assert cell is not None
    assert ends.decode(cell.value).left == "all"
    await hold.sweep()
    assert await areas(stores) == set()
    assert await hold.runs.get("r") is None


@pytest.mark.parametrize("ending", [*FINAL, Session.end])
async def test_nothing_of_a_run_is_written_by_the_transaction_that_ends_its_session(
    stores: Stores, hold: Holdfast, s: Session, ending: Callable[[Session], Awaitable[Session]]
) -> None:
    """From the call on, as after the commit: the transaction itself may go on."""
    going, asked = await busy(s)
    await s.runs.start("trip", id="free", nodes=["a", "b"])
    async with s.transaction() as tx:
        one = await tx.runs.get("free")
        assert one is not None
        await ending(tx)  # type: ignore[arg-type]
        for refused in (
            lambda: one.progress("a", "completed"),
            lambda: one.ask("More?", node="b"),
            lambda: one.add_nodes({"c": []}),
            lambda: one.complete(),
            lambda: one.cancel(),
            lambda: tx.runs.start("another", id="late"),
        ):
            with pytest.raises(InvalidTransition, match="its session is"):
                await refused()
        await tx.state.set("kept", 1)
    await hold.sweep()
    assert (await s.state.get("kept"), await hold.runs.get("late")) == (1, None)
    if ending is Session.end:
        assert await areas(stores) == set()
    else:
        assert await stored(hold) == "cancelled"
    await is_over(hold, going, asked)


async def is_over(hold: Holdfast, going: Run, asked: Interaction) -> None:
    """Whether nothing of a run is open, and nothing is left to be done of that."""
    assert (await hold.interactions.pending()).items == ()
    assert (await hold.runs.list(status="running")).items == ()
    cell = await hold._store.work().get("session/s", ends.KEY)
    assert cell is not None
    assert ends.decode(cell.value).left == "nothing"
    with pytest.raises((InvalidTransition, NotFound)):
        await going.progress("a", "ready")
    with pytest.raises((InteractionCancelled, NotFound)):
        await asked.wait()


@pytest.mark.parametrize("ending", [*FINAL, Session.end])
async def test_what_a_transaction_has_staged_of_runs_ends_with_the_session_that_it_ends(
    stores: Stores, hold: Holdfast, s: Session, ending: Callable[[Session], Awaitable[Session]]
) -> None:
    """New ones, and what it made of those that were there."""
    going, asked = await busy(s)
    await s.runs.start("trip", id="free", nodes=["a", "b"])
    async with s.transaction() as tx:
        one = await tx.runs.get("free")
        assert one is not None
        await one.progress("a", "completed")
        new = await tx.runs.start("another", id="new", nodes=["a"])
        await new.ask("More?", node="a")
        await ending(tx)  # type: ignore[arg-type]
    assert (await hold.interactions.pending()).items == ()
    await hold.sweep()
    if ending is Session.end:
        assert await areas(stores) == set()
    else:
        assert {await stored(hold, id) for id in ("r", "free", "new")} == {"cancelled"}
    await is_over(hold, going, asked)


async def test_a_transaction_ends_a_session_however_much_is_in_it(stores: Stores) -> None:
    """What its one commit has no room for is removed by a sweep, and it may write on."""
    hold = await stores.open(config=Config(limits=Limits(operations_max=24)))
    s = await hold.sessions.create(id="s")
    going, asked = await busy(s)
    await s.temp.update({f"t{number}": number for number in range(20)})
    for number in range(20):
        await going.ask(f"{number}?", node="b")
    async with s.transaction() as tx:
        await tx.state.set("before", 1)
        await tx.end()
        await tx.end()
        await tx.state.set("after", 1)
    await is_refused(hold, going, asked)
    await hold.sweep()
    assert await areas(stores) == set()
    assert await s.state.keys() == ["after", "before"]
    await is_over(hold, going, asked)
