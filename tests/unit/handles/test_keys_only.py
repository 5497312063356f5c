"""A log that has keys and no values: `Config.changes.values`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from holdfast import (
    UNSET,
    Change,
    ChangesConfig,
    Config,
    Holdfast,
    RuntimeConfig,
    Scope,
    Session,
)
from holdfast.errors import Closed, Unsupported
from holdfast.kernel.commit import stamp
from holdfast.testing.clock import ManualClock
from tests.unit.stores import Stores

KEYS = Config(changes=ChangesConfig(values="keys"))


@pytest.fixture
async def hold(stores: Stores) -> Holdfast:
    return await stores.open(config=KEYS)


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s", user="ada", metadata={"plan": "pro"})


async def take(changes: AsyncIterator[Change], count: int) -> list[Change]:
    return [await asyncio.wait_for(anext(changes), 10) for _ in range(count)]


def past(found: Any) -> list[tuple[Any, int, bool]]:
    return [(item.value, item.version, item.deleted) for item in found.items]


# --- what is in the log ---------------------------------------------------------------------------------------------


async def test_of_what_is_written_only_the_key_is_in_the_log_and_a_session_whole(stores: Stores, s: Session) -> None:
    """No value is in any record, of any kind; whose a session is, is."""
    await s.state.set("secret-key", "secret-value")
    await s.temp.set("secret-key", "secret-value")
    await s.runtime.set("secret-key", "secret-value")
    await s.messages.add("user", "secret-value")
    await s.log("note", {"x": "secret-value"})
    await s.state.delete("secret-key")
    kernel = await stores.plain()
    bodies = b"".join([record.body for record in await kernel.log("session/s", after=0, limit=100)])
    await kernel.close()
    assert b"secret-value" not in bodies
    assert bodies.count(b"secret-key") == 4
    assert b'"user":"ada"' in bodies


async def test_followers_get_every_change_in_order_with_its_key(hold: Holdfast, s: Session) -> None:
    """The stream has no hole: only values are missing from it."""
    async with s.changes(after="beginning") as changes:
        await s.state.update({"a": 1, "b": None})
        await s.temp.set("a", 2)
        await s.runtime.set("step", 3)
        async with s.transaction() as tx:
            await tx.messages.add("user", "hello")
            await tx.log("note", {"x": 1})
            await tx.messages.add("assistant", "hi")
        await s.state.delete("a")
        await s.state.clear()
        found = await take(changes, 11)
    assert [(change.kind, change.op, change.key) for change in found] == [
        ("session", "set", "s"),
        ("event", "append", stamp(1, 0)),
        ("state", "set", "a"),
        ("state", "set", "b"),
        ("temp", "set", "a"),
        ("runtime", "set", "step"),
        ("message", "append", stamp(5, 0)),
        ("event", "append", stamp(5, 1)),
        ("message", "append", stamp(5, 2)),
        ("state", "delete", "a"),
        ("state", "clear", None),
    ]
    assert found[0].value["metadata"] == {"plan": "pro"}
    assert [change.value for change in found[1:]] == [UNSET] * 8 + [None] * 2


async def test_what_is_emitted_has_its_value(spanning: Stores) -> None:
    """What is told live never is in the log."""
    hold = await spanning.open(config=KEYS)
    s = await hold.sessions.create(id="s")
    async with s.changes() as changes:
        await s.emit("token", "Your")
        [told] = await take(changes, 1)
        assert (told.value, await changes.read(told)) == ("Your", "Your")


async def test_batched_runtime_state_is_told_by_its_keys_too(stores: Stores) -> None:
    """What a commit carries along is told like all else."""
    batched = RuntimeConfig(persistence="batched", batch_size=100)
    hold = await stores.open(config=Config(changes=ChangesConfig(values="keys"), runtime=batched))
    s = await hold.sessions.create(id="s")
    async with s.changes() as changes:
        await s.runtime.set("step", 1)
        await s.state.set("a", 1)
        assert [(c.kind, c.key, c.value) for c in await take(changes, 2)] == [
            ("runtime", "step", UNSET),
            ("state", "a", UNSET),
        ]
        await s.runtime.set("step", 2)
        await s.runtime.flush()
        [told] = await take(changes, 1)
        assert (told.value, await changes.read(told)) == (UNSET, 2)


# --- reading what was told ------------------------------------------------------------------------------------------


async def test_a_follower_reads_what_stands_under_the_key(hold: Holdfast, s: Session) -> None:
    """Of every kind, in every scope and namespace."""
    async with hold.changes([Scope.session("s"), Scope.user("ada")]) as changes:
        await s.state.set("a", [1])
        await s.temp.set("a", 2)
        await s.runtime.set("step", {"n": 3})
        await s.messages.add("user", "hello")
        await s.log("note", {"x": 1})
        found = await take(changes, 5)
        values = [await changes.read(change) for change in found]
        await hold.state(Scope.user("ada"), namespace="n/s").set("lang", None)
        [lang] = await take(changes, 1)
        assert (lang.namespace, lang.key, await changes.read(lang, default="-")) == ("n/s", "lang", None)
    assert values[:3] == [[1], 2, {"n": 3}]
    assert (values[3]["content"], values[4]["type"], values[4]["data"]) == ("hello", "note", {"x": 1})


async def test_what_is_read_is_the_value_of_now_or_the_default(hold: Holdfast, s: Session, clock: ManualClock) -> None:
    """It may be newer than the change; of what is gone, or of another life, nothing is shown."""
    async with s.changes() as changes:
        await s.state.set("a", 1)
        await s.state.set("a", 2)
        await s.temp.set("t", 3)
        first, second, temporary = await take(changes, 3)
        assert [await changes.read(first), await changes.read(second), await changes.read(temporary)] == [2, 2, 3]
        clock.advance(3600)
        assert await changes.read(temporary, default="-") == "-"
        await s.state.delete("a")
        [deleted] = await take(changes, 1)
        assert [await changes.read(one, default="-") for one in (first, deleted)] == ["-", "-"]
        await s.state.set("a", 4)
        assert await changes.read(first) == 4
        await hold.sessions.delete("s")
        assert await changes.read(first, default="-") == "-"
        again = await hold.sessions.create(id="s", user="bob")
        await again.state.set("a", "bob's")
        assert await changes.read(first, default="-") == "-"


async def test_a_principal_reads_nothing_of_others(hold: Holdfast, s: Session) -> None:
    """A change that somebody else was told of opens nothing."""
    bob = await hold.sessions.create(id="bobs", user="bob")
    async with s.changes() as changes, hold.changes([Scope.user("ada")]) as of_ada:
        await s.state.set("a", 1)
        await s.user_state.set("b", 2)
        told = [*await take(changes, 1), *await take(of_ada, 1)]
    stream = hold.as_principal(user="bob").changes([Scope.session(bob.id)])
    assert [await stream.read(one, default="-") for one in told] == ["-", "-"]
    own = hold.as_principal(user="ada").changes([Scope.session("s")])
    assert [await own.read(one) for one in told] == [1, 2]


async def test_a_change_that_has_its_value_is_read_without_a_read(stores: Stores) -> None:
    """So one loop serves both settings."""
    hold = await stores.open()
    s = await hold.sessions.create(id="s")
    async with s.changes() as changes:
        await s.state.set("a", None)
        await s.state.delete("a")
        [written, deleted] = await take(changes, 2)
        await hold.close()
        assert await changes.read(written, default="-") is None
        assert await changes.read(deleted, default="-") == "-"


async def test_a_closed_store_reads_nothing(hold: Holdfast, s: Session) -> None:
    async with s.changes() as changes:
        await s.state.set("a", 1)
        [told] = await take(changes, 1)
        await hold.close()
        with pytest.raises(Closed):
            await changes.read(told)


# --- the past -------------------------------------------------------------------------------------------------------


def says_why(refused: pytest.ExceptionInfo[Unsupported], key: str, version: int) -> bool:
    problem = refused.value
    named = 'changes.values="keys"' in str(problem) and 'values="inline"' in (problem.remedy or "")
    return named and (problem.facts["key"], problem.facts["version"]) == (key, version)


async def test_a_value_that_is_kept_nowhere_is_refused_by_every_question_for_it(s: Session) -> None:
    """Never a wrong answer: the error names the setting, the key and the version."""
    first = await s.state.set("a", 1)
    second = await s.state.set("a", 2)
    await s.runtime.set("step", 1)
    await s.runtime.set("step", 2)
    for question in (
        lambda: s.state.history("a"),
        lambda: s.at(first).state.get("a"),
        lambda: s.at(first).state.has("a"),
        lambda: s.at(first).state.all(),
        lambda: s.state.diff(since=first),
        lambda: s.state.diff(until=first),
    ):
        with pytest.raises(Unsupported) as refused:
            await question()
        assert says_why(refused, "a", first)
    with pytest.raises(Unsupported) as refused:
        await s.at(second + 1).runtime.get("step")
    assert says_why(refused, "step", second + 1)


async def test_what_was_not_written_since_and_what_was_not_there_is_told_all_the_same(s: Session) -> None:
    """The log says what was removed and when, and values that stand in their place are there to be read."""
    version = await s.state.update({"a": 1, "b": 2})
    await s.state.delete("b")
    last = await s.state.set("c", 3)
    assert past(await s.state.history("a")) == [(1, version, False)]
    assert await s.at(last).state.all() == {"a": 1, "c": 3}
    assert await s.at(version - 1).state.all() == {}
    assert await s.at(version).state.get("c", default="-") == "-"
    diff = await s.state.diff(since=version - 1)
    assert [(one.key, one.change, one.after) for one in diff.items] == [("a", "added", 1), ("c", "added", 3)]
    async with s.transaction() as tx:
        await tx.state.set("a", "staged")
        assert past(await tx.state.history("a")) == [(1, version, False)]
        tx.rollback()


async def test_why_tells_who_did_it_and_that_the_value_before_is_unknown(hold: Holdfast, s: Session) -> None:
    """The cause of what is, is worth as much without what was."""
    await s.state.set("a", 1)
    with hold.acting(by="bob"):
        version = await s.state.set("a", 2)
    why = await s.why("a")
    assert why is not None
    assert (why.by, why.version, why.value, why.before, why.existed) == ("bob", version, 2, UNSET, True)
    await s.state.delete("a")
    gone = await s.why("a")
    assert gone is not None
    assert (gone.deleted, gone.value, gone.before, gone.existed) == (True, None, UNSET, True)


async def test_a_log_may_hold_both_and_each_record_tells_which_it_is(stores: Stores) -> None:
    """The setting may change between two openings."""
    inline, keys = await stores.open(), await stores.open(config=KEYS)
    here = await inline.sessions.create(id="s")
    there = await keys.sessions.get("s")
    assert there is not None
    one = await here.state.set("a", 1)
    two = await there.state.set("a", 2)
    three = await here.state.set("a", 3)
    four = await here.state.set("a", 4)
    for s in (here, there):
        assert past(await s.state.history("a", limit=2)) == [(4, four, False), (3, three, False)]
        assert [await s.at(version).state.get("a") for version in (one, three, four)] == [1, 3, 4]
        with pytest.raises(Unsupported) as refused:
            await s.at(two).state.get("a")
        assert says_why(refused, "a", two)
        [item] = (await s.state.diff(since=one, until=three)).items
        assert (item.before, item.after) == (1, 3)
        async with s.changes(after="beginning", kinds={"state"}) as changes:
            assert [change.value for change in await take(changes, 4)] == [1, UNSET, 3, 4]


async def test_the_sessions_of_a_user_are_followed_and_erased_as_ever(hold: Holdfast) -> None:
    """Whose a session was its log tells, for all that needs it."""
    async with hold.changes(user="ada") as changes:
        s = await hold.sessions.create(id="s", user="ada")
        await s.state.set("a", 1)
        await hold.sessions.delete("s")
        assert [change.op for change in await take(changes, 4)] == ["set", "append", "set", "delete"]
    await hold.sessions.create(id="t", user="ada")
    await hold.erase(user="ada")
    assert (await hold.sessions.list()).items == ()


async def test_what_a_workflow_did_is_read_where_it_stands(s: Session) -> None:
    """A run, its nodes, its questions and its variables: each change finds its own."""
    async with s.changes(after="beginning", kinds={"run", "interaction", "variable"}) as changes:
        run = await s.runs.start("a/b", id="r/1", nodes={"n/1": []})
        await run.progress("n/1", "completed", output="done")
        await run.variables.set("city", "Kyoto", level="run")
        question = await run.ask("Pay?", key="pay")
        seen = [await take(changes, 1) for _ in range(6)]
        read = [await changes.read(change) for [change] in seen]
    told = {(change.kind, change.key, change.namespace): value for [change], value in zip(seen, read, strict=True)}
    assert all(change.value is UNSET for [change] in seen)
    assert told["run", "r/1", ""]["workflow"] == "a/b"
    assert told["run", "r/1", "n/1"]["output"] == "done"
    assert told["variable", "city", "run/r%2F1"] == "Kyoto"
    [asked] = [value for (kind, _, _), value in told.items() if kind == "interaction"]
    assert asked["id"] == question.id
