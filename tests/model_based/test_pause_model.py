"""Pauses against a model in plain Python: a run whose nodes begin, end and ask, held and resumed at any point, by its
own handle or from its session, by two openings."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from holdfast import Holdfast, Session
from holdfast.errors import InvalidTransition
from holdfast.handles.run import Run
from holdfast.model.run import WAITS
from tests.unit.stores import Stores

T = TypeVar("T")

NODES = ("a", "b", "c")
WHO, NODE, AT = st.integers(0, 1), st.sampled_from(NODES), st.sampled_from([None, *NODES])


class Pauses(RuleBasedStateMachine):
    """One run of three nodes that wait for nothing but people, and what each should be."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.stores = Stores("memory", Path())
        self.nodes = dict.fromkeys(NODES, "ready")  # running, completed
        self.begun: set[str] = set()  # whose try is under way: it may have been answered since
        self.open: dict[str, str] = {}  # questions, and the node that waits
        self.held: tuple[str | None] | None = None  # that somebody paused it, and at which node
        self.asked = 0

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(work, 10))

    @initialize()
    def begin_all(self) -> None:
        self.holds: list[Holdfast] = [self.do(self.stores.open()), self.do(self.stores.open())]
        s = self.do(self.holds[0].sessions.create(id="s"))
        self.handles: list[Run] = [self.do(s.runs.start("w", id="r", nodes=NODES)), self.anew(1)]

    def anew(self, who: int) -> Run:
        found = self.do(self.holds[who].runs.get("r"))
        assert found is not None
        return found

    def session(self, who: int) -> Session:
        return self.do(self.holds[who].sessions.open("s"))

    # --- what should be -------------------------------------------------------------------------------

    def asks(self, node: str) -> bool:
        return node in self.open.values()

    @property
    def waits(self) -> bool:
        goes_on = [node for node in NODES if self.nodes[node] != "completed" and not self.asks(node)]
        return bool(self.open) and not goes_on

    @property
    def is_paused(self) -> bool:
        return self.held is not None or self.waits

    def shown(self, node: str) -> str:
        if self.nodes[node] == "completed":
            return "completed"
        return "paused" if self.asks(node) or self.held == (node,) else self.nodes[node]

    # --- rules ----------------------------------------------------------------------------------------

    @rule(who=WHO, node=NODE)
    def begin(self, who: int, node: str) -> None:
        """Nothing begins while it is paused, and nothing twice."""
        if self.nodes[node] != "ready" or self.asks(node):
            return
        try:
            self.do(self.handles[who].progress(node, "running"))
        except InvalidTransition:
            assert self.is_paused
        else:
            assert not self.is_paused
            self.nodes[node] = "running"
            self.begun.add(node)

    @rule(who=WHO, node=NODE)
    def end(self, who: int, node: str) -> None:
        """What has begun ends at any point."""
        if node in self.begun and not self.asks(node):
            self.do(self.handles[who].progress(node, "completed", output=node))
            self.nodes[node] = "completed"
            self.begun.discard(node)

    @rule(who=WHO, node=NODE)
    def ask(self, who: int, node: str) -> None:
        """At any point too."""
        if self.nodes[node] != "completed" and len(self.open) < 4:
            self.asked += 1
            q = self.do(self.handles[who].ask("Go on?", node=node, key=str(self.asked)))
            self.open[q.id] = node

    @rule(who=WHO, number=st.integers(0, 3))
    def answer(self, who: int, number: int) -> None:
        """It lets its node go on, and no run that somebody holds."""
        if self.open:
            id = [*self.open][number % len(self.open)]
            self.do(self.holds[who].interactions.answer(id, "approved"))
            node = self.open.pop(id)
            if not self.asks(node):
                self.nodes[node] = "ready"

    @rule(who=WHO, at=AT, from_session=st.booleans())
    def pause(self, who: int, at: str | None, from_session: bool) -> None:
        """Unless somebody holds it already, or has that node behind it."""
        may = self.held is None and (at is None or self.nodes[at] != "completed")
        if from_session:
            assert len(self.do(self.session(who).pause_runs("night", node=at))) == may
        else:
            assert self.is_done(self.handles[who].pause("night", node=at)) == may
        if may:
            self.held = (at,)

    @rule(who=WHO, at=AT, from_session=st.booleans())
    def resume(self, who: int, at: str | None, from_session: bool) -> None:
        """From the session only what somebody holds, there; what waits for answers waits on."""
        may = self.held is not None and (at is None or not from_session or self.held == (at,))
        if from_session:
            assert len(self.do(self.session(who).resume_runs(node=at))) == may
        else:
            assert self.is_done(self.handles[who].resume()) == self.is_paused
        if may:
            self.held = None

    def is_done(self, work: Coroutine[Any, Any, object]) -> bool:
        try:
            self.do(work)
        except InvalidTransition:
            return False
        return True

    @invariant()
    def it_is_as_it_should_be(self) -> None:
        """For whoever looks anew."""
        if not hasattr(self, "handles"):
            return
        run = self.anew(0)
        reason = "night" if self.held is not None else WAITS if self.waits else None
        assert (run.status == "paused", run.pause_reason) == (self.is_paused, reason)
        assert {name: node.status.value for name, node in run.nodes.items()} == {n: self.shown(n) for n in NODES}
        ready = [node for node in NODES if self.shown(node) == "ready" and not self.is_paused]
        assert run.ready_nodes() == ready

    def teardown(self) -> None:
        self.do(self.stores.close())
        self.loop.close()


def test_pauses_hold_as_a_model_says() -> None:
    """Whatever runs, ends or waits for a person meanwhile, and whoever looks."""
    quick = settings(
        max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    run_state_machine_as_test(Pauses, settings=quick)
