"""Steps whose effects commit with them: there once, or not at all."""

import asyncio

import pytest

from holdfast import Conflict, Holdfast, LeaseLost, Scope, Session
from holdfast.errors import Closed, InvalidTransition, InvalidValue, NotFound, TypeMismatch, UseTransaction
from holdfast.handles.atomic_step import AtomicStep
from holdfast.handles.run import Run
from holdfast.model.run import RunStatus
from tests.unit.handles.exclusive import apart
from tests.unit.stores import Stores


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s", user="ada")


@pytest.fixture
async def run(s: Session) -> Run:
    await s.state.update({"a": 100, "b": 0})
    return await s.runs.start("trip", id="r")


async def seen_by(hold: Holdfast, id: str = "r") -> Run:
    """The run, as another process sees it."""
    found = await hold.runs.get(id)
    assert found is not None
    return found


async def transfer(step: AtomicStep) -> str:
    """Ten from one account to the other, with a message and an event that tell of it."""
    a, b = await step.state.get("a", int, default=0), await step.state.get("b", int, default=0)
    await step.state.update({"a": a - 10, "b": b + 10})
    await step.messages.add("assistant", "moved 10")
    await step.log("moved", {"amount": 10})
    return f"moved with {step.idempotency_key}"


async def standing(s: Session) -> tuple[object, object, int, int]:
    """The accounts, and how many messages and events tell of transfers."""
    snap = await s.state.snapshot()
    return snap.values["a"], snap.values["b"], len(await s.messages.last(9)), len((await s.events(types="moved")).items)


async def test_an_atomic_step_has_its_effects_once_whatever_process_asks(stores: Stores, run: Run, s: Session) -> None:
    """State, messages, events and that it is done are one commit."""
    answer = await run.atomic("pay", transfer)
    assert answer == f"moved with {run.idempotency_key('pay')}"
    assert run.status is RunStatus.RUNNING
    later = await seen_by(await stores.open())
    for again in (run, later):
        assert await again.atomic("pay", transfer) == answer
    assert await standing(s) == (90, 10, 1, 1)
    assert (await s.state.history("a")).items[0].cause.run == "r"
    assert await later.atomic("pay", transfer, version=2) != answer
    assert await standing(s) == (80, 20, 2, 2)


async def test_of_workers_that_race_for_one_step_one_has_its_effects(stores: Stores, run: Run, s: Session) -> None:
    """The others are told what it came to."""
    runs = [run, *[await seen_by(await stores.open()) for _ in range(3)]]
    answers = await asyncio.gather(*(apart(one.atomic("pay", transfer)) for one in runs))
    assert len({*answers}) == 1
    assert await standing(s) == (90, 10, 1, 1)


async def test_an_atomic_step_runs_again_when_what_it_read_was_changed(stores: Stores, run: Run, s: Session) -> None:
    """No update of others is lost, and none of its own is doubled; without tries left it is a Conflict."""
    tries: list[int] = []

    async def slow(step: AtomicStep) -> None:
        a = await step.state.get("a", int, default=0)
        if len(tries) < 2:
            tries.append(a)
            await apart(s.state.set("a", a + 1))
        await step.state.set("a", a - 10)
        step.result = a

    with pytest.raises(Conflict):
        await run.atomic("pay", slow, attempts=1)
    assert await run.atomic("pay", slow) == 102
    assert (tries, await s.state.get("a")) == ([100, 101], 92)


async def test_a_block_that_fails_or_rolls_back_writes_nothing_and_is_not_done(run: Run, s: Session) -> None:
    """It may be begun again."""
    with pytest.raises(ZeroDivisionError):
        async with run.atomic_step("pay") as step:
            await transfer(step)
            raise ZeroDivisionError

    async def undecided(step: AtomicStep) -> None:
        await transfer(step)
        step.rollback()

    assert await run.atomic("pay", undecided) is None
    assert await standing(s) == (100, 0, 0, 0)
    async with run.atomic_step("pay") as step:
        assert not step.done
        step.result = {"paid": await transfer(step)}
    assert await standing(s) == (90, 10, 1, 1)
    with pytest.raises(Closed, match="an atomic step is used once"):
        await step.__aenter__()
    with pytest.raises(Closed, match="this atomic step has ended"):
        await step.state.set("late", True)


async def test_a_step_that_is_done_says_so_and_refuses_writes(stores: Stores, run: Run, s: Session) -> None:
    """Nothing of its block is written."""
    await run.atomic("pay", transfer)
    later = await seen_by(await stores.open())
    async with later.atomic_step("pay") as step:
        assert (step.done, step.result) == (True, f"moved with {run.idempotency_key('pay')}")
        with pytest.raises(Closed, match="the step 'pay' was done before"):
            await step.state.set("a", 0)
        with pytest.raises(Closed):
            step.result = 1
    assert await standing(s) == (90, 10, 1, 1)


async def test_writing_past_the_block_is_refused_but_for_the_run(run: Run, s: Session) -> None:
    """What the session's own handle writes would not be of the step; steps of the run are durable at once."""
    with pytest.raises(ZeroDivisionError):
        async with run.atomic_step("pay") as step:
            with pytest.raises(UseTransaction, match="part of the atomic step this task is in"):
                await s.state.set("a", 1)
            assert await run.step("price", lambda: 9) == 9
            await step.state.set("a", 1)
            raise ZeroDivisionError
    assert await run.step("price", lambda: 0) == 9
    assert await s.state.get("a") == 100
    async with s.transaction() as tx:
        await tx.state.set("a", 1)
        with pytest.raises(UseTransaction):
            await run.atomic("pay", transfer)


async def test_of_a_run_that_is_paused_or_has_ended_nothing_is_begun(stores: Stores, run: Run, s: Session) -> None:
    """What has begun is kept though it was paused meanwhile, and not if it was ended."""
    other = await seen_by(await stores.open())
    async with run.atomic_step("first") as step:
        await step.state.set("a", 1)
        await apart(other.pause())
    with pytest.raises(InvalidTransition, match="is paused"):
        await run.atomic("second", transfer)
    await run.resume()
    with pytest.raises(InvalidTransition, match="is cancelled"):
        async with run.atomic_step("third") as step:
            await step.state.set("a", 2)
            await apart(other.cancel())
    assert await s.state.get("a") == 1


async def test_a_superseded_worker_commits_no_step(stores: Stores, run: Run, s: Session) -> None:
    """Its fence is part of the step's commit."""
    other = await seen_by(await stores.open())

    async def supersede() -> None:
        async with other.claim(busy="supersede"):
            await other.atomic("pay", transfer)

    with pytest.raises(LeaseLost):
        async with run.claim(ttl="1h"), run.atomic_step("pay") as step:
            await transfer(step)
            await apart(supersede())
    assert await standing(s) == (90, 10, 1, 1)


async def test_a_run_alone_keeps_what_its_steps_write_in_its_own_scope(hold: Holdfast) -> None:
    """And its user's state is at hand, where it has one."""
    run = await hold.runs.start("nightly", id="alone", user=None)
    async with run.atomic_step("count") as step:
        await step.state.set("n", 1)
        with pytest.raises(NotFound, match="has no user"):
            _ = step.user_state
    assert await hold.state(Scope.run("alone")).get("n") == 1


async def test_users_state_commits_with_the_step(spanning: Stores) -> None:
    """Where the backend spans both scopes."""
    hold = await spanning.open()
    run = await hold.runs.start("nightly", user="ada")
    async with run.atomic_step("count") as step:
        await step.user_state.set("n", 1)
    assert await hold.state(Scope.user("ada")).get("n") == 1


async def test_what_cannot_be_a_step_is_refused(run: Run) -> None:
    """Before anything is run."""
    with pytest.raises(InvalidValue, match="must be an async function"):
        await run.atomic("pay", lambda step: 1)  # type: ignore[arg-type, return-value]
    with pytest.raises(InvalidValue, match="attempts"):
        await run.atomic("pay", transfer, attempts=0)
    with pytest.raises(TypeMismatch):
        await run.atomic("pay", transfer, returns=object())  # type: ignore[call-overload]
