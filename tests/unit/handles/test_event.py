"""Events: the session's own log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import msgspec
import pytest

from holdfast import AlreadyExists, Budget, BudgetExceeded, Holdfast, Session
from holdfast.errors import InvalidId, InvalidValue, TooLarge
from holdfast.model.event import RESERVED
from holdfast.services import event
from tests.unit.entries import logged


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s")


class Note(msgspec.Struct):
    at: datetime


async def end_by_budget(s: Session) -> None:
    await s.update(budget=Budget(iterations=1))
    await s.iterate()
    with pytest.raises(BudgetExceeded):
        await s.iterate()


async def pause_and_resume(s: Session) -> None:
    await s.pause()
    await s.resume()


ENTRIES: dict[str, tuple[Callable[[Session], Awaitable[Any]], Any]] = {
    "start": (lambda s: s.log("other"), None),
    "iteration": (lambda s: s.iterate(data="x"), {"iteration": 1, "data": "x", "duration_s": 0.0}),
    "tool_call": (lambda s: s.log_tool_call("search", result=2), {"name": "search", "result": 2}),
    "learning": (lambda s: s.log_learning("Bo is late", source="mail"), {"insight": "Bo is late", "source": "mail"}),
    "pause": (lambda s: s.pause("for Bo"), {"reason": "for Bo"}),
    "resume": (pause_and_resume, None),
    "complete": (lambda s: s.complete({"total": 900}), None),
    "error": (lambda s: s.fail("no seats"), {"error": "no seats"}),
    "cancel": (lambda s: s.cancel("by user"), {"reason": "by user"}),
    "timeout": (end_by_budget, {"reason": "budget: iterations"}),
    "a free one": (lambda s: s.log("a free one", [1]), [1]),
}


@pytest.mark.parametrize("type", ENTRIES)
async def test_each_type_of_entry_is_told_once_with_its_data_and_found_by_its_type(s: Session, type: str) -> None:
    """What the library notes of a session's life, and what the application logs, stand in one log."""
    act, data = ENTRIES[type]
    await act(s)
    page = await s.events(types=type)
    assert [(entry.type, entry.data, entry.at) for entry in page.items] == [(type, data, s.created_at)]
    assert page.next is None
    assert page.items[0] in (await s.events()).items


@pytest.mark.parametrize("way", ["create", "open", "template", "transaction"])
async def test_a_session_is_created_with_the_entry_of_its_start_in_one_commit(hold: Holdfast, way: str) -> None:
    """G1: however a session is made, its log begins with its start, and never is one there without the other."""
    await hold.sessions.templates.add("trip", mode="planner", state={"cart": []})
    match way:
        case "create":
            made = await hold.sessions.create(id="new")
        case "open":
            made = await hold.sessions.open("new")
        case "template":
            made = await hold.sessions.create(id="new", template="trip")
        case _:
            async with hold.transaction() as tx:
                new = await tx.sessions.create(id="new")
                assert [entry.type for entry in (await new.events()).items] == ["start"]
            made = await hold.sessions.open("new")
    (start,) = (await made.events()).items
    assert (start.type, start.data, start.at, made.version) == ("start", None, made.created_at, 1)
    assert start.id not in ("", "new")
    assert (await made.at(1).events()).items == (start,)
    async with made.changes(after="beginning") as changes:
        told = [await anext(changes), await anext(changes)]
    assert [(change.kind, change.op, change.seq) for change in told] == [("session", "set", 1), ("event", "append", 1)]
    assert (told[1].value["id"], told[1].value["type"]) == (start.id, "start")


async def test_a_session_that_is_there_is_not_started_again(hold: Holdfast, s: Session) -> None:
    """Whether it is found or refused; each life of an id has one start."""
    await hold.sessions.open("s")
    await hold.sessions.create(id="s", on_exists="return")
    with pytest.raises(AlreadyExists):
        await hold.sessions.create(id="s")
    (first,) = (await s.events()).items
    await hold.sessions.delete("s")
    (second,) = (await (await hold.sessions.open("s")).events()).items
    assert (first.type, second.type) == ("start", "start")
    assert first.id != second.id


async def test_an_event_comes_back_as_it_was_logged(s: Session) -> None:
    note = await s.log("note", {"a": [1, None]})
    bare = await s.log("note")
    assert await logged(s) == (note, bare)
    assert (note.type, note.data, bare.data, note.at) == ("note", {"a": [1, None]}, None, s.created_at)


async def test_typed_data_is_shown_as_what_it_is_stored_as(s: Session) -> None:
    note = await s.log("note", Note(s.created_at))
    assert note.data == {"at": s.created_at.isoformat().replace("+00:00", "Z")}
    assert await logged(s) == (note,)


@pytest.mark.parametrize("order", ["oldest", "newest"])
@pytest.mark.parametrize("types", [None, "a", ["a"], {"a", "b"}, ()])
async def test_pages_of_some_types_in_either_order_go_through_all_of_them(s: Session, order: Any, types: Any) -> None:
    given = None if types is None else [types] if isinstance(types, str) else list(types)
    for n in range(11):
        await s.log("abc"[n % 3], n)
    seen: list[Any] = []
    cursor: str | None = None
    while True:
        page = await s.events(types=given, after=cursor, limit=2, order=order)
        seen += [found.data if found.type in "abc" else found.type for found in page.items]
        if (cursor := page.next) is None:
            break
    wanted: list[Any] = [n for n in range(11) if given is None or "abc"[n % 3] in given]
    if given is None:
        wanted.insert(0, "start")
    assert seen == (wanted if order == "oldest" else wanted[::-1])


async def test_rare_types_are_found_beyond_what_is_read_at_once(s: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event, "SCAN", 3)
    for n in range(20):
        await s.log("rare" if n in (1, 18) else "usual", n)
    page = await s.events(types="rare", limit=2)
    assert [found.data for found in page.items] == [1, 18]
    assert [found.data for found in (await s.events(types="rare", after=page.items[0])).items] == [18]


@pytest.mark.parametrize("type", ["", "\n", "x" * 257, None, 3, b"x"])
async def test_a_type_is_a_name(s: Session, type: Any) -> None:
    with pytest.raises(InvalidId):
        await s.log(type)
    with pytest.raises((InvalidId, TypeError)):
        await s.events(types=[type])
    assert await logged(s) == ()


@pytest.mark.parametrize("type", sorted(RESERVED))
async def test_no_entry_of_the_application_passes_for_one_of_the_library(s: Session, type: str) -> None:
    """An entry of a reserved type always tells what happened."""
    with pytest.raises(InvalidValue) as refused:
        await s.log(type, {"reason": "forged"})
    assert (refused.value.path, await logged(s)) == ("type", ())
    assert "JSON" not in refused.value.remedy


@pytest.mark.parametrize("data", [{1}, float("nan"), b"x", {1: 1}, object()])
async def test_data_that_cannot_be_stored_is_refused(s: Session, data: Any) -> None:
    with pytest.raises(InvalidValue):
        await s.log("note", data)
    assert await logged(s) == ()


async def test_data_beyond_the_limit_of_a_value_is_refused(s: Session) -> None:
    with pytest.raises(TooLarge):
        await s.log("note", "x" * 300_000)
    assert await logged(s) == ()


@pytest.mark.parametrize(
    "bad",
    [{"after": "x"}, {"after": 3}, {"after": ""}, {"limit": 0}, {"limit": True}, {"order": "up"}, {"order": None},
     {"order": []}, {"types": 3}, {"types": [3]}],
)  # fmt: skip
async def test_bad_arguments_are_refused_also_when_there_is_nothing_to_read(s: Session, bad: dict[str, Any]) -> None:
    with pytest.raises((InvalidValue, InvalidId, TypeError)):
        await s.events(**bad)
