"""Runs against a model in plain Python: random graphs, nodes told of in every way and several at once, loops, pauses,
added nodes, transactions, two openings that do not know of each other, and a clock that is set forward and back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from holdfast import Session
from holdfast.errors import InvalidTransition, InvalidValue, NotFound
from holdfast.handles.run import Run
from holdfast.model.node_spec import NodeSpec
from tests.model_based.run_model import ALLOWED, ENDS, Refused, RunModel, Told, spec
from tests.model_based.run_picture import expected, pictured, shown, tells
from tests.unit.stores import Stores

T = TypeVar("T")

NODES_MOST = 6
STATUSES = ("running", "completed", "failed", "skipped", "paused", "ready")
WHO = st.integers(0, 1)
PLACES = st.integers(0, 2 * NODES_MOST)
"""Of a node in the run, counted around."""

TELLING = st.tuples(PLACES, st.integers(0, 11), st.sampled_from([None, 1, "x"]))
Telling = tuple[int, int, Any]
TELLINGS = st.lists(TELLING, min_size=1, max_size=3)
MOVES = st.booleans()
TRIES = st.sampled_from([None, None, 0, 1, 2])


@st.composite
def graphs(draw: st.DrawFn, known: tuple[str, ...] = (), most: int = NODES_MOST) -> dict[str, NodeSpec]:
    """Nodes that depend on any before them."""
    found: dict[str, NodeSpec] = {}
    for _ in range(draw(st.integers(1, most))):
        there = [*known, *found]
        after = tuple(draw(st.lists(st.sampled_from(there), unique=True, max_size=3))) if there else ()
        join = draw(st.sampled_from(["all", "all", "any", *range(1, len(after) + 1)]))
        name = f"n{len(there)}"
        found[name] = spec(after, join, draw(TRIES), optional=draw(st.booleans()))
    return found


class Runs(RuleBasedStateMachine):
    """One run, two openings with a handle of it each, and what it should be."""

    backend = "memory"

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = TemporaryDirectory()
        self.started = 0
        self.stores = Stores(self.backend, Path(self.folder.name))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        self.run(self.stores.close())
        self.loop.close()
        self.folder.cleanup()

    @initialize(nodes=graphs())
    def start(self, nodes: dict[str, NodeSpec]) -> None:
        self.run(self._open())
        self.begin(nodes)

    def begin(self, nodes: dict[str, NodeSpec]) -> None:
        self.id = f"r{self.started}"
        self.started += 1
        self.run(self._begin(nodes))
        self.model = RunModel(nodes)

    @precondition(lambda self: self.model.status in ENDS)
    @rule(nodes=graphs())
    def begin_another(self, nodes: dict[str, NodeSpec]) -> None:
        self.begin(nodes)

    async def _open(self) -> None:
        self.holds = [await self.stores.open(), await self.stores.open()]
        self.sessions: list[Session] = [await self.holds[0].sessions.create(id="s")]
        other = await self.holds[1].sessions.get("s")
        assert other is not None
        self.sessions.append(other)

    async def _begin(self, nodes: dict[str, NodeSpec]) -> None:
        self.handles = [await self.sessions[0].runs.start("flow", id=self.id, nodes=nodes)]
        self.handles.append(await self._anew(1))

    async def _anew(self, who: int) -> Run:
        found = await self.holds[who].runs.get(self.id)
        assert found is not None
        return found

    @property
    def now_us(self) -> int:
        return self.stores.clock.now_us()

    def told(self, tellings: list[Telling], model: RunModel | None = None) -> list[Told]:
        """What is told of nodes that there are, of each once: mostly what may be told of it then, and seldom what ends
        the run."""
        model, found = model or self.model, dict[str, Told]()
        for place, pick, value in tellings:
            node = [*model.specs][place % len(model.specs)]
            allowed = ALLOWED[model.status_of(node)]
            told = Told(node, STATUSES[place % len(STATUSES)] if pick == 0 else allowed[pick % len(allowed)], value)
            if told.status == "failed" and pick != 1 and not model.outlives(node):
                told.status = "completed"
            if node not in found:
                found[node] = told
                model = _after([told], model, self.now_us)
        return [*found.values()]

    # --- rules ----------------------------------------------------------------------------------------

    @rule(who=WHO, tellings=TELLINGS)
    def tell(self, who: int, tellings: list[Telling]) -> None:
        told = self.told(tellings)
        self._do(who, lambda run: tells(run, told), lambda model: model.tell(told, self.now_us), told)

    @precondition(lambda self: self.model.status in ("pending", "running"))
    @rule(who=WHO, count=st.integers(1, 3), fails=st.booleans(), value=st.sampled_from([None, 2]))
    def work(self, who: int, count: int, fails: bool, value: Any) -> None:
        """As workers do: what is ready begins, what runs ends."""
        for name in sorted(self.model.specs)[:count]:
            status = {"ready": "running", "running": "failed" if fails else "completed"}.get(self.model.status_of(name))
            if status is not None:
                told = [Told(name, status, value)]
                self._do(
                    who, lambda run, told=told: tells(run, told), lambda m, told=told: m.tell(told, self.now_us), told
                )

    @rule(who=WHO, place=st.none() | PLACES, reason=st.sampled_from([None, "by Bo"]))
    def pause(self, who: int, place: int | None, reason: str | None) -> None:
        node = None if place is None else [*self.model.specs][place % len(self.model.specs)]
        self._do(who, lambda run: run.pause(reason, node=node), lambda model: model.paused(reason, node))

    @rule(who=WHO, place=st.none() | PLACES)
    def pause_from_the_session(self, who: int, place: int | None) -> None:
        """It is told of exactly where it was."""
        node = None if place is None else [*self.model.specs][place % len(self.model.specs)]
        is_told = self.model.may_be_paused(node)
        told = self.run(self.sessions[who].pause_runs("all", node=node))
        assert [run.id for run in told] == ([self.id] if is_told else [])
        if is_told:
            self.model = self.model.paused("all", node)
        self._hold(who)

    @rule(who=WHO, place=st.none() | PLACES)
    def resume_from_the_session(self, who: int, place: int | None) -> None:
        """The same, also of where somebody else paused it."""
        node = None if place is None else [*self.model.specs][place % len(self.model.specs)]
        is_told = self.model.is_paused(node)
        told = self.run(self.sessions[who].resume_runs(node=node))
        assert [run.id for run in told] == ([self.id] if is_told else [])
        if is_told:
            self.model = self.model.resumed()
        self._hold(who)

    @precondition(lambda self: self.model.status == "paused")
    @rule(who=WHO)
    def go_on(self, who: int) -> None:
        self.resume(who)

    @rule(who=WHO)
    def resume(self, who: int) -> None:
        self._do(who, lambda run: run.resume(), lambda model: model.resumed())

    @rule(who=WHO, verb=st.sampled_from(["complete", "fail", "cancel"]), rare=st.integers(0, 5))
    def end(self, who: int, verb: str, rare: int) -> None:
        if rare and self.model.status not in ENDS:
            return
        arguments = () if verb == "cancel" else ("why",)
        self._do(who, lambda run: getattr(run, verb)(*arguments), lambda model: model.ended(verb, "why"))

    @precondition(lambda self: self.model.status in ("pending", "running"))
    @rule(who=WHO, data=st.data())
    def grow(self, who: int, data: st.DataObject) -> None:
        if len(self.model.specs) < 2 * NODES_MOST:
            specs = data.draw(graphs(tuple(self.model.specs), 2))
            self._do(who, lambda run: run.add_nodes(specs), lambda model: model.grown(specs))

    @rule(who=WHO)
    def ask_for_what_cannot_be(self, who: int) -> None:
        """Nodes that are not there, there already, or wait for each other, in whatever state the run is."""
        run, taken = self.handles[who], next(iter(self.model.specs))
        for call, refused in (
            (lambda: run.progress({taken: "running", "nobody": "running"}), (NotFound, InvalidTransition)),
            (lambda: run.add_nodes({taken: []}), (InvalidValue, InvalidTransition)),
            (lambda: run.add_nodes({"x": ["y"], "y": ["x"]}), (InvalidValue, InvalidTransition)),
            (lambda: run.add_nodes({"x": ["nobody"]}), (InvalidValue, InvalidTransition)),
        ):
            with pytest.raises(refused):
                self.run(call())
        self._hold(who)

    @precondition(lambda self: self.model.status not in ENDS)
    @rule(who=WHO, first=TELLINGS, second=TELLINGS, looks=st.booleans(), commits=st.booleans())
    def tell_in_a_transaction(
        self, who: int, first: list[Telling], second: list[Telling], looks: bool, commits: bool
    ) -> None:
        """Each sees what the one before did; all of it is kept, or nothing."""
        told = self.told(first)
        both = told, self.told(second, _after(told, self.model, self.now_us))

        async def body() -> None:
            async with self.sessions[who].transaction() as tx:
                run = await tx.runs.get(self.id)
                assert run is not None
                for told in both:
                    await tells(run, told)
                    if looks:
                        await run.refresh()
                if not commits:
                    tx.rollback()

        try:
            after = self.model.tell(both[0], self.now_us).tell(both[1], self.now_us)
        except Refused:
            with pytest.raises(InvalidTransition):
                self.run(body())
        else:
            self.run(body())
            self.model = after if commits else self.model
        self._hold(who)

    @precondition(lambda self: self.model.status not in ENDS)
    @rule(left=WHO, right=WHO, one=TELLINGS, other=TELLINGS, place=st.none() | PLACES, moves=MOVES, looks=st.booleans())
    def do_two_things_at_once(
        self,
        left: int,
        right: int,
        one: list[Telling],
        other: list[Telling],
        place: int | None,
        moves: bool,
        looks: bool,
    ) -> None:
        """By one handle or by two, in either order: as if one came after the other. A run that is paused is resumed,
        one that goes on is paused, at any point."""
        first, second, resumes = self.told(one), self.told(other), self.model.status == "paused"
        node = None if place is None else [*self.model.specs][place % len(self.model.specs)]

        async def move() -> object:
            run = self.handles[right]
            if not moves:
                return await tells(run, second)
            return await (run.resume() if resumes else run.pause("both", node=node))

        async def both() -> list[bool]:
            telling = _is_done(tells(self.handles[left], first))
            looking = _awaited(self.handles[left].refresh() if looks else asyncio.sleep(0))
            return [*(await asyncio.gather(telling, _is_done(move()), looking))[:2]]

        def after(model: RunModel, number: int) -> RunModel:
            if number == 0:
                return model.tell(first, self.now_us)
            if not moves:
                return model.tell(second, self.now_us)
            return model.resumed() if resumes else model.paused("both", node)

        done = self.run(both())
        may_be = [model for order in ((0, 1), (1, 0)) if (model := self._replayed(after, order, done)) is not None]
        seen = pictured(self.run(self._anew(0)))
        fitting = [model for model in may_be if expected(model, self.now_us) == seen]
        assert fitting, f"{first} and {second} at once, {done}: {seen}"
        self.model = fitting[0]
        self._hold(left)
        if left == right and looks:  # it never goes back behind what it wrote meanwhile
            assert pictured(self.handles[left]) == seen

    def _replayed(
        self, after: Callable[[RunModel, int], RunModel], order: tuple[int, int], done: list[bool]
    ) -> RunModel | None:
        """The run if they came in that order, and one was refused where the other says so; None if that cannot be."""
        model = self.model
        for number in order:
            try:
                moved = after(model, number)
            except Refused:
                if done[number]:
                    return None
            else:
                if not done[number]:
                    return None
                model = moved
        return model

    @rule(who=WHO)
    def refresh(self, who: int) -> None:
        run = self.run(self.handles[who].refresh())
        assert pictured(run) == expected(self.model, self.now_us)

    @rule(seconds=st.sampled_from([1, 10, 15, 3600]))
    def time_goes_by(self, seconds: float) -> None:
        self.stores.clock.advance(seconds)

    @rule(seconds=st.sampled_from([-3600, -10, -1, 10, 3600]))
    def the_clock_is_set(self, seconds: float) -> None:
        self.stores.clock.jump(seconds)

    # --- holding it against the model -----------------------------------------------------------------

    def _do(
        self,
        who: int,
        call: Callable[[Run], Awaitable[object]],
        move: Callable[[RunModel], RunModel],
        told: list[Told] | None = None,
    ) -> None:
        """One thing, by one handle. What is acknowledged shows there; what is refused leaves no trace."""
        run = self.handles[who]
        try:
            after = move(self.model)
        except Refused:
            before = self.run(self._anew(who)).version
            with pytest.raises(InvalidTransition):
                self.run(_awaited(call(run)))
            self._hold(who)
            assert self.run(self._anew(who)).version == before
            assert pictured(run) == pictured(self.run(self._anew(who)))  # for it looked before it refused
            return
        self.run(_awaited(call(run)))
        self.model = after
        anew = self._hold(who)
        assert (run.status, run.pause_reason, run.version) == (after.status, after.reason, anew.version)
        for one in told or ():
            assert shown(run, one.node)[1:] == after.shown(one.node)[1:]

    def _hold(self, who: int) -> Run:
        """Read anew it is as it should be."""
        anew = self.run(self._anew(who))
        assert pictured(anew) == expected(self.model, self.now_us)
        return anew


def _after(told: list[Told], model: RunModel, now_us: int) -> RunModel:
    try:
        return model.tell(told, now_us)
    except Refused:
        return model


async def _is_done(call: Awaitable[object]) -> bool:
    try:
        await call
    except InvalidTransition:
        return False
    return True


async def _awaited(call: Awaitable[object]) -> None:
    await call


def check(backend: str, *, examples: int, steps: int) -> None:
    machine = type("Machine", (Runs,), {"backend": backend})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=[*HealthCheck],
        ),
    )


@pytest.mark.parametrize("backend", ["memory", "weakest"])
def test_runs_go_as_the_model_says(backend: str) -> None:
    """No move is lost and none is made from where the run is not, whatever handle it is made by."""
    check(backend, examples=15, steps=25)


def test_runs_go_as_the_model_says_on_a_server() -> None:
    """No otherwise where each commit takes a round trip."""
    check("postgres", examples=2, steps=12)


@pytest.mark.soak
@pytest.mark.parametrize("backend", ["memory", "weakest", "sqlite", "postgres"])
def test_runs_go_as_the_model_says_for_long(backend: str) -> None:
    """The same, many times."""
    check(backend, examples=400, steps=60)
