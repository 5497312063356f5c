"""The context of a session, and its size."""

from __future__ import annotations

import pytest

from holdfast import Budget, Holdfast, NotFound, Session, SessionStatus
from holdfast.operations import context, size
from tests.unit.stores import Stores


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s", task="Plan a trip", mode="planner", budget=Budget(iterations=20))


async def test_the_context_tells_task_state_iterations_and_the_last_ten_events(s: Session) -> None:
    await s.state.update({"cart": ["milk"], "seats": 2})
    await s.messages.add("user", "hello")
    for n in range(12):
        await s.iterate(data=n)
    told = await s.context()
    assert (told.task, told.mode, told.status) == ("Plan a trip", "planner", SessionStatus.ACTIVE)
    assert (told.state, told.iterations, told.progress) == ({"cart": ["milk"], "seats": 2}, 12, s.progress)
    assert [event.data["data"] for event in told.events] == list(range(2, 12))
    assert told.events == (await s.events(limit=10, order="newest")).items[::-1]
    assert told.version == (await s.state.snapshot()).version
    assert told.at == s.last_activity


async def test_the_context_brings_what_others_changed(stores: Stores) -> None:
    one, other = await stores.open(), await stores.open()
    s = await one.sessions.create(id="s")
    found = await other.sessions.get("s")
    assert found is not None
    await found.iterate()
    await found.pause("for Bo")
    told = await s.context()
    assert (told.status, s.pause_reason, s.iterations) == (SessionStatus.PAUSED, "for Bo", 1)
    assert (s.version, s.last_activity) == (found.version, found.last_activity)


async def test_the_context_of_a_new_session_tells_of_its_start_and_nothing_else(s: Session) -> None:
    told = await s.context()
    assert (told.state, told.iterations, told.version) == ({}, 0, 1)
    assert [(event.type, event.at) for event in told.events] == [("start", s.created_at)]


async def test_state_of_more_than_a_page_is_told_whole(s: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "PAGE_MAX", 5)
    for count in (5, 7):
        await s.state.update({f"k{n}": n for n in range(count)})
        assert (await s.context()).state == {f"k{n}": n for n in range(count)}


async def test_the_context_of_a_deleted_session_is_not_found(hold: Holdfast, s: Session) -> None:
    await hold.sessions.delete("s")
    with pytest.raises(NotFound):
        await s.context()
    await hold.sessions.create(id="s")
    with pytest.raises(NotFound):
        await s.context()


async def test_the_size_is_told_in_bytes_by_kind(s: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    before = await s.size()
    assert set(before) == {"session", *size.KINDS}
    assert before["session"] > 100
    await s.state.set("k", "x" * 98)
    await s.messages.add("user", "y" * 1000)
    await s.log("note")
    await s.runtime.set("step", 1)
    await s.temp.set("t", 1)
    await s.variables.set("city", "Kyoto")
    monkeypatch.setattr(size, "PAGE_MAX", 2)
    after = await s.size()
    assert after["state"] == len("state//k") + 100
    assert after["message"] > 1000
    assert all(after[kind] > 0 for kind in size.KINDS)
    assert after["session"] >= before["session"]


async def test_the_size_of_a_deleted_session_is_not_found(hold: Holdfast, s: Session) -> None:
    await hold.sessions.delete("s")
    with pytest.raises(NotFound):
        await s.size()


async def test_the_context_tells_what_is_open(s: Session) -> None:
    """The runs that have not ended, and what they ask people: the oldest first, and nothing that is over."""
    done, trip, pack = [await s.runs.start("w", id=id, nodes=["pay"]) for id in ("z", "b", "a")]
    await done.ask("Done?")
    await done.complete()
    first = await trip.ask("Pay 900 €?", node="pay", assignees=["bo"], timeout="1h")
    await pack.ask("Pack?")
    await pack.answer("approved")
    second = await pack.ask("Socks?", kind="input")
    told = await s.context()
    assert [(run.id, run.workflow, run.status) for run in told.runs] == [("a", "w", "pending"), ("b", "w", "paused")]
    assert [run.started_at for run in told.runs] == [pack.started_at, trip.started_at]
    [pay, socks] = sorted(told.interactions, key=lambda one: one.run, reverse=True)
    assert (pay.id, pay.run, pay.node, pay.kind, pay.prompt) == (first.id, "b", "pay", "approval", "Pay 900 €?")
    assert (pay.assignees, pay.asked_at, pay.due_at) == (("bo",), first.asked_at, first.due_at)
    assert (socks.id, socks.kind, socks.node, socks.due_at) == (second.id, "input", None, None)


async def test_more_questions_than_a_page_are_told_whole(s: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    run = await s.runs.start("w", id="r")
    for n in range(7):
        await run.ask(f"{n}?")
    monkeypatch.setattr(context, "PAGE_MAX", 5)
    assert [one.prompt for one in (await s.context()).interactions] == [f"{n}?" for n in range(7)]
