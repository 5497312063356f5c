"""What a restore makes of questions: none that was answered is open again, no node waits for one that is not there."""

from __future__ import annotations

import pytest

from holdfast import Holdfast, NodeSpec, Session, ask
from holdfast.errors import InteractionCancelled
from holdfast.handles.run import Run
from tests.unit.stores import Stores


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s")


async def waiting(s: Session) -> Run:
    """A run about to ask."""
    run = await s.runs.start("trip", id="r", nodes={"search": [], "pay": ["search"]})
    await run.progress({"search": "completed", "pay": "running"})
    return run


async def test_a_question_that_was_asked_since_is_withdrawn_and_may_be_asked_again(hold: Holdfast, s: Session) -> None:
    """Whoever waits is told; nobody finds it among what is to be answered."""
    run = await waiting(s)
    first = await s.checkpoint()
    q = await run.ask("Pay?", node="pay")
    undo = await s.restore(first.id)
    with pytest.raises(InteractionCancelled):
        await q.wait()
    assert (await hold.interactions.pending(session="s")).items == ()
    [told] = (await s.events(types=["checkpoint_restored"])).items
    assert told.data["withdrawn"] == [q.id]
    await run.refresh()
    assert (run.status, run.nodes["pay"].status) == ("running", "running")
    await s.restore(undo.id)  # of a question that is gone nobody knows whether it was answered: its run is to ask again
    await run.refresh()
    assert (run.status, run.ready_nodes()) == ("pending", ["pay"])
    await run.progress("pay", "running")
    assert (await run.ask("Pay?", node="pay")).status == "pending"


async def test_one_that_was_answered_since_is_never_open_again(hold: Holdfast, s: Session) -> None:
    """What waited for it then goes on, and is given the same answer."""
    run = await waiting(s)
    q = await run.ask("Pay?", node="pay")
    first = await s.checkpoint()
    await hold.interactions.answer(q.id, "approved", by="bo")
    await s.restore(first.id)
    await run.refresh()
    assert (run.status, run.ready_nodes()) == ("pending", ["pay"])
    seen = await hold.interactions.get(q.id)
    assert seen is not None
    assert seen.status == "answered"
    await run.progress("pay", "running")
    assert (await run.ask_and_wait("Pay?", node="pay")).by == "bo"


async def test_one_that_is_open_still_stays_open(hold: Holdfast, s: Session) -> None:
    run = await waiting(s)
    q = await run.ask("Pay?", node="pay")
    first = await s.checkpoint()
    await s.state.set("n", 1)
    await s.restore(first.id)
    await hold.interactions.answer(q.id, "approved", by="bo")
    await run.refresh()
    assert (run.status, run.ready_nodes()) == ("pending", ["pay"])


async def test_the_questions_of_a_run_that_is_gone_by_it_come_back_with_it(hold: Holdfast, s: Session) -> None:
    first = await s.checkpoint()
    run = await waiting(s)
    q = await run.ask("Pay?", node="pay")
    await hold.interactions.answer(q.id, "rejected", by="bo")
    undo = await s.restore(first.id)
    assert await hold.interactions.get(q.id) is None
    await s.restore(undo.id)
    seen = await hold.interactions.get(q.id)
    assert seen is not None
    assert seen.status == "answered"


async def test_a_run_goes_on_where_one_of_its_questions_is_answered_and_another_is_open(
    hold: Holdfast, s: Session
) -> None:
    """The node that has its answer is ready; the other one waits, for a question that is there."""
    run = await s.runs.start("trip", nodes={"pay": [], "book": []})
    pay, book = await run.ask("Pay?", node="pay"), await run.ask("Book?", node="book")
    assert run.status == "paused"
    first = await s.checkpoint()
    await hold.interactions.answer(pay.id, "approved", by="bo")
    await s.restore(first.id)
    await run.refresh()
    assert (run.status, run.ready_nodes(), run.nodes["book"].status) == ("pending", ["pay"], "paused")
    await hold.interactions.answer(book.id, "approved", by="bo")
    assert (await run.refresh()).ready_nodes() == ["pay", "book"]


async def test_a_node_that_fails_again_asks_anew(hold: Holdfast, s: Session) -> None:
    """What was decided of a failure that a restore took back is not asked again, and stays in the history."""
    run = await s.runs.start("trip", nodes={"pay": NodeSpec(on_failure=ask("Again?"))})
    first = await s.checkpoint()
    await run.progress("pay", "failed", error="declined")
    [old] = run.interactions.pending
    await hold.interactions.answer(old.id, "answered", value="skip", by="bo")
    await s.restore(first.id)
    await run.refresh()
    await run.progress("pay", "failed", error="declined")
    [new] = run.interactions.pending
    assert new.id != old.id
    assert [one.status for one in await run.interactions.history()] == ["answered", "pending"]
    seen = await hold.interactions.get(old.id)
    assert seen is not None
    assert seen.answer is not None
    assert (seen.answer.value, seen.answer.by) == ("skip", "bo")


async def test_a_node_that_waited_for_a_decision_is_tried_again_and_asks_anew(hold: Holdfast, s: Session) -> None:
    """Whatever was decided meanwhile: a restore is there to try again."""
    run = await s.runs.start("trip", nodes={"pay": NodeSpec(on_failure=ask("Again?"))})
    await run.progress("pay", "failed", error="declined")
    [old] = run.interactions.pending
    first = await s.checkpoint()
    await hold.interactions.answer(old.id, "answered", value="fail", by="bo")
    assert (await run.refresh()).status == "failed"
    await s.restore(first.id)
    await run.refresh()
    assert (run.status, run.ready_nodes()) == ("pending", ["pay"])
    await run.progress("pay", "failed", error="declined again")
    assert [one.id for one in run.interactions.pending] != [old.id]
    assert len(await run.interactions.history()) == 2


async def test_one_that_was_withdrawn_or_timed_out_since_stays_so(stores: Stores, hold: Holdfast, s: Session) -> None:
    """It is never open again, and what waited for it goes on."""
    run = await s.runs.start("trip", nodes={"pay": [], "book": []})
    pay = await run.ask("Pay?", node="pay", timeout="1h", on_timeout="approve")
    book = await run.ask("Book?", node="book")
    first = await s.checkpoint()
    await hold.interactions.cancel(book.id)
    stores.clock.advance(3600)
    await hold.sweep()
    await s.restore(first.id)
    await run.refresh()
    assert (run.status, run.ready_nodes(), run.interactions.pending_count) == ("pending", ["pay", "book"], 0)
    statuses = {one.id: one.status for one in await run.interactions.history()}
    assert statuses == {pay.id: "timed_out", book.id: "cancelled"}
    assert (await hold.interactions.pending(session="s")).items == ()


async def test_one_that_was_asked_and_answered_since_keeps_its_answer(hold: Holdfast, s: Session) -> None:
    """Nobody is asked once more what they have answered: the run that comes to it again is given that answer."""
    run = await waiting(s)
    first = await s.checkpoint()
    q = await run.ask("Pay?", node="pay")
    await hold.interactions.answer(q.id, "rejected", by="bo", note="too dear")
    await s.restore(first.id)
    await run.refresh()
    assert (run.status, run.nodes["pay"].status) == ("running", "running")
    again = await run.ask_and_wait("Pay?", node="pay")
    assert (again.id, again.decision, again.note) == (q.id, "rejected", "too dear")
    assert (await run.refresh()).status == "running"
    assert (await run.ask("Pay less?", node="pay")).status == "pending"
    assert [one.prompt for one in await run.interactions.history()] == ["Pay?", "Pay less?"]
