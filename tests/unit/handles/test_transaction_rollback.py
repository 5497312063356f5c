"""`rollback` leaves its block from wherever it is called in it, writes nothing, and hides no other exception."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from holdfast import Holdfast, Scope, Session
from holdfast.errors import Closed, UseTransaction
from holdfast.handles.transaction import SessionTransaction, Transaction

Step = Callable[[SessionTransaction], Awaitable[None]]


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s")


async def roll_back(tx: SessionTransaction) -> None:
    await tx.state.set("child", 1)
    tx.rollback()


async def go_on(tx: SessionTransaction) -> None:
    """A task that would go on for ever."""
    while True:
        await tx.state.set("sibling", 1)
        await asyncio.sleep(0)


async def fail(tx: SessionTransaction) -> None:
    """An error of its own in the same turn of the loop as the rollback."""
    raise ZeroDivisionError


async def in_the_block(tx: SessionTransaction) -> None:
    await roll_back(tx)


async def in_a_task_that_is_awaited(tx: SessionTransaction) -> None:
    await asyncio.create_task(roll_back(tx))


async def in_a_shielded_task_with_a_timeout(tx: SessionTransaction) -> None:
    async with asyncio.timeout(60):
        await asyncio.shield(asyncio.wait_for(roll_back(tx), 60))


async def in_gather(tx: SessionTransaction) -> None:
    await asyncio.gather(go_on(tx), roll_back(tx))


async def in_a_task_group(tx: SessionTransaction) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(go_on(tx))
        group.create_task(roll_back(tx))


async def in_the_body_of_a_task_group(tx: SessionTransaction) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(go_on(tx))
        await asyncio.sleep(0)
        tx.rollback()


async def in_groups_in_groups(tx: SessionTransaction) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(in_a_task_group(tx))
        group.create_task(in_gather(tx))


async def by_several_tasks(tx: SessionTransaction) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(roll_back(tx))


async def in_except_star(tx: SessionTransaction) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(roll_back(tx))
            group.create_task(fail(tx))
    except* ZeroDivisionError:
        await tx.state.set("handled", 1)


async def swallowed(tx: SessionTransaction) -> None:
    with pytest.raises(BaseException, match="rolled back"):
        await roll_back(tx)


async def swallowed_by_gather(tx: SessionTransaction) -> None:
    await asyncio.gather(roll_back(tx), return_exceptions=True)


async def swallowed_and_the_transaction_used_again(tx: SessionTransaction) -> None:
    await swallowed(tx)
    await tx.state.set("more", 1)
    raise AssertionError("unreachable")


async def swallowed_and_rolled_back_again(tx: SessionTransaction) -> None:
    await swallowed(tx)
    tx.rollback()


async def in_a_finally_that_follows_a_return(tx: SessionTransaction) -> None:
    try:
        return
    finally:
        tx.rollback()


STEPS: list[Step] = [
    in_the_block, in_a_task_that_is_awaited, in_a_shielded_task_with_a_timeout, in_gather, in_a_task_group,
    in_the_body_of_a_task_group, in_groups_in_groups, by_several_tasks, in_except_star, swallowed, swallowed_by_gather,
    swallowed_and_the_transaction_used_again, swallowed_and_rolled_back_again, in_a_finally_that_follows_a_return,
]  # fmt: skip


@pytest.mark.parametrize("step", STEPS)
async def test_a_rollback_leaves_the_block_and_writes_nothing(hold: Holdfast, s: Session, step: Step) -> None:
    async with s.transaction() as tx:
        await tx.state.set("before", 1)
        await step(tx)
    assert (await s.state.keys(), tx.version(Scope.session("s"))) == ([], None)
    with pytest.raises(Closed):
        await tx.state.set("after", 1)
    await s.state.set("after", 1)
    assert await s.state.keys() == ["after"]


@pytest.mark.parametrize("step", STEPS)
async def test_transact_returns_none_after_a_rollback_and_does_not_run_again(s: Session, step: Step) -> None:
    runs = 0

    async def fn(tx: SessionTransaction) -> str:
        nonlocal runs
        runs += 1
        await step(tx)
        return "the end was reached"

    assert await s.transact(fn) is None
    assert (runs, await s.state.keys()) == (1, [])


async def test_other_exceptions_of_the_group_are_raised_without_the_rollback(s: Session) -> None:
    with pytest.raises(ExceptionGroup) as raised:
        async with s.transaction() as tx, asyncio.TaskGroup() as group:
            group.create_task(roll_back(tx))
            group.create_task(fail(tx))
    assert [type(error) for error in raised.value.exceptions] == [ZeroDivisionError]
    assert await s.state.keys() == []


async def test_an_exception_that_takes_the_place_of_the_rollback_is_raised_and_nothing_written(s: Session) -> None:
    with pytest.raises(ZeroDivisionError):
        async with s.transaction() as tx:
            await tx.state.set("a", 1)
            try:
                tx.rollback()
            finally:
                raise ZeroDivisionError
    assert await s.state.keys() == []


@pytest.mark.parametrize("step", [in_the_block, in_a_task_group, in_gather])
async def test_a_rollback_of_the_outer_transaction_leaves_the_inner_one_too(
    hold: Holdfast, s: Session, step: Step
) -> None:
    other = await hold.sessions.create(id="other")
    async with s.transaction() as outer:
        async with other.transaction() as inner:
            await inner.state.set("a", 1)
            await step(outer)
        raise AssertionError("unreachable")
    assert (await s.state.keys(), await other.state.keys()) == ([], [])


async def test_a_rollback_of_the_inner_transaction_leaves_the_outer_one_alone(hold: Holdfast, s: Session) -> None:
    other = await hold.sessions.create(id="other")
    async with s.transaction() as outer:
        async with other.transaction() as inner:
            await inner.state.set("a", 1)
            await in_a_task_group(inner)
        await outer.state.set("a", 1)
    assert (await s.state.keys(), await other.state.keys()) == (["a"], [])


async def test_two_transactions_rolled_back_in_one_group_leave_one_block_after_the_other(
    hold: Holdfast, s: Session
) -> None:
    other = await hold.sessions.create(id="other")
    async with s.transaction() as outer:
        async with other.transaction() as inner, asyncio.TaskGroup() as group:
            group.create_task(roll_back(outer))
            group.create_task(roll_back(inner))
        raise AssertionError("unreachable")
    assert (await s.state.keys(), await other.state.keys()) == ([], [])


async def cancelled_and_rolled_back(tx: SessionTransaction, step: Step) -> None:
    """A cancellation from outside arrives while the block waits; then the rollback takes its place."""
    task = asyncio.current_task()
    assert task is not None
    try:
        asyncio.get_running_loop().call_soon(task.cancel)
        await asyncio.sleep(60)
    finally:
        await step(tx)


async def in_a_group_that_is_cancelled(tx: SessionTransaction) -> None:
    """The cancellation and the rollback of a child meet in a task group, which reports the latter only."""

    async def late() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            tx.rollback()

    task = asyncio.current_task()
    assert task is not None
    async with asyncio.TaskGroup() as group:
        group.create_task(late())
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(task.cancel)


@pytest.mark.parametrize(
    "leave",
    [
        lambda tx: cancelled_and_rolled_back(tx, in_the_block),
        lambda tx: cancelled_and_rolled_back(tx, in_a_task_group),
        in_a_group_that_is_cancelled,
    ],
    ids=["in the block", "in a task group", "in a group that is cancelled"],
)
async def test_a_cancellation_is_never_lost_in_a_rollback(s: Session, leave: Any) -> None:
    reached = False

    async def run() -> None:
        nonlocal reached
        async with s.transaction() as tx:
            await tx.state.set("a", 1)
            await leave(tx)
        reached = True

    task = asyncio.create_task(run())
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()
    assert (reached, await s.state.keys()) == (False, [])


async def test_a_timeout_around_a_block_that_is_rolled_back_by_it_is_a_timeout(s: Session) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            async with s.transaction() as tx:
                try:
                    await asyncio.sleep(60)
                finally:
                    tx.rollback()
    await asyncio.sleep(0)  # nothing is left to be delivered
    assert await s.state.keys() == []


async def test_a_timeout_inside_a_block_may_end_in_a_rollback(s: Session) -> None:
    async with s.transaction() as tx:
        try:
            async with asyncio.timeout(0):
                await asyncio.sleep(60)
        except TimeoutError:
            tx.rollback()
    await asyncio.sleep(0)
    assert await s.state.keys() == []


async def test_the_block_is_still_a_transaction_until_it_is_left(s: Session) -> None:
    async with s.transaction() as tx:
        await swallowed(tx)
        with pytest.raises(UseTransaction):
            await s.state.set("a", 1)
    assert await s.state.keys() == []


async def test_a_transaction_over_several_scopes_rolls_back_alike(hold: Holdfast) -> None:
    async def child(tx: Transaction) -> None:
        await tx.sessions.create(id="new")
        tx.rollback()

    async with hold.transaction() as tx, asyncio.TaskGroup() as group:
        group.create_task(child(tx))
    assert await hold.transact(child) is None
    assert await hold.sessions.get("new") is None
