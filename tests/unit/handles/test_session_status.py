"""How a session moves through its life: pause, resume, complete, fail, cancel, end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from holdfast import Config, Holdfast, NotFound, Session
from holdfast.errors import InvalidTransition, InvalidValue, TooLarge
from holdfast.model.config import Limits
from holdfast.testing.clock import ManualClock
from tests.unit.entries import logged
from tests.unit.stores import Stores


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s", user="ada")


async def told(s: Session) -> list[tuple[str, Any]]:
    return [(entry.type, entry.data) for entry in await logged(s)]


ENDS: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "completed": lambda s: s.complete({"total": 900}),
    "failed": lambda s: s.fail({"code": 7}),
    "cancelled": lambda s: s.cancel("by user"),
}


async def test_a_pause_tells_why_until_it_is_resumed(s: Session) -> None:
    assert await s.pause("waiting for Bo") is s
    assert (s.status, s.pause_reason, s.resumable, s.ended_at) == ("paused", "waiting for Bo", True, None)
    await s.resume()
    assert (s.status, s.pause_reason, s.resumable) == ("active", None, False)
    assert await told(s) == [("pause", {"reason": "waiting for Bo"}), ("resume", None)]


@pytest.mark.parametrize("status", ENDS)
async def test_an_end_is_kept_with_what_came_of_it(hold: Holdfast, s: Session, clock: ManualClock, status: str) -> None:
    clock.advance(90)
    await ENDS[status](s)
    found = await hold.sessions.get("s")
    assert found is not None
    for one in (s, found):
        assert (one.status, one.ended_at, one.duration.total_seconds()) == (status, one.updated_at, 90)
        assert one.ended_reason == ("by user" if status == "cancelled" else None)
        assert one.result == ({"total": 900} if status == "completed" else None)
        assert one.error == ({"code": 7} if status == "failed" else None)
    assert (
        await told(s)
        == {
            "completed": [("complete", None)],
            "failed": [("error", {"error": {"code": 7}})],
            "cancelled": [("cancel", {"reason": "by user"})],
        }[status]
    )
    clock.advance(1)
    assert s.duration.total_seconds() == 90
    with pytest.raises(InvalidTransition):
        await s.resume()


async def test_a_failure_keeps_type_and_message_of_an_exception(s: Session) -> None:
    await s.fail(ValueError("no such town"))
    assert s.error == {"type": "ValueError", "message": "no such town"}


async def test_a_move_is_one_commit_and_one_that_is_refused_none(hold: Holdfast, s: Session) -> None:
    """G1: the record and the entry that tells of it are there together."""
    before = s.version
    await s.pause()
    assert s.version == before + 1
    with pytest.raises(InvalidTransition) as raised:
        await s.pause()
    assert {*raised.value.allowed} == {"active", "completed", "failed", "cancelled", "timed_out", "cleanup"}
    assert (await s.state.snapshot()).version == before + 1
    assert s.status == "paused"


async def test_a_session_is_listed_by_the_status_it_has(hold: Holdfast, s: Session) -> None:
    await s.pause()
    assert [found.id for found in (await hold.sessions.list(status="paused")).items] == ["s"]
    assert (await hold.sessions.list(status="running")).items == ()
    await s.resume()
    assert [found.id for found in (await hold.sessions.list(status="running")).items] == ["s"]


async def test_of_rivals_one_moves_it_and_the_others_are_judged_by_where_it_then_is(stores: Stores, s: Session) -> None:
    """G2: a move is made of the status that it was judged by."""
    rivals = [await (await stores.open()).sessions.open("s") for _ in range(4)]
    outcomes = await asyncio.gather(
        rivals[0].complete(1), rivals[1].fail(2), rivals[2].cancel("3"), rivals[3].end(), return_exceptions=True
    )
    await s.refresh()
    refused = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert {type(outcome) for outcome in refused} <= {InvalidTransition}
    assert len(refused) in (2, 3)  # `end` of one that has ended is none
    assert all(outcome.status == s.status for outcome in refused if isinstance(outcome, InvalidTransition))
    assert len(await told(s)) == 1


async def test_pausing_and_resuming_rivals_all_move_when_their_moment_comes(stores: Stores, s: Session) -> None:
    rivals = [await (await stores.open()).sessions.open("s") for _ in range(3)]

    async def toggle(session: Session) -> int:
        made = 0
        for n in range(6):
            try:
                await (session.pause("r") if n % 2 else session.resume())
                made += 1
            except InvalidTransition:
                pass
        return made

    made = sum(await asyncio.gather(*map(toggle, rivals)))
    types = [kind for kind, _ in await told(s)]
    assert len(types) == made
    assert all(kind == ("resume" if n % 2 else "pause") for n, kind in enumerate(types))


async def test_a_move_in_a_transaction_comes_with_all_else_or_not_at_all(s: Session) -> None:
    async with s.transaction() as tx:
        assert await tx.pause("why") is tx
        await tx.resume()
        await tx.state.set("a", 1)
        await tx.complete("done")
        assert s.status == "active"
    assert (s.status, s.result, await s.state.get("a")) == ("completed", "done", 1)
    assert [kind for kind, _ in await told(s)] == ["pause", "resume", "complete"]


async def test_a_refused_move_in_a_transaction_stages_nothing(s: Session) -> None:
    async with s.transaction() as tx:
        await tx.complete(1)
        with pytest.raises(InvalidTransition):
            await tx.complete(2)
        with pytest.raises(InvalidTransition):
            await tx.resume()
    assert (s.result, await told(s)) == (1, [("complete", None)])


async def test_a_transaction_over_scopes_moves_sessions_too(hold: Holdfast, s: Session) -> None:
    async with hold.transaction() as tx:
        await tx.session("s").pause("by transaction")
    assert (await s.refresh()).pause_reason == "by transaction"


@pytest.mark.parametrize("way", ["alone", "in a transaction"])
async def test_the_end_completes_it_and_takes_temporary_and_runtime_state(s: Session, way: str) -> None:
    await s.temp.set("draft", 1)
    await s.temp.set("a/b", 2)
    await s.runtime.update({"step": 3, "of": 4})
    await s.state.set("kept", 5)
    if way == "alone":
        assert await s.end() is s
    else:
        async with s.transaction() as tx:
            await tx.end()
    assert (s.status, await told(s)) == ("completed", [("complete", None)])
    assert (await s.temp.keys(), await s.runtime.all(), await s.state.get("kept")) == ([], {}, 5)
    version = s.version
    await s.end()
    assert (s.version, (await s.state.snapshot()).version) == (version, version)


async def test_the_end_of_what_has_ended_leaves_the_end_it_had(s: Session) -> None:
    await s.fail("why")
    await s.runtime.set("step", 1)
    await s.end()
    assert (s.status, s.error, await s.runtime.all()) == ("failed", "why", {})
    assert [kind for kind, _ in await told(s)] == ["error"]


@pytest.mark.parametrize("more", [-1, 0, 1, 8, 9, 10])
async def test_an_end_of_many_values_takes_several_commits_of_which_the_first_ends_it(
    stores: Stores, more: int
) -> None:
    hold = await stores.open(config=Config(limits=Limits(operations_max=10)))
    s = await hold.sessions.create(id="many")
    for n in range(3):
        await s.temp.set(f"t{n}", n)
    for n in range(1 + more):  # 6 of 10 operations end it
        await s.runtime.set(f"r{n}", n)
    before = (await s.state.snapshot()).version
    await s.end()
    assert (await s.temp.keys(), await s.runtime.all()) == ([], {})
    assert s.version == before + 1
    assert (await s.state.snapshot()).version == before + 1 + max(0, -(-more // 9))


@pytest.mark.parametrize("bad", [{1}, float("nan"), object(), b"x", {"a": {1: 2}}])
async def test_what_cannot_come_back_is_refused_before_anything_moves(s: Session, bad: Any) -> None:
    for call in (s.complete(bad), s.fail(bad)):
        with pytest.raises(InvalidValue):
            await call
    for refused in (s.pause(bad), s.cancel(bad)):
        with pytest.raises(InvalidValue, match="reason"):
            await refused
    assert ((await s.refresh()).status, await told(s)) == ("active", [])


async def test_a_result_or_error_beyond_the_limit_of_a_value_is_refused(s: Session) -> None:
    for call in (s.complete("x" * 262_143), s.fail("x" * 262_143), s.pause("x" * 262_143)):
        with pytest.raises(TooLarge):
            await call
    assert (await s.refresh()).status == "active"


async def test_a_deleted_session_moves_nowhere(hold: Holdfast, s: Session) -> None:
    await hold.sessions.delete("s")
    await hold.sessions.create(id="s")
    for call in (s.pause(), s.resume(), s.complete(), s.fail("x"), s.cancel(), s.end()):
        with pytest.raises(NotFound):
            await call
