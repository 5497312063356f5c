"""Scoped state: every scope and namespace, typed reads, versions, mutate, snapshots, history, expiry."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypedDict

import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast import Config, Conflict, Holdfast, HoldfastError, NotFound, Scope, Session, State
from holdfast.backends.memory import MemoryKernel
from holdfast.errors import InvalidId, InvalidValue, TooLarge, TypeMismatch
from holdfast.kernel.limits import PAGE_MAX
from holdfast.model.config import ChangesConfig, Limits, StateConfig
from holdfast.testing.clock import ManualClock, SeededIds
from tests.unit.stores import Stores


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s", user="ada", agent="bot")


Places = dict[str, Callable[[Holdfast, Session], State]]
PLACES: Places = {
    "session": lambda hold, s: s.state,
    "temp": lambda hold, s: s.temp,
    "user": lambda hold, s: s.user_state,
    "agent": lambda hold, s: s.agent_state,
    "global": lambda hold, s: hold.state(Scope.global_("flags")),
    "run": lambda hold, s: hold.state(Scope.run("r")),
    "session by scope": lambda hold, s: hold.state(Scope.session("s")),
    "namespace": lambda hold, s: hold.state(Scope.user("ada"), namespace="prefs"),
}


@pytest.fixture(params=PLACES)
def state(request: pytest.FixtureRequest, hold: Holdfast, s: Session) -> State:
    return PLACES[request.param](hold, s)


# --- every scope does the same ---------------------------------------------------------------------------------------


async def test_a_value_is_set_read_changed_and_removed(state: State) -> None:
    assert (await state.get("cart"), await state.has("cart"), await state.keys()) == (None, False, [])
    first = await state.set("cart", ["milk"])
    second = await state.set("cart", ["milk", {"eggs": 6}])
    assert second == first + 1
    assert await state.get("cart") == ["milk", {"eggs": 6}]
    assert await state.update({"a": 1, "b": None}) == second + 1
    assert await state.keys() == ["a", "b", "cart"]
    assert await state.delete("a", "cart", "missing", "a") == 2
    assert (await state.snapshot()).values == {"b": None}
    assert await state.clear() == 1
    assert await state.clear() == 0
    assert (await state.snapshot()).values == {}


async def test_a_stored_none_is_none_even_when_a_default_is_given(state: State) -> None:
    await state.set("a", None)
    assert await state.get("a", default=3) is None
    assert await state.get("b", default=3) == 3
    assert await state.get("b", int, default=3) == 3
    assert await state.get("a", int | None, default=3) is None
    assert await state.has("a")


async def test_mutate_reads_changes_and_writes(state: State) -> None:
    assert await state.mutate("n", lambda n: n + 1, int, default=0) == 1
    assert await state.mutate("n", lambda n: n + 1, int) == 2
    assert await state.mutate("new", lambda old: [old]) == [None]
    assert (await state.snapshot()).values == {"n": 2, "new": [None]}


async def test_a_change_that_raises_writes_nothing(state: State) -> None:
    await state.set("n", 1)

    def fail(value: Any) -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await state.mutate("n", fail)
    with pytest.raises(InvalidValue):
        await state.mutate("n", lambda _: {1})
    assert await state.get("n") == 1


async def test_merge_changes_the_top_level_of_a_mapping(state: State) -> None:
    assert await state.merge("prefs", {"a": {"x": 1}, "b": 1}) == {"a": {"x": 1}, "b": 1}
    assert await state.merge("prefs", {"a": {"y": 1}}) == {"a": {"y": 1}, "b": 1}
    await state.set("list", [])
    with pytest.raises(TypeMismatch):
        await state.merge("list", {"a": 1})


async def test_if_version_asks_that_nobody_wrote_the_key_after_it(state: State) -> None:
    version = await state.set("a", 1, if_version=0)
    with pytest.raises(Conflict):
        await state.set("a", 2, if_version=0)
    await state.set("b", 1)
    version = await state.set("a", 2, if_version=version)
    with pytest.raises(Conflict) as conflict:
        await state.set("a", 3, if_version=version - 1)
    assert conflict.value.found.version == version
    await state.delete("a")
    with pytest.raises(Conflict):
        await state.set("a", 3, if_version=version)
    await state.set("a", 3, if_version=0)


async def test_keys_come_in_the_order_of_their_code_points(state: State) -> None:
    keys = ["a", "B", "ä", "z", "名", "🚀", "\ue000", "a/b", "a%2Fb", "~", "0"]
    await state.update(dict.fromkeys(keys, 1))
    assert await state.keys() == sorted(keys)
    assert list((await state.snapshot()).values) == sorted(keys)


async def test_a_snapshot_is_one_moment_and_nobody_else_can_change_it(state: State) -> None:
    value = {"list": [1]}
    await state.set("a", value)
    value["list"].append(2)
    snapshot = await state.snapshot()
    snapshot.values["a"]["list"].append(3)
    assert (await state.snapshot()).values == {"a": {"list": [1]}}
    assert snapshot.version == await state.set("b", 1) - 1
    assert snapshot.updated_by is None


# --- scopes and namespaces -------------------------------------------------------------------------------------------


async def test_nothing_of_one_scope_or_namespace_is_seen_in_another(hold: Holdfast, s: Session) -> None:
    names = ["", "a", "a/b", "a%2Fb", "%", "/", "//", "%25", "ä", "x" * 255]
    states = [place(hold, s) for key, place in PLACES.items() if key not in ("session by scope", "namespace")]
    states += [hold.state(Scope.user("bob"), namespace=name) for name in names]
    states += [hold.state(Scope.global_("b"), namespace=name) for name in names]
    for n, state in enumerate(states):
        await state.set("k", n)
        await state.set("b/k", n)
    for n, state in enumerate(states):
        assert (await state.snapshot()).values == {"b/k": n, "k": n}
    await states[-1].clear()
    assert await states[-2].keys() == ["b/k", "k"]


async def test_sessions_of_one_user_share_their_state_and_a_session_without_one_has_none(hold: Holdfast) -> None:
    one, other = await hold.sessions.create(user="ada", agent="x"), await hold.sessions.create(user="ada", agent="x")
    await one.user_state.set("language", "en")
    await one.agent_state.set("model", "m")
    assert await other.user_state.get("language") == "en"
    assert await other.agent_state.get("model") == "m"
    assert await hold.state(Scope.user("ada")).get("language") == "en"
    nobodys = await hold.sessions.create()
    with pytest.raises(NotFound, match="no user"):
        _ = nobodys.user_state
    with pytest.raises(NotFound, match="no agent"):
        _ = nobodys.agent_state


async def test_state_of_a_session_that_never_was_is_not_found_and_writing_does_not_make_it(hold: Holdfast) -> None:
    state = hold.state(Scope.session("s"))
    for call in (
        state.get("a"), state.set("a", 1), state.set("a", 1, if_version=0), state.update({}), state.mutate("a", str),
        state.delete("a"), state.delete(), state.clear(), state.keys(), state.snapshot(), state.history("a"),
    ):  # fmt: skip
        with pytest.raises(NotFound):
            await call
    assert (await hold.stats()).scopes == 0


async def test_reading_other_scopes_does_not_make_them_and_writing_does(hold: Holdfast) -> None:
    state = hold.state(Scope.user("ada"))
    assert (await state.get("a"), await state.keys(), (await state.snapshot()).version) == (None, [], 0)
    assert await state.update({}) == 0
    assert await state.delete("a") == 0
    assert (await hold.stats()).scopes == 0
    assert await state.set("a", 1) == 1
    assert (await hold.stats()).scopes == 1


@pytest.mark.parametrize("namespace", ["\n", "x" * 257, "\ud800", None, 0, [], 3, b"x", False])
async def test_a_namespace_that_cannot_be_one_is_refused(hold: Holdfast, namespace: Any) -> None:
    with pytest.raises(InvalidId):
        hold.state(Scope.user("ada"), namespace=namespace)


@pytest.mark.parametrize("key", ["", "x" * 257, "\n", "e\u0301", "\ud800", None, 3, [], b"a"])
async def test_a_key_that_cannot_be_one_is_refused_everywhere(s: Session, key: Any) -> None:
    for call in (
        lambda: s.state.get(key), lambda: s.state.set(key, 1), lambda: s.state.update({key: 1}),
        lambda: s.state.mutate(key, lambda v: 1), lambda: s.state.merge(key, {}), lambda: s.state.delete("a", key),
        lambda: s.state.has(key), lambda: s.state.history(key), lambda: s.runtime.set(key, 1),
        lambda: s.runtime.get(key), lambda: s.runtime.clear("a", key),
    ):  # fmt: skip
        with pytest.raises((InvalidId, TypeError)):
            await call()
    assert await s.state.keys() == []


# --- typed reads -----------------------------------------------------------------------------------------------------


class Item(msgspec.Struct):
    name: str
    count: int = 1


@dataclasses.dataclass
class Cart:
    items: list[Item]
    total: float | None = None


class Model(pydantic.BaseModel):
    name: str
    until: timedelta


class Prefs(TypedDict):
    language: str


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (Item("milk"), Item),
        (Cart([Item("milk", 2)], 1.5), Cart),
        (Model(name="x", until=timedelta(days=1)), Model),
        ({"language": "en"}, Prefs),
        ([Item("milk"), Item("eggs", 6)], list[Item]),
        ({"a": Cart([])}, dict[str, Cart]),
        (None, Item | None),
        ("x", int | str),
        (3, int),
    ],
)
async def test_a_value_is_read_as_the_type_it_was_written_with(s: Session, value: Any, kind: Any) -> None:
    await s.state.set("k", value)
    assert await s.state.get("k", kind) == value
    assert await s.state.mutate("k", lambda same: same, kind) == value
    await s.runtime.set("k", value)
    assert await s.runtime.get("k", kind) == value


async def test_a_value_of_another_type_is_a_mismatch_and_stays(s: Session) -> None:
    await s.state.set("k", "text")
    for kind in (int, Item, list[str], Prefs):
        with pytest.raises(TypeMismatch):
            await s.state.get("k", kind)
        with pytest.raises(TypeMismatch):
            await s.state.mutate("k", lambda v: v, kind)
    assert await s.state.get("k") == "text"


# --- contention ------------------------------------------------------------------------------------------------------


async def test_no_update_is_lost_however_many_tasks_and_openings_change_one_key(stores: Stores) -> None:
    holds = [await stores.open() for _ in range(3)]
    await holds[0].sessions.create(id="s")
    states = [hold.state(Scope.session("s")) for hold in holds]
    await asyncio.gather(*[states[n % 3].mutate("n", lambda v: v + 1, int, default=0) for n in range(60)])
    assert await states[0].get("n") == 60


async def test_a_default_that_the_change_alters_in_place_is_fresh_each_time(s: Session) -> None:
    default: list[int] = []
    for n in range(3):
        await s.state.mutate(f"k{n}", lambda values: [*values, values.append(1)][:-1] or values, default=default)
    assert default == []
    assert await s.state.get("k2") == [1]


async def test_clearing_more_than_one_commit_may_write_clears_all(stores: Stores) -> None:
    hold = await stores.open(config=Config(limits=Limits(operations_max=7)))
    s = await hold.sessions.create(id="s")
    for n in range(20):
        await s.state.set(f"k{n:02d}", n)
        await s.runtime.set(f"k{n:02d}", n)
    assert await s.state.clear() == 20
    assert await s.runtime.clear() == 20
    assert (await s.state.keys(), await s.runtime.all()) == ([], {})


async def test_more_keys_than_a_page_are_all_read_and_all_cleared() -> None:
    config = Config(limits=Limits(operations_max=50_000, commit_bytes_max=100_000_000))
    async with Holdfast.over(MemoryKernel(), config=config, clock=ManualClock(), ids=SeededIds()) as hold:
        state = hold.state(Scope.user("ada"))
        await state.update({f"k{n:05d}": n for n in range(PAGE_MAX + 7)})
        assert len(await state.keys()) == PAGE_MAX + 7
        assert len((await state.snapshot()).values) == PAGE_MAX + 7
        assert len((await hold.state_many([Scope.user("ada")]))[Scope.user("ada")]) == PAGE_MAX + 7
        async with hold.transaction() as tx:
            await tx.state(Scope.user("ada")).delete(*[f"k{n:05d}" for n in range(PAGE_MAX)])
            assert len(await tx.state(Scope.user("ada")).keys()) == 7
            tx.rollback()
        assert await state.clear() == PAGE_MAX + 7
        assert await state.keys() == []


# --- history ---------------------------------------------------------------------------------------------------------


async def test_history_tells_earlier_values_newest_first_through_deletion_and_clear(
    hold: Holdfast, clock: ManualClock
) -> None:
    s = await hold.sessions.create(id="s")
    with hold.acting(by="ada"):
        await s.state.set("a", 1)
    await s.state.set("other", 1)
    clock.advance(1)
    await s.state.update({"a": None, "b": 1})
    await s.state.delete("a")
    await s.state.set("a", 3)
    await s.state.clear()
    await s.state.set("b", 5)
    history = await s.state.history("a")
    assert [(past.value, past.deleted, past.version, past.by) for past in history.items] == [
        (None, True, 7, None),
        (3, False, 6, None),
        (None, True, 5, None),
        (None, False, 4, None),
        (1, False, 2, "ada"),
    ]
    assert history.complete
    assert history.items[0].at - history.items[-1].at == timedelta(seconds=1)
    assert [past.value for past in (await s.state.history("b")).items] == [5, None, 1]


async def test_history_of_a_key_that_never_was_is_empty_and_complete(s: Session) -> None:
    assert ((await s.state.history("a")).items, (await s.state.history("a")).complete) == ((), True)


async def test_history_is_complete_at_its_limit_only_if_nothing_older_is_there(s: Session) -> None:
    for n in range(5):
        await s.state.set("a", n)
    four, five = await s.state.history("a", limit=4), await s.state.history("a", limit=5)
    assert ([past.value for past in four.items], four.complete) == ([4, 3, 2, 1], False)
    assert (len(five.items), five.complete) == (5, True)


async def test_history_beyond_a_trimmed_log_is_incomplete(stores: Stores) -> None:
    hold = await stores.open(config=Config(changes=ChangesConfig(retention_age=None, retention_count=2)))
    s = await hold.sessions.create(id="s")
    for n in range(5):
        await s.state.set("a", n)
    await hold.sweep()
    history = await s.state.history("a")
    assert ([past.value for past in history.items], history.complete) == ([4, 3], False)


async def test_history_ends_where_the_scopes_present_life_began(hold: Holdfast) -> None:
    for life in range(2):
        s = await hold.sessions.create(id="s")
        await s.state.set("a", life)
        if life == 0:
            await hold.sessions.delete("s")
    history = await s.state.history("a")
    assert ([past.value for past in history.items], history.complete) == ([1], True)


async def test_history_reads_logs_of_any_length_page_by_page(s: Session) -> None:
    await s.state.set("a", 1)
    for n in range(1, 12):
        await asyncio.gather(*[s.state.set("other", n) for _ in range(100)])
    history = await s.state.history("a")
    assert ([past.value for past in history.items], history.complete) == ([1], True)


async def test_history_of_one_namespace_and_area_does_not_tell_of_another(hold: Holdfast, s: Session) -> None:
    await s.state.set("a", "state")
    await s.temp.set("a", "temp")
    await hold.state(Scope.session("s"), namespace="x").set("a", "x")
    await hold.state(Scope.session("s"), namespace="x").clear()
    assert [past.value for past in (await s.state.history("a")).items] == ["state"]
    assert [past.value for past in (await s.temp.history("a")).items] == ["temp"]


# --- temporary state -------------------------------------------------------------------------------------------------


async def test_a_temporary_value_is_there_to_its_last_microsecond_and_not_one_longer(
    stores: Stores, clock: ManualClock
) -> None:
    hold = await stores.open(config=Config(state=StateConfig(temp_ttl="10s")))
    s = await hold.sessions.create(id="s")
    await s.temp.set("a", 1)
    clock.advance(9.999_999)
    assert (await s.temp.get("a"), await s.temp.has("a"), await s.temp.keys()) == (1, True, ["a"])
    clock.advance(0.000_001)
    assert (await s.temp.get("a"), await s.temp.has("a"), await s.temp.keys()) == (None, False, [])
    assert (await s.temp.snapshot()).values == {}
    assert await s.temp.delete("a") == 0
    assert await s.temp.clear() == 0
    await s.temp.set("a", 2, if_version=0)
    assert [past.value for past in (await s.temp.history("a")).items] == [2, 1]


async def test_setting_a_temporary_value_again_gives_it_its_whole_time_again(
    hold: Holdfast, clock: ManualClock
) -> None:
    s = await hold.sessions.create(id="s")
    await s.temp.set("a", 1)
    clock.advance(3000)
    await s.temp.mutate("a", lambda v: v + 1)
    clock.advance(3000)
    assert await s.temp.get("a") == 2
    clock.advance(600)
    assert await s.temp.get("a") is None


async def test_a_sweep_removes_what_expired_and_shows_in_nothing(hold: Holdfast, clock: ManualClock) -> None:
    s = await hold.sessions.create(id="s")
    await s.temp.update({"a": 1, "b": 2})
    await s.state.set("kept", 1)
    clock.advance(3600)
    before = await s.state.snapshot()
    swept = await hold.sweep()
    assert swept.cells == 2
    assert await s.state.snapshot() == before
    assert (await hold.sweep()).cells == 0


# --- several scopes at once ------------------------------------------------------------------------------------------


async def test_many_scopes_are_written_in_one_transaction_and_read_at_one_moment(spanning: Stores) -> None:
    hold = await spanning.open()
    ada, bob, flags = Scope.user("ada"), Scope.user("bob"), Scope.global_("flags")
    versions = await hold.set_many({ada: {"a": 1, "b": 2}, bob: {}, flags: {"on": True}}, "ns")
    assert versions == {ada: 1, bob: 0, flags: 1}
    assert await hold.state_many([ada, bob, flags, ada], "ns") == {ada: {"a": 1, "b": 2}, bob: {}, flags: {"on": True}}
    assert await hold.state_many([ada]) == {ada: {}}
    assert await hold.state_many([]) == {}
    with pytest.raises(NotFound):
        await hold.set_many({ada: {"a": 9}, Scope.session("missing"): {"a": 1}}, "ns")
    with pytest.raises(InvalidValue):
        await hold.set_many({ada: {"a": 9}, bob: {"b": {1}}}, "ns")
    assert await hold.state(ada, "ns").get("a") == 1


# --- limits ----------------------------------------------------------------------------------------------------------


async def test_a_value_at_its_limit_is_stored_and_one_byte_more_refused_naming_its_key(stores: Stores) -> None:
    hold = await stores.open(config=Config(state=StateConfig(value_bytes_max=100)))
    s = await hold.sessions.create(id="s")
    for state in (s.state, s.temp, hold.state(Scope.user("ada"))):
        await state.set("a", "x" * 98)
        for call in (
            state.set("a", "x" * 99), state.update({"b": 1, "a": "x" * 99}), state.mutate("a", lambda v: v + "x"),
        ):  # fmt: skip
            with pytest.raises(TooLarge):
                await call
        assert (await state.snapshot()).values == {"a": "x" * 98}


async def test_a_commit_of_as_many_writes_as_allowed_is_taken_and_one_more_refused_whole(hold: Holdfast) -> None:
    s = await hold.sessions.create(id="s")
    most = Limits().operations_max
    await s.state.update({f"k{n}": n for n in range(most)})
    with pytest.raises(TooLarge):
        await s.state.update({f"m{n}": n for n in range(most + 1)})
    assert len(await s.state.keys()) == most


# --- against a model -------------------------------------------------------------------------------------------------

keys = st.sampled_from(["a", "b", "a/b", "ä"])
values = st.none() | st.integers(-5, 5) | st.lists(st.text(max_size=2), max_size=2)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("set"), keys, values),
        st.tuples(st.just("update"), st.dictionaries(keys, values, max_size=3)),
        st.tuples(st.just("delete"), st.lists(keys, max_size=3)),
        st.tuples(st.just("clear")),
        st.tuples(st.just("mutate"), keys),
        st.tuples(st.just("guarded"), keys, st.integers(0, 3)),
    ),
    max_size=15,
)


@settings(max_examples=100)
@given(steps, st.booleans())
def test_any_sequence_of_writes_leaves_what_a_dict_would_hold(taken: list[tuple[Any, ...]], together: bool) -> None:
    async def main() -> None:
        async with Holdfast.over(MemoryKernel(), clock=ManualClock(), ids=SeededIds()) as hold:
            s = await hold.sessions.create(id="s")
            model: dict[str, Any] = {}
            if together:
                async with s.transaction() as tx:
                    for step in taken:
                        await take(tx.state, model, step)
                    assert (await tx.state.snapshot()).values == model
            else:
                for step in taken:
                    await take(s.state, model, step)
            assert (await s.state.snapshot()).values == model
            assert await s.state.keys() == sorted(model)
            for key in ("a", "b"):
                newest = (await s.state.history(key)).items[:1]
                assert [past.value for past in newest if not past.deleted] == ([model[key]] if key in model else [])

    async def take(state: State, model: dict[str, Any], step: tuple[Any, ...]) -> None:
        match step:
            case ("set", key, value):
                await state.set(key, value)
                model[key] = value
            case ("update", entries):
                await state.update(entries)
                model.update(entries)
            case ("delete", names):
                assert await state.delete(*names) == len(set(names) & set(model))
                for key in names:
                    model.pop(key, None)
            case ("clear",):
                assert await state.clear() == len(model)
                model.clear()
            case ("mutate", key):
                model[key] = await state.mutate(key, lambda old: [repr(old)])
            case ("guarded", key, _) if not together:
                try:
                    await state.set(key, "guarded", if_version=0)
                    assert key not in model
                    model[key] = "guarded"
                except HoldfastError:
                    assert key in model

    asyncio.run(main())


class Endless(dict[str, int]):
    """A mapping whose entries never end."""

    def items(self) -> Any:
        return ((f"k{n}", n) for n in itertools.count())


async def test_of_many_entries_the_one_that_is_refused_is_named(hold: Holdfast) -> None:
    s = await hold.sessions.create()
    for call in (
        s.state.update({"a": 1, "x": {"y": [float("nan")]}}),
        s.runtime.update({"a": 1, "x": {"y": [float("nan")]}}),
        hold.set_many({Scope.session(s.id): {"a": 1, "x": {"y": [float("nan")]}}}),
    ):
        with pytest.raises(InvalidValue, match=r"^x\.y\[0\] is nan") as refused:
            await call
        assert refused.value.path == "x.y[0]"
    assert await s.state.keys() == []


async def test_more_entries_than_a_commit_may_write_are_refused_before_they_are_read_to_their_end(
    hold: Holdfast,
) -> None:
    s = await hold.sessions.create()
    for call in (
        s.state.update(Endless()),
        s.runtime.update(Endless()),
        hold.set_many({Scope.session(s.id): Endless()}),
    ):
        with pytest.raises(TooLarge) as refused:
            await call
        assert (refused.value.what, refused.value.size, refused.value.limit) == ("operations", 91, 90)


@pytest.mark.parametrize("change", [5, None, "change"])
async def test_what_cannot_change_a_value_is_refused(hold: Holdfast, change: Any) -> None:
    s = await hold.sessions.create()
    with pytest.raises(InvalidValue) as refused:
        await s.state.mutate("k", change)
    assert refused.value.path == "change"


async def test_what_is_no_type_is_refused_also_while_there_is_nothing_to_read(hold: Holdfast) -> None:
    """Whoever writes `get("n", 0)` as for a dict hears of it at once, not when the key is there."""
    s = await hold.sessions.create()
    for get in (s.state.get, s.temp.get, s.runtime.get):
        with pytest.raises(TypeMismatch, match="did you mean default=0"):
            await get("n", 0)  # type: ignore[call-overload]


async def test_a_mismatch_names_the_key(hold: Holdfast) -> None:
    s = await hold.sessions.create()
    await s.state.set("cfg", {"a": "x"})
    with pytest.raises(TypeMismatch, match=r"stored value of 'cfg' is not dict") as mismatch:
        await s.state.get("cfg", dict[str, int])
    assert mismatch.value.key == "cfg"


async def test_a_conflict_says_how_it_stands(hold: Holdfast) -> None:
    s = await hold.sessions.create()
    first = await s.state.set("k", 1)
    second = await s.state.set("k", 2)
    with pytest.raises(Conflict, match=f"after version {first}: it is at version {second}"):
        await s.state.set("k", 3, if_version=first)
    with pytest.raises(Conflict, match=f"it is at version {second}"):
        await s.state.set("k", 3, if_version=0)
    await s.state.delete("k")
    with pytest.raises(Conflict, match=f"after version {second}: it is not there any more"):
        await s.state.set("k", 3, if_version=second)


@dataclasses.dataclass
class Cart:
    items: list[str] = dataclasses.field(default_factory=list)


async def test_what_a_change_does_to_its_default_is_not_there_the_next_time(hold: Holdfast) -> None:
    """Nor for another scope: a default is often one object for all."""
    empty = Cart()

    def add(item: str) -> Callable[[Cart], Cart]:
        def change(cart: Cart) -> Cart:
            cart.items.append(item)
            return cart

        return change

    for user in ("ada", "bob"):
        cart = await hold.state(Scope.user(user)).mutate("cart", add(user), Cart, default=empty)
        assert cart == Cart([user])
    assert empty == Cart()


async def test_of_more_keys_than_a_page_none_is_looked_for(hold: Holdfast) -> None:
    s = await hold.sessions.create()
    many = [f"k{n}" for n in range(PAGE_MAX + 1)]
    for call in (s.state.delete(*many), s.runtime.clear(*many)):
        with pytest.raises(InvalidValue, match="10000 keys"):
            await call
    assert await s.state.delete(*many[:-1]) == 0
