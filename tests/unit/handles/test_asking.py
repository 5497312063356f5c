"""Asking: the question, the pauses it makes, and what cannot be asked."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast import Config, Holdfast, NotFound, Session
from holdfast.errors import (
    Disabled,
    InvalidTransition,
    InvalidValue,
    LimitReached,
)
from holdfast.handles.run import Run
from holdfast.model.config import InteractionsConfig
from holdfast.model.node import NodeStatus
from holdfast.model.run import RunStatus
from holdfast.testing.clock import ManualClock
from tests.unit.handles.trip import again, trip
from tests.unit.stores import Stores


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s", user="ada")


@pytest.fixture
async def run(s: Session) -> Run:
    return await trip(s)


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


async def test_a_node_that_waits_for_an_answer_is_not_begun_by_who_saw_it_before(hold: Holdfast, s: Session) -> None:
    """Though the run goes on with another node, and whatever the node is told to be meanwhile."""
    run = await s.runs.start("trip", id="r", nodes={"pay": [], "other": []})
    old = await again(hold)
    q = await run.ask("Pay?", node="pay")
    for begin in (lambda: old.progress("pay", "running"), lambda: run.progress({"pay": "running"})):
        with pytest.raises(InvalidTransition, match="the node 'pay' waits for an answer to the question") as problem:
            await begin()
        assert problem.value.facts["interactions"] == (q.id,)
    await old.progress("other", "running")
    await hold.interactions.answer(q.id, "approved")
    await old.progress("pay", "running")
    assert (await again(hold)).nodes["pay"].status is NodeStatus.RUNNING


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


async def test_what_was_withdrawn_is_asked_anew(hold: Holdfast, run: Run) -> None:
    """However often, by whichever handle: another question, which is waited for; the withdrawn ones stay so."""
    asked = []
    for _ in range(3):
        q = await run.ask("Pay?", node="pay")
        assert (q.status, run.status, (await (await again(hold)).ask("Pay?", node="pay")).id) == (
            "pending",
            "paused",
            q.id,
        )
        await hold.interactions.cancel(q.id)
        asked.append(q.id)
    await run.refresh()
    last = await run.ask("Pay?", node="pay", key="first")
    await hold.interactions.answer(last.id, "approved")
    history = {one.id: one.status for one in await run.interactions.history()}
    assert history == {**dict.fromkeys(asked, "cancelled"), last.id: "answered"}


async def test_a_question_becomes_required_when_it_is_asked_so(hold: Holdfast, run: Run) -> None:
    """The same one; its node waits from then on, and goes on with the answer."""
    q = await run.ask("Pay?", node="pay", required=False, default="approved")
    asked = await run.ask("Pay?", node="pay", timeout="1h")
    assert (asked.id, asked.required, asked.due_at is None, asked.asked_at) == (q.id, True, False, q.asked_at)
    assert (run.status, (await run.ask("Pay?", node="pay", required=False)).required) == ("paused", True)
    await hold.interactions.answer(q.id, "rejected")
    await run.refresh()
    assert (run.status, run.ready_nodes(), run.interactions.pending_count) == ("pending", ["pay"], 0)


async def test_a_node_that_is_done_asks_nobody(run: Run) -> None:
    """Nobody could let it go on. What it asked before is told; a node that there is not is told by name."""
    await run.ask("Pay?", node="pay")
    await run.answer("approved")
    await run.progress("pay", "completed")
    assert (await run.ask("Pay?", node="pay")).status == "answered"
    for required in (True, False):
        with pytest.raises(InvalidTransition, match="the node 'pay' is completed"):
            await run.ask("Was 900 right?", node="pay", required=required)
    assert (run.status, run.interactions.pending_count) == ("running", 0)
    with pytest.raises(NotFound, match="no node 'zz'; it has search, pay"):
        await run.ask("?", node="zz")


async def test_a_question_goes_on_without_an_answer_that_is_not_required(run: Run) -> None:
    """Nothing is paused; its default counts, until somebody says otherwise."""
    q = await run.ask("Window seat?", kind="input", node="pay", default="aisle", required=False)
    assert (run.status, run.nodes["pay"].status) == (RunStatus.RUNNING, NodeStatus.RUNNING)
    answer = await q.wait()
    assert (answer.status, answer.value) == ("pending", "aisle")


@pytest.mark.parametrize(
    ("question", "given"),
    [
        ({"kind": "approval", "default": "approved"}, ("approved", None)),
        ({"kind": "input"}, ("answered", None)),
        ({"kind": "choice", "options": [1], "default": 1}, ("answered", 1)),
        ({"kind": "input", "on_timeout": "escalate", "escalate_to": "cy", "default": 3}, ("answered", 3)),
    ],
)
async def test_what_need_not_be_answered_ends_as_it_went_on(
    hold: Holdfast, run: Run, clock: ManualClock, question: Any, given: tuple[str, Any]
) -> None:
    """The default, before its time is over and after: nobody is told two stories."""
    q = await run.ask("Window seat?", node="pay", required=False, timeout="1h", **question)
    before = await q.wait()
    for _ in range(2):  # the first lets one escalate
        clock.advance(3600)
        await hold.sweep()
    after = await q.wait()
    assert (before.status, before.decision, before.value) == ("pending", *given)
    assert (after.status, after.decision, after.value) == ("timed_out", *given)
    assert (await run.refresh()).status is RunStatus.RUNNING


@pytest.mark.parametrize("word", ["fail", "approve", "reject"])
async def test_what_need_not_be_answered_is_not_said_to_end_otherwise(run: Run, word: Any) -> None:
    """Refused where it is asked."""
    with pytest.raises(InvalidValue, match="which a timeout does not change") as problem:
        await run.ask("Go on?", node="pay", required=False, on_timeout=word)
    assert problem.value.path == "on_timeout"


async def test_a_run_is_paused_once_nothing_else_of_it_can_go_on(s: Session) -> None:
    """The node at once, the run when the last of the others is done."""
    run = await s.runs.start("trip", nodes=["pay", "pack"])
    await run.progress({"pay": "running", "pack": "running"})
    await run.ask("Pay?", node="pay")
    assert (run.status, run.nodes["pay"].status) == (RunStatus.RUNNING, NodeStatus.PAUSED)
    await run.progress("pack", "completed")
    assert run.status is RunStatus.PAUSED


async def test_a_run_is_not_paused_by_who_did_not_see_an_answer(hold: Holdfast, stores: Stores, s: Session) -> None:
    """Another node has its answer by then, and goes on."""
    run = await s.runs.start("w", id="r", nodes=["a", "b", "c"])
    old = await again(await stores.open())
    q = await run.ask("?", node="c")
    await old.ask("?", node="b")
    await hold.interactions.answer(q.id, "approved")
    await old.ask("?", node="a")
    assert ((await run.refresh()).status, run.ready_nodes()) == ("pending", ["c"])


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
