"""A session for the length of a block."""

from __future__ import annotations

import asyncio

import pytest

from holdfast import Budget, BudgetExceeded, Holdfast, SessionStatus
from holdfast.errors import Closed
from tests.unit.handles.cancelling import cancelled


async def test_a_block_that_ends_completes_its_session(hold: Holdfast) -> None:
    async with hold.sessions.work("Fix the bug", id="s", mode="developer") as s:
        assert (s.task, s.mode, s.status) == ("Fix the bug", "developer", SessionStatus.ACTIVE)
    found = await hold.sessions.get("s")
    assert found is not None
    assert (found.status, s.status) == (SessionStatus.COMPLETED, SessionStatus.COMPLETED)


async def test_an_exception_fails_it_and_goes_on(hold: Holdfast) -> None:
    with pytest.raises(ValueError, match="no"):
        async with hold.sessions.work() as s:
            raise ValueError("no")
    assert (s.status, s.error) == (SessionStatus.FAILED, {"type": "ValueError", "message": "no"})


@pytest.mark.parametrize("gap", [None, 0, 1, 2, 5])
async def test_a_cancellation_pauses_it(hold: Holdfast, gap: int | None) -> None:
    """One that is repeated so many steps of the loop later too."""
    inside = asyncio.Event()

    async def work() -> None:
        async with hold.sessions.work(id="s"):
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await inside.wait()
    await cancelled(task, gap)
    found = await hold.sessions.get("s")
    assert found is not None
    assert (found.status, found.pause_reason) == (SessionStatus.PAUSED, "cancelled")


async def test_what_the_block_made_of_it_stays(hold: Holdfast) -> None:
    async with hold.sessions.work() as done:
        await done.complete("42")
    async with hold.sessions.work() as waiting:
        await waiting.pause("for Bo")
    with pytest.raises(BudgetExceeded):
        async with hold.sessions.work(budget=Budget(iterations=0)) as spent:
            await spent.iterate()
    assert (done.result, waiting.pause_reason, spent.status) == ("42", "for Bo", SessionStatus.TIMED_OUT)


async def test_what_others_made_of_it_stays_and_is_seen(hold: Holdfast) -> None:
    async with hold.sessions.work() as s:
        other = await hold.sessions.get(s.id)
        assert other is not None
        await other.cancel("not needed")
    assert (s.status, s.ended_reason) == (SessionStatus.CANCELLED, "not needed")


async def test_an_exception_is_not_hidden_by_a_session_that_is_gone(hold: Holdfast) -> None:
    with pytest.raises(ValueError, match="mine") as caught:
        async with hold.sessions.work() as s:
            await hold.sessions.delete(s.id)
            raise ValueError("mine")
    assert "the session stays active" in caught.value.__notes__[0]


async def test_a_block_is_used_once(hold: Holdfast) -> None:
    block = hold.sessions.work()
    async with block:
        pass
    with pytest.raises(Closed):
        await block.__aenter__()
