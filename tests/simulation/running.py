"""A world of runs: processes that take the same runs further, with a claim or without, on the weakest store there is.

Processes crash, their walls jump, single calls are cancelled, the weather is bad. In the end the log is held against
the model of runs (`tests.model_based.run_model`): each commit must be a move that there was after those before it,
what was acknowledged is there once and in the order of its time, what was refused is not, and whatever anybody read
is the run as of the version that it named. Nothing lands under a claim that was over by then.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
from msgspec import Struct

from holdfast import Busy, Conflict, Holdfast, LeaseLost, Session
from holdfast.errors import Indeterminate, InvalidTransition, InvalidValue, NotFound, Unavailable
from holdfast.handles.run import Run
from holdfast.handles.transaction import SessionTransaction
from holdfast.kernel.contract import Kernel
from holdfast.kernel.line import decode_lines
from holdfast.model.cause import decode_cause
from holdfast.model.node import NodeRecord
from holdfast.model.node_spec import NodeSpec
from holdfast.model.run import RunRecord
from holdfast.services import claim
from holdfast.testing.clock import SeededIds
from holdfast.testing.simulation.loop import virtual_loop
from holdfast.testing.simulation.weather import CALM, Crashed, SimulatedStore, Weather
from holdfast.testing.simulation.world import HostClock
from tests.model_based.run_model import DONE, ENDS, RunModel, Told, spec

REFUSED = (Busy, Conflict, InvalidTransition, InvalidValue, LeaseLost, NotFound)
UNKNOWN = (Indeterminate, Unavailable)


class Scenario(Struct, frozen=True, kw_only=True):
    """How large a world is; `broken` puts a kernel with a mistake around each process's connection."""

    processes: int = 3
    lanes: int = 2
    runs: int = 2
    steps: int = 20
    broken: Callable[[Kernel], Kernel] = lambda kernel: kernel


class Operation(Struct):
    """One thing that one lane did: `began` and `ended` are moments of one clock. `writes` says that it must have;
    `token` is that of the claim it did it under; where it takes several `commits`, some may be there if it was refused.
    """

    began: int
    ended: float = math.inf
    outcome: str = "unknown"
    writes: bool = True
    grown: dict[str, NodeSpec] = {}
    token: int = 0
    commits: int = 1


class Process:
    """One incarnation of one process."""

    def __init__(self, world: World) -> None:
        self.clock = HostClock(asyncio.get_running_loop())
        self.clock.offset_us = world.wall_us()
        self.connection = world.store.connect()
        kernel = world.scenario.broken(self.connection)
        self.hold = Holdfast.over(kernel, clock=self.clock, ids=SeededIds(world.chance.getrandbits(32)))
        self.dead = False
        self.tasks: list[asyncio.Task[None]] = []

    def crash(self) -> None:
        """Nothing is closed, nothing finishes."""
        self.dead = self.clock.dead = True
        self.connection.crash()
        for task in self.tasks:
            task.cancel()


class World:
    """One seed's life."""

    sessions = ("s",)
    refusals: tuple[type[Exception], ...] = REFUSED
    """What is refused surely."""

    def __init__(self, seed: int, scenario: Scenario) -> None:
        self.seed = seed
        self.chance = Random(f"runs {seed}")
        self.scenario = scenario
        self.store = SimulatedStore(Random(f"weather {seed}"), CALM)
        self.events: Counter[str] = Counter()
        self.operations: dict[str, Operation] = {}
        self.pictures: list[tuple[str, int, dict[str, Any]]] = []
        self.left = {
            (place, lane): scenario.steps for place in range(scenario.processes) for lane in range(scenario.lanes)
        }
        self._moments = itertools.count(1)
        self._over = False

    def wall_us(self) -> int:
        """What the wall of a process is off by."""
        return self.chance.randint(-(10**9), 10**9)

    def specs(self, run: str) -> dict[str, NodeSpec]:
        """The nodes that a run begins with, whoever starts it."""
        chance, found = Random(f"{self.seed} {run}"), dict[str, NodeSpec]()
        for n in range(chance.randint(3, 6)):
            after = tuple(chance.sample([*found], min(len(found), chance.randint(0, 2))))
            tries = chance.choice((None, 0, 2))
            found[f"n{n}"] = spec(after, chance.choice(("all", "any")), tries, optional=chance.random() < 0.7)
        return found

    async def live(self) -> World:
        """From the first run to the last check."""
        try:
            founder = Process(self)
            for id in self.sessions:
                await founder.hold.sessions.create(id=id)
            self.store.weather = Weather()
            processes = [self._started(place) for place in range(self.scenario.processes)]
            while any(self.left.values()):
                await asyncio.sleep(self.chance.random())
                await self._disturb(processes)
                raise_what_tasks_raised(processes)
            self.store.weather = CALM
            await asyncio.sleep(60)  # what is on its way arrives
            await self._check(founder.hold)
        finally:
            self._over = True
        return self

    def _started(self, place: int) -> Process:
        process = Process(self)
        for lane in range(self.scenario.lanes):
            process.tasks.append(asyncio.ensure_future(self._work(process, place, lane)))
        return process

    async def _disturb(self, processes: list[Process]) -> None:
        place = self.chance.randrange(len(processes))
        match self.chance.randrange(8):
            case 0:
                self.events["crash"] += 1
                processes[place].crash()
                processes[place] = self._started(place)
            case 1 | 2:
                self.events["cancel"] += 1
                self.chance.choice(processes[place].tasks).cancel()
            case 3:
                self.events["jump"] += 1
                processes[place].clock.offset_us = self.wall_us()

    # --- what a lane does ---------------------------------------------------------------------------

    async def _work(self, process: Process, place: int, lane: int) -> None:
        handles: dict[str, Run] = {}
        count = Counter[str]()
        while self.left[place, lane] > 0:
            self.left[place, lane] -= 1
            op = f"{place}.{lane}.{next(self._moments)}"
            try:
                with process.hold.acting(by=f"{place}.{lane}", trace_id=op):
                    await self._step(process, op, handles, count)
            except (*self.refusals, *UNKNOWN) as problem:
                self.events[type(problem).__name__] += 1
            except asyncio.CancelledError:
                if process.dead or self._over:
                    raise
                asyncio.current_task().uncancel()  # type: ignore[union-attr]

    async def _step(self, process: Process, op: str, handles: dict[str, Run], count: Counter[str]) -> None:
        session = await process.hold.sessions.get("s")
        assert session is not None
        slot = f"r{self.chance.randrange(self.scenario.runs)}"
        run = handles.get(slot)
        if run is None or run.status in ENDS or self.chance.random() < 0.4:
            run = await self._fetched(session, op, slot, count)
            handles[slot] = run
            self.pictures.append((run.id, run.version, pictured(run)))
        if run.status in ENDS:
            return
        if self.chance.random() < 0.7:
            await self._noted(f"{op}.move", lambda: self._move(session, run, f"{op}.move"), process, 0)
            return
        busy = self.chance.choice(("queue", "queue", "reject", "supersede"))
        async with run.claim(busy=busy, wait=60, ttl=15) as held:
            for n in range(3):
                move = f"{op}.{n}"
                await self._noted(move, lambda move=move: self._move(session, run, move), process, held.token)
                await process.clock.sleep(self.chance.choice((0.0, 1.0, 10.0)))
            self.events["claimed"] += 1

    async def _fetched(self, session: Session, op: str, slot: str, count: Counter[str]) -> Run:
        """The present run of that slot: where the last has ended another is started, by whoever is first."""
        while True:
            id = f"{slot}.{count[slot]}"
            run = await session.runs.get(id)
            if run is None:
                self.operations[op] = Operation(next(self._moments), writes=False)
                run = await session.runs.start("flow", id=id, nodes=self.specs(id), on_exists="return")
            if run.status not in ENDS:
                return run
            count[slot] += 1

    async def _noted(self, op: str, call: Callable[[], Any], process: Process, token: int) -> None:
        noted = self.operations[op] = Operation(next(self._moments), token=token)
        try:
            with process.hold.acting(trace_id=op):
                done = await call()
        except self.refusals:
            noted.outcome = "refused"
            raise
        else:
            noted.outcome = "ok"
            noted.writes = done is not False
        finally:
            noted.ended = math.inf if noted.outcome == "unknown" else next(self._moments)

    async def _move(self, session: Session, run: Run, op: str) -> bool:
        chance = self.chance
        running = [name for name, node in run.nodes.items() if node.status == "running"]
        told = self._telling(run, running, op)
        match chance.randrange(12):
            case _ if run.status == "paused" and chance.random() < 0.5:
                await run.resume()
            case 0:
                await run.pause(op, node=chance.choice([None, *run.nodes]))
            case 1:
                grown = {op: spec((chance.choice([*run.nodes]),), tries=1, optional=True)}
                self.operations[op].grown = grown
                await run.add_nodes(grown)
            case 2 | 3:
                await session.transact(lambda tx: _tell_in(tx, run.id, told), attempts=5)
            case 4 | 5 if ready := run.ready_nodes():
                self.operations[op].commits = 2
                async with run.node(chance.choice(ready), input=op) as node:
                    await node.state.set(node.id, op)
                    await asyncio.sleep(chance.random())
                    node.output = op
                self.events["blocks"] += 1
            case 6 if chance.random() < 0.2:
                await run.complete(op)
            case _:
                await run.progress(told)
                return bool(told)
        self.events["moved"] += 1
        return True

    def _telling(self, run: Run, running: list[str], op: str) -> dict[str, dict[str, Any]]:
        """What is told of one node or two: mostly what comes next."""
        chance, told = self.chance, dict[str, dict[str, Any]]()
        ready, done = run.ready_nodes(), [name for name, node in run.nodes.items() if node.status in DONE]
        if ready and chance.random() < 0.6:
            told[chance.choice(ready)] = {"status": "running", "input": op}
        if running and chance.random() < 0.7:
            status, what = chance.choice((("completed", "output"), ("completed", "output"), ("failed", "error")))
            told[chance.choice(running)] = {"status": status, what: op}
        if done and chance.random() < 0.2:
            told[chance.choice(done)] = {"status": "ready"}
        if not told:
            told[chance.choice([*run.nodes])] = {"status": chance.choice(("skipped", "paused", "ready", "completed"))}
        return told

    # --- the end ------------------------------------------------------------------------------------

    async def _check(self, hold: Holdfast) -> None:
        states = self._replayed()
        session = await hold.sessions.get("s")
        assert session is not None
        for id, versions in states.items():
            run = await session.runs.get(id)
            assert run is not None, f"{id} is gone"
            assert run.version == max(versions), f"{id} is at {run.version}, and was written last at {max(versions)}"
            self.pictures.append((id, run.version, pictured(run)))
        for id, version, picture in self.pictures:
            model = states[id].get(version)
            assert model is not None, f"{id} was read at {version}, when nothing of it was written"
            assert picture == expected(model), f"{id} was read at {version} as {picture}; it was {expected(model)}"
        self.events["read"] += len(self.pictures)

    def _replayed(self) -> dict[str, dict[int, RunModel]]:
        """Every run as of every commit that wrote of it, as the model goes through the log."""
        states: dict[str, dict[int, RunModel]] = {}
        there: Counter[str] = Counter()
        claimed: dict[str, int] = {}  # when the claim of each run was written last
        latest = 0
        for record in self.store.witness["session/s"]:
            claimed |= {claim.run_of(key): record.seq for key in record.touched if key in map(claim.of_run, states)}
            lines = [line for line in decode_lines(record.body) if line.kind == "run"]
            if not lines:
                continue
            id = str(lines[0].key)
            op = decode_cause(record.cause).trace_id or ""
            operation = self.operations[op]
            assert operation.outcome != "refused" or operation.commits > 1, (
                f"{op} was refused, and is in the log at {record.seq}"
            )
            assert operation.ended > latest, f"{op} at {record.seq} ended before one began that is there before it"
            assert operation.token in (0, claimed.get(id)), f"{op} at {record.seq} landed under a claim that was over"
            latest = max(latest, operation.began)
            there[op] += 1
            versions = states.setdefault(id, {})
            before = versions[max(versions)] if versions else RunModel(self.specs(id))
            try:
                told = [(line.namespace, bytes(line.value)) for line in lines]
                versions[record.seq] = followed(before, told, operation.grown) if versions else before
            except Exception as problem:
                raise AssertionError(f"{op} at {record.seq} is no move of {before}: {problem!r}") from problem
        for op, operation in self.operations.items():
            count = operation.commits if operation.writes else 0
            most = count if operation.commits == 1 else 3  # begun, not completed, and given back
            at_least, at_most = (count, count) if operation.outcome == "ok" else (0, most or 1)
            assert at_least <= there[op] <= at_most, f"{op} is in the log {there[op]} times"
        return states


def followed(model: RunModel, lines: list[tuple[str, bytes]], grown: dict[str, NodeSpec]) -> RunModel:
    """The run after one commit, from what its record tells. Raises where the model does not know such a move."""
    records = [msgspec.json.decode(value, type=RunRecord) for name, value in lines if not name]
    nodes = [(name, msgspec.json.decode(value, type=NodeRecord)) for name, value in lines if name]
    to = records[-1].status if records else model.status
    if model.status == "paused" and to in ("pending", "running"):
        model, told = model.resumed(), nodes
        model.status = to  # at once, if whoever resumes it holds it
    else:
        model, told = model.grown(grown) if grown else model, []
        for name, record in nodes:
            model = model.tell([_told(model, name, record)], record.ended_us or 0)
            told = [*told, (name, record)]
    if to == "paused" != model.status:
        model = model.paused(records[-1].pause_reason, records[-1].paused_at)
    if to == "completed":
        model = model.ended("complete", msgspec.json.decode(records[-1].output))
    assert model.status == to, f"it is {to}, and should be {model.status}"
    for name, record in dict(told).items():
        fact = model.facts[name]
        kept = record.status, record.attempt, record.round, record.next_us
        assert kept == (fact.status, fact.attempt, fact.round, fact.due_us), f"{name} is {kept}, and should be {fact}"
    return model


def _told(model: RunModel, name: str, record: NodeRecord) -> Told:
    """What was told of a node, from what is kept of it then."""
    if record.status == "ready" and record.next_us is not None:
        return Told(name, "failed", msgspec.json.decode(record.error))
    values = {"running": record.input, "completed": record.output, "failed": record.error}
    return Told(name, record.status.value, msgspec.json.decode(values.get(record.status.value, b"null")))


async def _tell_in(tx: SessionTransaction, id: str, told: dict[str, dict[str, Any]]) -> None:
    run = await tx.runs.get(id)
    assert run is not None
    for name, given in told.items():
        await run.progress(name, **given)


def raise_what_tasks_raised(processes: list[Process]) -> None:
    for process in processes:
        for task in process.tasks:
            problem = task.exception() if task.done() and not task.cancelled() else None
            if problem is not None and not isinstance(problem, Crashed):
                raise problem


def pictured(run: Run) -> dict[str, Any]:
    """What a handle shows."""
    shown = {
        name: (node.status.value, node.attempt, node.round, node.input, node.output, node.error)
        for name, node in run.nodes.items()
    }
    return {"": (run.status.value, run.pause_reason, run.output, run.error), **shown}


def expected(model: RunModel) -> dict[str, Any]:
    """What one should show."""
    shown = {name: model.shown(name) for name in model.specs}
    return {"": (model.status, model.reason, model.output, model.error), **shown}


def live(seed: int, scenario: Scenario | None = None, *, world_of: type[World] = World) -> World:
    """Live one seed to its end. Raises what it has shown, with the seed."""
    loop = virtual_loop(Random(f"loop {seed}"))
    try:
        world = loop.run(world_of(seed, Scenario() if scenario is None else scenario).live())
    except (Exception, Crashed) as problem:
        raise AssertionError(f"seed {seed}: {type(problem).__name__}: {problem}") from problem
    lost = [one for one in loop.problems if not isinstance(one.get("exception"), Crashed)]
    assert not lost, f"seed {seed}: errors that nobody saw: {lost[:3]}"
    return world
