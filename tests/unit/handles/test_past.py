"""The past of a session, and the causes of what is: `s.at(version)`, `s.why(key)`."""

from __future__ import annotations

import dataclasses

import pytest

from holdfast import Cause, Config, Holdfast, NotFound, RuntimeConfig, Scope, Session
from holdfast.errors import Compacted, InvalidValue, TypeMismatch
from holdfast.model import cause
from holdfast.model.config import ChangesConfig
from tests.unit.stores import Stores


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s", user="ada")


# --- at ------------------------------------------------------------------------------------------------------------


async def test_state_is_shown_as_it_was_after_each_commit(s: Session) -> None:
    """One number per scope: a version is what the commit of that number left."""
    expected = {s.version: {}}
    expected[await s.state.set("a", 1)] = {"a": 1}
    expected[await s.state.update({"a": 2, "b": None})] = {"a": 2, "b": None}
    await s.state.delete("a")
    expected[(await s.state.snapshot()).version] = {"b": None}
    await s.state.clear()
    expected[(await s.state.snapshot()).version] = {}
    expected[await s.state.set("c", {"x": [1]})] = {"c": {"x": [1]}}
    for version, values in expected.items():
        past = s.at(version)
        assert await past.state.all() == values
        assert await past.state.keys() == list(values)
        for key in ("a", "b", "c"):
            assert await past.state.get(key, default="-") == values.get(key, "-")
            assert await past.state.has(key) is (key in values)


async def test_runtime_messages_and_events_have_a_past_too(s: Session) -> None:
    first = await s.runtime.set("step", 1)
    hello = await s.messages.add("user", "hello")
    await s.log("noted", {"n": 1})
    then = (await s.state.snapshot()).version
    await s.runtime.clear()
    await s.messages.add("user", "more")
    await s.log("noted", {"n": 2})
    past = s.at(then)
    assert await past.runtime.all() == {"step": 1}
    assert [one.content for one in await past.messages.list()] == ["hello"]
    assert [one.content for one in await past.messages.last(5)] == ["hello"]
    assert await past.messages.list(after=hello) == []
    page = await past.events(types="noted")
    assert [one.data for one in page.items] == [{"n": 1}]
    assert page.next is None
    assert await s.at(first).messages.list() == []
    assert (await s.at(first).events(types=["noted"])).items == ()


async def test_values_of_the_past_are_read_as_a_type(s: Session) -> None:
    @dataclasses.dataclass
    class Cart:
        items: list[str]

    version = await s.state.set("cart", {"items": ["milk"]})
    await s.state.set("cart", 3)
    assert await s.at(version).state.get("cart", Cart) == Cart(["milk"])
    with pytest.raises(TypeMismatch):
        await s.at(version).state.get("cart", int)


async def test_a_version_that_there_is_not_is_refused(hold: Holdfast, s: Session) -> None:
    last = await s.state.set("a", 1)
    with pytest.raises(InvalidValue):
        await s.at(last + 1).state.get("a")
    with pytest.raises(NotFound):
        await s.at(0).state.all()
    for wrong in (-1, None, True, "3", 1.0):
        with pytest.raises(InvalidValue):
            s.at(wrong)  # type: ignore[arg-type]
    await hold.sessions.delete("s")
    with pytest.raises(NotFound):
        await s.at(last).state.get("a")
    again = await hold.sessions.create(id="s")
    for read in (again.at(last).state.get("a"), again.at(last).state.all(), again.at(last).messages.list()):
        with pytest.raises(NotFound):
            await read
    assert await again.at(again.version).state.all() == {}


async def test_the_past_cannot_be_written(s: Session) -> None:
    past = s.at(s.version)
    for verb in (lambda: past.state.set, lambda: past.messages.add, lambda: past.log, lambda: past.runtime.flush):
        with pytest.raises(AttributeError, match="can only be read"):
            verb()


async def test_beyond_the_log_the_past_is_compacted_but_what_was_not_written_since_is_known(stores: Stores) -> None:
    hold = await stores.open(config=Config(changes=ChangesConfig(retention_age=None, retention_count=1)))
    s = await hold.sessions.create(id="s")
    kept = await s.state.set("kept", 1)
    await s.state.set("a", 1)
    await s.state.set("a", 2)
    await hold.sweep()
    assert await s.at(kept).state.get("kept") == 1
    with pytest.raises(Compacted):
        await s.at(kept + 1).state.get("a")
    with pytest.raises(Compacted):
        await s.at(kept + 1).state.all()


async def test_runtime_state_that_was_not_streamed_has_no_past(stores: Stores) -> None:
    hold = await stores.open(config=Config(runtime=RuntimeConfig(streaming=False)))
    s = await hold.sessions.create(id="s")
    version = await s.runtime.set("step", 1)
    assert await s.at(version).runtime.get("step") == 1
    await s.runtime.set("step", 2)
    with pytest.raises(Compacted):
        await s.at(version).runtime.get("step")


# --- why -----------------------------------------------------------------------------------------------------------


async def test_why_tells_who_wrote_a_value_and_what_it_was_before(hold: Holdfast, s: Session) -> None:
    assert await s.why("cart") is None
    with hold.acting(by="ada", trace_id="t1"):
        first = await s.state.set("cart", ["milk"])
    why = await s.why("cart")
    assert why is not None
    assert (why.value, why.version, why.by, why.existed, why.before, why.deleted) == (
        ["milk"], first, "ada", False, None, False,
    )  # fmt: skip
    assert why.cause == Cause(by="ada", trace_id="t1")
    assert why.at is not None
    await s.state.set("other", 1)
    with cause.acting(by="bo", request="req-17", run="r", node="pay", attempt=2, answer="q1"):
        second = await s.state.set("cart", [])
    await s.state.set("other", 2)
    why = await s.why("cart")
    assert why is not None
    assert (why.value, why.version, why.before, why.existed) == ([], second, ["milk"], True)
    assert why.cause == Cause(by="bo", request="req-17", run="r", node="pay", attempt=2, answer="q1")
    with hold.acting(by="cy"):
        await s.state.delete("cart")
    why = await s.state.why("cart")
    assert why is not None
    assert (why.value, why.deleted, why.by, why.before, why.existed) == (None, True, "cy", [], True)


async def test_every_commit_of_a_turn_names_the_request_and_none_after_it_does(hold: Holdfast, s: Session) -> None:
    """Also of other scopes, of a finished step, and of what another handle writes in the block."""
    with hold.acting(by="ada"):
        async with s.turn(request_id="req-17") as turn:
            await turn.step("ask", lambda: 1)
            await turn.state.set("cart", ["milk"])
            await hold.state(Scope.user("bo")).set("lang", "en")
    why = await s.why("cart")
    assert why is not None
    assert why.cause == Cause(by="ada", request="req-17")
    why = await hold.state(Scope.user("bo")).why("lang")
    assert why is not None
    assert why.cause == Cause(by="ada", request="req-17")
    records = await hold._store.kernel.log("session/s", after=1)
    assert [cause.decode_cause(record.cause).request for record in records] == ["req-17"] * 3  # claim, step, end
    async with s.turn(request_id="req-17"):  # answered before
        await s.state.set("a", 1)
    with pytest.raises(RuntimeError):
        async with s.turn(request_id="req-18"):
            raise RuntimeError
    await s.state.set("b", 1)
    for key in ("a", "b"):
        why = await s.why(key)
        assert why is not None
        assert why.cause == Cause()


async def test_why_is_asked_of_any_scope(hold: Holdfast, s: Session) -> None:
    with hold.acting(by="ada"):
        await hold.state(Scope.user("ada"), namespace="prefs").set("lang", "en")
    why = await hold.state(Scope.user("ada"), namespace="prefs").why("lang")
    assert why is not None
    assert (why.value, why.by) == ("en", "ada")
    assert await hold.state(Scope.user("nobody")).why("lang") is None
    async with s.transaction() as tx:
        assert await tx.state.why("lang") is None


async def test_why_says_what_the_log_does_not_reach(stores: Stores) -> None:
    hold = await stores.open(config=Config(changes=ChangesConfig(retention_age=None, retention_count=1)))
    s = await hold.sessions.create(id="s")
    version = await s.state.set("a", 1)
    await s.state.set("b", 1)
    await s.state.set("b", 2)
    await hold.sweep()
    why = await s.why("a")
    assert why is not None
    assert (why.value, why.version, why.at, why.by, why.cause, why.existed) == (1, version, None, None, None, None)
    why = await s.why("b")
    assert why is not None
    assert (why.value, why.existed, why.at is None) == (2, None, False)


async def test_why_of_a_deleted_session_is_not_found(hold: Holdfast, s: Session) -> None:
    await s.state.set("a", 1)
    await hold.sessions.delete("s")
    with pytest.raises(NotFound):
        await s.why("a")
