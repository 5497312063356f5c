"""Steps of runs: done once, whatever process asks; what they came to is remembered."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from holdfast import Config, Holdfast, Session
from holdfast.errors import InvalidId, InvalidTransition, InvalidValue, NotFound, TypeMismatch
from holdfast.handles.run import Run
from holdfast.model.config import RunsConfig
from holdfast.model.run import RunStatus
from tests.unit.handles.exclusive import apart
from tests.unit.stores import Stores


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s", user="ada")


@pytest.fixture
async def run(s: Session) -> Run:
    return await s.runs.start("trip", id="r")


async def seen_by(hold: Holdfast, id: str = "r") -> Run:
    """The run, as another process sees it."""
    found = await hold.runs.get(id)
    assert found is not None
    return found


def counting(calls: list[object]) -> Callable[..., object]:
    """A function that tells its calls, and how manieth this one was."""

    def count(*args: object) -> object:
        calls.append(args)
        return [*args, len(calls)]

    return count


@dataclass
class Fare:
    to: str
    price: float


async def test_a_step_is_done_once_whatever_process_asks(stores: Stores, run: Run) -> None:
    """By the same handle, another one, and after a restart; the first puts the run to work."""
    calls: list[object] = []
    first = await run.step("price", counting(calls), "KIX")
    assert (first, run.status) == (["KIX", 1], RunStatus.RUNNING)
    assert await run.step("price", counting(calls), "KIX") == first
    later = await seen_by(await stores.open())
    assert await later.step("price", counting(calls), "KIX") == first
    assert (later.status, len(calls)) == (RunStatus.RUNNING, 1)


async def test_a_step_is_told_by_its_name_arguments_or_key_and_version(stores: Stores, run: Run, s: Session) -> None:
    """Changed code is the same step; another run has its own."""
    calls: list[object] = []
    count = counting(calls)
    for name, args, more in (
        ("price", ("KIX",), {}),
        ("price", ("HND",), {}),
        ("fare", ("KIX",), {}),
        ("price", ("KIX",), {"version": 2}),
        ("price", ("KIX",), {"key": 0}),
        ("price", ("KIX",), {"key": 1}),
    ):
        before = len(calls)
        await run.step(name, count, *args, **more)  # type: ignore[arg-type]
        assert len(calls) == before + 1
    assert await run.step("price", lambda place: "changed", "KIX") == ["KIX", 1]
    assert await run.step("price", count, object(), key=1) == ["KIX", 6]
    other = await s.runs.start("trip", id="other")
    assert await other.step("price", count, "KIX") == ["KIX", 7]
    again = await seen_by(await stores.open())
    assert again.idempotency_key("price", "KIX") == run.idempotency_key("price", "KIX")
    assert other.idempotency_key("price", "KIX") != run.idempotency_key("price", "KIX")


async def test_a_result_comes_back_as_from_the_store_the_first_time_too(stores: Stores, run: Run) -> None:
    """Typed where `returns` says so; what cannot be kept is refused, and not done again by itself."""
    first = await run.step("fare", lambda to: Fare(to, 900.0), "KIX", returns=Fare)
    later = await seen_by(await stores.open())
    assert first == await later.step("fare", lambda to: Fare(to, 1.0), "KIX", returns=Fare) == Fare("KIX", 900.0)
    assert await later.step("fare", lambda to: None, "KIX") == {"to": "KIX", "price": 900.0}
    with pytest.raises(TypeMismatch):
        await later.step("fare", lambda to: None, "KIX", returns=list[int])
    for refused in (
        lambda: run.step("set", lambda: {1, 2}),
        lambda: run.step("set", lambda given: 1, {1, 2}),
        lambda: run.step("", lambda: 1),
        lambda: run.step("set", "no function"),  # type: ignore[call-overload]
    ):
        with pytest.raises((InvalidValue, InvalidId)):
            await refused()


async def test_a_step_that_fails_keeps_nothing_and_is_done_again(run: Run) -> None:
    """Its exception goes on out."""
    tries: list[int] = []

    async def flaky() -> str:
        tries.append(1)
        if len(tries) == 1:
            raise ConnectionError("cut")
        return "done"

    with pytest.raises(ConnectionError):
        await run.step("flaky", flaky)
    assert await run.step("flaky", flaky) == "done"


async def test_of_two_that_do_the_same_step_at_once_one_result_is_kept(stores: Stores, run: Run) -> None:
    """Both return that one. In one process the second waits for the first instead."""
    other = await seen_by(await stores.open())
    begun = [asyncio.Event(), asyncio.Event()]

    async def slow(number: int) -> int:
        begun[number].set()
        await begun[1 - number].wait()
        return number

    answers = await asyncio.gather(*(one.step("slow", slow, n, key=0) for n, one in enumerate((run, other))))
    assert answers[0] == answers[1]
    calls: list[object] = []
    count = counting(calls)
    assert await asyncio.gather(*(run.step("price", count) for _ in range(5))) == [[1]] * 5


async def test_nothing_is_done_while_a_run_is_paused_or_once_it_has_ended(stores: Stores, run: Run) -> None:
    """What is remembered is told all the same; what had begun is kept though the run was paused meanwhile."""
    other = await seen_by(await stores.open())
    assert await run.step("first", lambda: 1) == 1

    async def paused_meanwhile() -> int:
        await other.pause("by Bo")
        return 2

    assert await run.step("second", paused_meanwhile) == 2
    for status, change in (("paused", None), ("cancelled", other.cancel)):
        if change is not None:
            await change()
        with pytest.raises(InvalidTransition, match=f"is {status}"):
            await run.step("third", lambda: pytest.fail("it was done"))
        late = await seen_by(await stores.open())
        assert (await late.step("first", lambda: 0), await late.step("second", lambda: 0)) == (1, 2)


async def test_what_a_step_came_to_after_the_run_had_ended_is_not_kept(stores: Stores, run: Run) -> None:
    """The run is as whoever ended it saw it."""
    other = await seen_by(await stores.open())

    async def cancelled_meanwhile() -> int:
        await other.cancel()
        return 1

    with pytest.raises(InvalidTransition, match="is cancelled"):
        await run.step("late", cancelled_meanwhile)


async def test_steps_of_a_run_alone_and_of_one_without_tracking_are_remembered(stores: Stores) -> None:
    """Whatever is kept of nodes."""
    hold = await stores.open(config=Config(runs=RunsConfig(track_nodes=False, keep_outputs=False)))
    run = await hold.runs.start("nightly", id="alone")
    assert await run.step("a", lambda: 1) == 1
    assert await (await seen_by(hold, "alone")).step("a", lambda: 2) == 1


async def test_a_step_inside_a_turn_is_durable_at_once(hold: Holdfast, run: Run, s: Session) -> None:
    """Whatever becomes of the turn."""
    with pytest.raises(ZeroDivisionError):
        async with s.turn(request_id="q") as turn:
            await turn.state.set("n", 1)
            await run.step("a", lambda: 1)
            raise ZeroDivisionError
    assert await (await seen_by(hold)).step("a", lambda: 2) == 1
    assert await s.state.get("n") is None


async def test_what_a_step_writes_says_of_which_run_it_is(run: Run, s: Session) -> None:
    """In the cause of its commits."""
    await run.step("note", lambda: s.state.set("n", 1))
    why = await s.why("n")
    assert why is not None
    assert why.cause is not None
    assert why.cause.run == "r"


async def test_steps_of_a_run_whose_session_is_gone_are_refused(hold: Holdfast, run: Run) -> None:
    """And they are not done."""
    await hold.sessions.delete("s")
    await hold.sessions.create(id="s")
    with pytest.raises(NotFound):
        await apart(run.step("a", lambda: pytest.fail("it was done")))


async def test_a_step_that_would_wait_for_itself_is_refused(run: Run) -> None:
    """Inside of itself, and where two wait for each other; one of other arguments may be inside."""

    async def again() -> object:
        return await run.step("again", again)

    async def fib(n: int) -> int:
        return n if n < 2 else await run.step("fib", fib, n - 1) + await run.step("fib", fib, n - 2)

    with pytest.raises(InvalidTransition, match="'again' is under way"):
        await run.step("again", again)
    assert await run.step("fib", fib, 8) == 21

    entered = asyncio.Event()

    async def ping() -> object:
        await entered.wait()
        return await run.step("pong", pong)

    async def pong() -> object:
        entered.set()
        return await run.step("ping", ping)

    both = await asyncio.gather(run.step("ping", ping), run.step("pong", pong), return_exceptions=True)
    assert [type(one) for one in both] == [InvalidTransition] * 2  # the refusal ends the one inside, and so the other


async def test_an_atomic_step_inside_of_itself_is_refused(run: Run) -> None:
    """By whatever steps lie in between; nothing of it is kept, and it can be done."""

    async def outer(step: object) -> object:
        return await run.step("inner", inner)

    async def inner() -> object:
        return await run.atomic("outer", outer)

    with pytest.raises(InvalidTransition, match="'outer' is under way"):
        await run.atomic("outer", outer)

    async def pays(step: object) -> str:
        return "paid"

    assert await run.atomic("outer", pays) == "paid"
