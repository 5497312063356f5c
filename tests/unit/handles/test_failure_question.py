"""Questions that decide what becomes of a node without tries left."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast import Config, Holdfast, Session
from holdfast.model.config import InteractionsConfig
from holdfast.model.node import NodeStatus
from holdfast.model.node_spec import NodeSpec, Retry, ask
from holdfast.model.run import RunStatus
from holdfast.testing.clock import ManualClock
from tests.unit.stores import Stores


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s", user="ada")


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


@pytest.mark.parametrize("error", ["no money", ValueError("no money")])
async def test_a_run_that_fails_by_a_decision_tells_the_failure_and_who_decided(
    s: Session, clock: ManualClock, hold: Holdfast, error: object
) -> None:
    """Not only that somebody said no; and so where nobody said anything in time."""
    told = {"message": "no money"} if error == "no money" else {"type": "ValueError", "message": "no money"}
    for by in ("bo", None):
        run = await s.runs.start("w", nodes={"pay": NodeSpec(on_failure=ask("Again?", timeout="1h"))})
        await run.progress("pay", "failed", error=error)
        q = run.interactions.current
        assert q is not None
        if by:
            await run.answer("answered", value="fail", by=by)
        else:
            clock.advance(3600)
            await hold.sweep()
        decided = {"interaction": q.id, "by": by, "status": "answered" if by else "timed_out"}
        assert (await run.refresh()).error == {"node": "pay", "error": {**told, "decided": decided}}


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


OFF = "questions to people are turned off (interactions.enabled)"


def of(**interactions: Any) -> Config:
    return Config(interactions=InteractionsConfig(**interactions))


async def test_a_node_fails_for_good_where_nobody_may_be_asked(stores: Stores) -> None:
    """As without a question; its error says why none was asked."""
    hold = await stores.open(config=of(enabled=False))
    run = await hold.runs.start("w", id="r", nodes={"pay": NodeSpec(on_failure=ask()), "tell": ["pay"]})
    await run.progress("pay", "failed", error=ValueError("no money"))
    told = {"type": "ValueError", "message": "no money", "unasked": OFF}
    assert (run.status, run.nodes["pay"].status, run.nodes["pay"].error) == (RunStatus.FAILED, NodeStatus.FAILED, told)
    assert run.error["error"]["unasked"] == OFF
    assert await hold.interactions.history("r") == []
    nodes = {"pay": NodeSpec(on_failure=ask(), optional=True), "tell": []}
    run = await hold.runs.start("w", nodes=nodes)
    await run.progress("pay", "failed", error="no money")
    assert (run.status, run.nodes["pay"].status) == (RunStatus.RUNNING, NodeStatus.FAILED)
    assert run.nodes["pay"].error == {"message": "no money", "unasked": OFF}


async def test_a_node_fails_for_good_beyond_the_open_questions_that_there_may_be(stores: Stores) -> None:
    """Counting those of the same commit; and not by what was seen before another was answered."""
    hold = await stores.open(config=of(concurrent_max=2))
    spec = NodeSpec(on_failure=ask(), optional=True)
    run = await hold.runs.start("w", id="r", nodes=dict.fromkeys("abcd", spec))
    await run.ask("Go on?")
    await run.progress({name: {"status": "failed", "error": "no"} for name in "ab"})
    assert [run.nodes[name].status for name in "ab"] == [NodeStatus.PAUSED, NodeStatus.FAILED]
    assert run.nodes["b"].error["unasked"].startswith("2 questions of the run 'r' are open")
    [first, _] = await run.interactions.history()
    await hold.interactions.answer(first.id, "approved")
    await run.progress("c", "failed", error="no")
    assert (run.nodes["c"].status, run.interactions.pending_count) == (NodeStatus.PAUSED, 2)
    await run.progress("d", "failed", error="no")
    assert run.nodes["d"].status is NodeStatus.FAILED


async def test_a_failure_is_asked_about_for_as_long_as_every_question(stores: Stores) -> None:
    """Where it says nothing of its own."""
    hold = await stores.open(config=of(default_timeout="1h"))
    nodes = {"a": NodeSpec(on_failure=ask(on_timeout="skip")), "b": NodeSpec(on_failure=ask(timeout="2h"))}
    run = await hold.runs.start("w", nodes=nodes)
    await run.progress({name: {"status": "failed", "error": "no"} for name in nodes})
    lasts = [q.due_at - q.asked_at for q in run.interactions.pending if q.due_at is not None]
    assert [one.total_seconds() for one in lasts] == [3600, 7200]
    stores.clock.advance(3600)
    await hold.sweep()
    assert (await run.refresh()).nodes["a"].status is NodeStatus.SKIPPED
