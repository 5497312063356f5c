"""Transactions: serialisable, all or nothing, over one session or many scopes."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import pytest

from holdfast import AlreadyExists, Config, Conflict, Holdfast, NotFound, Scope, Session
from holdfast.errors import Closed, InvalidId, InvalidValue, TooLarge, Unsupported, UseTransaction
from holdfast.handles.transaction import SessionTransaction, Transaction
from holdfast.kernel.contract import Kernel
from holdfast.model.config import Limits
from holdfast.wrappers.around import Around, Verb
from tests.unit.entries import logged
from tests.unit.stores import Stores, together

T = TypeVar("T")


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    s = await hold.sessions.create(id="s", user="ada", agent="bot")
    await s.state.update({"x": 1, "y": 1})
    return s


async def seq(hold: Holdfast) -> int:
    return (await hold.state(Scope.session("s")).snapshot()).version


# --- all or nothing --------------------------------------------------------------------------------------------------


async def test_everything_in_the_block_is_one_commit(hold: Holdfast, s: Session) -> None:
    before = await seq(hold)
    async with s.transaction() as tx:
        await tx.state.set("cart", ["milk"])
        await tx.temp.set("t", 1)
        await tx.runtime.set("step", 1)
        await tx.messages.add("user", "hello")
        await tx.log("note", {"n": 1})
        await tx.update(metadata={"a": 1}, tags=["t"])
    assert await seq(hold) == before + 1
    assert tx.version(Scope.session("s")) == before + 1
    assert (await s.state.get("cart"), await s.temp.get("t"), await s.runtime.get("step")) == (["milk"], 1, 1)
    assert [message.content for message in await s.messages.list()] == ["hello"]
    assert [event.data for event in await logged(s)] == [{"n": 1}]
    assert (s.metadata, s.tags, s.version) == ({"a": 1}, ("t",), before + 1)
    assert [found.id for found in (await hold.sessions.list(tag="t")).items] == ["s"]


async def leave_by_exception(tx: SessionTransaction) -> None:
    raise ZeroDivisionError


async def leave_by_rollback(tx: SessionTransaction) -> None:
    tx.rollback()


async def leave_by_cancellation(tx: SessionTransaction) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(1)


@pytest.mark.parametrize("leave", [leave_by_exception, leave_by_rollback, leave_by_cancellation])
async def test_a_block_left_early_writes_nothing(hold: Holdfast, s: Session, leave: Any) -> None:
    async def run() -> None:
        async with s.transaction() as tx:
            await tx.state.set("cart", 1)
            await tx.messages.add("user", "hello")
            await tx.update(metadata={"a": 1})
            await leave(tx)
            raise AssertionError("unreachable")

    before = await seq(hold)
    (outcome,) = await asyncio.gather(asyncio.create_task(run()), return_exceptions=True)
    expected = {leave_by_exception: ZeroDivisionError, leave_by_cancellation: asyncio.CancelledError}.get(leave)
    assert outcome is None if expected is None else isinstance(outcome, expected)
    assert await seq(hold) == before
    assert (await s.state.get("cart"), s.metadata) == (None, {})


async def test_a_block_that_does_nothing_commits_nothing(hold: Holdfast, s: Session) -> None:
    before = await seq(hold)
    async with s.transaction():
        pass
    async with hold.transaction():
        pass
    assert await seq(hold) == before


async def test_a_refused_value_leaves_the_block_usable_and_too_many_writes_refuse_it_whole(stores: Stores) -> None:
    hold = await stores.open(config=Config(limits=Limits(operations_max=4)))
    s = await hold.sessions.create(id="s")
    async with s.transaction() as tx:
        with pytest.raises(InvalidValue):
            await tx.state.update({"a": 1, "b": {1}})
        await tx.state.set("c", 1)
    assert await s.state.keys() == ["c"]
    with pytest.raises(TooLarge):
        async with s.transaction() as tx:
            for n in range(5):
                await tx.state.set(f"k{n}", n)
    assert await s.state.keys() == ["c"]


# --- its own writes --------------------------------------------------------------------------------------------------


async def test_reads_see_the_transactions_own_writes_and_nobody_else_does(hold: Holdfast, s: Session) -> None:
    await s.messages.add("user", "one")
    await s.runtime.update({"a": 1, "b": 2})
    async with s.transaction() as tx:
        await tx.state.set("z", 26)
        await tx.state.delete("x")
        assert (await tx.state.get("z"), await tx.state.get("x"), await tx.state.has("x")) == (26, None, False)
        assert await tx.state.keys() == ["y", "z"]
        assert (await tx.state.snapshot()).values == {"y": 1, "z": 26}
        assert await tx.state.mutate("z", lambda z: z + 1) == 27
        assert await tx.state.merge("map", {"a": 1}) == {"a": 1}
        assert await tx.state.clear() == 3
        assert await tx.state.keys() == []
        await tx.messages.add("user", "two")
        await tx.messages.add("user", "three")
        assert [m.content for m in await tx.messages.list()] == ["one", "two", "three"]
        assert [m.content for m in await tx.messages.last(2)] == ["two", "three"]
        await tx.log("note")
        assert [e.type for e in await logged(tx)] == ["note"]
        assert await tx.runtime.clear("a") == 1
        assert await tx.runtime.all() == {"b": 2}
        assert await tx.runtime.clear() == 1
        assert await tx.runtime.all() == {}
        assert await s.state.keys() == ["x", "y"]
        assert len(await s.messages.list()) == 1
    assert await s.state.keys() == []
    assert [m.content for m in await s.messages.list()] == ["one", "two", "three"]


async def test_messages_that_are_not_committed_stand_beyond_every_cursor(s: Session) -> None:
    first, second = await s.messages.add("user", "1"), await s.messages.add("user", "2")
    async with s.transaction() as tx:
        staged = await tx.messages.add("user", "3")
        assert staged.cursor is None
        assert [m.content for m in await tx.messages.list(before=second)] == ["1"]
        assert [m.content for m in await tx.messages.list(before=second, order="newest")] == ["1"]
        assert [m.content for m in await tx.messages.list(after=first)] == ["2", "3"]
        assert [m.content for m in await tx.messages.list(after=first, order="newest")] == ["3", "2"]
        with pytest.raises(InvalidValue, match="no place yet"):
            await tx.messages.list(after=staged)
        event = await tx.log("note")
        with pytest.raises(InvalidValue, match="no place yet"):
            await tx.events(after=event)


async def test_a_page_of_events_in_a_transaction_goes_on_among_those_not_committed(s: Session) -> None:
    await s.log("e0")
    async with s.transaction() as tx:
        for n in range(1, 5):
            await tx.log(f"e{n}")
        seen: list[str] = []
        cursor: str | None = None
        while True:
            page = await tx.events(after=cursor, limit=2)
            seen += [event.type for event in page.items]
            if (cursor := page.next) is None:
                break
        assert seen == ["start", *(f"e{n}" for n in range(5))]


# --- serialisable ----------------------------------------------------------------------------------------------------


async def test_of_two_that_write_on_what_the_other_read_one_conflicts(stores: Stores, s: Session) -> None:
    """Write skew: both may not commit, for neither order of the two leads there."""
    rival = await stores.open()
    other = await rival.sessions.get("s")
    assert other is not None
    with pytest.raises(Conflict) as conflict:
        async with s.transaction() as tx:
            total = await tx.state.get("x", int, default=0) + await tx.state.get("y", int, default=0)
            async with other.transaction() as ty:
                assert await ty.state.get("x", int, default=0) + await ty.state.get("y", int, default=0) == 2
                await ty.state.set("y", -1)
            await tx.state.set("x", 1 - total)
    assert (conflict.value.scope, conflict.value.what, conflict.value.key) == ("session/s", "unchanged", "state//y")
    assert conflict.value.retryable
    assert (await s.state.snapshot()).values == {"x": 1, "y": -1}


@pytest.mark.parametrize("read", ["keys", "snapshot", "clear", "messages", "events", "runtime", "get", "has"])
async def test_what_came_after_it_was_looked_for_in_vain_is_a_conflict(stores: Stores, s: Session, read: str) -> None:
    """No phantoms."""
    rival = await (await stores.open()).sessions.get("s")
    assert rival is not None
    with pytest.raises(Conflict):
        async with s.transaction() as tx:
            await {
                "keys": tx.state.keys,
                "snapshot": tx.state.snapshot,
                "clear": tx.state.clear,
                "messages": tx.messages.list,
                "events": tx.events,
                "runtime": tx.runtime.all,
                "get": lambda: tx.state.get("new"),
                "has": lambda: tx.state.has("new"),
            }[read]()
            match read:
                case "messages":
                    await rival.messages.add("user", "phantom")
                case "events":
                    await rival.log("phantom")
                case "runtime":
                    await rival.runtime.set("new", 1)
                case _:
                    await rival.state.set("new", 1)
            await tx.state.set("result", 1)
    assert await s.state.get("result") is None


async def test_conflicts_come_only_from_what_was_read(stores: Stores, s: Session) -> None:
    rival = await (await stores.open()).sessions.get("s")
    assert rival is not None
    async with s.transaction() as tx:
        await tx.state.get("x")
        await tx.messages.add("user", "mine")
        await tx.state.set("y", "blind")
        await tx.log("mine")
        await rival.state.set("y", 2)
        await rival.messages.add("user", "theirs")
        await rival.log("theirs")
        await rival.runtime.set("a", 1)
        await rival.update(metadata={"a": 1})
    assert await s.state.get("y") == "blind"
    assert [m.content for m in await s.messages.list()] == ["theirs", "mine"]


async def test_a_transaction_that_only_reads_is_checked_too(stores: Stores, s: Session) -> None:
    rival = await (await stores.open()).sessions.get("s")
    assert rival is not None
    with pytest.raises(Conflict):
        async with s.transaction() as tx:
            await tx.state.get("x")
            await rival.state.update({"x": 2, "y": 2})
            await tx.state.get("y")


async def test_transfers_between_keys_preserve_their_total_however_many_run_at_once(stores: Stores, s: Session) -> None:
    holds = [await stores.open() for _ in range(3)]
    sessions = [await hold.sessions.open("s") for hold in holds]
    await s.state.update({"x": 100, "y": 100})

    async def transfer(session: Session, n: int) -> None:
        async def move(tx: SessionTransaction) -> None:
            x = await tx.state.get("x", int, default=0)
            y = await tx.state.get("y", int, default=0)
            await tx.state.update({"x": x - n, "y": y + n})

        await session.transact(move)

    await asyncio.gather(*[transfer(sessions[n % 3], n) for n in range(15)])
    assert (await s.state.snapshot()).values == {"x": 100 - 105, "y": 100 + 105}


async def test_child_tasks_may_work_in_the_transaction_of_their_parent(s: Session) -> None:
    async with s.transaction() as tx:
        await asyncio.gather(*[tx.state.set(f"k{n}", n) for n in range(10)], *[tx.state.get("x") for _ in range(10)])
    assert len(await s.state.keys()) == 12


# --- misuse ----------------------------------------------------------------------------------------------------------


async def test_writing_past_the_transaction_is_refused_also_from_child_tasks_and_reading_is_not(
    hold: Holdfast, s: Session
) -> None:
    async with s.transaction() as tx:
        for call in (
            s.state.set("a", 1),
            s.state.mutate("a", lambda _: 1),
            s.temp.set("a", 1),
            s.runtime.set("a", 1),
            s.messages.add("user", "x"),
            s.log("x"),
            s.update(tags=[]),
            hold.state(Scope.session("s")).clear(),
            hold.sessions.update("s", tags=[]),
            hold.sessions.delete("s"),
            hold.set_many({Scope.session("s"): {"a": 1}}),
            asyncio.create_task(s.state.set("a", 1)),
            _set_in(s.transaction()),
            _set_in_any(hold.transaction()),
        ):
            with pytest.raises(UseTransaction):
                await call
        assert await s.state.get("x") == 1
        other = await hold.sessions.create(id="other")
        await other.state.set("a", 1)
        await tx.state.set("b", 1)
    await s.state.set("a", 2)
    assert await s.state.keys() == ["a", "b", "x", "y"]


async def _set_in(tx: SessionTransaction) -> None:
    async with tx:
        await tx.state.set("a", 1)


async def _set_in_any(tx: Transaction) -> None:
    async with tx:
        await tx.state(Scope.session("s")).set("a", 1)


async def test_transactions_on_different_sessions_may_be_nested_and_end_on_their_own(
    hold: Holdfast, s: Session
) -> None:
    other = await hold.sessions.create(id="other")
    async with s.transaction() as outer:
        await outer.state.set("a", 1)
        async with other.transaction() as inner:
            await inner.state.set("a", 1)
            await outer.state.set("b", 1)
        async with other.transaction() as inner:
            await inner.state.set("a", 2)
            inner.rollback()
        await outer.state.set("c", 1)
    assert await s.state.keys() == ["a", "b", "c", "x", "y"]
    assert await other.state.get("a") == 1


async def test_a_rollback_of_the_outer_one_leaves_both(hold: Holdfast, s: Session) -> None:
    other = await hold.sessions.create(id="other")
    async with s.transaction() as outer:
        await outer.state.set("a", 1)
        async with other.transaction() as inner:
            await inner.state.set("a", 1)
            outer.rollback()
    assert (await s.state.get("a"), await other.state.get("a")) == (None, None)


async def test_after_the_block_and_before_it_the_transaction_is_closed(hold: Holdfast, s: Session) -> None:
    async with s.transaction() as tx:
        state = tx.state
    unused, any_ = s.transaction(), hold.transaction()
    for call in (
        lambda: state.set("a", 1),
        lambda: state.get("a"),
        lambda: tx.messages.add("user", "x"),
        lambda: tx.log("x"),
        lambda: tx.update(tags=[]),
        lambda: tx.__aenter__(),
        lambda: unused.update(tags=[]),
    ):
        with pytest.raises(Closed):
            await call()
    for refused in (tx.rollback, unused.rollback, lambda: any_.state(Scope.user("ada")), lambda: any_.session("s")):
        with pytest.raises(Closed):
            refused()
    assert await s.state.keys() == ["x", "y"]


async def test_a_block_that_is_entered_and_left_in_different_tasks_ends_cleanly(s: Session) -> None:
    async def generator() -> AsyncIterator[SessionTransaction]:
        async with s.transaction() as tx:
            yield tx

    opened = generator()
    tx = await asyncio.create_task(anext(opened))  # type: ignore[arg-type]
    await tx.state.set("a", 1)
    with pytest.raises(StopAsyncIteration):
        await asyncio.create_task(anext(opened))  # type: ignore[arg-type]
    await s.state.set("a", 2)
    assert await s.state.get("a") == 2


async def test_a_transaction_on_a_deleted_session_is_not_found(hold: Holdfast, s: Session) -> None:
    await hold.sessions.delete("s")
    for recreated in (False, True):
        if recreated:
            await hold.sessions.create(id="s")
        with pytest.raises(NotFound):
            async with s.transaction() as tx:
                await tx.state.set("late", 1)
        with pytest.raises(NotFound):
            async with s.transaction() as tx:
                await tx.state.get("late")


# --- several scopes --------------------------------------------------------------------------------------------------


async def test_scopes_that_stand_together_commit_together_on_every_backend(stores: Stores) -> None:
    hold = await stores.open()
    s = await hold.sessions.create(id="s")
    user, agent, flags = together("user", "agent", "global")
    async with hold.transaction() as tx:
        await tx.session("s").state.set("a", 1)
        await tx.session("s").messages.add("user", "hi")
        await tx.state(user).set("a", 2)
        await tx.state(agent, "ns").set("a", 3)
        await tx.state(flags).set("a", 4)
        assert await tx.state(flags).get("a") == 4
    assert [tx.version(scope) for scope in (Scope.session("s"), user, agent, flags)] == [2, 1, 1, 1]
    assert tx.version(Scope.user("nobody")) is None
    assert await s.state.get("a") == 1
    assert await hold.state(agent, "ns").get("a") == 3


async def test_a_conflict_in_one_scope_writes_nothing_in_any(stores: Stores) -> None:
    hold, rival = await stores.open(), await stores.open()
    await hold.sessions.create(id="s")
    (user,) = together("user")
    with pytest.raises(Conflict):
        async with hold.transaction() as tx:
            await tx.session("s").state.set("a", 1)
            await tx.state(user).mutate("n", lambda n: n + 1, int, default=0)
            await rival.state(user).set("n", 5)
    assert await hold.state(Scope.session("s")).keys() == []
    assert await hold.state(user).get("n") == 5


async def test_a_scope_that_cannot_be_committed_with_the_others_is_refused_at_the_touch(stores: Stores) -> None:
    hold = await stores.open()
    await hold.sessions.create(id="s")
    apart = next(Scope.user(f"u{n}") for n in range(99) if Scope.user(f"u{n}") not in together("user", "user"))
    async with hold.transaction() as tx:
        await tx.session("s").state.set("a", 1)
        if stores.backend == "weakest":
            with pytest.raises(Unsupported, match="one bucket"):
                await tx.state(apart).set("a", 1)
        else:
            await tx.state(apart).set("a", 1)
    assert await hold.state(Scope.session("s")).get("a") == 1


async def test_transfers_between_scopes_preserve_their_total(stores: Stores) -> None:
    holds = [await stores.open() for _ in range(3)]
    one, other = together("user", "user")
    await holds[0].state(one).set("n", 50)
    await holds[0].state(other).set("n", 50)

    async def transfer(hold: Holdfast, amount: int) -> None:
        async def move(tx: Transaction) -> None:
            a = await tx.state(one).get("n", int, default=0)
            b = await tx.state(other).get("n", int, default=0)
            await tx.state(one).set("n", a - amount)
            await tx.state(other).set("n", b + amount)

        await hold.transact(move)

    await asyncio.gather(*[transfer(holds[n % 3], n) for n in range(12)])
    assert await holds[0].state(one).get("n") == 50 - 66
    assert await holds[0].state(other).get("n") == 50 + 66


async def test_a_session_is_created_with_its_state_and_messages_in_one_commit(hold: Holdfast) -> None:
    async with hold.transaction() as tx:
        made = await tx.sessions.create(id="new", user="ada", tags=["t"], metadata={"a": 1}, task="go")
        assert made.id == "new"
        await made.state.set("a", 1)
        await made.messages.add("user", "hello")
        await tx.session("new").state.set("b", 2)
        assert await tx.session("new").state.keys() == ["a", "b"]
        await tx.sessions.update("new", metadata={"b": 2})
        assert await hold.sessions.get("new") is None
    found = await hold.sessions.get("new")
    assert found is not None
    assert (found.version, found.user, found.metadata, found.tags) == (1, "ada", {"a": 1, "b": 2}, ("t",))
    assert (await found.state.snapshot()).values == {"a": 1, "b": 2}
    assert (await found.messages.last(1))[0].content == "hello"


async def test_a_session_created_without_an_id_says_which_it_was_given(hold: Holdfast) -> None:
    async with hold.transaction() as tx:
        id = (await tx.sessions.create()).id
    assert await hold.sessions.get(id) is not None


async def test_creating_what_exists_is_refused_and_shows_nothing_of_it(hold: Holdfast, s: Session) -> None:
    with pytest.raises(AlreadyExists):
        async with hold.transaction() as tx:
            await tx.sessions.create(id="s", user="bob")
    with pytest.raises(AlreadyExists):
        async with hold.transaction() as tx:
            made = await tx.sessions.create(id="s", user="bob")
            await made.state.get("x")
    with pytest.raises(AlreadyExists):
        async with hold.transaction() as tx:
            await tx.session("s").state.set("x", 2)
            await tx.sessions.create(id="s")
    with pytest.raises(AlreadyExists):
        async with hold.transaction() as tx:
            await tx.sessions.create(id="twice")
            await tx.sessions.create(id="twice")
    assert await s.state.get("x") == 1
    assert (await s.refresh()).user == "ada"


async def test_a_session_looked_for_in_vain_may_be_created_in_the_same_transaction(hold: Holdfast) -> None:
    async with hold.transaction() as tx:
        with pytest.raises(NotFound):
            await tx.session("new").state.get("a")
        await (await tx.sessions.create(id="new")).state.set("a", 1)
    assert await hold.state(Scope.session("new")).get("a") == 1


async def test_a_session_is_deleted_with_the_transaction_and_is_gone_in_it_at_once(hold: Holdfast, s: Session) -> None:
    async with hold.transaction() as tx:
        await tx.session("s").state.set("x", 2)
        assert await tx.sessions.delete("s") is True
        for call in (
            lambda: tx.session("s").state.get("x"),
            lambda: tx.session("s").state.set("x", 1),
            lambda: tx.sessions.update("s", tags=[]),
        ):
            with pytest.raises(NotFound):
                await call()  # type: ignore[no-untyped-call]
        assert await tx.sessions.delete("s") is False
        with pytest.raises(Unsupported, match="deleted by this transaction"):
            await tx.sessions.create(id="s")
        assert await hold.sessions.get("s") is not None
    assert await hold.sessions.get("s") is None
    async with hold.transaction() as tx:
        assert await tx.sessions.delete("s") is False


async def test_a_session_created_and_deleted_in_one_transaction_never_was(hold: Holdfast) -> None:
    async with hold.transaction() as tx:
        await tx.sessions.create(id="new")
        assert await tx.sessions.delete("new") is True
    assert (await hold.stats()).records == 0


async def test_writing_to_a_session_that_does_not_exist_is_not_found(hold: Holdfast) -> None:
    with pytest.raises(NotFound):
        async with hold.transaction() as tx:
            await tx.session("missing").state.set("a", 1)
    with pytest.raises(NotFound):
        async with hold.transaction() as tx:
            await tx.sessions.update("missing", tags=[])
    with pytest.raises(InvalidId):
        async with hold.transaction() as tx:
            tx.session("")
    assert (await hold.stats()).scopes == 0


# --- transact --------------------------------------------------------------------------------------------------------


async def test_transact_runs_again_on_conflict_and_returns_the_result(stores: Stores, s: Session) -> None:
    rival = (await stores.open()).state(Scope.session("s"))
    runs = 0

    async def change(tx: SessionTransaction) -> int:
        nonlocal runs
        runs += 1
        x = await tx.state.get("x", int, default=0)
        if runs < 4:
            await rival.set("x", x + 10)
        await tx.state.set("x", x + 1)
        return x + 1

    assert await s.transact(change) == 32
    assert runs == 4
    assert await s.state.get("x") == 32


@pytest.mark.parametrize("attempts", [1, 3])
async def test_transact_gives_up_after_so_many_attempts(stores: Stores, s: Session, attempts: int) -> None:
    rival = (await stores.open()).state(Scope.session("s"))
    runs = 0

    async def change(tx: SessionTransaction) -> None:
        nonlocal runs
        runs += 1
        await tx.state.get("x")
        await rival.set("x", runs)

    with pytest.raises(Conflict):
        await s.transact(change, attempts=attempts)
    assert runs == attempts


async def test_transact_does_not_run_again_for_other_errors_and_returns_none_after_a_rollback(s: Session) -> None:
    runs = 0

    async def fail(tx: SessionTransaction) -> int:
        nonlocal runs
        runs += 1
        await tx.state.set("x", 2)
        if runs == 1:
            raise ZeroDivisionError
        tx.rollback()

    with pytest.raises(ZeroDivisionError):
        await s.transact(fail)
    assert await s.transact(fail) is None
    assert (runs, await s.state.get("x")) == (2, 1)


@pytest.mark.parametrize("attempts", [0, -1, True, 1.5, "3", None])
async def test_a_number_of_attempts_that_is_none_is_refused(hold: Holdfast, s: Session, attempts: Any) -> None:
    async def change(tx: Any) -> None:
        raise AssertionError("not run")

    with pytest.raises(InvalidValue, match="attempts"):
        await s.transact(change, attempts=attempts)
    with pytest.raises(InvalidValue, match="attempts"):
        await hold.transact(change, attempts=attempts)


@pytest.mark.parametrize("look", ["history", "diff"])
async def test_what_a_transaction_saw_of_the_past_is_checked_like_any_other_read(hold: Holdfast, look: str) -> None:
    """G10: two that vote only if nobody has voted yet do not both succeed."""
    s = await hold.sessions.create()
    await s.state.set("vote", None)
    both_looked = asyncio.Barrier(2)

    async def vote(name: str) -> None:
        async with s.transaction() as tx:
            past = (await tx.state.history("vote")).items if look == "history" else (await tx.state.diff()).items
            assert len(past) == 1
            await both_looked.wait()
            await tx.state.set("vote", name)

    ends = await asyncio.gather(vote("ada"), vote("bo"), return_exceptions=True)
    assert [type(end) for end in ends if end is not None] == [Conflict]
    assert await s.state.get("vote") == ("ada" if ends[0] is None else "bo")


async def test_what_was_seen_of_a_closed_span_of_the_past_needs_no_check(hold: Holdfast) -> None:
    s = await hold.sessions.create()
    first = await s.state.set("vote", 1)
    async with s.transaction() as tx:
        assert [item.key for item in (await tx.state.diff(since=0, until=first)).items] == ["vote"]
        await asyncio.create_task(s.state.set("vote", 2), context=contextvars.Context())
        await tx.state.set("seen", 1)
    assert await s.state.get("seen") == 1


async def test_before_its_block_a_transaction_says_how_it_is_used(hold: Holdfast) -> None:
    s = await hold.sessions.create(user="ada", agent="bot")
    tx = s.transaction()
    for use in (
        lambda: tx.state, lambda: tx.temp, lambda: tx.runtime, lambda: tx.messages, lambda: tx.user_state,
        lambda: tx.agent_state,
    ):  # fmt: skip
        with pytest.raises(Closed, match="async with"):
            use()
    for call in (tx.log("x"), tx.events(), tx.update(tags=["a"])):
        with pytest.raises(Closed, match="async with"):
            await call


@pytest.mark.parametrize("fn", [5, None, "fn", lambda tx: 1])
async def test_what_cannot_be_run_in_a_transaction_is_refused_and_nothing_is_written(hold: Holdfast, fn: Any) -> None:
    s = await hold.sessions.create()
    for transact in (s.transact, hold.transact):
        with pytest.raises(InvalidValue) as refused:
            await transact(fn)
        assert refused.value.path == "fn"
    assert (await s.state.snapshot()).version == 1


async def test_what_was_gone_for_a_transaction_stays_gone_when_the_clock_is_set_back(
    stores: Stores, hold: Holdfast
) -> None:
    """G12: time may jump, but not within what one transaction saw."""
    s = await hold.sessions.create()
    await s.temp.set("t", 1)
    stores.clock.jump(2 * 3600)
    async with s.transaction() as tx:
        assert await tx.temp.keys() == []
        stores.clock.jump(-2 * 3600)
        assert await tx.temp.keys() == []
        await tx.state.set("n", 0)
    assert await s.temp.keys() == ["t"]


async def test_a_phantom_between_two_looks_at_one_range_is_a_conflict(hold: Holdfast) -> None:
    """G10: the commit is held to the first look, not to the last."""
    s = await hold.sessions.create()
    await s.state.set("a", 1)
    with pytest.raises(Conflict):
        async with s.transaction() as tx:
            assert await tx.state.keys() == ["a"]
            await asyncio.create_task(s.state.set("b", 2), context=contextvars.Context())
            assert await tx.state.keys() == ["a", "b"]
            await tx.state.set("count", 1)
    assert await s.state.keys() == ["a", "b"]


async def test_nothing_is_left_of_a_session_that_was_made_written_cleared_and_deleted_in_one_transaction(
    hold: Holdfast,
) -> None:
    async with hold.transaction() as tx:
        s = await tx.sessions.create(id="x")
        await s.state.set("k", 1)
        await s.state.delete("k")
        await s.state.delete("never")
        await s.messages.add("user", "hi")
        assert await tx.sessions.delete("x")
    assert await hold.sessions.get("x") is None
    assert (await hold.stats()).scopes == 0


class Slow(Around):
    """A kernel whose reads wait while the gate is closed."""

    def __init__(self, inside: Kernel) -> None:
        super().__init__(inside)
        self.gate = asyncio.Event()
        self.reading = asyncio.Event()

    async def call(self, verb: Verb, send: Callable[[], Awaitable[T]]) -> T:
        if verb == "read":
            self.reading.set()
            await self.gate.wait()
        return await send()


async def test_a_change_under_way_does_not_land_in_what_another_task_makes_after_it(stores: Stores) -> None:
    """G11: also of a session that one transaction makes, ends and makes again."""
    kernel = Slow(await stores.kernel())
    async with Holdfast.over(kernel, clock=stores.clock) as hold:
        async with hold.transaction() as tx:
            kernel.gate.set()
            first = await tx.sessions.create(id="x")
            kernel.gate.clear()
            kernel.reading.clear()
            changing = asyncio.create_task(first.state.mutate("n", lambda n: n + 1, int, default=0))
            await kernel.reading.wait()
            ending = asyncio.create_task(tx.sessions.delete("x"))
            await asyncio.sleep(0)
            kernel.gate.set()
            assert await changing == 1
            assert await ending
            second = await tx.sessions.create(id="x")
            assert await second.state.keys() == []
        found = await hold.sessions.get("x")
        assert found is not None
        assert await found.state.keys() == []
