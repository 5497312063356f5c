"""All sessions of a space: create, get, open, list, update, delete."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast import AlreadyExists, Conflict, Holdfast, NotFound, Scope, Session, SessionStatus
from holdfast.backends.memory import MemoryKernel
from holdfast.errors import InvalidId, InvalidValue, TooLarge
from holdfast.model.session import TAGS_MAX
from holdfast.operations import sessions_page
from holdfast.testing.clock import ManualClock, SeededIds
from tests.unit.stores import Stores

EVERYTHING: dict[str, Any] = {
    "user": "ada",
    "app": "travel",
    "agent": "planner-1",
    "mode": "planner",
    "channel": "web",
    "task": "Plan a trip\nto Kyoto",
    "tags": ["vip", "beta", "vip"],
    "metadata": {"a": [1, None, 1.5], "b": {"c": "é\x00"}},
}


def fields(session: Session) -> dict[str, Any]:
    names = ("id", "user", "app", "agent", "mode", "channel", "task", "status", "tags", "metadata", "version")
    return {name: getattr(session, name) for name in (*names, "created_at", "updated_at", "last_activity")}


# --- create ----------------------------------------------------------------------------------------------------------


async def test_a_created_session_is_active_and_read_back_as_it_was_made(hold: Holdfast, clock: ManualClock) -> None:
    made = await hold.sessions.create(id="s", **EVERYTHING)
    found = await hold.sessions.get("s")
    assert found is not None
    assert fields(found) == fields(made)
    assert fields(made) == {
        **EVERYTHING,
        "id": "s",
        "tags": ("vip", "beta"),
        "status": SessionStatus.ACTIVE,
        "version": 1,
        "created_at": datetime.fromtimestamp(clock.now_us() / 1_000_000, UTC),
        "updated_at": made.created_at,
        "last_activity": made.created_at,
    }


async def test_without_anything_it_has_a_new_uuid_and_nothing_else(hold: Holdfast) -> None:
    one, other = await hold.sessions.create(), await hold.sessions.create()
    assert one.id != other.id
    assert len(one.id) == 36
    assert (one.user, one.task, one.tags, one.metadata) == (None, None, (), {})


@pytest.mark.parametrize("id", ["a", "x" * 256, "é" * 128, "a/b", "%2F", "a b", "名前", "🚀", ".", "-", "ß", "\u200b"])
async def test_an_id_is_1_to_256_bytes_of_clean_text(hold: Holdfast, id: str) -> None:
    await hold.sessions.create(id=id, user=id)
    found = await hold.sessions.get(id)
    assert found is not None
    assert (found.id, found.user) == (id, id)
    assert [session.id for session in (await hold.sessions.list(user=id)).items] == [id]
    assert await hold.sessions.delete(id)


@pytest.mark.parametrize(
    "id",
    ["", "x" * 257, "é" * 128 + "x", "a\nb", "\x00", "\x7f", "\x85", "e\u0301", "\ud800", 3, b"a", ["a"], object()],
)
async def test_any_other_id_is_refused_before_anything_is_stored(hold: Holdfast, id: Any) -> None:
    for call in (
        hold.sessions.create(id=id),
        hold.sessions.create(id="s", user=id),
        hold.sessions.create(id="s", tags=[id]) if not isinstance(id, list | bytes) else hold.sessions.create(id=id),
        hold.sessions.get(id),
        hold.sessions.open(id),
        hold.sessions.delete(id),
        hold.sessions.update(id, tags=[]),
    ):
        with pytest.raises((InvalidId, InvalidValue)):
            await call
    assert (await hold.stats()).scopes == 0


async def test_a_taken_id_fails_or_returns_the_session_that_is_there(hold: Holdfast) -> None:
    await hold.sessions.create(id="s", user="ada")
    with pytest.raises(AlreadyExists) as taken:
        await hold.sessions.create(id="s", user="bob")
    assert taken.value.scope == "session/s"
    assert (await hold.sessions.create(id="s", on_exists="return")).user == "ada"
    with pytest.raises(AlreadyExists, match="another user") as refused:
        await hold.sessions.create(id="s", user="bob", on_exists="return")
    assert "Choose another id for this user" in refused.value.remedy


async def test_of_many_that_create_one_id_at_once_one_succeeds(stores: Stores) -> None:
    holds = [await stores.open() for _ in range(3)]
    outcomes = await asyncio.gather(
        *[hold.sessions.create(id="s", user=f"u{n}") for n, hold in enumerate(holds * 4)], return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["AlreadyExists"] * 11 + ["Session"]


async def test_a_deleted_id_may_be_used_again_and_begins_empty(hold: Holdfast) -> None:
    for life in range(3):
        made = await hold.sessions.create(id="s")
        assert await made.state.get("cart") is None
        await made.state.set("cart", life)
        await made.messages.add("user", "hello")
        assert await hold.sessions.delete("s")
    assert (await hold.sessions.create(id="s")).version == 13


async def test_an_id_freed_again_and_again_while_it_is_created_is_never_reported_missing(stores: Stores) -> None:
    one, other = await stores.open(), await stores.open()

    async def churn(hold: Holdfast) -> None:
        for _ in range(10):
            try:
                await hold.sessions.create(id="s")
            except AlreadyExists:
                await hold.sessions.delete("s")

    await asyncio.gather(churn(one), churn(other))


async def test_the_most_tags_are_kept_and_one_more_refused(hold: Holdfast) -> None:
    tags = [f"tag-{n}" for n in range(TAGS_MAX)]
    assert (await hold.sessions.create(tags=tags)).tags == tuple(tags)
    with pytest.raises(InvalidValue):
        await hold.sessions.create(tags=[*tags, "more"])


async def test_metadata_beyond_the_limit_of_a_value_is_refused_whole(hold: Holdfast) -> None:
    with pytest.raises(TooLarge):
        await hold.sessions.create(id="s", metadata={"a": "x" * 300_000})
    assert await hold.sessions.get("s") is None


async def test_what_was_given_can_be_changed_afterwards_without_changing_the_session(hold: Holdfast) -> None:
    metadata: dict[str, Any] = {"a": [1]}
    made = await hold.sessions.create(id="s", metadata=metadata)
    metadata["a"].append(2)
    assert made.metadata == {"a": [1]}


# --- get and open ----------------------------------------------------------------------------------------------------


async def test_an_unknown_or_deleted_session_is_none(hold: Holdfast) -> None:
    assert await hold.sessions.get("s") is None
    await hold.sessions.create(id="s")
    await hold.sessions.delete("s")
    assert await hold.sessions.get("s") is None


async def test_opening_gets_or_creates_and_all_who_open_at_once_get_one_session(stores: Stores) -> None:
    holds = [await stores.open() for _ in range(3)]
    opened = await asyncio.gather(*[hold.sessions.open("s", user="ada", mode="a") for hold in holds * 4])
    assert {(session.id, session.user, session.version) for session in opened} == {("s", "ada", 1)}


async def test_opening_uses_the_fields_only_to_create(hold: Holdfast) -> None:
    await hold.sessions.open("s", user="ada", mode="planner", tags=["a"], metadata={"x": 1}, task="t")
    again = await hold.sessions.open("s", user="ada", mode="other", tags=["b"])
    assert (again.mode, again.tags, again.metadata, again.task) == ("planner", ("a",), {"x": 1}, "t")
    assert (await hold.sessions.open("s")).user == "ada"


async def test_opening_somebody_elses_session_is_refused(hold: Holdfast) -> None:
    await hold.sessions.create(id="s", user="ada")
    await hold.sessions.create(id="nobodys")
    for id in ("s", "nobodys"):
        with pytest.raises(AlreadyExists):
            await hold.sessions.open(id, user="bob")


async def test_opening_refuses_bad_fields_also_when_the_session_exists(hold: Holdfast) -> None:
    await hold.sessions.create(id="s")
    with pytest.raises(InvalidValue):
        await hold.sessions.open("s", tags="vip")
    with pytest.raises(TypeError):
        await hold.sessions.open("s", colour="red")  # type: ignore[call-arg]


# --- update ----------------------------------------------------------------------------------------------------------


async def test_an_update_merges_metadata_by_key_and_replaces_tags(hold: Holdfast, clock: ManualClock) -> None:
    made = await hold.sessions.create(id="s", tags=["a", "b"], metadata={"x": {"deep": 1}, "y": 2})
    clock.advance(5)
    updated = await hold.sessions.update("s", metadata={"x": {"other": 1}, "z": None}, tags=["c"])
    assert updated.metadata == {"x": {"other": 1}, "y": 2, "z": None}
    assert updated.tags == ("c",)
    assert updated.updated_at - updated.created_at == timedelta(seconds=5)
    assert updated.version == 2
    assert made.tags == ("a", "b")
    assert fields(await made.refresh()) == fields(updated)


async def test_what_is_not_given_stays_and_the_index_follows_the_tags(hold: Holdfast) -> None:
    await hold.sessions.create(id="s", tags=["a"], metadata={"x": 1}, user="ada")
    await hold.sessions.update("s", metadata={"y": 2})
    assert [s.id for s in (await hold.sessions.list(tag="a", user="ada")).items] == ["s"]
    await hold.sessions.update("s", tags=["b"])
    assert (await hold.sessions.list(tag="a")).items == ()
    assert [(s.id, s.metadata) for s in (await hold.sessions.list(tag="b")).items] == [("s", {"x": 1, "y": 2})]


async def test_if_version_asks_that_nobody_wrote_the_record_after_it(hold: Holdfast) -> None:
    s = await hold.sessions.create(id="s")
    await s.state.set("cart", 1)  # which is not the record
    await s.update(metadata={"a": 1}, if_version=s.version)
    with pytest.raises(Conflict):
        await hold.sessions.update("s", metadata={"a": 2}, if_version=1)
    with pytest.raises(Conflict):
        await hold.sessions.update("s", metadata={"a": 2}, if_version=0)
    assert (await s.refresh()).metadata == {"a": 1}


async def test_updates_of_different_keys_at_once_are_all_kept(stores: Stores) -> None:
    one, other = await stores.open(), await stores.open()
    await one.sessions.create(id="s")
    await asyncio.gather(*[hold.sessions.update("s", metadata={f"k{n}": n}) for n, hold in enumerate([one, other] * 8)])
    found = await one.sessions.get("s")
    assert found is not None
    assert found.metadata == {f"k{n}": n for n in range(16)}


async def test_updating_what_is_not_there_is_not_found(hold: Holdfast) -> None:
    with pytest.raises(NotFound):
        await hold.sessions.update("s", metadata={})


# --- delete and resurrection -----------------------------------------------------------------------------------------


async def test_a_deletion_takes_everything_at_once_and_says_whether_it_was_there(hold: Holdfast) -> None:
    s = await hold.sessions.create(id="s", user="ada", tags=["a"])
    await s.state.update({f"k{n}": n for n in range(20)})
    await s.messages.add("user", "hello")
    assert await hold.sessions.delete("s") is True
    assert await hold.sessions.delete("s") is False
    assert (await hold.sessions.list()).items == (await hold.sessions.list(tag="a", user="ada")).items == ()
    assert (await hold.stats()).scopes == 0


async def test_no_handle_brings_a_deleted_session_back_or_writes_into_its_successor(hold: Holdfast) -> None:
    s = await hold.sessions.create(id="s", user="ada")
    handles = [s, await hold.sessions.open("s")]
    state = hold.state(Scope.session("s"))
    await state.get("cart")
    await hold.sessions.delete("s")
    for recreated in (False, True):
        if recreated:
            await hold.sessions.create(id="s", user="ada")
        for old in handles:
            for call in (
                old.state.set("a", 1),
                old.state.get("a"),
                old.state.update({"a": 1}),
                old.state.mutate("a", lambda _: 1),
                old.state.delete("a"),
                old.state.clear(),
                old.state.keys(),
                old.state.snapshot(),
                old.state.history("a"),
                old.state.has("a"),
                old.temp.set("a", 1),
                old.runtime.set("a", 1),
                old.runtime.all(),
                old.runtime.clear(),
                old.messages.add("user", "late"),
                old.messages.list(),
                old.log("late"),
                old.events(),
                old.update(metadata={"late": 1}),
                old.refresh(),
                _transact(old),
                state.set("a", 1),
                state.get("a"),
            ):
                with pytest.raises(NotFound):
                    await call
    fresh = await hold.sessions.get("s")
    assert fresh is not None
    assert (await fresh.state.keys(), await fresh.messages.list(), fresh.metadata) == ([], [], {})


async def _transact(session: Session) -> None:
    async with session.transaction() as tx:
        await tx.state.set("late", 1)


async def test_a_handle_by_scope_that_first_wrote_to_a_recreated_session_goes_on_writing_to_it(hold: Holdfast) -> None:
    await hold.sessions.create(id="s")
    await hold.sessions.delete("s")
    await hold.sessions.create(id="s")
    state = hold.state(Scope.session("s"))
    await asyncio.gather(*[state.set(f"k{n}", n) for n in range(5)])
    await state.set("again", 1)
    assert len(await state.keys()) == 6
    await hold.sessions.delete("s")
    await hold.sessions.create(id="s")
    with pytest.raises(NotFound):
        await state.set("late", 1)


async def test_first_writes_through_one_handle_may_be_under_way_at_once_when_the_session_was_recreated(
    hold: Holdfast,
) -> None:
    for _ in range(2):
        await hold.sessions.create(id="s")
        await hold.sessions.delete("s")
    await hold.sessions.create(id="s")
    state = hold.state(Scope.session("s"))

    async def later(turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        await state.set(f"k{turns}", 1)

    await asyncio.gather(*[later(turns) for turns in range(12)])
    assert len(await state.keys()) == 12


# --- list ------------------------------------------------------------------------------------------------------------

NAMES = {"user": ["ada", "bob"], "app": ["x", "y"], "agent": ["a1"], "mode": ["m1", "m2"], "channel": ["web"]}
some = {field: st.none() | st.sampled_from(names) for field, names in NAMES.items()}
made_sessions = st.lists(
    st.fixed_dictionaries(
        {**some, "tags": st.lists(st.sampled_from(["t1", "t2", "t3"]), max_size=2), "gap": st.integers(0, 2)}
    ),
    max_size=14,
)
filters = st.fixed_dictionaries(
    {},
    optional={
        **{field: st.sampled_from(names) for field, names in NAMES.items()},
        "tag": st.sampled_from(["t1", "t2", "none"]),
        "status": st.sampled_from(["active", SessionStatus.PAUSED]),
        "created_after": st.integers(-1, 20),
        "created_before": st.integers(-1, 20),
    },
)


def passing(sessions: Sequence[Session], wanted: dict[str, Any]) -> list[Session]:
    def passes(session: Session) -> bool:
        return all(
            value in session.tags
            if field == "tag"
            else session.created_at > value
            if field == "created_after"
            else session.created_at < value
            if field == "created_before"
            else getattr(session, field) == value
            for field, value in wanted.items()
        )

    return sorted(filter(passes, sessions), key=lambda session: (session.created_at, session.id))


@settings(max_examples=150)
@given(
    made=made_sessions,
    wanted=filters,
    newest=st.booleans(),
    limit=st.integers(1, 6),
    buffer=st.sampled_from([1, 2, 200]),
)
def test_pages_of_any_filters_in_either_order_are_what_a_plain_search_finds(
    made: list[dict[str, Any]], wanted: dict[str, Any], newest: bool, limit: int, buffer: int
) -> None:
    async def main() -> None:
        clock = ManualClock()
        async with Holdfast.over(MemoryKernel(), clock=clock, ids=SeededIds()) as hold:
            start = datetime.fromtimestamp(clock.now_us() / 1_000_000, UTC)
            sessions = []
            for given_fields in made:
                clock.advance(given_fields["gap"])
                given_fields = {key: value for key, value in given_fields.items() if key != "gap"}
                sessions.append(await hold.sessions.create(id=f"s{len(made) - len(sessions)}", **given_fields))
            asked = {
                field: start + timedelta(seconds=value) if field.startswith("created") else value
                for field, value in wanted.items()
            }
            expected = passing(sessions, asked)
            found: list[str] = []
            cursor: str | None = None
            while True:
                order: Any = "newest" if newest else "oldest"
                page = await hold.sessions.list(**asked, order=order, limit=limit, cursor=cursor)
                assert len(page.items) <= limit
                found += [session.id for session in page.items]
                if page.next is None:
                    break
                assert page.items
                cursor = page.next
            assert found == [session.id for session in (expected[::-1] if newest else expected)]

    before, sessions_page.BUFFER = sessions_page.BUFFER, buffer
    try:
        asyncio.run(main())
    finally:
        sessions_page.BUFFER = before


@pytest.mark.parametrize("order", ["newest", "oldest"])
async def test_paging_neither_doubles_nor_hides_a_session_while_others_come_and_go(
    hold: Holdfast, clock: ManualClock, order: Any
) -> None:
    async def make(id: str) -> None:
        clock.advance(1)
        await hold.sessions.create(id=id, user="ada", tags=["t"])

    for n in range(30):
        await make(f"s{n:02d}")
    seen: list[str] = []
    cursor: str | None = None
    step = 0
    while True:
        page = await hold.sessions.list(user="ada", tag="t", order=order, limit=4, cursor=cursor)
        seen += [session.id for session in page.items]
        if page.next is None:
            break
        cursor = page.next
        step += 1
        await make(f"new{step}")
        await hold.sessions.delete(page.items[-1].id)  # the very one the cursor names
        await hold.sessions.delete(f"s{15:02d}")
    assert len(seen) == len(set(seen))
    assert {f"s{n:02d}" for n in range(30)} - set(seen) <= {"s15"}
    old = [id for id in seen if id.startswith("s")]
    assert old == sorted(old, reverse=order == "newest")


async def test_sessions_made_in_the_same_microsecond_are_ordered_by_their_ids(hold: Holdfast) -> None:
    await asyncio.gather(*[hold.sessions.create(id=f"s{n}") for n in range(9)])
    ids = [session.id async for session in hold.sessions.iterate(limit=2, order="oldest")]
    assert ids == [f"s{n}" for n in range(9)]


async def test_times_exclude_their_bounds_to_the_microsecond(hold: Holdfast, clock: ManualClock) -> None:
    for n in range(3):
        await hold.sessions.create(id=f"s{n}")
        clock.advance(0.000_001)
    middle = await hold.sessions.get("s1")
    assert middle is not None
    after = await hold.sessions.list(created_after=middle.created_at)
    before = await hold.sessions.list(created_before=middle.created_at)
    assert [[s.id for s in page.items] for page in (after, before)] == [["s2"], ["s0"]]


async def test_times_beyond_any_session_find_all_or_none(hold: Holdfast) -> None:
    await hold.sessions.create(id="s")
    early, late = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    for bounds, count in (
        ({"created_after": early, "created_before": late}, 1),
        ({"created_before": datetime(2300, 1, 1, tzinfo=UTC)}, 1),
        ({"created_after": datetime(2300, 1, 1, tzinfo=UTC)}, 0),
        ({"created_after": late}, 0),
        ({"created_before": early}, 0),
    ):
        assert len((await hold.sessions.list(**bounds)).items) == count  # type: ignore[arg-type]


async def test_iterating_goes_through_every_page(hold: Holdfast) -> None:
    for n in range(7):
        await hold.sessions.create(id=f"s{n}", mode="m" if n % 2 else None)
    assert len([s async for s in hold.sessions.iterate(limit=2)]) == 7
    assert sorted([s.id async for s in hold.sessions.iterate(limit=2, mode="m")]) == ["s1", "s3", "s5"]


async def test_nothing_crosses_from_one_space_to_another(stores: Stores) -> None:
    one, other = await stores.open(space="one"), await stores.open(space="other")
    await one.sessions.create(id="s", user="ada")
    assert await other.sessions.get("s") is None
    assert (await other.sessions.list(user="ada")).items == ()
    await other.sessions.create(id="s", user="bob")
    assert await other.sessions.delete("s")
    assert await one.sessions.get("s") is not None
