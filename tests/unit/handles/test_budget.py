"""Budgets of sessions: what is counted, reserved and settled, and what ends the session that used one up."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from holdfast import Budget, BudgetExceeded, Config, Holdfast, Session, SessionStatus, Usage
from holdfast.errors import Closed, InvalidId, InvalidTransition, InvalidValue, NotFound
from holdfast.testing.clock import ManualClock
from tests.unit.entries import logged
from tests.unit.handles.cancelling import cancelled
from tests.unit.stores import Stores


async def again(hold: Holdfast, s: Session) -> Session:
    """The session as another process sees it."""
    found = await hold.sessions.get(s.id)
    assert found is not None
    return found


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s", budget=Budget(tokens=5000, cost="1.00"))


# --- the budget of a session ----------------------------------------------------------------------


async def test_a_session_gets_what_is_given_and_the_configured_budget_for_the_rest(stores: Stores) -> None:
    hold = await stores.open(config=Config(budget=Budget(tokens=900, tool_calls=7)))
    s = await hold.sessions.create(budget=Budget(tokens=5, tool_calls=None))
    assert s.budget == Budget(iterations=100, tokens=5, cost=None, tool_calls=None, wall_time=None)
    assert (await again(hold, s)).budget == s.budget
    assert (await hold.sessions.open("t")).budget.tokens == 900


async def test_an_update_changes_the_limits_it_names_and_leaves_the_rest(hold: Holdfast, s: Session) -> None:
    await s.update(budget=Budget(tokens=None, wall_time="1h"), tags=["x"])
    assert s.budget == Budget(iterations=100, tokens=None, cost="1", tool_calls=None, wall_time="1h")
    async with s.transaction() as tx:
        await tx.update(budget=Budget(iterations=3))
    assert (await hold.sessions.update(s.id, tags=[])).budget.iterations == 3
    with pytest.raises(InvalidValue, match="must be a Budget"):
        await s.update(budget=100)  # type: ignore[arg-type]
    with pytest.raises(InvalidValue, match="must be a Budget"):
        await hold.sessions.create(budget={"tokens": 1})  # type: ignore[arg-type]


# --- iterations -----------------------------------------------------------------------------------


async def test_the_last_iteration_succeeds_and_the_next_ends_the_session_as_timed_out(hold: Holdfast) -> None:
    """What counts is in the store: another handle, as after a restart, goes on from there."""
    s = await hold.sessions.create(budget=Budget(iterations=3))
    await s.iterate()
    other = await again(hold, s)
    await other.iterate()
    it = await s.iterate(data={"last": True})
    assert (it.number, s.iterations, s.progress.percent) == (3, 3, 100.0)
    with pytest.raises(BudgetExceeded) as caught:
        await other.iterate()
    assert (caught.value.budget, caught.value.limit) == ("iterations", 3)
    assert (other.status, other.ended_reason) == (SessionStatus.TIMED_OUT, "budget: iterations")
    assert (await again(hold, s)).status is SessionStatus.TIMED_OUT
    events = await logged(s)
    assert [event.type for event in events] == ["iteration", "iteration", "iteration", "timeout"]
    assert events[-1].data == {"reason": "budget: iterations"}
    with pytest.raises(BudgetExceeded):
        await s.iterate()
    assert await logged(s) == events


async def test_a_block_reserves_before_and_settles_what_was_spent_after(hold: Holdfast, s: Session) -> None:
    clock = s._store.clock
    assert isinstance(clock, ManualClock)
    async with s.iterate(data={"phase": "search"}, reserve=Usage(tokens=4000, cost=0.5)) as it:
        seen = await again(hold, s)
        assert seen.progress.reserved == Usage(tokens=4000, cost=Decimal("0.5"))
        begun = (await s.events()).items[-1]
        assert begun.data == {
            "iteration": 1,
            "data": {"phase": "search"},
            "reserved": {"tokens": 4000, "cost": "0.5"},
        }
        it.spent(tokens=3000, cost=0.1)
        it.spent(tokens=120, cost="0.2")
        clock.advance(1.5)
    assert s.progress.used == Usage(iterations=1, tokens=3120, cost="0.3", wall_time=1.5)
    assert s.progress.reserved == Usage()
    assert s.progress.per_budget == {"iterations": 1.0, "tokens": 62.4, "cost": 30.0}
    assert (await again(hold, s)).progress == s.progress == (await seen.refresh()).progress
    (entry,) = await logged(s)
    assert (entry.id, entry.at, entry.cursor) == (begun.id, begun.at, begun.cursor)
    assert entry.data == {
        "iteration": 1,
        "data": {"phase": "search"},
        "spent": {"tokens": 3120, "cost": "0.3"},
        "duration_s": 1.5,
    }


async def test_what_is_spent_after_an_iteration_is_refused_and_not_lost_silently(s: Session) -> None:
    """Closed, after a block as after one that was awaited."""
    async with s.iterate() as it:
        it.spent(tokens=1)
    for over in (it, await s.iterate()):
        with pytest.raises(Closed, match=f"iteration {over.number} is over"):
            over.spent(tokens=1)
    assert s.progress.used.tokens == 1


async def test_a_followers_stream_tells_an_iteration_when_it_begins_and_when_it_ends(s: Session) -> None:
    async with s.changes(kinds={"event"}) as changes:
        async with s.iterate():
            begun = await anext(changes)
        ended = await anext(changes)
    assert (begun.op, begun.value["data"]) == ("append", {"iteration": 1})
    assert (ended.op, ended.value["data"]) == ("set", {"iteration": 1, "duration_s": 0.0})
    assert ended.key == (await logged(s))[0].cursor


async def test_an_exception_settles_what_was_spent_and_is_told(hold: Holdfast, s: Session) -> None:
    with pytest.raises(ValueError, match="no seats"):
        async with s.iterate(reserve=Usage(tokens=4000)) as it:
            it.spent(tokens=7)
            raise ValueError("no seats")
    assert (await again(hold, s)).progress.used == Usage(iterations=1, tokens=7)
    iteration, error = await logged(s)
    kept = {"type": "ValueError", "message": "no seats"}
    assert (iteration.data["error"], error.type, error.data) == (kept, "error", {"iteration": 1, "error": kept})
    assert s.status is SessionStatus.ACTIVE


@pytest.mark.parametrize("gap", [None, 0, 1, 2, 5])
async def test_a_cancelled_iteration_settles_too(hold: Holdfast, s: Session, gap: int | None) -> None:
    """Where the cancellation is repeated so many steps of the loop later, too."""
    inside = asyncio.Event()

    async def work() -> None:
        async with s.iterate(reserve=Usage(tokens=4000)) as it:
            it.spent(tokens=7)
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await inside.wait()
    await cancelled(task, gap)
    assert (await again(hold, s)).progress.used.tokens == 7
    assert (await s.events(types="error")).items[0].data["error"]["type"] == "CancelledError"


async def test_awaited_it_is_one_commit_and_spends_what_it_reserves(s: Session) -> None:
    before = (await s.state.snapshot()).version
    await s.iterate(data="x", reserve=Usage(tokens=10, wall_time=2))
    assert (await s.state.snapshot()).version == before + 1
    assert s.progress.used == Usage(iterations=1, tokens=10, wall_time=2)
    assert (await logged(s))[0].data == {
        "iteration": 1, "data": "x", "spent": {"tokens": 10}, "duration_s": 2.0
    }  # fmt: skip


async def test_a_reservation_that_would_go_over_ends_the_session(hold: Holdfast, s: Session) -> None:
    with pytest.raises(BudgetExceeded, match="tokens is 5000, 0 of it used or reserved: 5001 more"):
        await s.iterate(reserve=Usage(tokens=5001))
    assert ((await again(hold, s)).status, s.iterations) == (SessionStatus.TIMED_OUT, 0)


async def test_what_only_others_have_reserved_refuses_and_ends_nothing(hold: Holdfast, s: Session) -> None:
    """Work under way is not stopped because more was wanted beside it."""
    async with s.iterate(reserve=Usage(tokens=4000)) as it:
        with pytest.raises(BudgetExceeded):
            await s.iterate(reserve=Usage(tokens=2000))
        assert (await again(hold, s)).status is SessionStatus.ACTIVE
        it.spent(tokens=1000)
    await s.iterate(reserve=Usage(tokens=2000))


async def test_overspending_is_counted_and_the_next_one_is_refused(s: Session) -> None:
    async with s.iterate() as it:
        it.spent(tokens=9000)
    assert s.progress.per_budget["tokens"] == 180.0
    with pytest.raises(BudgetExceeded, match="nothing is left"):
        await s.iterate()


async def test_wall_time_is_the_time_inside_iterations(hold: Holdfast, clock: ManualClock) -> None:
    """Time between them, waiting for a person, is not counted."""
    s = await hold.sessions.create(budget=Budget(wall_time="10s"))
    for _ in range(2):
        clock.advance(3600)
        async with s.iterate():
            clock.advance(5)
    assert s.progress.used.wall_time == timedelta(seconds=10)
    with pytest.raises(BudgetExceeded) as caught:
        await s.iterate()
    assert (caught.value.budget, caught.value.limit) == ("wall_time", timedelta(seconds=10))


@pytest.mark.parametrize("move", ["pause", "complete", "cancel"])
async def test_a_session_that_is_not_active_does_not_iterate(s: Session, move: str) -> None:
    await getattr(s, move)()
    with pytest.raises(InvalidTransition, match="does not iterate"):
        await s.iterate()
    assert s.iterations == 0


async def test_an_iteration_settles_in_a_session_that_ended_meanwhile(hold: Holdfast, s: Session) -> None:
    """Its figures follow, so that nothing that was spent is missing from the statistics."""
    async with s.iterate() as it:
        await (await again(hold, s)).complete("done")
        it.spent(tokens=10)
    found = await again(hold, s)
    assert (found.status, found.result, found.progress.used.tokens) == (SessionStatus.COMPLETED, "done", 10)
    assert found._record.used == found._account


async def test_an_iteration_of_a_session_that_was_deleted_meanwhile_says_so(hold: Holdfast, s: Session) -> None:
    with pytest.raises(NotFound):
        async with s.iterate():
            await hold.sessions.delete(s.id)
    with pytest.raises(NotFound):
        await s.iterate()


async def test_an_error_in_the_block_is_not_hidden_by_one_of_the_settlement(hold: Holdfast, s: Session) -> None:
    with pytest.raises(ValueError, match="mine") as caught:
        async with s.iterate():
            await hold.sessions.delete(s.id)
            raise ValueError("mine")
    assert "was not settled" in caught.value.__notes__[0]


async def test_an_iteration_is_made_once(s: Session) -> None:
    iterating = s.iterate()
    with pytest.raises(Closed):
        await iterating.__aexit__(None, None, None)
    async with iterating:
        pass
    for _ in range(2):
        with pytest.raises(Closed):
            await iterating
    assert s.iterations == 1


@pytest.mark.parametrize("refused", [Usage(iterations=2), Usage(tool_calls=1), 4000, {"tokens": 1}])
async def test_what_cannot_be_reserved_is_refused_at_once(s: Session, refused: Any) -> None:
    with pytest.raises(InvalidValue) as caught:
        s.iterate(reserve=refused)
    assert caught.value.path == "reserve"
    async with s.iterate() as it:
        with pytest.raises(InvalidValue):
            it.spent(tokens=-1)


async def test_tasks_that_iterate_at_once_never_pass_a_limit(stores: Stores) -> None:
    holds = [await stores.open(), await stores.open()]
    first = await holds[0].sessions.create(id="s", budget=Budget(iterations=None, tokens=100))
    handles = [first, await again(holds[1], first)]
    let_in = 0

    async def work(s: Session) -> None:
        nonlocal let_in
        try:
            async with s.iterate(reserve=Usage(tokens=10)) as it:
                let_in += 1
                await asyncio.sleep(0)
                it.spent(tokens=10)
        except BudgetExceeded:
            pass

    await asyncio.gather(*[work(handles[n % 2]) for n in range(24)])
    found = await again(holds[0], first)
    assert found.progress.used == Usage(iterations=let_in, tokens=let_in * 10)
    assert (let_in, found.progress.reserved) == (10, Usage())


# --- raising it -----------------------------------------------------------------------------------


async def test_a_session_that_timed_out_goes_on_with_a_raised_budget_only(hold: Holdfast) -> None:
    s = await hold.sessions.create(budget=Budget(iterations=1))
    await s.iterate()
    with pytest.raises(BudgetExceeded):
        await s.iterate()
    for budget in (None, Budget(), Budget(iterations=1), Budget(tokens=10)):
        with pytest.raises(InvalidTransition):
            await s.resume(budget=budget)
    await s.resume(budget=Budget(iterations=2))
    assert (s.status, s.ended_reason, s.ended_at) == (SessionStatus.ACTIVE, None, None)
    await s.iterate()
    assert (await again(hold, s)).iterations == 2
    assert [event.type for event in await logged(s)] == ["iteration", "timeout", "resume", "iteration"]


async def test_a_budget_that_was_raised_after_the_session_timed_out_lets_it_go_on(hold: Holdfast) -> None:
    """What counts is the budget it timed out of, and not whether this very call raises it."""
    s = await hold.sessions.create(budget=Budget(iterations=1))
    await s.iterate()
    with pytest.raises(BudgetExceeded):
        await s.iterate()
    await s.update(budget=Budget(iterations=2))
    assert s.status is SessionStatus.TIMED_OUT
    await s.update(budget=Budget(iterations=1))
    with pytest.raises(InvalidTransition):
        await s.resume()
    await s.update(budget=Budget(iterations=2))
    await (await again(hold, s)).resume(budget=Budget(iterations=2))
    await s.iterate()
    with pytest.raises(BudgetExceeded):
        await s.iterate()
    with pytest.raises(InvalidTransition):
        await s.resume(budget=Budget(iterations=2))


@pytest.mark.parametrize("end", ["complete", "cancel"])
async def test_the_budget_of_a_session_that_cannot_go_on_is_not_changed(hold: Holdfast, s: Session, end: str) -> None:
    """As `resume` and `iterate` there: InvalidTransition, and nothing of the update is made. It may be annotated."""
    await getattr(s, end)()
    before = s.budget
    with pytest.raises(InvalidTransition, match="uses no budget any more") as refused:
        await s.update(budget=Budget(tokens=9000), tags=["never"])
    assert (refused.value.status, refused.value.allowed) == (s.status, (SessionStatus.CLEANUP,))
    with pytest.raises(InvalidTransition):
        await hold.sessions.update(s.id, budget=Budget())
    with pytest.raises(InvalidTransition):
        async with s.transaction() as tx:
            await tx.update(budget=Budget(tokens=9000))
    with pytest.raises(InvalidTransition, match="cannot become active"):
        await s.resume(budget=Budget(tokens=9000))
    await s.update(tags=["kept"], metadata={"seen": True})
    found = await again(hold, s)
    assert (found.budget, found.tags, found.metadata) == (before, ("kept",), {"seen": True})


async def test_a_session_that_is_open_goes_on_with_what_an_update_gives_it(s: Session) -> None:
    async with s.iterate(reserve=Usage(tokens=5000)):
        await s.update(budget=Budget(tokens=6000))
        await s.iterate(reserve=Usage(tokens=1000))


# --- in transactions ------------------------------------------------------------------------------


async def test_in_a_transaction_an_iteration_is_part_of_its_commit(hold: Holdfast, s: Session) -> None:
    async with s.transaction() as tx:
        async with tx.iterate(data={"phase": "pay"}, reserve=Usage(tokens=100)) as it:
            await tx.log("paid")
            it.spent(tokens=7)
        await tx.iterate()
        assert (await again(hold, s)).iterations == 0
    assert (s.iterations, s.progress.used.tokens) == (2, 7)
    assert (await again(hold, s)).progress == s.progress
    events = await logged(s)
    assert [(event.type, event.data and event.data["iteration"]) for event in events] == [
        ("paid", None),
        ("iteration", 1),
        ("iteration", 2),
    ]


async def test_a_budget_that_is_exceeded_in_a_transaction_writes_nothing(hold: Holdfast, s: Session) -> None:
    with pytest.raises(BudgetExceeded):
        async with s.transaction() as tx:
            await tx.state.set("a", 1)
            await tx.iterate(reserve=Usage(tokens=5001))
    found = await again(hold, s)
    assert (found.status, await found.state.keys(), await logged(found)) == (SessionStatus.ACTIVE, [], ())


async def test_a_transaction_of_many_scopes_counts_too(hold: Holdfast, s: Session) -> None:
    async with hold.transaction() as tx:
        await tx.session(s.id).iterate()
        await tx.session(s.id).log_tool_call("search")
    assert (await s.refresh()).progress.used == Usage(iterations=1, tool_calls=1)


# --- tool calls and learnings ---------------------------------------------------------------------


async def test_a_tool_call_is_told_and_counted(hold: Holdfast, s: Session) -> None:
    logged = await s.log_tool_call("search", arguments={"q": "ryokan"}, result=[1, 2], duration="250ms")
    await s.log_tool_call("ping", duration=0)
    await s.pause()
    await s.log_tool_call("late")
    found = await s.events(types="tool_call")
    assert found.items[0] == logged
    assert [event.data for event in found.items] == [
        {"name": "search", "arguments": {"q": "ryokan"}, "result": [1, 2], "duration_s": 0.25},
        {"name": "ping", "duration_s": 0.0},
        {"name": "late"},
    ]
    assert (await again(hold, s)).progress.used.tool_calls == s.progress.used.tool_calls == 3


async def test_the_last_tool_call_succeeds_and_the_next_ends_the_session(hold: Holdfast) -> None:
    s = await hold.sessions.create(budget=Budget(tool_calls=1))
    await s.log_tool_call("search")
    await s.iterate()
    with pytest.raises(BudgetExceeded):
        await s.log_tool_call("search")
    assert (s.status, s.ended_reason) == (SessionStatus.TIMED_OUT, "budget: tool_calls")
    with pytest.raises(BudgetExceeded):
        await s.log_tool_call("search")
    assert len((await s.events(types="tool_call")).items) == 1


async def test_what_a_tool_call_or_learning_cannot_be_is_refused(s: Session) -> None:
    for name, arguments in (("", None), ("x\n", None), ("x", [1]), ("x", {"a": {1}})):
        with pytest.raises((InvalidId, InvalidValue)):
            await s.log_tool_call(name, arguments=arguments)  # type: ignore[arg-type]
    for insight in (None, 3, "\ud800"):
        with pytest.raises(InvalidValue):
            await s.log_learning(insight)  # type: ignore[arg-type]
    assert await logged(s) == ()


async def test_a_learning_is_told_with_its_source(s: Session) -> None:
    await s.log_learning("Bo answers in the morning", source="mail")
    await s.log_learning("Prices rise on Friday")
    assert [event.data for event in (await s.events(types="learning")).items] == [
        {"insight": "Bo answers in the morning", "source": "mail"},
        {"insight": "Prices rise on Friday"},
    ]
