"""Interactions: asking a person, waiting for the answer, answering once, and what becomes of the run."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from holdfast import Config, Conflict, Holdfast, NotFound, Session
from holdfast.errors import (
    AlreadyAnswered,
    Disabled,
    InteractionCancelled,
    InteractionExpired,
    InvalidTransition,
    InvalidValue,
    LimitReached,
    NotAssignee,
)
from holdfast.handles.run import Run
from holdfast.model.config import InteractionsConfig
from holdfast.model.node import NodeSpec, NodeStatus, Retry, ask
from holdfast.model.run import RunStatus
from holdfast.testing.clock import ManualClock, settle
from tests.unit.stores import Stores

TRIP: dict[str, Any] = {"search": [], "pay": ["search"]}


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s", user="ada")


@pytest.fixture
async def run(s: Session) -> Run:
    run = await s.runs.start("trip", id="r", nodes=TRIP)
    await run.progress({"search": "completed", "pay": "running"})
    return run


async def again(hold: Holdfast) -> Run:
    """The run as another process sees it."""
    found = await hold.runs.get("r")
    assert found is not None
    return found


# --- asking -----------------------------------------------------------------------------------------


async def test_asking_pauses_the_node_and_the_run_and_tells_followers_in_one_commit(s: Session, run: Run) -> None:
    """The question, both pauses, the entry in the event log and the changes have one number."""
    before = run.version
    q = await run.ask("Pay 900 €?", node="pay", assignees=["bo"], payload={"price": 900}, timeout="2h")
    assert (q.status, q.kind, q.payload, q.assignees) == ("pending", "approval", {"price": 900}, ("bo",))
    assert (run.status, run.nodes["pay"].status, run.version) == (RunStatus.PAUSED, NodeStatus.PAUSED, before + 1)
    assert run.pause_reason == "it waits for an answer"
    told = []
    async for change in s.changes(after="beginning"):
        told += [(change.kind, change.key, change.namespace)] if change.seq == run.version else []
        if len(told) == 4:
            break
    assert sorted(told[:3]) == [("interaction", q.id, "r"), ("run", "r", ""), ("run", "r", "pay")]
    assert told[3][0] == "event"
    [event] = (await s.events(types=["interaction"])).items
    assert event.data == {"interaction": q.id, "step": "asked", "run": "r", "node": "pay", "kind": "approval"}


async def test_asking_again_is_the_same_question_in_any_process(hold: Holdfast, run: Run) -> None:
    """By its key, or by all that is asked; with the answer, once it has one. Another round asks anew."""
    q = await run.ask("Pay?", node="pay")
    other = await again(hold)
    assert (await other.ask("Pay?", node="pay")).id == q.id
    assert (await other.ask("Pay more?", node="pay")).id != q.id
    keyed = await other.ask("Pay?", node="pay", key="first", payload=1)
    assert (await run.ask("Pay, please?", node="pay", key="first", payload=2)).payload == 1
    await hold.interactions.answer(q.id, "approved")
    answered = await run.ask("Pay?", node="pay")
    assert (answered.id, answered.answer is not None and answered.answer.approved) == (q.id, True)
    await hold.interactions.cancel(keyed.id)
    for one in (await hold.interactions.pending()).items:
        await hold.interactions.cancel(one.id)
    await run.refresh()
    await run.progress("pay", "completed")
    await run.progress("pay", "ready")
    assert (await run.ask("Pay?", node="pay")).id not in (q.id, keyed.id)


async def test_a_question_goes_on_without_an_answer_that_is_not_required(run: Run) -> None:
    """Nothing is paused; its default counts, until somebody says otherwise."""
    q = await run.ask("Window seat?", kind="input", node="pay", default="aisle", required=False)
    assert (run.status, run.nodes["pay"].status) == (RunStatus.RUNNING, NodeStatus.RUNNING)
    answer = await q.wait()
    assert (answer.status, answer.value) == ("pending", "aisle")


async def test_a_run_is_paused_once_nothing_else_of_it_can_go_on(s: Session) -> None:
    """The node at once, the run when the last of the others is done."""
    run = await s.runs.start("trip", nodes=["pay", "pack"])
    await run.progress({"pay": "running", "pack": "running"})
    await run.ask("Pay?", node="pay")
    assert (run.status, run.nodes["pay"].status) == (RunStatus.RUNNING, NodeStatus.PAUSED)
    await run.progress("pack", "completed")
    assert run.status is RunStatus.PAUSED


async def test_what_cannot_be_asked_is_refused_before_anything_is_stored(hold: Holdfast, run: Run) -> None:
    """Each with what is wrong."""
    for path, wrong in {
        "kind": {"kind": "vote"},
        "options": {"kind": "choice"},
        "schema": {"kind": "form"},
        "on_timeout": {"kind": "input", "on_timeout": "reject"},
        "escalate_to": {"on_timeout": "escalate"},
        "default": {"default": "yes"},
    }.items():
        with pytest.raises(InvalidValue) as problem:
            await run.ask("Pay?", **wrong)  # type: ignore[arg-type]
        assert problem.value.path == path
    with pytest.raises(InvalidValue, match="not a JSON Schema"):
        await run.ask("Pay?", kind="form", schema={"type": "number of seats"})
    with pytest.raises(NotFound):
        await run.ask("Pay?", node="nobody")
    await run.cancel()
    with pytest.raises(InvalidTransition, match="asks nobody any more"):
        await run.ask("Pay?")
    assert (await hold.interactions.pending()).items == ()


async def test_the_switches_of_the_configuration_work(stores: Stores, clock: ManualClock) -> None:
    """enabled, concurrent_max, default_timeout, keep_history."""
    off = await stores.open(config=Config(interactions=InteractionsConfig(enabled=False)))
    run = await off.runs.start("w", id="off")
    with pytest.raises(Disabled):
        await run.ask("Pay?")
    few = InteractionsConfig(concurrent_max=2, default_timeout="1h", keep_history=False)
    hold = await stores.open(config=Config(interactions=few))
    run = await hold.runs.start("w", id="few")
    first = await run.ask("1?")
    assert first.due_at is not None
    assert (first.due_at - first.asked_at).total_seconds() == 3600
    await run.ask("2?")
    with pytest.raises(LimitReached, match="concurrent_max is 2"):
        await run.ask("3?")
    await hold.interactions.answer(first.id, "approved")
    await run.ask("3?")
    await run.cancel()
    assert [one.status for one in await hold.interactions.history("few")] == ["cancelled", "cancelled"]


# --- answering --------------------------------------------------------------------------------------


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
    with pytest.raises(InvalidValue, match="is answered, not 'approved'"):
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
    """A node that waits for a person goes on waiting."""
    await run.ask("Pay?", node="pay")
    await run.resume()
    assert (run.status, run.nodes["pay"].status) == (RunStatus.PAUSED, NodeStatus.PAUSED)


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


# --- waiting ----------------------------------------------------------------------------------------


async def test_whoever_waits_gets_the_answer_from_another_process(stores: Stores, hold: Holdfast, run: Run) -> None:
    """And again after a restart; the run is as the answer left it."""
    q = await run.ask("Pay?", node="pay")
    waiting = asyncio.ensure_future(q.wait())
    await settle()
    other = await stores.open()
    answer = await other.interactions.answer(q.id, "approved", by="bo")
    assert await waiting == answer
    assert run.ready_nodes() == ["pay"]
    assert await (await (await again(other)).ask("Pay?", node="pay")).wait() == answer


async def test_waiting_ends_when_the_question_does(hold: Holdfast, s: Session, run: Run, clock: ManualClock) -> None:
    """Cancelled, its run ended, or its session deleted; or after as long as was said, and then it is open still."""
    q = await run.ask("Pay?", node="pay")
    waiting = asyncio.ensure_future(q.wait(timeout="1s"))
    await settle()
    await clock.elapse(2)
    with pytest.raises(TimeoutError):
        await waiting
    waiting = asyncio.ensure_future(q.wait())
    await settle()
    await hold.interactions.cancel(q.id)
    with pytest.raises(InteractionCancelled):
        await waiting
    with pytest.raises(InteractionCancelled):
        await hold.interactions.answer(q.id, "approved")
    second = await run.ask("Pay 2?", node="pay")
    await run.cancel()
    with pytest.raises(InteractionCancelled):
        await second.wait()
    third = await (await s.runs.start("w")).ask("Go on?")
    waiting = asyncio.ensure_future(third.wait())
    await settle()
    await hold.sessions.delete("s")
    with pytest.raises(InteractionCancelled, match="session is gone"):
        await waiting


async def test_asking_gives_the_run_back_and_waiting_takes_it_again(hold: Holdfast, s: Session) -> None:
    """Anybody may work on the run meanwhile; a node that asks inside its block is completed by it."""
    run = await s.runs.start("trip", id="r", nodes=["pay"])
    async with run.claim(worker="w1") as mine:
        before = mine.token
        async with run.node("pay") as node:
            q = await run.ask("Pay?", node="pay")
            async with (await again(hold)).claim(worker="w2", busy="reject"):
                pass
            await hold.interactions.answer(q.id, "approved")
            node.output = (await q.wait()).decision
            assert mine.token > before
        assert (run.nodes["pay"].status, run.nodes["pay"].output) == (NodeStatus.COMPLETED, "approved")
        await run.complete()
    assert (await again(hold)).status is RunStatus.COMPLETED


# --- timeouts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "decision", "value", "node", "status"),
    [
        ({}, "rejected", None, NodeStatus.READY, RunStatus.PENDING),
        ({"on_timeout": "approve"}, "approved", None, NodeStatus.READY, RunStatus.PENDING),
        ({"kind": "input", "default": 3}, "answered", 3, NodeStatus.READY, RunStatus.PENDING),
        ({"kind": "input"}, "failed", None, NodeStatus.FAILED, RunStatus.FAILED),
    ],
)
async def test_a_sweep_times_questions_out(
    hold: Holdfast, run: Run, clock: ManualClock, question: Any, decision: str, value: Any, node: Any, status: Any
) -> None:
    """By the clock, as was said; whoever waits gets what counts, and an answer is too late."""
    q = await run.ask("Pay?", node="pay", timeout="1h", **question)
    clock.advance(3599)
    assert (await hold.sweep()).timed_out == 0
    clock.advance(1)
    assert (await hold.sweep(dry_run=True)).timed_out == 1
    assert (await hold.sweep()).timed_out == 1
    answer = await q.wait()
    assert (answer.status, answer.decision, answer.value) == ("timed_out", decision, value)
    assert (run.nodes["pay"].status, run.status) == (node, status)
    with pytest.raises(InteractionExpired):
        await hold.interactions.answer(q.id, "approved" if q.kind == "approval" else "answered")


async def test_whoever_waits_fires_the_timeout_and_so_does_an_answer_that_is_late(
    hold: Holdfast, run: Run, clock: ManualClock
) -> None:
    """No sweeper is needed; and that an answer was late stays so, if the clock is set back."""
    q = await run.ask("Pay?", node="pay", timeout="1m")
    waiting = asyncio.ensure_future(q.wait())
    await settle()
    await clock.elapse(60)
    assert (await waiting).status == "timed_out"
    late = await run.ask("Pay now?", node="pay", timeout="1m")
    clock.advance(61)
    with pytest.raises(InteractionExpired):
        await hold.interactions.answer(late.id, "approved")
    clock.jump(-3600)
    with pytest.raises(InteractionExpired):
        await hold.interactions.answer(late.id, "approved")
    assert (await late.wait()).decision == "rejected"


async def test_a_clock_that_leaps_times_nothing_out_twice(hold: Holdfast, run: Run, clock: ManualClock) -> None:
    """Forward: at the next look. Back: not before its time."""
    q = await run.ask("Pay?", node="pay", timeout="1h")
    waiting = asyncio.ensure_future(q.wait())
    await settle()
    clock.jump(-7200)
    await clock.elapse(10)
    assert (await hold.sweep()).timed_out == 0
    assert not waiting.done()
    clock.jump(7200 + 3600)
    await clock.elapse(10)
    assert (await waiting).status == "timed_out"
    assert (await hold.sweep()).timed_out == 0


async def test_a_question_escalates_to_somebody_else_for_as_long_again(
    hold: Holdfast, run: Run, clock: ManualClock
) -> None:
    """It stays open; who had it may answer no more; after that it ends as its kind does."""
    q = await run.ask("Pay?", node="pay", timeout="1h", assignees=["bo"], on_timeout="escalate", escalate_to=["cy"])
    clock.advance(3600)
    await hold.sweep()
    [mine] = (await hold.interactions.pending(assignee="cy")).items
    assert (mine.id, mine.status, (await hold.interactions.pending(assignee="bo")).items) == (q.id, "pending", ())
    with pytest.raises(NotAssignee):
        await hold.interactions.answer(q.id, "approved", by="bo")
    clock.advance(3600)
    await hold.sweep()
    assert (await q.wait()).decision == "rejected"


# --- a node that failed -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "node", "status"),
    [
        ("retry", NodeStatus.READY, RunStatus.PENDING),
        ("skip", NodeStatus.SKIPPED, RunStatus.PENDING),
        ("fail", NodeStatus.FAILED, RunStatus.FAILED),
    ],
)
async def test_a_person_decides_what_becomes_of_a_node_without_tries_left(
    hold: Holdfast, s: Session, value: str, node: NodeStatus, status: RunStatus
) -> None:
    """Asked in the commit of the failure; retried, it has all its tries, and may ask again."""
    spec = NodeSpec(retry=Retry(1, delay="1ms"), on_failure=ask("Card declined", assignees=["bo"]))
    run = await s.runs.start("w", id="r", nodes={"pay": spec})
    for _ in range(2):
        await run.progress({"pay": "running"})
        await run.progress("pay", "failed", error="no money")
    assert (run.status, run.nodes["pay"].status) == (RunStatus.PAUSED, NodeStatus.PAUSED)
    q = run.interactions.current
    assert q is not None
    assert (q.prompt, q.options, q.payload["error"]) == ("Card declined", ["retry", "skip", "fail"], "no money")
    await run.answer("answered", value=value, by="bo")
    assert (run.status, run.nodes["pay"].status) == (status, node)
    if value == "retry":
        await run.progress("pay", "running")
        assert run.nodes["pay"].attempt == 1


async def test_nobody_decides_in_time_about_a_node_that_failed(s: Session, hold: Holdfast, clock: ManualClock) -> None:
    """Then what was said for that holds."""
    spec = NodeSpec(on_failure=ask(timeout="1h", on_timeout="skip"))
    run = await s.runs.start("w", nodes={"pay": spec, "tell": ["pay"]})
    await run.progress("pay", "failed", error="no money")
    clock.advance(3600)
    await hold.sweep()
    await run.refresh()
    assert (run.status, run.nodes["pay"].status, run.is_done) == (RunStatus.PENDING, NodeStatus.SKIPPED, True)


async def test_a_session_outlives_its_ttl_while_a_question_may_be_answered(hold: Holdfast, clock: ManualClock) -> None:
    """Its own deadline would have passed long before."""
    s = await hold.sessions.create(ttl="1h")
    q = await (await s.runs.start("w")).ask("Pay?", timeout="12h")
    clock.advance(11.5 * 3600)
    await hold.sweep()
    assert (await hold.interactions.answer(q.id, "approved")).approved


# --- finding ----------------------------------------------------------------------------------------


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
