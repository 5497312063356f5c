"""What differs between two versions of a scope's state: `State.diff`."""

from collections.abc import AsyncIterator

import pytest

from holdfast import Config, Difference, Holdfast, NotFound, Scope, Session
from holdfast.errors import Compacted, InvalidValue
from holdfast.model.config import ChangesConfig
from holdfast.services import change
from holdfast.testing.clock import ManualClock, SeededIds


@pytest.fixture
async def hold() -> AsyncIterator[Holdfast]:
    config = Config(changes=ChangesConfig(retention_age=None, retention_count=3))
    async with Holdfast.open("memory://", clock=ManualClock(), ids=SeededIds(1), config=config) as hold:
        yield hold


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s")


def told(items: tuple[Difference, ...]) -> list[tuple[object, ...]]:
    return [(item.key, item.change, item.before, item.after) for item in items]


async def test_it_tells_added_changed_and_deleted_keys_in_key_order_with_their_values(s: Session) -> None:
    await s.state.update({"b": 1, "c": [1], "same": True})
    since = (await s.state.snapshot()).version
    await s.state.set("a", "new")
    await s.state.set("b", 2)
    await s.state.delete("c")
    found = await s.state.diff(since=since)
    assert told(found.items) == [("a", "added", None, "new"), ("b", "changed", 1, 2), ("c", "deleted", [1], None)]
    assert (found.since, found.until) == (since, (await s.state.snapshot()).version)


async def test_it_names_the_last_commit_that_wrote_each_key(hold: Holdfast, s: Session) -> None:
    with hold.acting(by="ada"):
        await s.state.set("a", 1)
    with hold.acting(by="bo"):
        version = await s.state.set("a", 2)
    item = (await s.state.diff()).items[0]
    assert (item.version, item.by, item.after) == (version, "bo", 2)


async def test_what_was_written_and_written_back_does_not_differ(s: Session) -> None:
    since = await s.state.set("a", 1)
    await s.state.set("a", 2)
    await s.state.set("b", 1)
    await s.state.set("a", 1)
    await s.state.delete("b")
    assert (await s.state.diff(since=since)).items == ()


@pytest.mark.parametrize(("before", "after"), [(1, True), (0, False), (1, 1.0), (0.0, -0.0), (None, False)])
async def test_values_that_python_calls_equal_but_are_stored_apart_differ(
    s: Session, before: object, after: object
) -> None:
    since = await s.state.set("a", before)
    await s.state.set("a", after)
    assert [item.change for item in (await s.state.diff(since=since)).items] == ["changed"]


async def test_both_ends_may_lie_in_the_past(s: Session) -> None:
    versions = [await s.state.set("a", n) for n in range(5)]
    found = await s.state.diff(since=versions[1], until=versions[3])
    assert told(found.items) == [("a", "changed", 1, 3)]
    assert (await s.state.diff(since=versions[2], until=versions[2])).items == ()


async def test_a_clear_deletes_every_key_it_removed_and_only_of_its_namespace(hold: Holdfast) -> None:
    scope = Scope.user("ada")
    await hold.state(scope, "one").update({"a": 1, "b": 2})
    since = await hold.state(scope, "two").set("a", 3)
    await hold.state(scope, "one").clear()
    assert told((await hold.state(scope, "one").diff(since=since)).items) == [
        ("a", "deleted", 1, None),
        ("b", "deleted", 2, None),
    ]
    assert (await hold.state(scope, "two").diff(since=since)).items == ()


async def test_a_stored_none_is_told_from_an_absent_key(s: Session) -> None:
    since = await s.state.set("a", None)
    await s.state.delete("a")
    await s.state.set("b", None)
    assert told((await s.state.diff(since=since)).items) == [("a", "deleted", None, None), ("b", "added", None, None)]


async def test_the_life_before_a_deletion_counts_as_empty(hold: Holdfast, s: Session) -> None:
    since = await s.state.set("a", "old")
    await hold.sessions.delete("s")
    again = await hold.sessions.create(id="s")
    await again.state.set("b", 1)
    assert told((await again.state.diff(since=since)).items) == [("b", "added", None, 1)]
    version = (await again.state.snapshot()).version
    await again.state.set("a", "new")
    assert told((await again.state.diff(since=version)).items) == [("a", "added", None, "new")]


async def test_a_value_that_the_log_no_longer_knows_is_marked_as_not_known(hold: Holdfast, s: Session) -> None:
    await s.state.set("a", 1)
    for n in range(3):
        await s.state.set("b", n)
    since = (await s.state.snapshot()).version
    await hold.sweep()
    await s.state.set("a", 2)
    found = (await s.state.diff(since=since)).items
    assert [(item.change, item.known, item.before, item.after) for item in found] == [("set", False, None, 2)]


async def test_without_a_beginning_it_goes_as_far_as_the_log_reaches(hold: Holdfast, s: Session) -> None:
    for n in range(6):
        await s.state.set("a", n)
    assert told((await s.state.diff()).items) == [("a", "added", None, 5)]
    await hold.sweep()
    found = await s.state.diff()
    assert [(item.change, item.known, item.after) for item in found.items] == [("set", False, 5)]
    assert (found.since, found.until) == (4, 7)


async def test_a_beginning_that_was_trimmed_is_refused_with_the_floor(hold: Holdfast, s: Session) -> None:
    for n in range(6):
        await s.state.set("a", n)
    await hold.sweep()
    with pytest.raises(Compacted) as refused:
        await s.state.diff(since=2)
    assert refused.value.floor == 5


@pytest.mark.parametrize(("since", "until"), [(-1, None), (None, 99), (3, 2), (True, None), (None, "2")])
async def test_versions_that_are_not_there_or_not_in_order_are_refused(
    s: Session, since: object, until: object
) -> None:
    for n in range(3):
        await s.state.set("a", n)
    with pytest.raises(InvalidValue):
        await s.state.diff(since=since, until=until)  # type: ignore[arg-type]


async def test_it_reads_through_more_records_than_one_page(s: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change, "SCAN", 2)
    await s.state.set("a", 0)
    for n in range(7):
        await s.state.set("b", n)
    since = (await s.state.snapshot()).version
    for n in range(7):
        await s.state.set("c", n)
    await s.state.update({"a": 1, "b": 9})
    assert told((await s.state.diff(since=since)).items) == [
        ("a", "changed", 0, 1),
        ("b", "changed", 6, 9),
        ("c", "added", None, 6),
    ]


async def test_a_session_that_does_not_exist_is_not_found(hold: Holdfast, s: Session) -> None:
    await hold.sessions.delete("s")
    for state in (s.state, hold.state(Scope.session("never"))):
        with pytest.raises(NotFound):
            await state.diff()
        with pytest.raises(NotFound):
            await state.history("a")


async def test_a_scope_that_was_never_written_has_no_differences(hold: Holdfast) -> None:
    found = await hold.state(Scope.user("nobody")).diff()
    assert (found.items, found.since, found.until) == ((), 0, 0)
