"""`hold.interactions`: finding questions, and whose they are."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast import Holdfast, NotFound, Session
from holdfast.errors import (
    NotAssignee,
)
from holdfast.handles.run import Run
from holdfast.testing.clock import ManualClock
from tests.unit.handles.trip import trip


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s", user="ada")


@pytest.fixture
async def run(s: Session) -> Run:
    return await trip(s)


async def test_pending_questions_are_found_by_what_they_are(hold: Holdfast, s: Session, clock: ManualClock) -> None:
    """By whom they are for, whose they are, session, run, kind and due time; page by page, the oldest first."""
    run = await s.runs.start("trip", id="r")
    clock.advance(1)
    a = await run.ask("a?", assignees=["bo", "cy"], timeout="1h")
    clock.advance(1)
    b = await run.ask("b?", kind="input", assignees=["bo"])
    clock.advance(1)
    c = await (await hold.runs.start("alone", id="x", user="ed")).ask("c?", timeout="3h")
    clock.advance(1)

    async def found(**filters: Any) -> list[str]:
        return [one.id for one in (await hold.interactions.pending(**filters)).items]

    assert await found() == [a.id, b.id, c.id]
    assert await found(assignee="bo") == [a.id, b.id]
    assert await found(assignee="bo", kind="input") == [b.id]
    assert await found(session_user="ed") == [c.id]
    assert (await found(session="s"), await found(run="x"), await found(run="x", kind="form")) == (
        [a.id, b.id], [c.id], []
    )  # fmt: skip
    assert a.due_at is not None
    assert c.due_at is not None
    assert (await found(due_before=c.due_at), await found(due_before=a.due_at)) == ([a.id], [])
    page = await hold.interactions.pending(limit=2)
    assert [one.id for one in (await hold.interactions.pending(limit=2, cursor=page.next)).items] == [c.id]
    await hold.interactions.reassign(a.id, to="ed")
    assert (await found(assignee="cy"), await found(assignee="ed")) == ([], [a.id])
    await hold.interactions.answer(b.id, "answered", value="x", by="bo")
    assert await found(session="s") == [a.id]
    assert [one.id for one in await hold.interactions.history("r")] == [a.id, b.id]


async def test_a_principal_finds_questions_of_their_sessions_and_for_them(hold: Holdfast, s: Session, run: Run) -> None:
    """Everything else does not exist; they answer in their own name."""
    mine = await run.ask("mine?", node="pay")
    other = await hold.runs.start("w", user="ed")
    his, shared = await other.ask("his?"), await other.ask("shared?", assignees=["ada", "bo"])
    ada = hold.as_principal(user="ada")
    assert {one.id for one in (await ada.interactions.pending()).items} == {mine.id, shared.id}
    assert [one.id for one in (await ada.interactions.pending(assignee="ada")).items] == [shared.id]
    assert await ada.interactions.get(his.id) is None
    for call in (ada.interactions.answer(his.id, "approved"), ada.interactions.cancel(his.id)):
        with pytest.raises(NotFound):
            await call
    with pytest.raises(NotAssignee):
        await ada.interactions.answer(shared.id, "approved", by="bo")
    assert (await ada.interactions.answer(shared.id, "approved")).by == "ada"
    held = await ada.runs.get(run.id)
    assert held is not None
    with pytest.raises(NotAssignee):
        await held.answer("approved", by="bo")
    assert (await held.answer("approved")).by == "ada"
