"""Questions against a model in plain Python: of every kind, asked and asked again, answered rightly and wrongly by the
right and the wrong people, withdrawn, given to others, escalated and timed out, several for one node and one about its
failure, by two openings, with a clock that is set forward and back."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from holdfast import Holdfast
from holdfast.errors import (
    AlreadyAnswered,
    HoldfastError,
    InteractionCancelled,
    InteractionExpired,
    InvalidTransition,
    InvalidValue,
    NotAssignee,
)
from holdfast.handles.interaction import Interaction
from holdfast.handles.run import Run
from holdfast.model.node import NodeStatus
from holdfast.model.node_spec import NodeSpec, ask
from tests.unit.stores import Stores

T = TypeVar("T")

NODES = ("a", "b")
FAILS = "f"
WHO = st.integers(0, 1)
PICK = st.integers(0, 30)
PEOPLE = st.sampled_from(["bo", "ed", "cy"])
HOUR = 3600

Said = tuple[str, Any]
"""A decision and the value that comes with it."""


class Kind(NamedTuple):
    """A way to ask: the words of it, what may be answered and what may not, and what counts when nobody does."""

    words: dict[str, Any]
    right: list[Said]
    wrong: list[Said]
    after: Said


TEXT, OTHER = {"text": "hi"}, {"text": "hello"}
SEATS = {"type": "object", "properties": {"seats": {"type": "integer"}}, "required": ["seats"]}
YES, NO, MAYBE = ("approved", None), ("rejected", None), ("answered", "maybe")

KINDS = {
    "approval": Kind({"on_timeout": "approve"}, [YES, NO], [MAYBE, ("approved", 1)], YES),
    "choice": Kind(
        {"kind": "choice", "options": ["x", 2], "default": "x"},
        [("answered", "x"), ("answered", 2)], [("answered", True), YES], ("answered", "x"),
    ),
    "form": Kind(
        {"kind": "form", "schema": SEATS, "default": {"seats": 1}},
        [("answered", {"seats": 2})], [("answered", {"seats": "two"}), NO], ("answered", {"seats": 1}),
    ),
    "edit": Kind(
        {"kind": "edit", "payload": TEXT}, [("approved", TEXT), ("approved", OTHER), NO], [("rejected", OTHER)], NO
    ),
    "escalates": Kind({"on_timeout": "escalate", "escalate_to": ["cy"]}, [YES, NO], [MAYBE], NO),
    "optional": Kind(
        {"kind": "input", "required": False, "default": "aisle"}, [("answered", "window")], [YES], ("answered", "aisle")
    ),
}  # fmt: skip
FAILURE = Kind({}, [("answered", word) for word in ("retry", "skip", "fail")], [NO], ("answered", "skip"))


class Asked:
    """What a question should be."""

    def __init__(self, id: str, kind: Kind, node: str, due_s: float) -> None:
        self.id, self.kind, self.node, self.due_s = id, kind, node, due_s
        self.assignee = "bo"
        self.escalates = "escalate_to" in kind.words
        self.required = kind.words.get("required", True)
        self.became: tuple[Any, ...] = ("pending",)

    @property
    def is_open(self) -> bool:
        return self.became == ("pending",)

    def time_out(self, now_s: float) -> None:
        if self.escalates:
            self.escalates, self.assignee, self.due_s = False, "cy", now_s + HOUR
        else:
            self.became = ("timed_out", *self.kind.after, None)

    def refusal(self, said: Said, by: str, now_s: float) -> type[HoldfastError] | None:
        """What becomes of an answer: the first reason there is to refuse it."""
        if self.became[0] == "answered":
            return None if self.became[1:] == (*said, by) else AlreadyAnswered
        if self.became[0] == "cancelled":
            return InteractionCancelled
        is_due = self.due_s <= now_s
        if self.became[0] == "timed_out" or (is_due and not self.escalates):
            return InteractionExpired
        if by != ("cy" if is_due else self.assignee):  # from then on it is for whom it escalates to
            return NotAssignee
        return None if said in self.kind.right and type(said[1]) is not bool else InvalidValue


class Questions(RuleBasedStateMachine):
    """One run with two nodes that ask and one that fails, two openings, and what each question should be."""

    backend = "memory"

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = TemporaryDirectory()
        self.stores = Stores(self.backend, Path(self.folder.name))
        self.asked: dict[str, Asked] = {}
        self.failing = NodeStatus.READY
        self.now_s = 0.0

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(work, 20))

    @initialize()
    def begin(self) -> None:
        self.holds: list[Holdfast] = [self.do(self.stores.open()), self.do(self.stores.open())]
        spec = NodeSpec(on_failure=ask(timeout="1h", on_timeout="skip", assignees=["bo"]), optional=True)
        self.do(self.holds[0].runs.start("w", id="r", nodes={"a": [], "b": [], FAILS: spec}))

    def run_of(self, who: int) -> Run:
        found = self.do(self.holds[who].runs.get("r"))
        assert found is not None
        return found

    @rule(who=WHO, node=st.sampled_from(NODES), name=st.sampled_from([*KINDS]))
    def ask(self, who: int, node: str, name: str) -> None:
        """The same question is the same question, whoever asks, and whatever became of it; unless it was withdrawn."""
        key, run = f"{node}{name}", self.run_of(who)
        if key in self.asked and self.asked[key].became == ("cancelled",):
            withdrawn = self.asked.pop(key)
            self.asked[withdrawn.id] = withdrawn
        words: dict[str, Any] = {"timeout": "1h", "assignees": ["bo"], **KINDS[name].words}
        q = self.do(run.ask("Well?", node=node, key=key, **words))
        known = self.asked.setdefault(key, Asked(q.id, KINDS[name], node, self.now_s + HOUR))
        assert (q.id, told(q)) == (known.id, known.became)

    @rule(who=WHO)
    def fail(self, who: int) -> None:
        """A node without tries left asks what becomes of it."""
        run = self.run_of(who)
        if self.failing is not NodeStatus.READY or run.status == "paused":
            return
        self.do(run.progress(FAILS, "failed", error="no"))
        [new] = [q for q in run.interactions.pending if q.node == FAILS]
        assert new.id not in {known.id for known in self.asked.values()}
        self.asked[new.id] = Asked(new.id, FAILURE, FAILS, self.now_s + HOUR)
        self.failing = NodeStatus.PAUSED

    @rule(who=WHO)
    def begin_again(self, who: int) -> None:
        """A node that is out gets another round."""
        run = self.run_of(who)
        if self.failing in (NodeStatus.SKIPPED, NodeStatus.FAILED) and run.status != "paused":
            self.do(run.progress(FAILS, "ready"))
            self.failing = NodeStatus.READY

    @precondition(lambda self: self.asked)
    @rule(who=WHO, pick=PICK, which=st.integers(0, 2))
    def answer_well(self, who: int, pick: int, which: int) -> None:
        """By who is to, with what may be."""
        self.answer(who, pick, self.pick(pick).assignee, right=True, which=which)

    @precondition(lambda self: self.asked)
    @rule(who=WHO, pick=PICK, by=PEOPLE, right=st.sampled_from([True, True, False]), which=st.integers(0, 2))
    def answer(self, who: int, pick: int, by: str, *, right: bool, which: int) -> None:
        """By whoever may, in time, as it may be answered, and once; the same answer again is the first one."""
        known = self.pick(pick)
        offered = known.kind.right if right else known.kind.wrong
        said, was_open = offered[which % len(offered)], known.is_open
        refusal = known.refusal(said, by, self.now_s)
        refused: type[HoldfastError] | None = None
        try:
            given = self.do(self.holds[who].interactions.answer(known.id, said[0], value=said[1], by=by))
            assert (given.decision, given.value, given.by) == (*said, by)
            known.became = ("answered", *said, by)
        except HoldfastError as problem:
            refused = type(problem)
        assert refused is refusal
        if was_open and refusal is InteractionExpired:
            known.time_out(self.now_s)
        self.settle(known, was_open=was_open)

    @precondition(lambda self: self.asked)
    @rule(who=WHO, pick=PICK)
    def cancel(self, who: int, pick: int) -> None:
        """What has no answer may be withdrawn, more than once."""
        known = self.pick(pick)
        was_open = known.is_open
        try:
            self.do(self.holds[who].interactions.cancel(known.id))
            assert known.became[0] in ("pending", "cancelled")
            known.became = ("cancelled",)
        except (AlreadyAnswered, InteractionExpired):
            assert known.became[0] in ("answered", "timed_out")
        self.settle(known, was_open=was_open)

    @precondition(lambda self: self.asked)
    @rule(who=WHO, pick=PICK, to=PEOPLE)
    def reassign(self, who: int, pick: int, to: str) -> None:
        """What is open may be given to somebody else."""
        known = self.pick(pick)
        try:
            self.do(self.holds[who].interactions.reassign(known.id, to=to))
            assert known.is_open
            known.assignee = to
        except (AlreadyAnswered, InteractionCancelled, InteractionExpired):
            assert not known.is_open

    @rule(seconds=st.sampled_from([HOUR, 3 * HOUR, 60, HOUR, -60, -HOUR, -3 * HOUR]))
    def set_the_clock(self, seconds: int) -> None:
        """The wall, forward or back."""
        self.stores.clock.jump(seconds)
        self.now_s += seconds

    @rule(who=WHO)
    def sweep(self, who: int) -> None:
        """What is due is timed out or escalates, and nothing else."""
        due = [known for known in self.asked.values() if known.is_open and known.due_s <= self.now_s]
        assert self.do(self.holds[who].sweep()).timed_out == len(due)
        for known in due:
            known.time_out(self.now_s)
            self.settle(known, was_open=True)

    @rule(who=WHO)
    def resume(self, who: int) -> None:
        """Nothing is answered by that."""
        try:
            self.do(self.run_of(who).resume())
        except InvalidTransition:
            assert self.run_of(who).status != "paused"

    def pick(self, number: int) -> Asked:
        return [*self.asked.values()][number % len(self.asked)]

    def settle(self, known: Asked, *, was_open: bool) -> None:
        """What an answer makes of the node that failed."""
        if known.kind is FAILURE and was_open and not known.is_open:
            word = known.became[2] if len(known.became) > 1 else "retry"
            became = {"retry": NodeStatus.READY, "skip": NodeStatus.SKIPPED, "fail": NodeStatus.FAILED}
            self.failing = became[word]

    @invariant()
    def it_is_as_it_should_be(self) -> None:
        """Every question, the nodes that wait for them, and the run."""
        if not hasattr(self, "holds"):
            return
        run = self.run_of(0)
        kept = {one.id: (told(one), one.assignees) for one in self.do(run.interactions.history())}
        assert kept == {known.id: (known.became, (known.assignee,)) for known in self.asked.values()}
        waits = {known.node for known in self.asked.values() if known.is_open and known.required}
        assert {name for name, node in run.nodes.items() if node.status == "paused"} == waits
        assert run.nodes[FAILS].status == self.failing
        ready = {*NODES} - waits | ({FAILS} if self.failing is NodeStatus.READY else set())
        assert {*run.ready_nodes()} == (set() if run.status == "paused" else ready)
        if self.failing in (NodeStatus.READY, NodeStatus.PAUSED):
            assert (run.status == "paused") == (waits == {*NODES, FAILS})
        else:
            assert run.status != "paused" or not ready
        assert len(self.do(self.holds[1].interactions.pending()).items) == run.interactions.pending_count

    def teardown(self) -> None:
        self.do(self.stores.close())
        self.loop.close()
        self.folder.cleanup()


def told(question: Interaction) -> tuple[Any, ...]:
    """What became of a question, as the model says it."""
    answer = question.answer
    return (question.status.value, *(() if answer is None else (answer.decision, answer.value, answer.by)))


def check(backend: str, *, examples: int, steps: int) -> None:
    machine = type("Machine", (Questions,), {"backend": backend})
    quick = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    run_state_machine_as_test(machine, settings=quick)


def test_questions_become_what_a_model_says() -> None:
    """Whatever is done to them, in whichever order, by whichever opening."""
    check("memory", examples=12, steps=25)


@pytest.mark.soak
@pytest.mark.parametrize("backend", ["memory", "weakest", "sqlite", "postgres"])
def test_questions_become_what_a_model_says_for_long(backend: str) -> None:
    """The same, many times."""
    check(backend, examples=300, steps=60)
