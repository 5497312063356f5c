"""Variables: levels of which the nearest wins, types, the environment, and templates filled in one read."""

import asyncio
import traceback
from collections.abc import AsyncIterator
from contextvars import Context
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest
from msgspec.structs import replace

from holdfast import Config, Conflict, Holdfast, NotFound, Scope, VariablesConfig
from holdfast.errors import (
    Disabled,
    InvalidId,
    InvalidValue,
    MissingVariable,
    TemplateError,
    TooLarge,
    TypeMismatch,
    Unsupported,
)
from holdfast.kernel.commit import Range, Read
from tests.unit.stores import Stores, together

LEVELS: dict[str, dict[str, str]] = {
    "node": {"run": "r1", "node": "pay"},
    "run": {"run": "r1"},
    "workflow": {"workflow": "book"},
    "session": {},
    "user": {},
    "global": {},
}
EVERYWHERE = {"run": "r1", "node": "pay", "workflow": "book"}


async def test_the_nearest_level_wins(hold: Holdfast) -> None:
    s = await hold.sessions.create(user="ada")
    for level in reversed(LEVELS):
        await s.variables.set("city", level, level=level, **LEVELS[level])
        assert await s.variables.get("city", **EVERYWHERE) == level
        assert await s.variables.resolve("{{ city }} {{ $vars.city }}", **EVERYWHERE) == f"{level} {level}"
    told = await s.variables.list(**EVERYWHERE)
    assert [(one.level, one.value) for one in told] == [(level, level) for level in LEVELS]
    for level in LEVELS:
        assert await s.variables.get("city", level=level, **EVERYWHERE) == level
        assert await s.variables.clear("city", level=level, **LEVELS[level]) == 1
    assert await s.variables.get("city", default="none", **EVERYWHERE) == "none"


async def test_nothing_leaks_between_runs_nodes_and_workflows(hold: Holdfast) -> None:
    s = await hold.sessions.create()
    for level in ("node", "run", "workflow"):
        await s.variables.set(level, "mine", level=level, **LEVELS[level])
    other = {"run": "r2", "node": "search", "workflow": "other"}
    assert await s.variables.resolve("{{ node }}{{ run }}{{ workflow }}", missing="empty", **other) == ""
    assert await s.variables.resolve("{{ node }}", missing="empty", run="r2", node="pay") == ""
    assert await s.variables.list() == []


async def test_names_with_slashes_and_odd_characters_stay_apart(hold: Holdfast) -> None:
    s = await hold.sessions.create()
    await s.variables.set("a/b", 1, level="run", run="r")
    await s.variables.set("b", 2, level="node", run="r", node="a")
    await s.variables.set("x", 3, level="run", run="r/a%")
    assert [one.name for one in await s.variables.list(level="run", run="r")] == ["a/b"]
    assert [one.name for one in await s.variables.list(level="node", run="r", node="a")] == ["b"]
    assert [one.name for one in await s.variables.list(level="run", run="r/a%")] == ["x"]
    assert await s.variables.value('{{ $vars["a/b"] }}', run="r") == 1


async def test_a_variable_keeps_its_value_and_its_type(hold: Holdfast) -> None:
    s = await hold.sessions.create()
    values: dict[str, Any] = {"string": "x", "number": 1.5, "integer": 3, "boolean": True, "object": {"a": [None]},
                              "array": [1, "2"]}  # fmt: skip
    for kind, value in values.items():
        version = await s.variables.set(kind, value, type=kind)
        assert await s.variables.get(kind) == value
        assert await s.variables.value("{{ " + kind + " }}") == value
        assert (await s.variables.list())[-1].version <= version
    assert {one.name: one.type for one in await s.variables.list()} == {kind: kind for kind in values}
    await s.variables.set("none", None)
    assert await s.variables.get("none", default="d") is None
    assert await s.variables.get("integer", int) == 3
    with pytest.raises(TypeMismatch):
        await s.variables.get("integer", str)


@pytest.mark.parametrize(
    ("kind", "value"),
    [("string", 1), ("number", "1"), ("number", True), ("integer", 1.0), ("integer", True), ("boolean", 0),
     ("object", []), ("array", {}), ("string", None)],
)  # fmt: skip
async def test_a_value_that_is_not_of_its_type_is_refused(spanning: Stores, kind: Any, value: Any) -> None:
    """And stored as it is where `validate_types` is off."""
    hold = await spanning.open()
    s = await hold.sessions.create(id="s")
    with pytest.raises(TypeMismatch, match=kind):
        await s.variables.set("v", value, type=kind)
    assert await s.variables.list() == []
    lax = await spanning.open(config=Config(variables=VariablesConfig(validate_types=False)))
    await lax.variables(Scope.session("s")).set("v", value, type=kind)
    assert await s.variables.get("v") == value


async def test_what_cannot_be_a_variable_is_refused_before_anything_is_stored(hold: Holdfast) -> None:
    s = await hold.sessions.create()
    v = s.variables
    for call, error in (
        (v.set("", 1), InvalidId),
        (v.set("$vars", 1), InvalidValue),
        (v.set("v"), InvalidValue),
        (v.set("v", 1, env="HOME"), InvalidValue),
        (v.set("v", {1}), InvalidValue),
        (v.set("v", 1, type="text"), InvalidValue),  # type: ignore[arg-type]
        (v.set("v", 1, level="app"), InvalidValue),  # type: ignore[arg-type]
        (v.set("v", 1, level="run"), InvalidValue),
        (v.set("v", 1, level="node", run="r"), InvalidValue),
        (v.set("v", 1, level="user"), NotFound),
        (v.set("v", "s", secret=True), Unsupported),
        (v.set_many({"a": 1, "": 2}), InvalidId),
        (v.get("v", level="workflow"), InvalidValue),
        (hold.variables(Scope.user("ada")).set("v", 1, level="session"), InvalidValue),
        (hold.variables(Scope.session("gone")).set("v", 1), NotFound),
        (hold.variables(Scope.session("gone")).resolve("{{ v }}"), NotFound),
        (v.resolve("{{ v"), TemplateError),
        (v.resolve("{{ v }}", missing="drop"), InvalidValue),  # type: ignore[arg-type]
        (v.resolve("{{ v }}", syntax="erb"), InvalidValue),
        (v.resolve("{{ v }}", values={"a": {1}}), InvalidValue),
        (v.resolve("{{ $vars }}"), TemplateError),
        (v.resolve("{{ $flow.state }}"), TemplateError),
        (v.resolve("{{ $flow.nodes.x }}"), TemplateError),
        (v.resolve(b"{{ v }}"), InvalidValue),  # type: ignore[arg-type]
        (v.resolve("x" * 65_537), TooLarge),
    ):
        with pytest.raises(error):
            await call
    assert await v.list() == []


async def test_a_value_has_at_most_so_many_bytes(spanning: Stores) -> None:
    """Limits: at n and at n + 1."""
    hold = await spanning.open(config=Config(variables=VariablesConfig(value_bytes_max=10)))
    s = await hold.sessions.create()
    await s.variables.set("v", "x" * 8)
    with pytest.raises(TooLarge):
        await s.variables.set("v", "x" * 9)


async def test_a_template_reads_state_the_session_and_variables_at_one_moment(hold: Holdfast) -> None:
    s = await hold.sessions.create(user="ada", mode="planner", metadata={"plan": "pro"}, tags=["vip"])
    await s.state.set("cart", ["milk", {"n": 2}])
    await s.variables.set_many({"city": "Kyoto", "trip": {"days": ["Mon"]}})
    text = (
        "{{ city }} {{ trip.days[0] }} {{ $flow.state.cart[1].n }} {{ $session.user }} {{ $session.mode }} "
        "{{ $session.metadata.plan }} {{ $session.tags[0] }} {{ $session.status }} {{ gone | default('x') }}"
    )
    assert await s.variables.resolve(text, missing="error") == "Kyoto Mon 2 ada planner pro vip active x"
    assert s.variables.dependencies(text) == (
        "city", "trip.days[0]", "$flow.state.cart[1].n", "$session.user", "$session.mode", "$session.metadata.plan",
        "$session.tags[0]", "$session.status", "gone",
    )  # fmt: skip
    assert await s.variables.value("{{ $flow.state.cart }}") == ["milk", {"n": 2}]
    with pytest.raises(MissingVariable, match=r"trip\.hotel"):
        await s.variables.resolve("{{ trip.hotel }}", missing="error")


async def test_values_of_the_call_are_nearer_than_any_level(hold: Holdfast) -> None:
    s = await hold.sessions.create()
    await s.variables.set("city", "Kyoto")
    values = {"city": "Nara", "search": {"output": {"price": 12}}}
    assert (
        await s.variables.resolve("{{ city }} {{ $vars.city }} {{ search.output.price }}", values=values)
        == "Nara Nara 12"
    )
    assert await s.variables.resolve("nothing to read") == "nothing to read"


async def test_a_value_that_looks_like_a_template_is_not_expanded(hold: Holdfast) -> None:
    """A single pass: what a user says cannot read what is not theirs."""
    s = await hold.sessions.create()
    await s.variables.set_many({"said": "{{ key }} {{ $session.user }}", "key": "hidden"})
    assert await s.variables.resolve("> {{ said }}") == "> {{ key }} {{ $session.user }}"


async def test_scopes_other_than_sessions_have_variables_of_their_own(hold: Holdfast) -> None:
    await hold.variables(Scope.global_("default")).set_many({"a": "global", "b": "global"})
    await hold.variables(Scope.user("ada")).set("a", "user")
    await hold.variables(Scope.run("r")).set("a", "run")
    await hold.variables(Scope.global_("flags")).set("a", "flags")
    assert await hold.variables(Scope.user("ada")).resolve("{{ a }} {{ b }}") == "user global"
    assert await hold.variables(Scope.run("r")).resolve("{{ a }} {{ b }}") == "run global"
    assert await hold.variables(Scope.global_("flags")).resolve("{{ a }} {{ b }}") == "flags {{ b }}"
    s = await hold.sessions.create(id="s", user="ada")
    assert await s.variables.resolve("{{ a }}") == "user"
    theirs = hold.variables(Scope.session("s"))
    assert await theirs.resolve("{{ a }}") == await theirs.get("a") == "user"
    assert [one.level for one in await theirs.list()] == ["user", "global", "global"]


async def test_parallel_writers_of_different_variables_both_land(hold: Holdfast) -> None:
    s = await hold.sessions.create()
    await asyncio.gather(*(s.variables.set(f"v{n}", n, level="run", run="r") for n in range(20)))
    assert len(await s.variables.list(run="r")) == 20


async def test_the_stream_tells_what_was_set_and_cleared(hold: Holdfast) -> None:
    s = await hold.sessions.create()
    stream = s.changes(after="beginning", kinds={"variable"})
    await s.variables.set("city", "Kyoto")
    await s.variables.set("n", 1, level="node", run="r/1", node="pay")
    await s.variables.clear("city")
    await s.variables.clear(level="node", run="r/1", node="pay")
    told = [await anext(stream) for _ in range(4)]
    assert [(one.op, one.key, one.value, one.namespace) for one in told] == [
        ("set", "city", "Kyoto", "session"),
        ("set", "n", 1, "node/r%2F1/pay"),
        ("delete", "city", None, "session"),
        ("delete", "n", None, "node/r%2F1/pay"),
    ]


async def test_a_transaction_sees_its_own_variables_and_commits_them_as_one(hold: Holdfast) -> None:
    s = await hold.sessions.create(user="ada")
    await hold.variables(Scope.user("ada")).set("far", "user")
    await s.variables.set("city", "Kyoto")
    with pytest.raises(Conflict):
        async with s.transaction() as tx:
            assert await tx.variables.resolve("{{ city }} {{ far }}") == "Kyoto user"
            assert await tx.variables.set("city", "Nara") == 0
            assert await tx.variables.value("{{ city }}") == "Nara"
            assert [one.version for one in await tx.variables.list()] == [0, 1]
            await _set_outside(hold, s.id)
    assert await s.variables.get("city") == "Osaka"
    async with s.transaction() as tx:
        await tx.variables.clear()
        assert await tx.variables.list(level="session") == []
    assert await s.variables.list(level="session") == []


async def _set_outside(hold: Holdfast, id: str) -> None:
    async def write() -> None:
        await hold.variables(Scope.session(id)).set("city", "Osaka")

    await asyncio.get_running_loop().create_task(write(), context=Context())


async def test_a_transaction_over_scopes_sets_the_variables_of_each(stores: Stores) -> None:
    hold = await stores.open()
    await hold.sessions.create(id="s")
    [user] = together("user")
    async with hold.transaction() as tx:
        await tx.session("s").variables.set("a", 1)
        await tx.variables(user).set("b", 2)
    assert await hold.variables(Scope.session("s")).get("a") == 1
    assert await hold.variables(user).get("b") == 2


async def test_variables_go_with_the_end_of_the_session(hold: Holdfast) -> None:
    s = await hold.sessions.create(user="ada")
    for level, names in LEVELS.items():
        await s.variables.set("v", level, level=level, **names)
    await s.end()
    assert [one.level for one in await s.variables.list(**EVERYWHERE)] == ["user", "global"]


async def test_a_principal_sees_only_levels_that_it_may_find(hold: Holdfast) -> None:
    await hold.variables(Scope.global_("default")).set("g", "everybody's")
    await hold.variables(Scope.user("bo")).set("u", "bo's")
    ada = hold.as_principal(user="ada")
    s = await ada.sessions.create()
    await ada.variables(Scope.user("ada")).set("u", "ada's")
    assert await s.variables.resolve("{{ u }} {{ g }}", missing="empty") == "ada's "
    for call in (
        s.variables.set("g", 1, level="global"),
        s.variables.get("g", level="global"),
        s.variables.list(level="global"),
    ):
        with pytest.raises(NotFound):
            await call
    with pytest.raises(NotFound):
        ada.variables(Scope.user("bo"))
    bos = await hold.sessions.create(user="bo")
    with pytest.raises(NotFound):
        await ada.variables(Scope.session(bos.id)).resolve("{{ u }}")
    also = hold.as_principal(user="ada", also=[Scope.global_("default")])
    assert await also.variables(Scope.user("ada")).resolve("{{ u }} {{ g }}") == "ada's everybody's"


# --- the environment ------------------------------------------------------------------------------


async def test_a_variable_of_the_environment_is_read_when_it_is_used(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = await stores.open(config=Config(variables=VariablesConfig(environment=("API_KEY", "LIMIT"))))
    s = await hold.sessions.create()
    await s.variables.set("key", env="API_KEY")
    await s.variables.set("limit", env="LIMIT", type="integer")
    assert await s.variables.get("key", default="unset") == "unset"
    assert await s.variables.resolve("{{ key | default('unset') }}") == "unset"
    monkeypatch.setenv("API_KEY", "k-1")
    monkeypatch.setenv("LIMIT", "12")
    assert await s.variables.resolve("{{ key }}") == "k-1"
    assert await s.variables.get("limit") == 12
    monkeypatch.setenv("API_KEY", "k-2")
    assert await s.variables.get("key") == "k-2"
    [key, limit] = await s.variables.list()
    assert (key.value, key.env, limit.type) == ("•••", "API_KEY", "integer")
    assert "k-2" not in repr(key)
    assert [one.value for one in await s.variables.list(reveal=True)] == ["k-2", 12]
    monkeypatch.setenv("LIMIT", "a secret word")
    with pytest.raises(TypeMismatch) as caught:
        await s.variables.get("limit")
    assert "secret word" not in str(caught.value)


async def test_what_the_configuration_does_not_name_cannot_come_from_the_environment(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_KEY", "k-1")
    hold = await stores.open(config=Config(variables=VariablesConfig(environment=("API_KEY",))))
    s = await hold.sessions.create(id="s")
    with pytest.raises(InvalidValue, match="HOME"):
        await s.variables.set("home", env="HOME")
    await s.variables.set("key", env="API_KEY")
    strict = await stores.open()
    theirs = strict.variables(Scope.session("s"))
    for call in (theirs.get("key"), theirs.resolve("{{ key }}")):
        with pytest.raises(InvalidValue, match="API_KEY"):
            await call
    [told] = await theirs.list(reveal=True)
    assert (told.value, told.env) == (None, "API_KEY")


async def test_templating_can_be_turned_off_and_the_syntax_chosen(spanning: Stores) -> None:
    off = await spanning.open(config=Config(variables=VariablesConfig(templating=False)))
    s = await off.sessions.create()
    await s.variables.set("v", 1)
    for call in (s.variables.resolve("{{ v }}"), s.variables.value("{{ v }}")):
        with pytest.raises(Disabled):
            await call
    with pytest.raises(Disabled):
        s.variables.dependencies("{{ v }}")
    with pytest.raises(InvalidValue):
        Config(variables=replace(VariablesConfig(), syntax="erb"))


# --- secrets --------------------------------------------------------------------------------------

CANARY = "canary-71d0"


@pytest.fixture
async def encrypted(tmp_path: Path) -> AsyncIterator[Stores]:
    made = Stores("encrypted", tmp_path)
    yield made
    await made.close()


async def test_a_secret_is_used_and_told_nowhere(encrypted: Stores) -> None:
    """Neither list, repr nor stream has it, and no cell and no log record in the clear."""
    hold = await encrypted.open()
    s = await hold.sessions.create(id="s")
    await s.variables.set("token", CANARY, secret=True, type="string")
    assert await s.variables.get("token") == CANARY
    assert await s.variables.resolve("Bearer {{ token }}") == f"Bearer {CANARY}"
    [told] = await s.variables.list()
    [revealed] = await s.variables.list(reveal=True)
    assert (told.value, told.secret, revealed.value) == ("•••", True, CANARY)
    assert CANARY not in repr(told) + str(told) + repr(revealed) + f"{revealed}"
    change = await anext(s.changes(after="beginning", kinds={"variable"}))
    assert (change.op, change.key, change.value) == ("set", "token", None)
    with pytest.raises(TypeMismatch) as caught:
        await s.variables.set("token", CANARY, secret=True, type="integer")
    assert CANARY not in str(caught.value) + repr(caught.value.facts)
    plain = await encrypted.plain()
    stored = await plain.stored("session/s")
    assert len(stored) > 1
    assert CANARY not in repr(stored) + repr(await plain.log("session/s"))


class Colour(Enum):
    RED = "red"


@pytest.mark.parametrize("kind", [Colour, Literal["red"], dict[str, Literal["red"]], int])
async def test_a_secret_that_is_not_of_the_type_asked_for_is_not_told(encrypted: Stores, kind: Any) -> None:
    """By no error, nor by what it comes from."""
    hold = await encrypted.open()
    s = await hold.sessions.create(id="s")
    await s.variables.set("token", CANARY if kind is not dict else {"k": CANARY}, secret=True)
    with pytest.raises(TypeMismatch) as caught:
        await s.variables.get("token", kind)
    assert CANARY not in "".join(traceback.format_exception(caught.value))


async def test_a_secret_leaves_nothing_when_it_is_cleared(encrypted: Stores) -> None:
    """The log never had its value, so neither the past nor a record tells it, even decrypted."""
    hold = await encrypted.open()
    s = await hold.sessions.create(id="s")
    await s.variables.set("token", CANARY, secret=True)
    await s.variables.set("token", CANARY + "2", secret=True)
    await s.variables.clear("token")
    assert await s.variables.list() == []
    kernel = await encrypted.kernel()
    assert CANARY not in repr(await kernel.log("session/s"))
    assert CANARY not in repr(await kernel.read([Read("session/s", (), (Range("variable/", 10),))], now_us=2**60))


async def test_a_secret_may_come_from_the_environment_of_any_store(
    spanning: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_KEY", CANARY)
    hold = await spanning.open(config=Config(variables=VariablesConfig(environment=("API_KEY",))))
    s = await hold.sessions.create(id="s")
    await s.variables.set("key", env="API_KEY", secret=True)
    assert await s.variables.resolve("{{ key }}") == CANARY
    assert CANARY not in repr(await (await spanning.plain()).log("session/s"))


async def test_a_checkpoint_brings_variables_back_and_shows_no_secret(encrypted: Stores) -> None:
    """Neither its diff nor the stream of a restore or of a fork has the value of a secret."""
    hold = await encrypted.open()
    s = await hold.sessions.create(id="s")
    await s.variables.set("token", CANARY, secret=True)
    await s.variables.set("city", "Kyoto")
    before = await s.checkpoint()
    await s.variables.set("token", "other", secret=True)
    await s.variables.set("city", "Nara")
    after = await s.checkpoint()
    assert CANARY not in repr(await s.diff(before.id, after.id))
    await s.restore(before.id)
    assert await s.variables.resolve("{{ city }} {{ token }}") == f"Kyoto {CANARY}"
    fork = await s.fork(at=after.id)
    assert await fork.variables.resolve("{{ city }} {{ token }}") == "Nara other"
    kernel = await encrypted.kernel()
    for scope in ("session/s", f"session/{fork.id}"):
        assert CANARY not in repr(await kernel.log(scope))
    told = [change async for change in _first(s.changes(after="beginning", kinds={"variable"}), 6)]
    assert {change.key: change.value for change in told[-2:]} == {"token": None, "city": "Kyoto"}


async def _first(stream: Any, count: int) -> AsyncIterator[Any]:
    for _ in range(count):
        yield await anext(stream)


async def test_a_variable_is_set_only_if_nobody_set_it_since(hold: Holdfast) -> None:
    """if_version, as everywhere: 0 where there is to be none; each level by itself."""
    s = await hold.sessions.create()
    first = await s.variables.set("city", "Kyoto", if_version=0)
    with pytest.raises(Conflict):
        await s.variables.set("city", "Nara", if_version=0)
    await s.variables.set("city", "Kobe", level="global", if_version=0)
    second = await s.variables.set("city", "Nara", if_version=first)
    with pytest.raises(Conflict):
        await s.variables.set("city", "Osaka", if_version=first)
    assert (await s.variables.get("city"), second > first) == ("Nara", True)
    [one] = await s.variables.list(level="session")
    assert one.version == second
