"""What nodes wait for: whatever becomes of them and their questions, no run waits with nothing it could be told."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from holdfast import Holdfast
from holdfast.errors import InvalidTransition
from holdfast.handles.run import Run
from holdfast.model.node import DONE
from holdfast.model.node_spec import NodeSpec, Retry
from tests.unit.stores import Stores

T = TypeVar("T")

NODES = ("a", "b", "c")
WHO, NODE = st.integers(0, 1), st.sampled_from(NODES)
HOUR = 3600


class Waiting(RuleBasedStateMachine):
    """A run of nodes that ask and go on with and without answers, two openings, and the questions that are open."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.stores = Stores("memory", Path())
        self.open: dict[str, str | None] = {}

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(work, 10))

    @initialize()
    def begin(self) -> None:
        self.holds: list[Holdfast] = [self.do(self.stores.open()), self.do(self.stores.open())]
        again = NodeSpec(optional=True, retry=Retry(2, delay="1ms"))
        specs = {"a": again, "b": NodeSpec(optional=True), "c": NodeSpec(after=("a",), optional=True)}
        run = self.do(self.holds[0].runs.start("w", id="r", nodes=specs))
        self.handles = [run, self.do(self.holds[1].runs.get("r"))]  # which may be behind

    def run_of(self, who: int) -> Run:
        found = self.handles[who]
        assert found is not None
        return found

    @rule(who=WHO, node=NODE | st.none(), number=st.integers(0, 1), fails=st.booleans())
    def ask(self, who: int, node: str | None, number: int, *, fails: bool) -> None:
        """A question that is open is waited for; a node that is done asks nobody."""
        kind: dict[str, Any] = {"kind": "input"} if fails and node is not None else {}
        try:
            q = self.do(self.run_of(who).ask("Pay?", node=node, key=str(number), timeout="1h", **kind))
        except InvalidTransition:
            assert self.run_of(who).nodes[node or ""].status in DONE
            return
        if q.status == "pending":
            self.open[q.id] = node

    @rule(who=WHO, number=st.integers(0, 5), cancel=st.booleans())
    def close(self, who: int, number: int, *, cancel: bool) -> None:
        """An answer, or a withdrawal."""
        if not self.open:
            return
        id, all = [*self.open][number % len(self.open)], self.holds[who].interactions
        q = self.do(all.get(id))
        assert q is not None
        word = ("answered", 1) if q.kind == "input" else ("approved", None)
        self.do(all.cancel(id)) if cancel else self.do(all.answer(id, word[0], value=word[1]))
        del self.open[id]

    @rule(who=WHO, node=NODE, to=st.sampled_from(["running", "ready", "failed", "paused", *DONE]))
    def go_on(self, who: int, node: str, to: str) -> None:
        """What goes on without its answers withdraws what it asked; a try that begins, or fails and is not the last,
        does not."""
        with suppress(InvalidTransition):
            self.do(self.run_of(who).progress(node, to))
            rounds = self.anew().nodes
            gone = rounds[node].status in DONE or to == "ready"
            behind = ("c",) if node == "a" and to == "ready" else ()
            self.open = {id: of for id, of in self.open.items() if not (gone and of == node) and of not in behind}

    @rule(who=WHO, node=NODE, number=st.integers(0, 5))
    def end_meanwhile(self, who: int, node: str, number: int) -> None:
        """An answer, and the end of a node told by who looked before."""
        self.do(self.run_of(who).refresh())
        self.close(1 - who, number, cancel=False)
        self.go_on(who, node, "completed")

    @rule(who=WHO)
    def time_out(self, who: int) -> None:
        """Whatever counts then: the nodes are optional, so no run fails by it."""
        self.stores.clock.jump(HOUR)
        assert self.do(self.holds[who].sweep()).timed_out >= 0
        self.open = {}

    @rule(who=WHO)
    def resume(self, who: int) -> None:
        """What somebody paused goes on; nothing is answered by that."""
        with suppress(InvalidTransition):
            self.do(self.run_of(who).resume())

    def anew(self) -> Run:
        run = self.do(self.holds[0].runs.get("r"))
        assert run is not None
        return run

    @invariant()
    def nothing_is_waited_for_in_vain(self) -> None:
        """A node that waits has open questions of its own, and the run, which waits where nothing can go on, any."""
        if not hasattr(self, "holds"):
            return
        run = self.anew()
        pending = {q.id: q.node for q in run.interactions.pending}
        statuses = {name: node.status for name, node in run.nodes.items()}
        for name in [name for name, status in statuses.items() if status == "paused"]:
            assert name in pending.values() or not run._board.record(name).asks
        assert run.status in ("pending", "running", "paused")
        if run.status == "paused":
            assert pending
            assert not {"ready", "running"} & {*statuses.values()}
        assert {*pending} <= {*self.open}

    def teardown(self) -> None:
        self.do(self.stores.close())
        self.loop.close()


def check(*, examples: int, steps: int) -> None:
    wanted = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    run_state_machine_as_test(Waiting, settings=wanted)


def test_no_run_waits_with_nothing_that_it_could_be_told() -> None:
    """Whatever is done to its nodes and questions, in whichever order, by handles that are behind too."""
    check(examples=12, steps=20)
