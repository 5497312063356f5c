"""Runs that end with more open questions than a commit has room for: they end at once, and the questions follow."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from msgspec.structs import replace

from holdfast import Change, Config, Holdfast, Session
from holdfast.errors import InteractionCancelled
from holdfast.handles.changes import Changes
from holdfast.handles.interaction import Interaction
from holdfast.handles.run import Run
from holdfast.kernel.commit import Cell, Range, Read
from holdfast.model.config import ChangesConfig, InteractionsConfig, Limits
from holdfast.model.node_spec import NodeSpec, ask
from holdfast.model.run import RunStatus
from holdfast.services import interaction, run
from tests.unit.stores import Stores

MANY = 30
CONFIG = Config(limits=Limits(operations_max=24), interactions=InteractionsConfig(concurrent_max=64))


async def asking(s: Session, many: int = MANY, id: str = "r") -> tuple[Run, list[Interaction]]:
    """A run with so many open questions."""
    run = await s.runs.start("trip", id=id, nodes={"n": NodeSpec(on_failure=ask("Again?", timeout="1h"))})
    return run, [await run.ask("Pay?", key=str(number), timeout="2h") for number in range(many)]


async def stored(stores: Stores, scope: str = "session/s") -> list[Cell]:
    """The questions of a scope that are written as pending."""
    kernel = await stores.plain()
    view = (await kernel.read([Read(scope, (), (Range("interaction/", 10_000),))], now_us=stores.clock.now_us()))[0]
    await kernel.close()
    return [cell for cell in view.ranges[0] if interaction.decode(cell).is_pending]


async def steps(s: Session) -> dict[str, set[str]]:
    """What the event log tells of each question."""
    told: dict[str, set[str]] = {}
    for event in (await s.events(types=["interaction"], limit=1000)).items:
        told.setdefault(event.data["interaction"], set()).add(event.data["step"])
    return told


@pytest.mark.parametrize("end", [Run.cancel, Run.complete, lambda run: run.fail("no")])
async def test_a_run_with_many_open_questions_ends_and_withdraws_all(
    stores: Stores, end: Callable[[Run], Awaitable[Run]]
) -> None:
    """In the same call, each with its entry in the event log and its change."""
    hold = await stores.open(config=CONFIG)
    s = await hold.sessions.create(id="s")
    run, asked = await asking(s)
    async with s.changes(kinds={"interaction"}) as changes:
        await end(run)
        told = {(change.key, change.value["status"]) async for change in so_many(changes, MANY)}
    assert told == {(q.id, "cancelled") for q in asked}
    assert not run.status.is_open
    assert run.interactions.pending == []
    assert await steps(s) == {q.id: {"asked", "cancelled"} for q in asked}
    assert {q.status for q in await hold.interactions.history("r")} == {"cancelled"}
    assert (await hold.interactions.pending()).items == ()


async def so_many(changes: Changes, many: int) -> AsyncIterator[Change]:
    for _ in range(many):
        yield await anext(changes)


async def test_a_failure_that_nobody_decided_in_time_ends_a_run_with_many_open_questions(stores: Stores) -> None:
    """By the sweep, which has nothing left to do then; and by an answer."""
    hold = await stores.open(config=CONFIG)
    s = await hold.sessions.create(id="s")
    run, asked = await asking(s)
    await run.progress("n", "failed", error="no")
    failure = run.interactions.pending[-1]
    other, theirs = await asking(s, id="other")
    await other.progress("n", "failed", error="no")
    await hold.interactions.answer(other.interactions.pending[-1].id, "answered", value="fail")
    assert (await other.refresh()).status == "failed"
    assert {q.status for q in await other.interactions.history()} == {"cancelled", "answered"}
    stores.clock.advance(3600)
    assert (await hold.sweep()).timed_out == 1
    assert (await run.refresh()).status == "failed"
    assert await stored(stores) == []
    told = await steps(s)
    assert told[failure.id] == {"asked", "timed_out"}
    assert all(told[q.id] == {"asked", "cancelled"} for q in [*asked, *theirs])
    assert (await hold.sweep()).timed_out == 0


@pytest.fixture
async def left(stores: Stores) -> tuple[Holdfast, Session, Run, list[Interaction]]:
    """A run that ended, by a process that was gone right after the first commit."""
    hold = await stores.open(config=CONFIG)
    s = await hold.sessions.create(id="s")
    ending, asked = await asking(s)
    scope, key = "session/s", run.key_of("r")
    work = hold._store.work()
    cell = await work.get(scope, key)
    assert cell is not None
    record = run.decode(cell).moved(RunStatus.FAILED, at_us=work.now_us)
    run.put(work, scope, replace(record, lingers=True))
    await work.commit()
    assert len(await stored(stores)) == MANY
    return hold, s, ending, asked


async def test_a_question_of_a_run_that_has_ended_counts_as_withdrawn_wherever_it_is_met(
    left: tuple[Holdfast, Session, Run, list[Interaction]],
) -> None:
    """Though it is stored as pending yet: nobody sees it as open, and nobody answers it."""
    hold, _, ending, asked = left
    q = asked[3]
    found = await hold.interactions.get(q.id)
    assert found is not None
    assert (found.status, found.closed_at is not None) == ("cancelled", True)
    assert (await q.refresh()).status == "cancelled"
    with pytest.raises(InteractionCancelled):
        await q.wait()
    with pytest.raises(InteractionCancelled):
        await hold.interactions.answer(q.id, "approved")
    with pytest.raises(InteractionCancelled):
        await hold.interactions.reassign(q.id, "bo")
    assert (await hold.interactions.cancel(q.id)).status == "cancelled"
    assert (await hold.interactions.pending()).items == ()
    assert {one.status for one in await hold.interactions.history("r")} == {"cancelled"}
    assert {one.status for one in await ending.interactions.history()} == {"cancelled"}
    assert (await ending.refresh()).interactions.pending == []


async def test_what_a_crash_left_open_is_withdrawn_by_a_sweep(
    stores: Stores, left: tuple[Holdfast, Session, Run, list[Interaction]]
) -> None:
    """Each with its entry in the event log; and nothing of it times out, however long ago it was due."""
    hold, s, _, asked = left
    stores.clock.advance(3 * 3600)
    assert (await hold.sweep()).timed_out == 0
    assert await stored(stores) == []
    assert await steps(s) == {q.id: {"asked", "cancelled"} for q in asked}
    seq = (await s.refresh()).last_activity
    assert not (await hold.sweep()).more
    assert (await s.refresh()).last_activity == seq


@pytest.mark.soak
async def test_a_run_with_ten_thousand_open_questions_ends(stores: Stores) -> None:
    """As many as one range brings: questions about nodes that failed are asked without a limit."""
    hold = await stores.open(config=Config(changes=ChangesConfig(retention_count=1)))
    s = await hold.sessions.create(id="s")
    nodes = {f"n{number}": NodeSpec(on_failure=ask("Again?")) for number in range(10_000)}
    run = await s.runs.start("trip", id="r", nodes=nodes)
    for start in range(0, 10_000, 20):
        await run.progress({name: {"status": "failed"} for name in [*nodes][start : start + 20]})
    assert run.interactions.pending_count == 10_000
    await run.cancel()
    assert await stored(stores) == []
