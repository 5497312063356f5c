"""Questions that decide what becomes of a node without tries left."""

from __future__ import annotations

import pytest

from holdfast import Holdfast, Session
from holdfast.model.node import NodeSpec, NodeStatus, Retry, ask
from holdfast.model.run import RunStatus
from holdfast.testing.clock import ManualClock


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
