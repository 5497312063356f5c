"""Events: the session's own log."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import pytest

from holdfast import Holdfast, Session
from holdfast.errors import InvalidId, InvalidValue, TooLarge
from holdfast.services import event


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s")


class Note(msgspec.Struct):
    at: datetime


async def test_an_event_comes_back_as_it_was_logged(s: Session) -> None:
    logged = await s.log("note", {"a": [1, None]})
    bare = await s.log("note")
    assert (await s.events()).items == (logged, bare)
    assert (logged.type, logged.data, bare.data, logged.at) == ("note", {"a": [1, None]}, None, s.created_at)


async def test_typed_data_is_shown_as_what_it_is_stored_as(s: Session) -> None:
    logged = await s.log("note", Note(s.created_at))
    assert logged.data == {"at": s.created_at.isoformat().replace("+00:00", "Z")}
    assert (await s.events()).items == (logged,)


@pytest.mark.parametrize("order", ["oldest", "newest"])
@pytest.mark.parametrize("types", [None, "a", ["a"], {"a", "b"}, ()])
async def test_pages_of_some_types_in_either_order_go_through_all_of_them(s: Session, order: Any, types: Any) -> None:
    given = None if types is None else [types] if isinstance(types, str) else list(types)
    for n in range(11):
        await s.log("abc"[n % 3], n)
    seen: list[int] = []
    cursor: str | None = None
    while True:
        page = await s.events(types=given, after=cursor, limit=2, order=order)
        seen += [found.data for found in page.items]
        if (cursor := page.next) is None:
            break
    wanted = [n for n in range(11) if given is None or "abc"[n % 3] in given]
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
    assert (await s.events()).items == ()


@pytest.mark.parametrize("data", [{1}, float("nan"), b"x", {1: 1}, object()])
async def test_data_that_cannot_be_stored_is_refused(s: Session, data: Any) -> None:
    with pytest.raises(InvalidValue):
        await s.log("note", data)
    assert (await s.events()).items == ()


async def test_data_beyond_the_limit_of_a_value_is_refused(s: Session) -> None:
    with pytest.raises(TooLarge):
        await s.log("note", "x" * 300_000)
    assert (await s.events()).items == ()


@pytest.mark.parametrize(
    "bad",
    [{"after": "x"}, {"after": 3}, {"after": ""}, {"limit": 0}, {"limit": True}, {"order": "up"}, {"order": None},
     {"order": []}, {"types": 3}, {"types": [3]}],
)  # fmt: skip
async def test_bad_arguments_are_refused_also_when_there_is_nothing_to_read(s: Session, bad: dict[str, Any]) -> None:
    with pytest.raises((InvalidValue, InvalidId, TypeError)):
        await s.events(**bad)
