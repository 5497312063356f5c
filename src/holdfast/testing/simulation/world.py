"""Several processes with their clients on one store, and chance against them: one seed, one life of this world.

Each process has an opened `Holdfast`, a clock whose wall jumps both ways, clients that do random operations, and a
follower of everything. Meanwhile processes crash (nothing is closed, nothing finishes) and start again on the same
store, or close in good order; single operations are cancelled at whatever they wait for; storms come and go; somebody
sweeps. On the way at every restart, and in the end, the history checker holds what every client saw against
all that was ever logged, and what every follower received against the same.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from msgspec import Struct

from holdfast.errors import Closed, Compacted, Indeterminate, Unavailable
from holdfast.hold import Holdfast
from holdfast.kernel.contract import Clock, Ids, Kernel
from holdfast.model.config import ChangesConfig, Config
from holdfast.model.scope import Scope
from holdfast.testing.clock import EPOCH_US, SeededIds
from holdfast.testing.history import Effect, Violation, segment_violations, violations
from holdfast.testing.place import Place, place_in_one_bucket
from holdfast.testing.recording import Recorder, effect_of, entry_of, load
from holdfast.testing.simulation.loop import virtual_loop
from holdfast.testing.simulation.weather import CALM, STORM, Crashed, SimulatedStore, Weather
from holdfast.testing.workload import Client

PATIENCE_S = 900.0
"""Virtual seconds that one operation may take in the worst weather; longer is waiting for ever."""

Opener = Callable[[Kernel, Clock, Ids, Config], Holdfast]
"""How a process opens the store; replaced by broken ones to show that the simulation notices."""


def open_whole(kernel: Kernel, clock: Clock, ids: Ids, config: Config) -> Holdfast:
    """The real thing."""
    return Holdfast.over(kernel, clock=clock, ids=ids, config=config)


class Scenario(Struct, frozen=True, kw_only=True):
    """How large a world is, and how bad its usual weather.

    With `trims`, sweeps leave so few records in each log, so that followers and repeats meet what was trimmed.
    """

    processes: int = 3
    clients: int = 3
    steps: int = 25
    trims: int | None = None
    weather: Weather = Weather()
    opener: Opener = open_whole


class SimulationFailed(AssertionError):
    """What a seed has shown, and how to see it again."""

    def __init__(self, seed: int, problem: str, story: list[str]) -> None:
        told = "\n  ".join(story[-25:])
        super().__init__(f"seed {seed}: {problem}\n  {told}\nagain with: python -m holdfast.testing.simulation {seed}")
        self.seed = seed


class HostClock:
    """The clock of one process: the loop's virtual time, and a wall that is off by something that jumps."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.offset_us = 0
        self.dead = False
        self._loop = loop

    def now_us(self) -> int:
        """The wall's reading."""
        return EPOCH_US + round(self._loop.time() * 1_000_000) + self.offset_us

    def monotonic_s(self) -> float:
        """Virtual seconds."""
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        """Wait in virtual time."""
        await asyncio.sleep(seconds)
        if self.dead:
            raise Crashed


class Process:
    """One incarnation of one process."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.number = number
        self.clock = HostClock(world.loop)
        self.clock.offset_us = world.chance.randint(-3_600_000_000, 3_600_000_000)
        self.kernel = world.store.connect()
        ids = SeededIds(world.chance.getrandbits(32))
        self.hold = world.scenario.opener(self.kernel, self.clock, ids, world.config)
        self.crashed = False
        self.tasks: list[asyncio.Task[None]] = []

    def start(self, names: list[str]) -> None:
        """Let the clients of those names go on, and a follower listen."""
        create = self.world.loop.create_task
        self.tasks = [create(self._live(name), name=name) for name in names]
        self.tasks.append(create(self.world.listeners[self.number].listen(self), name=f"listener {self.number}"))

    async def _live(self, name: str) -> None:
        world = self.world
        chance = Random(f"{world.seed} {name} {world.left[name]}")
        client = Client(name, self.hold, world.place, world.recorder, chance)
        while world.left[name] > 0:
            world.left[name] -= 1
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await client.step()
            except asyncio.CancelledError:
                if self.crashed:
                    raise
                asyncio.current_task().uncancel()  # type: ignore[union-attr]
            except Closed:
                return
        world.done += client.done

    def crash(self) -> None:
        """Nothing is closed, nothing finishes."""
        self.crashed = self.clock.dead = True
        self.kernel.crash()
        for task in self.tasks:
            task.cancel()


class Listener:
    """Follows every scope through all incarnations of a process, resuming by its cursors."""

    def __init__(self, world: World) -> None:
        self.segments: dict[str, list[list[tuple[int, Effect]]]] = {scope: [[]] for scope in world.place.scopes}
        self._world = world
        self._after: dict[Scope, str] = {Scope.parse(scope): "beginning" for scope in world.place.scopes}

    async def listen(self, process: Process) -> None:
        """Until the store is closed or the process dies. Where the log was trimmed, begin again at what is kept."""
        while True:
            try:
                async with process.hold.changes(list(self._after), after=self._after) as changes:
                    async for change in changes:
                        self.segments[str(change.scope)][-1].append((change.seq, effect_of(change)))
                        self._after[change.scope] = change.cursor
            except Compacted as gap:
                scope = Scope.parse(gap.scope)
                self._after[scope] = "beginning"
                self.segments[str(scope)].append([])
            except (Unavailable, Indeterminate):
                await process.clock.sleep(0.1)
            except Closed:
                return

    def has(self, ends: dict[str, int]) -> bool:
        """Whether everything up to those seqs has arrived."""
        return all(
            any(segment and segment[-1][0] >= seq for segment in self.segments[scope]) for scope, seq in ends.items()
        )


class World:
    """One seed's life."""

    def __init__(self, seed: int, scenario: Scenario) -> None:
        self.seed = seed
        self.scenario = scenario
        self.chance = Random(f"world {seed}")
        self.loop = virtual_loop(Random(f"loop {seed}"))
        self.store = SimulatedStore(Random(f"weather {seed}"), scenario.weather)
        self.place: Place = place_in_one_bucket(sessions=2, accounts=3, one_cut=False)
        self.config = Config(changes=ChangesConfig(retention_age=None, retention_count=scenario.trims, queue_max=8))
        self.notes: list[bytes] = []
        moments = itertools.count(1)
        self.recorder = Recorder(lambda: next(moments), sink=self.notes.append)
        self.names = [[f"{n}.{k}" for k in range(scenario.clients)] for n in range(scenario.processes)]
        self.left = {name: scenario.steps for names in self.names for name in names}
        self.done: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        self.story: list[str] = []
        self.listeners: list[Listener] = []
        self.processes: list[Process] = []

    def tell(self, event: str, about: Any = "") -> None:
        """Remember what chance did."""
        self.events[event] += 1
        self.story.append(f"{self.loop.time():9.3f} s  {event} {about}")

    async def live(self) -> None:
        """From the founding to the last check."""
        self.store.weather = CALM
        founder = Process(self, 0)
        await Client("founder", founder.hold, self.place, self.recorder, Random(0)).found()
        await founder.hold.close()
        self.store.weather = self.scenario.weather
        self.listeners = [Listener(self) for _ in self.names]
        self.processes = [Process(self, n) for n in range(len(self.names))]
        for process in self.processes:
            process.start(self.names[process.number])
        while any(self.left.values()):
            await asyncio.sleep(self.chance.random() * 0.5)
            await self.disturb()
            self.raise_what_tasks_raised()
        await self.come_to_rest()

    async def disturb(self) -> None:
        """One thing goes wrong."""
        process = self.chance.choice(self.processes)
        match self.chance.randrange(12):
            case 0:
                await self.restart(process, "crash")
            case 1:
                await self.restart(process, "close")
            case 2 | 3 | 4:
                if running := [task for task in process.tasks[:-1] if not task.done()]:
                    task = self.chance.choice(running)
                    self.tell("cancel", task.get_name())
                    task.cancel()
            case 5 | 6:
                process.clock.offset_us = self.chance.randint(-(10**11), 10**11)
                self.tell("jump", f"{process.number} by {process.clock.offset_us / 1e6:.0f} s")
            case 7:
                self.store.weather = self.chance.choice([self.scenario.weather, CALM, STORM])
                self.tell("weather", self.store.weather)
            case 8:
                self.tell("sweep", process.number)
                try:
                    await process.hold.sweep()
                except (Unavailable, Closed):
                    self.tell("sweep failed", process.number)

    async def restart(self, process: Process, how: str) -> None:
        """End a process, by a crash or in good order, and start it again on the same store."""
        self.tell(how, process.number)
        if how == "crash":
            process.crash()
        else:
            process.crashed = True
            for task in process.tasks:
                task.cancel()
            async with asyncio.timeout(PATIENCE_S):
                await process.hold.close()
        self.check()
        again = self.processes[process.number] = Process(self, process.number)
        again.start([name for name in self.names[process.number] if self.left[name] > 0])

    def raise_what_tasks_raised(self) -> None:
        """A client or follower that ended by an error has found something."""
        for process in self.processes:
            for task in process.tasks:
                problem = task.exception() if task.done() and not task.cancelled() else None
                if problem is not None and not isinstance(problem, Crashed):
                    raise problem

    async def come_to_rest(self) -> None:
        """Good weather, and every follower has to have heard everything."""
        self.store.weather = CALM
        ends = {scope: records[-1].seq for scope in self.place.scopes if (records := self.store.witness.get(scope))}
        until = self.loop.time() + PATIENCE_S
        while deaf := [n for n, listener in enumerate(self.listeners) if not listener.has(ends)]:
            self.raise_what_tasks_raised()
            if self.loop.time() > until:
                raise AssertionError(f"the followers of {deaf} never heard of all changes up to {ends}")
            await asyncio.sleep(1.0)
            ends = {scope: self.store.witness[scope][-1].seq for scope in ends}
        for process in self.processes:
            async with asyncio.timeout(PATIENCE_S):
                await process.hold.close()
        self.check()

    def check(self) -> None:
        """Hold everything seen so far against everything logged so far."""
        logs = {scope: [entry_of(record) for record in self.store.witness[scope]] for scope in self.place.scopes}
        found: list[Violation] = violations(load(self.notes), logs)
        for listener in self.listeners:
            for scope, segments in listener.segments.items():
                found += segment_violations(scope, segments, logs[scope])
        if found:
            raise AssertionError("\n  ".join(f"{rule}: {detail}" for rule, detail in found[:5]))


def simulate(seed: int, scenario: Scenario | None = None) -> World:
    """Live one seed to its end and return its world. Raises SimulationFailed, which says how to see it again."""
    world = World(seed, scenario if scenario is not None else scenario_of(seed))
    try:
        world.loop.run(world.live())
    except (Exception, Crashed) as problem:
        raise SimulationFailed(seed, f"{type(problem).__name__}: {problem}", world.story) from problem
    lost = [str(one.get("exception") or one["message"]) for one in world.loop.problems if not _is_death(one)]
    if lost:
        raise SimulationFailed(seed, f"errors that nobody saw: {lost[:3]}", world.story)
    return world


def scenario_of(seed: int) -> Scenario:
    """The scenario that a bare seed names: every third world trims its logs."""
    return Scenario(trims=3 if seed % 3 == 0 else None)


def _is_death(context: dict[str, Any]) -> bool:
    return isinstance(context.get("exception"), Crashed)


__all__ = ["PATIENCE_S", "HostClock", "Opener", "Scenario", "SimulationFailed", "World", "open_whole", "simulate"]
