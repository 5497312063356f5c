"""The turn: exclusive, idempotent, all or nothing but for its finished steps."""

import asyncio
from dataclasses import dataclass
from typing import Literal

import pytest

from holdfast import Busy, Config, Conflict, Holdfast, LeaseLost, Session, Turn, TurnsConfig
from holdfast.errors import Closed, HoldfastError, InvalidId, InvalidValue, NotFound, TypeMismatch, UseTransaction
from holdfast.handles.lease import Taking, terms
from holdfast.model.moment import to_datetime
from holdfast.services import claim
from holdfast.services.turn import beginning
from tests.unit.handles.exclusive import apart, cells, process, tickets, until
from tests.unit.stores import StillClock, Stores


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s", user="ada")


class Calls:
    """A world outside: what was asked of it."""

    def __init__(self) -> None:
        self.made: list[object] = []

    async def price(self, city: str) -> int:
        self.made.append(city)
        return len(city) * 100


async def test_what_a_turn_writes_commits_at_its_end_with_the_answer(stores: Stores, s: Session) -> None:
    """One commit beside the claim's; nothing of it is seen before; the claim is gone with it."""
    seen = await (await stores.open()).sessions.get("s")
    assert seen is not None
    async with s.turn(request_id="r") as turn:
        await turn.messages.add("user", "hello")
        await turn.state.set("n", 1)
        await turn.runtime.set("step", "thinking")
        await turn.log("noted", {"n": 1})
        await turn.update(tags=["vip"])
        turn.output = {"answer": 42}
        assert await seen.messages.last(5) == []
        assert (turn.replayed, turn.request_id, turn.output) == (False, "r", {"answer": 42})
    assert [message.content for message in await seen.messages.last(5)] == ["hello"]
    assert (await seen.state.get("n"), await seen.runtime.get("step"), s.tags) == (1, "thinking", ("vip",))
    assert (await seen.state.snapshot()).version == s.version == 3
    kernel = await stores.plain()
    assert await cells(kernel, "session/s", claim.CELL) == ()
    await kernel.close()


async def test_a_repeated_request_gets_the_first_answer_in_any_process_and_writes_nothing(
    stores: Stores, s: Session
) -> None:
    async with s.turn(request_id="r") as turn:
        turn.output = ["the answer"]
    other = await (await stores.open()).sessions.get("s")
    assert other is not None
    for session in (s, other):
        async with session.turn(request_id="r", busy="reject") as turn:
            assert (turn.replayed, turn.output) == (True, ["the answer"])
            with pytest.raises(Closed, match="answered before"):
                await turn.messages.add("user", "again")
            with pytest.raises(Closed, match="answered before"):
                turn.output = "another"
    kernel = await stores.plain()
    assert [record.seq for record in await kernel.log("session/s")] == [1, 2, 3], "made, claimed, answered"
    await kernel.close()


async def test_a_turn_without_an_output_is_answered_too(s: Session) -> None:
    async with s.turn(request_id="r"):
        pass
    async with s.turn(request_id="r") as turn:
        assert (turn.replayed, turn.output) == (True, None)


async def test_a_request_that_was_answered_since_it_was_looked_for_is_not_answered_again(
    stores: Stores, s: Session
) -> None:
    """The claim is taken only if nothing of the request was written since that look; a finished step counts too."""
    other = await (await stores.open()).sessions.get("s")
    assert other is not None
    taking = Taking(other._store, other._target, terms("queue", None, "60s"), more=beginning("r"))
    before = await taking._look()
    with pytest.raises(ValueError, match="after its step"):
        async with s.turn(request_id="r") as turn:
            await turn.step("price", lambda: 1)
            raise ValueError("after its step")
    assert await taking._take(before) is None
    between = await taking._look()
    async with s.turn(request_id="r"):
        pass
    assert await taking._take(between) is None


async def test_one_request_sent_many_times_at_once_is_answered_once(stores: Stores, hold: Holdfast, s: Session) -> None:
    holds = [hold, await stores.open()]
    answered: list[int] = []

    async def send(number: int) -> object:
        session = await holds[number % 2].sessions.get("s")
        assert session is not None
        async with session.turn(request_id="r", wait=None) as turn:
            if not turn.replayed:
                answered.append(number)
                turn.output = number
            return turn.output

    outputs = await asyncio.gather(*(send(number) for number in range(6)))
    assert len(answered) == 1
    assert outputs == answered * 6
    assert await tickets(stores) == 0


@pytest.mark.parametrize("how", ["raises", "is cancelled", "rolls back"])
async def test_a_turn_that_fails_leaves_its_finished_steps_and_nothing_else(
    stores: Stores, s: Session, how: str
) -> None:
    """The claim is given back; the same request takes up after the last finished step."""
    calls = Calls()

    async def attempt() -> None:
        async with s.turn(request_id="r", busy="reject") as turn:
            await turn.step("price", calls.price, "Kyoto")
            await turn.state.set("n", 1)
            turn.output = "never"
            if how == "raises":
                raise ValueError
            if how == "rolls back":
                turn.rollback()
            await asyncio.Event().wait()

    task = apart(attempt())
    if how == "is cancelled":
        await until(lambda: bool(calls.made))
        await asyncio.sleep(0.01)
        task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not await s.state.has("n")
    async with s.turn(request_id="r", busy="reject") as turn:
        assert not turn.replayed
        assert turn.output is None
        price = await turn.step("price", calls.price, "Kyoto")
        assert (price, calls.made) == (500, ["Kyoto"])
        await turn.state.set("price", price)
    kernel = await stores.plain()
    assert [cell.key for cell in await cells(kernel, "session/s", "turn/")] == ["turn/r/answer"]
    await kernel.close()


async def test_a_step_is_the_same_by_name_arguments_and_version(s: Session) -> None:
    """So it runs once; `key` stands for arguments that are no plain values; results come back as from the store."""
    calls = Calls()
    async with s.turn(request_id="r") as turn:
        for _ in range(2):
            assert await turn.step("price", calls.price, "Kyoto") == 500
        await turn.step("price", calls.price, "Nara")
        await turn.step("price", calls.price, "Nara", version=2)
        await turn.step("another", calls.price, "Nara")
        await turn.step("price", calls.price, "Nara", key="k")
        assert await turn.step("plain", lambda a, b: [a, b], 1, 2) == [1, 2]
        assert await asyncio.gather(*(turn.step("at once", calls.price, "Uji") for _ in range(3))) == [300] * 3
        with pytest.raises(InvalidValue, match=r"^arguments\[0\] is an object"):
            await turn.step("price", calls.price, object())
        with pytest.raises(InvalidValue, match=r"^result\[1\] is a set"):
            await turn.step("several", lambda: [1, {2}])
        with pytest.raises(InvalidValue, match="a function"):
            await turn.step("price", 3)  # type: ignore[arg-type]
    assert calls.made == ["Kyoto", "Nara", "Nara", "Nara", "Nara", "Uji"]


@dataclass
class Fare:
    city: str
    cents: int


async def test_a_step_returns_what_its_caller_says_it_is(s: Session) -> None:
    """decode(encode(result)), the first time too."""

    def ask(city: str) -> Fare:
        return Fare(city, 7)

    async with s.turn(request_id="r") as turn:
        assert await turn.step("fare", ask, "Uji", returns=Fare) == Fare("Uji", 7)
        assert await turn.step("fare", ask, "Uji") == {"city": "Uji", "cents": 7}
        with pytest.raises(TypeMismatch):
            await turn.step("fare", ask, "Uji", returns=int)


async def test_a_step_that_fails_keeps_nothing_and_runs_again(s: Session) -> None:
    tries = []

    def flaky() -> str:
        tries.append(1)
        if len(tries) == 1:
            raise OSError("not now")
        return "there"

    async with s.turn(request_id="r") as turn:
        with pytest.raises(OSError, match="not now"):
            await turn.step("flaky", flaky)
        assert await turn.step("flaky", flaky) == "there"


async def test_a_superseded_turn_writes_nothing_more(stores: Stores, s: Session) -> None:
    """LeaseLost at its next step and at its end; what the younger wrote stands."""
    other = await (await stores.open()).sessions.get("s")
    assert other is not None
    calls = Calls()

    async def supersede() -> None:
        async with other.turn(request_id="younger", busy="supersede") as turn:
            await turn.state.set("by", "younger")

    with pytest.raises(LeaseLost):
        async with s.turn(request_id="older") as turn:
            await turn.state.set("by", "older")
            await apart(supersede())
            with pytest.raises(LeaseLost):
                await turn.step("price", calls.price, "Kyoto")
    assert await s.state.get("by") == "younger"
    async with s.turn(request_id="older") as turn:
        assert not turn.replayed


async def test_who_lost_a_session_is_told_who_superseded_it(stores: Stores, s: Session) -> None:
    """As long as that one holds it; LeaseLost at a step, at whatever follows, and at the end."""
    other = await (await stores.open()).sessions.get("s")
    assert other is not None
    younger = other.turn(request_id="younger", busy="supersede")
    told = "superseded by the turn for request 'younger' since 20"
    with pytest.raises(LeaseLost, match=told):
        async with s.turn(request_id="older") as turn:
            await apart(_enter(younger))
            for name in ("first", "second"):
                with pytest.raises(LeaseLost, match=told):
                    await turn.step(name, lambda: 1)
    with pytest.raises(Busy) as busy:
        await apart(_whole(s, Calls(), busy="reject"))
    assert "held by the turn for request 'younger' since 20" in str(busy.value)
    assert (busy.value.worker, busy.value.request) == (None, "younger")
    assert busy.value.since == to_datetime(stores.clock.now_us())
    await apart(_leave(younger))


async def _enter(turn: Turn) -> None:
    await turn.__aenter__()


async def test_a_turn_that_stood_still_for_its_ttl_stops_at_its_next_write(stores: Stores, s: Session) -> None:
    with pytest.raises(LeaseLost):
        async with s.turn(request_id="r", ttl="60s") as turn:
            await turn.state.set("n", 1)
            stores.clock.advance(61)
            await turn.state.set("n", 2)
    assert not await s.state.has("n")


async def test_the_turn_of_a_dead_process_is_taken_over_and_its_steps_with_it(stores: Stores, s: Session) -> None:
    dead = await process(stores, StillClock(), 70)
    theirs = await dead.sessions.get("s")
    assert theirs is not None
    calls = Calls()
    turn = theirs.turn(request_id="r", ttl="60s")
    await apart(_half(turn, calls))
    retried = apart(_whole(s, calls))
    await until(lambda: _waits(stores))
    while not retried.done():
        stores.clock.advance(61)
        await asyncio.wait([retried], timeout=1)  # as long as it is not done it has yet to see the beat twice
    assert await retried == 500
    assert calls.made == ["Kyoto"]
    with pytest.raises(LeaseLost):
        await apart(_leave(turn))
    assert await s.state.get("price") == 500
    await dead.close()


async def _waits(stores: Stores) -> bool:
    return await tickets(stores) == 1


async def _half(turn: Turn, calls: Calls) -> None:
    await turn.__aenter__()
    await turn.step("price", calls.price, "Kyoto")
    await turn.state.set("price", "of the dead")


async def _leave(turn: Turn) -> None:
    await turn.__aexit__(None, None, None)


async def _whole(session: Session, calls: Calls, busy: Literal["queue", "reject"] = "queue") -> object:
    async with session.turn(request_id="r", busy=busy, wait=None) as turn:
        turn.output = await turn.step("price", calls.price, "Kyoto")
        await turn.state.set("price", turn.output)
    return turn.output


async def test_writers_without_a_turn_are_not_held_off_and_met_by_a_conflict(stores: Stores, s: Session) -> None:
    """A turn's reads are conditions of its end; nothing of it is kept but its steps, and it can be sent again."""
    other = await (await stores.open()).sessions.get("s")
    assert other is not None
    calls = Calls()
    with pytest.raises(Conflict):
        async with s.turn(request_id="r") as turn:
            await turn.step("price", calls.price, "Kyoto")
            count = await turn.state.get("n", int, default=0)
            await apart(_set(other, 10))
            await turn.state.set("n", count + 1)
    async with s.turn(request_id="r", busy="reject") as turn:
        await turn.step("price", calls.price, "Kyoto")
        await turn.state.set("n", await turn.state.get("n", int, default=0) + 1)
    assert (await s.state.get("n"), calls.made) == (11, ["Kyoto"])


async def _set(session: Session, value: int) -> None:
    await session.state.set("n", value)


async def test_inside_a_turn_its_session_is_written_through_it(hold: Holdfast, s: Session) -> None:
    """As inside a transaction; other sessions may be written, and a turn or claim of the same one is refused."""
    other = await hold.sessions.create(id="other")
    async with s.turn(request_id="r") as turn:
        with pytest.raises(UseTransaction):
            await s.state.set("n", 1)
        for inner in (_begin(s), asyncio.create_task(_begin(s))):
            with pytest.raises(Busy, match="already by the claim or turn") as busy:
                await inner
            assert not busy.value.retryable
        await other.state.set("n", 1)
        await turn.state.set("n", 2)
    with pytest.raises(Busy, match="already by the claim or turn"):
        async with s.claim(), s.turn(request_id="in a claim"):
            pass
    assert (await other.state.get("n"), await s.state.get("n")) == (1, 2)


async def _begin(session: Session) -> None:
    async with session.turn(request_id="inner"):
        pass


async def test_what_is_refused_in_a_turn_names_the_turn_and_no_transaction(hold: Holdfast, s: Session) -> None:
    """An error carries the remedy for what was done, where it was done."""
    other = await hold.sessions.get("s")
    assert other is not None
    refused: list[HoldfastError] = []
    with pytest.raises(Conflict) as conflict:
        async with s.turn(request_id="r") as turn:
            state = turn.state
            with pytest.raises(UseTransaction) as past:
                await s.state.set("n", 1)
            with pytest.raises(UseTransaction) as elsewhere:
                await asyncio.to_thread(turn.rollback)
            await turn.state.get("n")
            await apart(_set(other, 10))
            await turn.state.set("n", 2)
    refused += [conflict.value, past.value, elsewhere.value]
    for late in (lambda: state.set("n", 3), lambda: turn.log("late")):
        with pytest.raises(Closed) as closed:
            await late()
        refused.append(closed.value)
    with pytest.raises(Closed) as closed:
        async with turn:
            pass
    refused.append(closed.value)
    for error in refused:
        told = f"{error} {error.remedy}"
        assert "transaction" not in told.removesuffix(Closed.remedy), told
        assert "turn" in told, told
    assert "as turn`, write through `turn`" in past.value.remedy


async def test_an_answer_is_kept_as_long_as_is_configured(stores: Stores) -> None:
    hold = await stores.open(config=Config(turns=TurnsConfig(answers_ttl="1h")))
    s = await hold.sessions.create(id="s")
    async with s.turn(request_id="r") as turn:
        turn.output = 1
    stores.clock.advance(3599)
    async with s.turn(request_id="r") as turn:
        assert turn.replayed
    stores.clock.advance(2)
    async with s.turn(request_id="r") as turn:
        assert not turn.replayed
    for_good = await stores.open(config=Config(turns=TurnsConfig(answers_ttl=None)))
    t = await for_good.sessions.create(id="t")
    async with t.turn(request_id="r"):
        pass
    stores.clock.advance(400 * 86_400)
    async with t.turn(request_id="r") as turn:
        assert turn.replayed


async def test_an_output_that_cannot_be_kept_is_refused_where_it_is_set(s: Session) -> None:
    async with s.turn(request_id="r") as turn:
        turn.output = "good"
        with pytest.raises(InvalidValue) as refused:
            turn.output = {"prices": [1.0, float("nan")]}
        assert refused.value.path.startswith("output")
        assert turn.output == "good"


async def test_what_is_no_turn_is_refused(hold: Holdfast, s: Session) -> None:
    """An id that is none, a turn used twice or outside its block, a session that is gone."""
    with pytest.raises(InvalidId):
        s.turn(request_id="")
    once = s.turn(request_id="r")
    with pytest.raises(Closed):
        once.output = 1
    async with once:
        pass
    with pytest.raises(Closed):
        async with once:
            pass
    await hold.sessions.delete("s")
    with pytest.raises(NotFound):
        async with s.turn(request_id="r2"):
            pass


async def test_no_name_in_the_store_tells_what_a_step_was_called_with(stores: Stores, s: Session) -> None:
    """Keys are not encrypted, and a digest of a PIN is found by trying all of them: it stands in the value."""
    with pytest.raises(ZeroDivisionError):
        async with s.turn(request_id="r") as turn:
            await turn.step("charge", str, "1234")
            await turn.step("charge", str, "5678")
            raise ZeroDivisionError
    kernel = await stores.plain()
    assert [cell.key for cell in await cells(kernel, "session/s", "turn/")] == [
        "turn/r/step/00000001",
        "turn/r/step/00000002",
    ]
    await kernel.close()
    async with s.turn(request_id="r") as turn:
        assert await turn.step("charge", _never, "5678") == "5678"
        assert await turn.step("charge", str, "9") == "9"


def _never(pin: str) -> str:
    raise AssertionError(f"{pin} is charged twice")
