"""Transactions shared, kept, left behind and mistaken for something else: each is refused clearly, or is right."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from holdfast import Holdfast, Scope, Session
from holdfast.errors import Closed, UseTransaction
from holdfast.handles.transaction import SessionTransaction
from tests.unit.stores import Stores, together

TURNS = 20


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    s = await hold.sessions.create(id="s")
    await s.state.set("n", 0)
    return s


async def in_another_loop(call: Callable[[], Awaitable[Any]]) -> Any:
    """The call in a thread with an event loop of its own, and a copy of this task's context."""

    async def main() -> Any:
        return await call()

    return await asyncio.to_thread(lambda: asyncio.run(main()))


# --- from several tasks ----------------------------------------------------------------------------------------------


async def test_tasks_that_share_a_transaction_lose_none_of_each_others_updates(s: Session) -> None:
    async with s.transaction() as tx:
        await asyncio.gather(*[tx.state.mutate("n", lambda n: n + 1) for _ in range(TURNS)])
        await asyncio.gather(*[tx.state.merge("map", {str(n): n}) for n in range(TURNS)])
    assert await s.state.get("n") == TURNS
    assert len(await s.state.get("map")) == TURNS


async def test_of_tasks_that_share_a_transaction_one_deletes_a_session_and_the_others_find_none(hold: Holdfast) -> None:
    await hold.sessions.create(id="s")
    async with hold.transaction() as tx:
        deleted = await asyncio.gather(*[tx.sessions.delete("s") for _ in range(3)])
    assert sorted(deleted) == [False, False, True]
    assert await hold.sessions.get("s") is None


async def test_a_transaction_is_entered_once_also_by_two_tasks_at_once(s: Session) -> None:
    tx = s.transaction()

    async def enter() -> None:
        async with tx:
            await asyncio.sleep(0)

    outcomes = await asyncio.gather(enter(), enter(), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), Closed]
    with pytest.raises(Closed, match="used once"):
        await enter()


async def test_a_block_that_was_not_entered_cannot_be_left(s: Session) -> None:
    tx = s.transaction()
    with pytest.raises(Closed, match="async with"):
        await tx.__aexit__(None, None, None)
    async with tx:
        pass
    with pytest.raises(Closed, match="has ended"):
        await tx.__aexit__(None, None, None)


async def test_a_transaction_that_could_not_begin_may_be_entered_later(s: Session) -> None:
    second = s.transaction()
    async with s.transaction():
        with pytest.raises(UseTransaction):
            await second.__aenter__()
    async with second as tx:
        await tx.state.set("n", 1)
    assert await s.state.get("n") == 1


# --- from other threads ----------------------------------------------------------------------------------------------


async def test_a_transaction_used_outside_its_event_loop_is_refused_and_goes_on(hold: Holdfast, s: Session) -> None:
    async with s.transaction() as tx:
        for call in (
            lambda: tx.state.set("a", 1),
            lambda: tx.state.get("a"),
            lambda: tx.state.mutate("n", lambda n: n),
            lambda: tx.messages.add("user", "x"),
            lambda: tx.update(tags=["t"]),
        ):
            with pytest.raises(UseTransaction, match="event loop") as refused:
                await in_another_loop(call)
            assert "event loop" in refused.value.remedy
        with pytest.raises(UseTransaction, match="event loop"):
            await asyncio.to_thread(tx.rollback)
        await tx.state.set("n", 1)
    async with hold.transaction() as any_:
        with pytest.raises(UseTransaction, match="event loop"):
            await asyncio.to_thread(any_.session, "s")
    assert (await s.state.snapshot()).values == {"n": 1}


async def test_a_thread_started_in_the_block_does_not_write_past_it_and_others_do(s: Session) -> None:
    async with s.transaction() as tx:
        await tx.state.set("a", 1)
        with pytest.raises(UseTransaction, match="past it"):
            await in_another_loop(lambda: s.state.set("b", 1))
    await in_another_loop(lambda: s.state.set("c", 1))
    assert await s.state.keys() == ["a", "c", "n"]


# --- after the block -------------------------------------------------------------------------------------------------


async def test_a_task_started_in_the_block_may_write_by_itself_once_the_block_has_ended(s: Session) -> None:
    may_write, was_refused = asyncio.Event(), asyncio.Event()

    async def child(tx: SessionTransaction) -> None:
        with pytest.raises(UseTransaction):
            await s.state.set("n", 1)
        was_refused.set()
        await may_write.wait()
        with pytest.raises(Closed, match="has ended"):
            await tx.state.set("n", 2)
        await s.state.set("n", 3)
        async with s.transaction() as own:
            await own.state.mutate("n", lambda n: n + 1)

    async with s.transaction() as tx:
        await tx.state.set("a", 1)
        task = asyncio.create_task(child(tx))
        await was_refused.wait()
    may_write.set()
    await task
    assert await s.state.get("n") == 4


async def test_a_task_that_the_block_does_not_wait_for_writes_nothing_with_it(s: Session) -> None:
    async with s.transaction() as tx:
        task = asyncio.create_task(tx.state.mutate("n", lambda n: n + 1))
        late = asyncio.create_task(tx.state.set("late", 1))
    for each in (task, late):
        with pytest.raises(Closed):
            await each
    assert (await s.state.snapshot()).values == {"n": 0}


async def test_what_a_block_left_behind_in_a_context_hinders_nobody(hold: Holdfast, s: Session) -> None:
    """A context from which a block was left in another task keeps no transaction that covers anything."""
    blocks = [s.transaction() for _ in range(3)]
    for block in blocks:
        await block.__aenter__()
        await asyncio.create_task(block.__aexit__(None, None, None))  # type: ignore[arg-type]
        await s.state.set("n", 1)
    async with s.transaction() as tx:
        await tx.state.set("n", 2)
    assert await s.state.get("n") == 2


# --- in each other ---------------------------------------------------------------------------------------------------


async def test_two_open_transactions_of_a_task_never_write_to_one_scope(hold: Holdfast, s: Session) -> None:
    (user,) = together("user")
    async with hold.transaction() as outer:
        await outer.session("s").state.set("a", 1)
        async with hold.transaction() as inner:
            await inner.state(user).set("k", 1)
            assert await inner.session("s").state.get("n") == 0  # reading is allowed: it sees what was committed
            for call in (
                lambda: inner.session("s").state.set("a", 2),
                lambda: inner.session("s").state.mutate("a", lambda a: a),
                lambda: inner.sessions.update("s", tags=[]),
                lambda: inner.sessions.delete("s"),
                lambda: inner.sessions.create(id="s"),
                lambda: outer.state(user).set("k", 2),
                lambda: s.transaction().__aenter__(),
                lambda: s.state.set("a", 2),
            ):
                with pytest.raises(UseTransaction):
                    await call()
        await outer.state(user).set("k", 3)
    assert await hold.state(user).get("k") == 3
    assert (await s.state.snapshot()).values == {"a": 1, "n": 0}


# --- and the store ---------------------------------------------------------------------------------------------------


async def test_a_transaction_that_is_open_when_the_store_is_closed_writes_nothing_and_says_so(stores: Stores) -> None:
    hold, other = await stores.open(), await stores.open()
    s = await hold.sessions.create(id="s")
    with pytest.raises(Closed, match="store"):
        async with s.transaction() as tx:
            await tx.state.set("a", 1)
            await hold.close()
            with pytest.raises(Closed):
                await tx.state.get("b")
    assert await other.state(Scope.session("s")).keys() == []


async def test_a_block_may_be_left_after_the_store_was_closed(stores: Stores) -> None:
    hold = await stores.open()
    s = await hold.sessions.create(id="s")
    async with s.transaction() as tx:
        await tx.state.set("a", 1)
        await hold.close()
        tx.rollback()


async def test_no_transaction_begins_in_a_closed_store(stores: Stores) -> None:
    hold = await stores.open()
    s = await hold.sessions.create(id="s")
    await hold.close()
    for begin in (s.transaction, hold.transaction):
        with pytest.raises(Closed):
            async with begin():
                raise AssertionError("unreachable")
