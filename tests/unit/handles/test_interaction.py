"""`hold.interactions`: finding questions, and whose they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from holdfast import Config, Conflict, Holdfast, NotFound, Session
from holdfast.errors import (
    NotAssignee,
)
from holdfast.handles.run import Run
from holdfast.model.config import CacheConfig
from holdfast.testing.clock import ManualClock
from tests.unit.handles.trip import trip
from tests.unit.stores import Stores


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


async def test_a_principal_gives_away_only_what_is_theirs_to_answer(hold: Holdfast, s: Session, run: Run) -> None:
    """Who owns the session that asks may not make themself the one who answers; who was asked may pass it on."""
    ada, bo = hold.as_principal(user="ada"), hold.as_principal(user="bo")
    q = await run.ask("Pay?", node="pay", assignees=["bo"])
    for to in ("ada", ["ada", "bo"], ()):
        with pytest.raises(NotAssignee) as problem:
            await ada.interactions.reassign(q.id, to=to)
        assert "they, or the operator" in problem.value.remedy
    with pytest.raises(NotAssignee):
        await ada.interactions.answer(q.id, "approved")
    assert (await bo.interactions.reassign(q.id, to="cy")).assignees == ("cy",)
    with pytest.raises(NotFound):  # which is bo's no more, not even to see
        await bo.interactions.reassign(q.id, to="bo")
    assert (await hold.interactions.reassign(q.id, to="ada")).assignees == ("ada",)
    open = await run.ask("Window?", node="pay")
    assert (await ada.interactions.reassign(open.id, to="bo")).assignees == ("bo",)


async def test_an_id_that_several_sessions_gave_their_runs_means_none_of_them(hold: Holdfast, run: Run) -> None:
    """Nothing of two runs is mixed; the session tells them apart."""
    mine = await run.ask("mine?", node="pay")
    other = await (await hold.sessions.create(id="other", user="bo")).runs.start("trip", id="r")
    for call in (hold.interactions.history("r"), hold.interactions.pending(run="r"), hold.runs.get("r")):
        with pytest.raises(Conflict, match="several sessions have a run 'r'"):
            await call
    theirs = await other.ask("theirs?", assignees=["cy"])
    for session, q in (("s", mine), ("other", theirs)):
        assert [one.id for one in await hold.interactions.history("r", session=session)] == [q.id]
        assert [one.id for one in (await hold.interactions.pending(run="r", session=session)).items] == [q.id]
    assert await hold.interactions.history("r", session="nowhere") == await hold.interactions.history("nowhere") == []


async def test_the_runs_of_others_make_no_id_ambiguous_for_a_principal(hold: Holdfast, run: Run) -> None:
    """What a principal does not find does not show; what two runs ask them is mixed for them neither."""
    mine = await run.ask("mine?", node="pay")
    theirs = await (await (await hold.sessions.create(user="bo")).runs.start("trip", id="r")).ask("theirs?")
    ada = hold.as_principal(user="ada")
    found = await ada.runs.get("r")
    assert found is not None
    assert found.user == "ada"
    assert [one.id for one in await ada.interactions.history("r")] == [mine.id]
    assert [one.id for one in (await ada.interactions.pending(run="r")).items] == [mine.id]
    await hold.interactions.reassign(theirs.id, to="ada")
    for call in (ada.interactions.history("r"), ada.interactions.pending(run="r")):
        with pytest.raises(Conflict):
            await call
    assert [one.id for one in (await ada.interactions.pending(assignee="ada")).items] == [theirs.id]


async def test_a_session_has_the_questions_of_all_its_runs(hold: Holdfast, s: Session, run: Run) -> None:
    """As they are now, and none of others; a session that is gone has none, nor has one that took its id."""
    assert (await s.interactions.current(), await s.interactions.pending_count()) == (None, 0)
    first = await run.ask("first?", node="pay", assignees=["bo"])
    await (await (await hold.sessions.create(user="ada")).runs.start("w")).ask("elsewhere?")
    second = await (await s.runs.start("w")).ask("second?", kind="input")
    assert {one.id for one in (await s.interactions.pending()).items} == {first.id, second.id}
    assert [one.id for one in (await s.interactions.pending(kind="input")).items] == [second.id]
    assert [one.id for one in (await s.interactions.pending(run="r", assignee="bo")).items] == [first.id]
    assert await s.interactions.pending_count() == 2
    await hold.interactions.answer(first.id, "approved", by="bo")
    current = await s.interactions.current()
    assert current is not None
    assert current.id == second.id
    assert {one.id: one.status for one in await s.interactions.history()} == {
        first.id: "answered", second.id: "pending"
    }  # fmt: skip
    mine = await hold.as_principal(user="ada").sessions.get("s")
    assert mine is not None
    assert await mine.interactions.pending_count() == 1
    await hold.sessions.delete("s")
    await hold.sessions.create(id="s")
    for call in (s.interactions.pending(), s.interactions.history()):
        with pytest.raises(NotFound):
            await call


async def test_no_old_answer_of_a_cache_hides_that_of_a_person(tmp_path: Path) -> None:
    """Where a cache is only bounded, and however long it may remember: what became of a question is seen at once."""
    stores = Stores("weakest", tmp_path)
    here, there = await stores.open(), await stores.open(config=Config(cache=CacheConfig(ttl="1h")))
    q = await (await there.runs.start("alone", id="r")).ask("Pay?")
    for _ in range(2):
        assert (await q.refresh()).status == "pending"
    await here.interactions.answer(q.id, "approved")
    assert (await q.refresh()).status == "answered"
    await stores.close()
