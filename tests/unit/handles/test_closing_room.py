"""Room for the answer: what is asked can be closed, and what cannot holds up nobody else."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast import Config, Holdfast, Session
from holdfast.errors import TooLarge
from holdfast.model.config import Limits, SweepConfig
from holdfast.model.node import NodeStatus
from holdfast.model.node_spec import NodeSpec
from holdfast.model.node_spec import ask as asks
from holdfast.testing.clock import ManualClock
from tests.unit.stores import Stores

LARGE = "x" * 140_000
FITS = "x" * 100_000


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s", user="ada")


@pytest.mark.parametrize(
    "question",
    [
        lambda of: {"kind": "edit", "payload": of},
        lambda of: {"kind": "input", "default": of},
        lambda of: {"kind": "choice", "options": [of, "b"]},
        lambda of: {"kind": "input", "default": of, "on_timeout": "escalate", "escalate_to": ["bo"], "timeout": "1h"},
    ],
)
async def test_a_question_that_no_answer_could_close_is_not_asked(
    hold: Holdfast, s: Session, clock: ManualClock, question: Any
) -> None:
    """The answer repeats what was proposed: both together are judged when it is asked, and nothing is changed."""
    run = await s.runs.start("w", nodes=["a"])
    with pytest.raises(TooLarge, match="and its answer take") as refused:
        await run.ask("Well?", node="a", **question(LARGE))
    assert refused.value.facts["size"] > refused.value.facts["limit"]
    assert ((await run.refresh()).status, run.interactions.pending_count) == ("pending", 0)
    q = await run.ask("Well?", node="a", **question(FITS))
    if q.kind == "edit":
        await hold.interactions.answer(q.id, "approved", by="b" * 256)
    else:
        await hold.interactions.answer(q.id, "answered", value=FITS, by="bo")
    assert (await q.wait()).value == FITS


async def test_a_node_whose_error_is_too_large_to_ask_about_fails_and_says_so(s: Session) -> None:
    """Nothing may keep a node from failing."""
    run = await s.runs.start("w", nodes={"a": NodeSpec(on_failure=asks("Again?"))})
    await run.progress("a", "running")
    await run.progress("a", "failed", error={"message": "x" * 250_000})
    assert (run.nodes["a"].status, run.status) == (NodeStatus.FAILED, "failed")
    assert "and its answer take" in run.nodes["a"].error["unasked"]


async def test_one_question_that_cannot_be_timed_out_holds_up_no_other(stores: Stores, clock: ManualClock) -> None:
    """A sweep goes on to the end, whatever its budget, ends all the others, and then says what it could not."""
    whole = await stores.open()
    s = await whole.sessions.create(id="s")
    for _ in range(3):
        run = await s.runs.start("w", nodes=["a"])
        await run.ask("Well?", node="a", kind="edit", payload="x" * 10_000, timeout="1m", on_timeout="approve")
    clock.advance(10)
    fine = [await (await s.runs.start("w", nodes=["a"])).ask(f"{n}?", node="a", timeout="1m") for n in range(5)]
    narrow = await stores.open(config=Config(limits=Limits(value_bytes_max=5_000), sweep=SweepConfig(budget=2)))
    clock.advance(3600)
    with pytest.raises(TooLarge):
        await narrow.sweep()
    assert [(await q.refresh()).status for q in fine] == ["timed_out"] * 5
    assert (await whole.sweep()).timed_out == 3
