"""Answering: once, by whoever may, by what was asked, and what it makes of the node and the run."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast import Conflict, Holdfast, HoldfastError, NotFound, Session
from holdfast.errors import (
    AlreadyAnswered,
    InteractionCancelled,
    InteractionExpired,
    InvalidTransition,
    InvalidValue,
    NotAssignee,
)
from holdfast.handles.interaction import Interaction
from holdfast.handles.run import Run
from holdfast.model.node import NodeStatus
from holdfast.model.run import RunStatus
from holdfast.testing.clock import ManualClock
from tests.unit.handles.trip import again, trip


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s", user="ada")


@pytest.fixture
async def run(s: Session) -> Run:
    return await trip(s)


async def test_an_answer_lets_the_node_go_on_and_the_run_be_taken_up(hold: Holdfast, s: Session, run: Run) -> None:
    """One commit, which says after which answer; the try that was under way is not counted twice."""
    q = await run.ask("Pay?", node="pay")
    answer = await hold.interactions.answer(q.id, "approved", by="bo", note="cheap", metadata={"via": "mail"})
    assert (answer.status, answer.approved, answer.by, answer.note, answer.metadata) == (
        "answered", True, "bo", "cheap", {"via": "mail"}
    )  # fmt: skip
    seen = await again(hold)
    assert (seen.status, seen.ready_nodes()) == (RunStatus.PENDING, ["pay"])
    async for change in s.changes(after="beginning", kinds={"interaction"}):
        if change.value["status"] == "answered":
            assert (change.cause.answer, change.by) == (q.id, "bo")
            break
    await seen.progress("pay", "running")
    assert seen.nodes["pay"].attempt == 1
    assert (await q.wait()) == answer


async def test_a_question_is_answered_once(hold: Holdfast, run: Run) -> None:
    """The same answer again, or the same request again, returns the first; another one is refused."""
    q = await run.ask("Pay?", node="pay")
    first = await hold.interactions.answer(q.id, "approved", by="bo", idempotency_key="k1")
    assert await hold.interactions.answer(q.id, "approved", by="bo", note="again") == first
    assert await hold.interactions.answer(q.id, "rejected", by="ed", idempotency_key="k1") == first
    with pytest.raises(AlreadyAnswered) as problem:
        await hold.interactions.answer(q.id, "rejected", by="bo")
    assert problem.value.answer == "approved"
    with pytest.raises(AlreadyAnswered):
        await hold.interactions.cancel(q.id)


async def test_answers_are_judged_by_what_was_asked(hold: Holdfast, run: Run) -> None:
    """Options, a schema, who may, and the digest of what was shown."""
    choice = await run.ask("Which?", kind="choice", options=["train", 1], assignees="bo")
    for value in ("boat", True, None):
        with pytest.raises(InvalidValue, match="none of the options"):
            await hold.interactions.answer(choice.id, "answered", value=value, by="bo")
    with pytest.raises(NotAssignee, match="for bo to answer, not for 'ed'"):
        await hold.interactions.answer(choice.id, "answered", value=1, by="ed")
    with pytest.raises(InvalidValue, match="must be \"answered\" with a value, not 'approved'"):
        await hold.interactions.answer(choice.id, "approved", by="bo")
    with pytest.raises(Conflict, match="what was shown is not what"):
        await hold.interactions.answer(choice.id, "answered", value=1, by="bo", digest="0" * 64)
    answer = await hold.interactions.answer(choice.id, "answered", value=1, by="bo", digest=choice.digest)
    assert answer.value == 1
    schema = {"type": "object", "properties": {"seats": {"type": "integer"}}, "required": ["seats"]}
    form = await run.ask("Details?", kind="form", schema=schema)
    with pytest.raises(InvalidValue) as problem:
        await hold.interactions.answer(form.id, "answered", value={"seats": "two"})
    assert problem.value.path == "value.seats"
    assert (await hold.interactions.answer(form.id, "answered", value={"seats": 2})).value == {"seats": 2}


async def test_answers_are_judged_in_one_order(hold: Holdfast, run: Run, clock: ManualClock) -> None:
    """Whether the question is there, its status, its time, who answers, what was shown, and only then the answer: one
    that is wrong in every way is told the first, and mended to be told the next."""
    wrong: dict[str, Any] = {"decision": "approved", "value": "boat", "by": "ed", "digest": "0" * 64}

    async def asked(n: int) -> Interaction:
        return await run.ask(f"{n}?", kind="choice", options=["train"], default="train", assignees="bo", timeout="1h")

    async def told(id: str, **mended: Any) -> type[HoldfastError]:
        with pytest.raises(HoldfastError) as problem:
            await hold.interactions.answer(id, **{**wrong, **mended})
        return problem.type

    assert await told("nowhere") is NotFound
    answered, cancelled, open = await asked(1), await asked(2), await asked(3)
    await hold.interactions.answer(answered.id, "answered", value="train", by="bo")
    await hold.interactions.cancel(cancelled.id)
    assert await told(answered.id) is AlreadyAnswered
    assert await told(answered.id, by="bo", value="train") is AlreadyAnswered  # which is approved by nobody
    assert await told(cancelled.id) is InteractionCancelled
    assert await told(open.id) is NotAssignee
    assert await told(open.id, by="bo") is Conflict
    assert await told(open.id, by="bo", digest=None) is InvalidValue
    assert await told(open.id, by="bo", digest=None, decision="answered") is InvalidValue
    clock.advance(3600)
    assert await told(open.id) is InteractionExpired
    assert await told(open.id) is InteractionExpired
    kept = await hold.interactions.get(open.id)
    assert kept is not None
    assert kept.status == "timed_out"


async def test_a_principal_who_names_another_is_told_so_only_of_an_open_question(hold: Holdfast, run: Run) -> None:
    """Its place is that of who answers; and nobody is given the answer of another as their own."""
    ada = hold.as_principal(user="ada")
    q = await run.ask("Pay?", node="pay")
    with pytest.raises(NotAssignee, match="in their own name"):
        await ada.interactions.answer(q.id, "maybe", by="bo")
    await hold.interactions.answer(q.id, "approved", by="bo")
    with pytest.raises(AlreadyAnswered):
        await ada.interactions.answer(q.id, "approved", by="bo")


async def test_an_edit_is_approved_with_what_was_proposed_or_changed(hold: Holdfast, run: Run) -> None:
    """The value is what holds in the end."""
    same = await run.ask("Send?", kind="edit", payload={"text": "hi"})
    assert (await hold.interactions.answer(same.id, "approved")).value == {"text": "hi"}
    changed = await run.ask("Send that?", kind="edit", payload={"text": "hi"})
    assert (await hold.interactions.answer(changed.id, "approved", value={"text": "hello"})).value == {"text": "hello"}
    rejected = await run.ask("Send it?", kind="edit", payload={"text": "hi"})
    assert (await hold.interactions.answer(rejected.id, "rejected")).value is None


async def test_the_run_carries_on_with_the_questions_that_are_answered(hold: Holdfast, s: Session) -> None:
    """Answers merge: each lets its own node go on, and the others wait."""
    run = await s.runs.start("trip", id="r", nodes=["hotel", "train"])
    hotel, train = await run.ask("Hotel?", node="hotel"), await run.ask("Train?", node="train")
    assert run.status is RunStatus.PAUSED
    await hold.interactions.answer(train.id, "approved")
    seen = await again(hold)
    assert (seen.status, seen.ready_nodes(), seen.interactions.pending_count) == (RunStatus.PENDING, ["train"], 1)
    await seen.progress("train", "completed")
    assert seen.status is RunStatus.PAUSED
    await hold.interactions.answer(hotel.id, "rejected")
    assert (await seen.refresh()).ready_nodes() == ["hotel"]


async def test_a_node_goes_on_when_its_last_question_is_answered(hold: Holdfast, run: Run) -> None:
    """Not before; and what somebody paused by hand stays paused."""
    one, two = await run.ask("One?", node="pay"), await run.ask("Two?", node="pay")
    await hold.interactions.answer(one.id, "approved")
    assert (await run.refresh()).nodes["pay"].status is NodeStatus.PAUSED
    await run.pause("by Bo")
    await hold.interactions.answer(two.id, "approved")
    assert ((await run.refresh()).status, run.nodes["pay"].status) == (RunStatus.PAUSED, NodeStatus.READY)
    await run.resume()
    assert run.ready_nodes() == ["pay"]


async def test_resuming_does_not_answer(run: Run) -> None:
    """A node that waits for a person goes on waiting, and nothing is written."""
    await run.ask("Pay?", node="pay")
    version = run.version
    await run.resume()
    assert (run.status, run.nodes["pay"].status) == (RunStatus.PAUSED, NodeStatus.PAUSED)
    assert (await run.refresh()).version == version


async def test_what_waits_for_an_answer_says_for_which(s: Session, run: Run) -> None:
    """The run and the node name the question, and how to answer it."""
    q = await run.ask("Pay?", node="pay")
    for begin in (run.progress("search", "ready"), run.step("call", list), run.atomic_step("call").__aenter__()):
        with pytest.raises(InvalidTransition, match=f"waits for an answer to the question {q.id}") as refused:
            await begin
        assert f"answer('{q.id}', …)" in refused.value.remedy
    other = await s.runs.start("w", nodes=["gate", "free"])
    q = await other.ask("May it begin?", node="gate")
    with pytest.raises(InvalidTransition, match=f"the node 'gate' waits for an answer to the question {q.id}"):
        await other.progress("gate", "running")
    await other.answer("approved")
    await other.progress("gate", "running")


async def test_the_run_itself_answers_when_exactly_one_question_is_open(run: Run) -> None:
    """None and several are refused, and say so."""
    with pytest.raises(InvalidTransition, match="no question"):
        await run.answer("approved")
    q = await run.ask("Pay?", node="pay")
    assert run.interactions.current is not None
    assert run.interactions.current.id == q.id
    assert (await run.answer("approved", by="bo")).id == q.id
    assert run.ready_nodes() == ["pay"]
    await run.ask("a?")
    await run.ask("b?")
    with pytest.raises(Conflict, match="2 questions"):
        await run.answer("approved")
    assert [one.status for one in await run.interactions.history()] == ["answered", "pending", "pending"]
