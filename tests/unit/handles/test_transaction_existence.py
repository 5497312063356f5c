"""Sessions that are missing, made and deleted, read and written in transactions: serialisable like any other value."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any

import pytest

from holdfast import AlreadyExists, Conflict, Holdfast, NotFound, Scope
from holdfast.handles.transaction import Transaction
from tests.unit.handles.existence import longer_plays, play, short_plays
from tests.unit.stores import Stores, together

(NEAR,) = together("user", near="session/nope")
"""A scope that every backend can commit together with the session that does not exist."""


async def meanwhile(call: Coroutine[Any, Any, object]) -> None:
    """Somebody else's call: a task that knows nothing of the block."""
    await asyncio.create_task(call, context=Context())


async def look_in_vain(tx: Transaction, way: str) -> None:
    session = tx.session("nope")
    calls = {
        "get": lambda: session.state.get("x"),
        "keys": session.state.keys,
        "snapshot": session.state.snapshot,
        "history": lambda: session.state.history("x"),
        "diff": session.state.diff,
        "mutate": lambda: session.state.mutate("x", lambda x: x),
        "delete a key": lambda: session.state.delete("x"),
        "clear": session.state.clear,
        "messages": session.messages.list,
        "events": session.events,
        "runtime": session.runtime.all,
        "any scope": lambda: tx.state(Scope.session("nope")).get("x"),
        "update": lambda: tx.sessions.update("nope", tags=["t"]),
    }
    with pytest.raises(NotFound):
        await calls[way]()  # type: ignore[operator]


WAYS = [
    "get",
    "keys",
    "snapshot",
    "history",
    "diff",
    "mutate",
    "delete a key",
    "clear",
    "messages",
    "events",
    "runtime",
]
WAYS += ["any scope", "update"]


@pytest.mark.parametrize("way", WAYS)
async def test_a_session_looked_for_in_vain_hinders_nothing_else(hold: Holdfast, way: str) -> None:
    async with hold.transaction() as tx:
        await look_in_vain(tx, way)
        await tx.state(NEAR).set("k", 1)
    assert await hold.state(NEAR).get("k") == 1
    assert await hold.sessions.get("nope") is None


@pytest.mark.parametrize("way", WAYS)
async def test_a_session_looked_for_in_vain_and_made_by_somebody_else_is_a_conflict(stores: Stores, way: str) -> None:
    """No phantoms: that a session is missing is a read like any other."""
    hold, rival = await stores.open(), await stores.open()
    with pytest.raises(Conflict) as conflict:
        async with hold.transaction() as tx:
            await look_in_vain(tx, way)
            await meanwhile(rival.sessions.create(id="nope"))
            await tx.state(NEAR).set("k", 1)
    assert (conflict.value.scope, conflict.value.retryable) == ("session/nope", True)
    assert await hold.state(NEAR).keys() == []


@pytest.mark.parametrize("way", WAYS)
async def test_a_session_looked_for_in_vain_may_be_made_and_read(hold: Holdfast, way: str) -> None:
    async with hold.transaction() as tx:
        await look_in_vain(tx, way)
        await (await tx.sessions.create(id="nope")).state.set("x", 1)
        assert await tx.session("nope").state.get("x") == 1
        assert await tx.session("nope").state.keys() == ["x"]
    assert await hold.state(Scope.session("nope")).get("x") == 1


async def test_transact_finds_the_session_that_somebody_else_made_first(stores: Stores) -> None:
    """Get or create in a transaction: of two at once one creates, and the other finds."""
    hold, rival = await stores.open(), await stores.open()
    runs: list[str] = []

    async def get_or_create(tx: Transaction) -> int:
        try:
            found = tx.session("nope")
            await found.state.get("n")
            runs.append("found")
        except NotFound:
            runs.append("missing")
            found = await tx.sessions.create(id="nope")
            if len(runs) == 1:
                await meanwhile(rival.sessions.create(id="nope", user="ada"))
        return await found.state.mutate("n", lambda n: n + 1, int, default=0)

    assert await hold.transact(get_or_create) == 1
    assert runs == ["missing", "found"]
    made = await hold.sessions.get("nope")
    assert made is not None
    assert made.user == "ada"


async def test_deleting_what_does_not_exist_is_false_and_a_condition(stores: Stores) -> None:
    hold, rival = await stores.open(), await stores.open()
    async with hold.transaction() as tx:
        assert await tx.sessions.delete("nope") is False
        await tx.state(NEAR).set("k", 1)
    with pytest.raises(Conflict):
        async with hold.transaction() as tx:
            assert await tx.sessions.delete("nope") is False
            await meanwhile(rival.sessions.create(id="nope"))
            await tx.state(NEAR).set("k", 2)
    assert await hold.state(NEAR).get("k") == 1
    assert await hold.sessions.get("nope") is not None


async def test_a_session_read_or_deleted_and_gone_by_the_commit_is_a_conflict_and_one_written_to_is_not_found(
    stores: Stores,
) -> None:
    hold, rival = await stores.open(), await stores.open()

    async def read(tx: Transaction) -> None:
        await tx.session("s").state.get("x")

    async def delete(tx: Transaction) -> None:
        assert await tx.sessions.delete("s")

    async def write(tx: Transaction) -> None:
        await tx.session("s").state.set("x", 1)

    for step, error in ((read, Conflict), (delete, Conflict), (write, NotFound)):
        await hold.sessions.create(id="s")
        with pytest.raises(error):
            async with hold.transaction() as tx:
                await step(tx)
                await meanwhile(rival.sessions.delete("s"))


async def test_a_session_made_and_ended_in_the_block_must_have_been_free(stores: Stores) -> None:
    hold = await stores.open()
    await hold.sessions.create(id="s")
    with pytest.raises(AlreadyExists):
        async with hold.transaction() as tx:
            await tx.sessions.create(id="s")
            assert await tx.sessions.delete("s") is True
    assert await hold.sessions.get("s") is not None


async def test_handles_of_a_session_that_the_block_deleted_do_not_reach_the_one_made_after(hold: Holdfast) -> None:
    async with hold.transaction() as tx:
        first = await tx.sessions.create(id="s")
        await tx.sessions.delete("s")
        second = await tx.sessions.create(id="s")
        with pytest.raises(NotFound):
            await first.state.set("x", 1)
        with pytest.raises(NotFound):
            await first.state.get("x")
        await second.state.set("y", 1)
        assert await tx.session("s").state.keys() == ["y"]
    assert await hold.state(Scope.session("s")).keys() == ["y"]


async def test_a_transaction_of_a_deleted_session_is_not_found_whatever_is_done_in_it(hold: Holdfast) -> None:
    s = await hold.sessions.create(id="s", user=together("user")[0].id)
    await hold.sessions.delete("s")
    for again in (False, True):
        if again:
            await hold.sessions.create(id="s")
        with pytest.raises(NotFound):
            async with s.transaction():
                pass
        with pytest.raises(NotFound):
            async with s.transaction() as tx:
                with pytest.raises(NotFound):
                    await tx.state.get("x")
                await tx.user_state.set("k", 1)
    assert await hold.state(together("user")[0]).keys() == []


async def test_a_call_that_is_refused_asks_for_nothing_and_stages_nothing(hold: Holdfast) -> None:
    """All or nothing holds for each call in a block that goes on after an error."""
    nope, new = together("session", "session")
    await hold.sessions.create(id="s")
    async with hold.transaction() as tx:
        s = tx.session("s")
        await s.state.set("old", 1)
        for refused in (
            lambda: s.state.update({"old": 2, "new": 2, "": 3}),
            lambda: s.state.set("\0", 1, if_version=7),
            lambda: s.messages.add_many([{"role": "user", "content": c} for c in ("short", "x" * 262_100)]),
            lambda: tx.session(nope.id).state.set("", 1),
            lambda: tx.sessions.create(id=new.id, task="x" * 262_140),
        ):
            with pytest.raises(ValueError):
                await refused()  # type: ignore[no-untyped-call]
        with pytest.raises(Conflict):
            await tx.sessions.update("s", tags=["t"], if_version=0)
    assert (await hold.state(Scope.session("s")).snapshot()).values == {"old": 1}
    found = await hold.sessions.get("s")
    assert found is not None
    assert await found.messages.list() == []
    assert [s.id for s in (await hold.sessions.list()).items] == ["s"]


async def test_whatever_is_done_with_a_session_in_a_transaction_is_as_if_it_had_run_alone(stores: Stores) -> None:
    """Serialisable, by a model: every play of two steps and many longer ones, with and without a rival."""
    hold, rival = await stores.open(), await stores.open()
    plays = short_plays(2) + longer_plays(300, seed=7)
    for n, (steps, exists, at) in enumerate(plays):
        await play(hold, rival, f"s{n}", steps, exists=exists, at=at)


@pytest.mark.soak
async def test_every_play_of_four_steps_is_as_if_it_had_run_alone(spanning: Stores) -> None:
    hold, rival = await spanning.open(), await spanning.open()
    for n, (steps, exists, at) in enumerate(short_plays(4)):
        await play(hold, rival, f"s{n}", steps, exists=exists, at=at)
