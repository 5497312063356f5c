"""Restoring a checkpoint: one commit, that can be undone, and that takes nothing back that others were told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from holdfast import Budget, Config, Holdfast, NotFound, Session, Usage
from holdfast.errors import (
    Busy,
    Compacted,
    InvalidTransition,
    InvalidValue,
    LeaseLost,
    TooLarge,
    UseTransaction,
)
from holdfast.handles.fence import held
from holdfast.handles.unit import open_transactions
from holdfast.kernel.limits import KIB
from holdfast.model.config import Limits
from holdfast.model.variable import MASK
from holdfast.services import message
from tests.unit.stores import Stores, together


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s", user=near(), tags=["vip"], metadata={"plan": "pro"})


def near() -> str:
    """A user whose scope every backend can commit together with the session."""
    return together("user")[0].id


async def contents(s: Session) -> list[str]:
    return [one.content for one in await s.messages.list()]


async def picture(s: Session) -> dict[str, Any]:
    """All that a restore brings back."""
    await s.refresh()
    return {
        "state": (await s.state.snapshot()).values,
        "temp": (await s.temp.snapshot()).values,
        "runtime": await s.runtime.all(),
        "area": await s.area("mine").get(["k"]),
        "record": (s.metadata, s.tags),
        "messages": await contents(s),
    }


async def some(s: Session, n: int) -> None:
    await s.state.update({"n": n, f"k{n}": {"x": [n]}})
    await s.temp.set("draft", n)
    await s.runtime.set("step", n)
    await s.area("mine").write({"k": bytes([n])})
    await s.update(metadata={"n": n}, tags=[f"t{n}"])
    await s.messages.add("user", f"message {n}")


async def test_everything_is_as_it_was_and_undone_it_is_as_it_had_been(s: Session) -> None:
    await some(s, 1)
    then = await picture(s)
    first = await s.checkpoint()
    await some(s, 2)
    await s.state.delete("k1")
    await some(s, 3)
    now = await picture(s)
    undo = await s.restore(first.id)
    assert (undo.label, await picture(s)) == ("before restore", then)
    redo = await s.restore(undo.id)
    assert await picture(s) == now
    await s.restore(redo.id)
    assert await picture(s) == then


async def test_it_is_one_commit_and_followers_hear_what_became_of_each_key(s: Session) -> None:
    await s.state.update({"a": 1, "b": 1})
    await s.runtime.set("step", 1)
    first = await s.checkpoint(label="one")
    await s.state.update({"a": 2, "c": 2})
    await s.state.delete("b")
    await s.runtime.clear()
    before = (await s.state.snapshot()).version
    undo = await s.restore(first.id)
    assert (await s.state.snapshot()).version == before + 1
    async with s.changes(after=before) as changes:
        told = [await anext(changes) for _ in range(7)]
    assert {one.seq for one in told} == {before + 1}
    assert [(one.kind, one.op, one.key, one.value) for one in told if one.kind in ("state", "runtime")] == [
        ("runtime", "set", "step", 1),
        ("state", "set", "a", 1),
        ("state", "set", "b", 1),
        ("state", "delete", "c", None),
    ]
    event = (await s.events(types=["checkpoint_restored"])).items[0]
    assert event.data == {"checkpoint": first.id, "label": "one", "version": first.version, "before": undo.id}


async def test_where_nothing_differs_only_the_record_of_it_is_written(s: Session) -> None:
    await some(s, 1)
    first = await s.checkpoint()
    version = s.version
    await s.restore(first.id)
    await s.refresh()
    assert s.version == version


async def test_messages_since_are_hidden_and_later_ones_are_not(s: Session) -> None:
    """They are not removed: undone, the conversation is whole again."""
    for n in range(3):
        await s.messages.add("user", f"m{n}")
    first = await s.checkpoint()
    for n in range(3, 6):
        await s.messages.add("user", f"m{n}")
    undo = await s.restore(first.id)
    await s.messages.add("user", "other")
    assert await contents(s) == ["m0", "m1", "m2", "other"]
    assert [one.content for one in await s.messages.last(2)] == ["m2", "other"]
    assert [one.content for one in await s.messages.list(limit=4, order="newest")] == ["other", "m2", "m1", "m0"]
    shown = await s.messages.list()
    assert [one.content for one in await s.messages.list(after=shown[1], before=shown[3])] == ["m2"]
    assert [one.content for one in await s.messages.list(before=shown[3], order="newest", limit=1)] == ["m2"]
    again = await s.restore(undo.id)
    assert await contents(s) == [f"m{n}" for n in range(6)]
    await s.restore(first.id)
    assert await contents(s) == ["m0", "m1", "m2"]
    await s.restore(again.id)
    assert await contents(s) == ["m0", "m1", "m2", "other"]


async def test_a_page_is_full_however_many_are_hidden_in_between(s: Session) -> None:
    await s.messages.add("user", "first")
    one = await s.checkpoint()
    await s.messages.add_many([{"role": "user", "content": f"hidden {n}"} for n in range(40)])
    await s.restore(one.id)
    await s.messages.add_many([{"role": "user", "content": f"last {n}"} for n in range(2)])
    assert [m.content for m in await s.messages.list(limit=3)] == ["first", "last 0", "last 1"]
    assert [m.content for m in await s.messages.list(limit=2, order="newest")] == ["last 1", "last 0"]
    assert [m.content for m in await s.messages.list(limit=3, order="newest")] == ["last 1", "last 0", "first"]
    async with s.transaction() as tx:
        await tx.messages.add("user", "staged")
        assert [m.content for m in await tx.messages.last(4)] == ["first", "last 0", "last 1", "staged"]


async def test_the_past_shows_what_was_hidden_later(s: Session) -> None:
    await s.messages.add("user", "a")
    first = await s.checkpoint()
    await s.messages.add("user", "b")
    then = (await s.state.snapshot()).version
    await s.restore(first.id)
    now = (await s.state.snapshot()).version
    assert [m.content for m in await s.at(then).messages.list()] == ["a", "b"]
    assert [m.content for m in await s.at(now).messages.list()] == ["a"]


async def test_the_past_shows_what_was_hidden_then(s: Session) -> None:
    """Neither a later restore nor its being undone changes which messages were shown at a version."""
    shown: dict[int, list[str]] = {}

    async def look() -> None:
        shown[(await s.state.snapshot()).version] = await contents(s)

    await s.messages.add("user", "a")
    await look()
    first = await s.checkpoint()
    await look()
    for n in range(3):
        await s.messages.add("user", f"b{n}")
        await look()
        undo = await s.restore(first.id)
        await look()
        await s.messages.add("user", f"c{n}")
        await look()
        if n == 1:
            await s.restore(undo.id)
            await look()
    await s.restore(undo.id)
    await look()
    assert len(shown) == 13
    for version, then in shown.items():
        assert [m.content for m in await s.at(version).messages.list()] == then, version


async def test_how_far_back_it_is_known_what_was_hidden_is_said(s: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a restore keeps of the past has a limit; beyond it nobody is shown a wrong conversation."""
    monkeypatch.setattr(message, "HIDDEN_BYTES", 60)
    await s.messages.add("user", "a")
    first = await s.checkpoint()
    for n in range(5):
        await s.messages.add("user", f"b{n}")
        await s.restore(first.id)
    now = (await s.state.snapshot()).version
    assert [m.content for m in await s.at(now).messages.list()] == ["a"]
    with pytest.raises(Compacted) as error:
        await s.at(first.version).messages.list()
    assert [m.content for m in await s.at(error.value.facts["floor"]).messages.list()] == ["a"]
    assert await contents(s) == ["a"]


async def test_what_expires_has_as_long_to_live_as_it_had_then(stores: Stores, hold: Holdfast, s: Session) -> None:
    await s.temp.set("draft", 1)
    stores.clock.advance(1800)
    first = await s.checkpoint()
    stores.clock.advance(3600)
    assert await s.temp.get("draft") is None
    await s.restore(first.id)
    stores.clock.advance(1799)
    assert await s.temp.get("draft") == 1
    stores.clock.advance(1)
    assert await s.temp.get("draft") is None
    await s.checkpoint()


async def test_status_and_what_was_spent_stay(s: Session) -> None:
    await s.iterate(reserve=Usage(tokens=10))
    first = await s.checkpoint()
    await s.iterate(reserve=Usage(tokens=30))
    await s.update(budget=Budget(iterations=7))
    await s.complete("done")
    await s.restore(first.id)
    assert (s.status, s.result, s.iterations, s.budget.iterations) == ("completed", "done", 2, 7)
    with pytest.raises(InvalidTransition):
        await s.resume()


async def test_the_users_state_comes_back_only_if_included(s: Session) -> None:
    await s.user_state.set("name", "Ada")
    first = await s.checkpoint()
    await s.user_state.update({"name": "Bo", "more": 1})
    await s.restore(first.id)
    assert (await s.user_state.snapshot()).values == {"name": "Bo", "more": 1}
    undo = await s.restore(first.id, include={"session", "user"})
    assert (await s.user_state.snapshot()).values == {"name": "Ada"}
    await s.restore(undo.id, include={"session", "user"})
    assert (await s.user_state.snapshot()).values == {"name": "Bo", "more": 1}
    for wrong in ({"user"}, {"session", "agent"}, set()):
        with pytest.raises(InvalidValue):
            await s.restore(first.id, include=wrong)  # type: ignore[arg-type]


async def test_while_somebody_holds_the_session_it_is_refused_unless_forced(stores: Stores, s: Session) -> None:
    """Forced it takes the session from who holds it, whose next write is refused."""
    other = await (await stores.open()).sessions.get("s")
    assert other is not None
    await s.state.set("n", 1)
    first = await s.checkpoint()
    with suppress(LeaseLost):
        async with other.claim(worker="w1"):
            await other.state.set("n", 2)
            with pytest.raises(Busy, match="w1"):
                await s.restore(first.id)
            assert await s.state.get("n") == 2
            await s.restore(first.id, force=True)
            with pytest.raises(LeaseLost):
                await other.state.set("n", 3)
    assert await s.state.get("n") == 1
    async with s.claim():
        await s.state.set("n", 4)
        await s.restore(first.id)  # it is this task's own
        await s.state.set("m", 5)
    assert (await s.state.snapshot()).values == {"n": 1, "m": 5}


async def test_nor_does_a_turn_survive_it(s: Session) -> None:
    first = await s.checkpoint()
    with pytest.raises(LeaseLost):
        async with s.turn(request_id="r") as turn:
            await turn.state.set("n", 1)
            await asyncio.create_task(_elsewhere(lambda: s.restore(first.id, force=True)))
    assert await s.state.get("n") is None


async def _elsewhere(call: Callable[[], Awaitable[object]]) -> None:
    """As a task does that holds nothing."""
    held.set(())
    open_transactions.set(())
    await call()


async def test_inside_a_transaction_it_is_refused(s: Session) -> None:
    first = await s.checkpoint()
    async with s.transaction() as tx:
        await tx.state.set("n", 1)
        for call in (s.checkpoint, lambda: s.restore(first.id)):
            with pytest.raises(UseTransaction):
                await call()


async def test_writers_meanwhile_are_before_it_or_after(stores: Stores, s: Session) -> None:
    """A write that was acknowledged before the restore is undone by it and kept in the checkpoint; none is half."""
    other = await (await stores.open()).sessions.get("s")
    assert other is not None
    await s.state.update({"a": 0, "b": 0})
    first = await s.checkpoint()

    async def write() -> None:
        for n in range(1, 12):
            await other.state.update({"a": n, "b": n})

    writing = asyncio.ensure_future(write())
    undo = await s.restore(first.id)
    await writing
    for _ in range(2):
        found = (await s.state.snapshot()).values
        assert found["a"] == found["b"]
        await s.restore(undo.id)
    await s.restore(first.id)
    assert (await s.state.snapshot()).values == {"a": 0, "b": 0}


async def test_what_is_too_much_for_one_commit_is_refused_whole(tmp_path: Path) -> None:
    """Only the store's own limits count, not the smaller ones that are configured; the remedy is a fork."""
    stores = Stores("weakest", tmp_path)
    hold = await stores.open()
    s = await hold.sessions.create(id="s")
    await s.state.update({f"k{n}": n for n in range(80)})
    first = await s.checkpoint()
    await s.state.update({f"k{n}": -n for n in range(80)})
    await s.restore(first.id)
    for start in range(0, 200, 50):
        await s.state.update({f"k{n}": -1 for n in range(start, start + 50)})
    now = (await s.state.snapshot()).values
    with pytest.raises(TooLarge) as error:
        await s.restore(first.id)
    assert "fork" in error.value.remedy
    assert (await s.state.snapshot()).values == now
    forked = await s.fork(at=first.id)
    assert (await forked.state.snapshot()).values == {f"k{n}": n for n in range(80)}
    await stores.close()


async def test_however_much_there_is_what_came_before_can_be_had_back(hold: Holdfast) -> None:
    """A checkpoint taken beforehand that is large is taken by itself."""
    s = await hold.sessions.create(id="s")
    first = await s.checkpoint()
    for n in range(10):
        await s.state.set(f"k{n}", "x" * 120 * KIB)
    undo = await s.restore(first.id)
    assert await s.state.keys() == []
    await s.restore(undo.id)
    assert len(await s.state.keys()) == 10


async def test_a_checkpoint_of_another_session_is_not_found(hold: Holdfast, s: Session) -> None:
    other = await hold.sessions.create(id="other")
    taken = await other.checkpoint()
    with pytest.raises(NotFound):
        await s.restore(taken.id)
    with pytest.raises(NotFound):
        await s.diff(taken.id)


async def test_what_is_kept_is_restored_through_another_opening_with_smaller_limits(stores: Stores) -> None:
    hold = await stores.open()
    s = await hold.sessions.create(id="s")
    await s.state.update({f"k{n}": n for n in range(20)})
    first = await s.checkpoint()
    await s.state.clear()
    small = await stores.open(config=Config(limits=Limits(operations_max=10)))
    same = await small.sessions.get("s")
    assert same is not None
    await same.restore(first.id)
    assert len(await s.state.keys()) == 20


async def test_variables_come_back_and_followers_hear_of_them(s: Session) -> None:
    await s.variables.set("city", "Kyoto")
    await s.variables.set("home", 1)
    first = await s.checkpoint()
    await s.variables.set("city", "Oslo")
    await s.variables.set("spare", 1)
    assert await s.variables.clear("home") == 1
    before = (await s.state.snapshot()).version
    steps = {step.path: step for step in await s.diff(first.id)}
    assert steps["/variable/session/city"].value == "Oslo"
    await s.restore(first.id)
    async with s.changes(after=before, kinds={"variable"}) as changes:
        told = [await anext(changes) for _ in range(3)]
    assert [(one.op, one.key, one.value, one.namespace) for one in told] == [
        ("set", "city", "Kyoto", "session"),
        ("set", "home", 1, "session"),
        ("delete", "spare", None, "session"),
    ]
    assert await s.variables.get("city") == "Kyoto"
    assert await (await s.fork()).variables.get("city") == "Kyoto"


async def test_a_diff_tells_that_a_secret_is_another_one_and_no_more(tmp_path: Path) -> None:
    """Secrets never appear in what is shown."""
    stores = Stores("encrypted", tmp_path)
    hold = await stores.open()
    s = await hold.sessions.create(id="s")
    await s.variables.set("token", "hush-1", secret=True)
    first = await s.checkpoint()
    await s.variables.set("token", "hush-2", secret=True)
    patch = await s.diff(first.id)
    assert [(step.op, step.path, step.value) for step in patch] == [("replace", "/variable/session/token", MASK)]
    assert "hush" not in str(await s.diff((await s.checkpoint()).id, first.id))
    await s.restore(first.id)
    assert await s.variables.get("token") == "hush-1"
    await stores.close()


async def test_runs_are_where_they_were_and_found_where_they_are(hold: Holdfast, s: Session) -> None:
    """A run that was started since is gone, from the lists too; one that went on takes up where it was."""
    run = await s.runs.start("trip", nodes={"search": [], "pay": ["search"]})
    await run.progress("search", "completed", output=1)
    await s.variables.set("n", 1, level="run", run=run.id)
    first = await s.checkpoint()
    await run.progress("pay", "completed")
    await run.complete("done")
    later = await s.runs.start("other", nodes=["a"])
    undo = await s.restore(first.id)
    seen = await hold.runs.get(run.id)
    assert seen is not None
    assert (seen.status, seen.ready_nodes(), seen.nodes["search"].output) == ("running", ["pay"], 1)
    assert await hold.runs.get(later.id) is None
    assert [one.id for one in (await hold.runs.list(status="running")).items] == [run.id]
    assert (await hold.runs.list(status="completed")).items == ()
    await s.restore(undo.id)
    assert {one.id for one in (await s.runs.list()).items} == {run.id, later.id}
    assert (await run.refresh()).output == "done"


async def test_while_a_run_is_held_its_session_is_not_restored_unless_forced(stores: Stores, s: Session) -> None:
    run = await s.runs.start("trip", nodes=["a"])
    first = await s.checkpoint()
    other = await (await stores.open()).runs.get(run.id)
    assert other is not None
    with pytest.raises(LeaseLost):
        async with other.claim(worker="w1"):
            await other.progress("a", "completed")
            with pytest.raises(Busy, match=run.id):
                await s.restore(first.id)
            await s.restore(first.id, force=True)
            await other.complete()
    assert (await run.refresh()).ready_nodes() == ["a"]
