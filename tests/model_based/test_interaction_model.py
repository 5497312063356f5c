"""Questions against a model in plain Python: asked, asked again, answered by the right and the wrong people, withdrawn,
given to others and timed out, by two openings, with a clock that is set forward and back."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from holdfast import Holdfast
from holdfast.errors import (
    AlreadyAnswered,
    InteractionCancelled,
    InteractionExpired,
    InvalidTransition,
    NotAssignee,
)
from holdfast.handles.run import Run
from holdfast.model.node import DONE, NodeSpec, Retry
from tests.unit.stores import Stores

T = TypeVar("T")

NODES = ("a", "b")
WHO = st.integers(0, 1)
PEOPLE = st.sampled_from(["bo", "ed"])
HOUR = 3600


class Asked:
    """What a question should be."""

    def __init__(self, id: str, key: str, node: str, due_s: float) -> None:
        self.id, self.key, self.node, self.due_s = id, key, node, due_s
        self.assignee = "bo"
        self.became = "pending"


class Questions(RuleBasedStateMachine):
    """One run with two nodes, two openings, and what each question should be."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.stores = Stores("memory", Path())
        self.asked: dict[str, Asked] = {}
        self.now_s = 0.0

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(work, 10))

    @initialize()
    def begin(self) -> None:
        self.holds: list[Holdfast] = [self.do(self.stores.open()), self.do(self.stores.open())]
        specs = {"a": NodeSpec(optional=True, retry=Retry(2, delay="1ms")), "b": NodeSpec(optional=True)}
        self.do(self.holds[0].runs.start("w", id="r", nodes=specs))

    def run_of(self, who: int) -> Run:
        found = self.do(self.holds[who].runs.get("r"))
        assert found is not None
        return found

    @rule(who=WHO, node=st.sampled_from(NODES), number=st.integers(0, 2))
    def ask(self, who: int, node: str, number: int) -> None:
        """The same question is the same question, whoever asks, and whatever became of it; unless it was withdrawn. A
        node that is done asks nobody."""
        run = self.run_of(who)
        key = f"{node}{number} of {run.nodes[node].round}"
        same = [one for one in self.asked.values() if one.key == key and one.became != "cancelled"]
        try:
            q = self.do(run.ask("Pay?", node=node, key=key, timeout="1h", assignees=["bo"]))
        except InvalidTransition:
            assert run.nodes[node].status in DONE
            assert not same
            return
        assert [one.id for one in same] in ([], [q.id])
        known = self.asked.setdefault(q.id, Asked(q.id, key, node, self.now_s + HOUR))
        assert told(q.status, q.answer) == known.became

    @rule(who=WHO, number=st.integers(0, 5), by=PEOPLE, yes=st.booleans())
    def answer(self, who: int, number: int, by: str, yes: bool) -> None:
        """By whoever may, in time, and once; the same answer again is the first one."""
        known = self.pick(number)
        if known is None:
            return
        word, due = ("approved" if yes else "rejected"), known.due_s <= self.now_s
        mine = f"answered {word} {by}"
        before = known.became
        try:
            self.do(self.holds[who].interactions.answer(known.id, word, by=by))
            assert before == mine or (before == "pending" and by == known.assignee and not due)
            known.became = mine
        except AlreadyAnswered:
            assert before.startswith("answered")
            assert before != mine
        except InteractionCancelled:
            assert before == "cancelled"
        except InteractionExpired:
            assert before == "timed_out rejected None" or (before == "pending" and due)
            known.became = "timed_out rejected None"
        except NotAssignee:
            assert (before, due) == ("pending", False)
            assert by != known.assignee

    @rule(who=WHO, number=st.integers(0, 5))
    def cancel(self, who: int, number: int) -> None:
        """What has no answer may be withdrawn, more than once."""
        known = self.pick(number)
        if known is None:
            return
        try:
            self.do(self.holds[who].interactions.cancel(known.id))
            assert known.became in ("pending", "cancelled")
            known.became = "cancelled"
        except (AlreadyAnswered, InteractionExpired):
            assert known.became.startswith(("answered", "timed_out"))

    @rule(who=WHO, number=st.integers(0, 5), to=PEOPLE)
    def reassign(self, who: int, number: int, to: str) -> None:
        """What is open may be given to somebody else."""
        known = self.pick(number)
        if known is None:
            return
        try:
            self.do(self.holds[who].interactions.reassign(known.id, to=to))
            assert known.became == "pending"
            known.assignee = to
        except (AlreadyAnswered, InteractionCancelled, InteractionExpired):
            assert known.became != "pending"

    @rule(seconds=st.sampled_from([60, HOUR, -60, -HOUR]))
    def set_the_clock(self, seconds: int) -> None:
        """The wall, forward or back."""
        self.stores.clock.jump(seconds)
        self.now_s += seconds

    @rule(who=WHO)
    def sweep(self, who: int) -> None:
        """What is due is timed out, and nothing else."""
        due = [known for known in self.asked.values() if known.became == "pending" and known.due_s <= self.now_s]
        assert self.do(self.holds[who].sweep()).timed_out == len(due)
        for known in due:
            known.became = "timed_out rejected None"

    @rule(who=WHO, node=st.sampled_from(NODES), to=st.sampled_from(["running", "ready", "failed", *DONE]))
    def go_on(self, who: int, node: str, to: str) -> None:
        """What goes on without the answers that it waits for withdraws them; a try that begins or fails does not."""
        run = self.run_of(who)
        try:
            self.do(run.progress(node, to))
        except InvalidTransition:
            return
        if run.nodes[node].status in ("completed", "skipped", "failed") or to == "ready":
            for known in self.asked.values():
                if known.node == node and known.became == "pending":
                    known.became = "cancelled"

    @rule(who=WHO)
    def resume(self, who: int) -> None:
        """Nothing is answered by that."""
        try:
            self.do(self.run_of(who).resume())
        except InvalidTransition:
            assert self.run_of(who).status != "paused"

    def pick(self, number: int) -> Asked | None:
        known = [*self.asked.values()]
        return known[number % len(known)] if known else None

    @invariant()
    def it_is_as_it_should_be(self) -> None:
        """Every question, the nodes that wait for them, and the run."""
        if not hasattr(self, "holds"):
            return
        run = self.run_of(0)
        kept = {one.id: told(one.status, one.answer) for one in self.do(run.interactions.history())}
        assert kept == {known.id: known.became for known in self.asked.values()}
        waits = {known.node for known in self.asked.values() if known.became == "pending"}
        runs = {name for name, node in run.nodes.items() if node.status == "running"}
        assert {name for name, node in run.nodes.items() if node.status == "paused"} == waits - runs
        done = {name for name, node in run.nodes.items() if node.status in DONE}
        assert (run.status == "paused") == bool(waits and waits - runs == set(NODES) - done)
        assert len(self.do(self.holds[1].interactions.pending()).items) == run.interactions.pending_count

    def teardown(self) -> None:
        self.do(self.stores.close())
        self.loop.close()


def told(status: str, answer: Any) -> str:
    return f"{status} {answer.decision} {answer.by}" if answer is not None else str(status)


def test_questions_become_what_a_model_says() -> None:
    """Whatever is done to them, in whichever order, by whichever opening."""
    quick = settings(
        max_examples=12, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    run_state_machine_as_test(Questions, settings=quick)
