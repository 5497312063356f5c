"""A world of turns: processes that answer the same requests on few sessions, and take them for themselves.

Processes crash, stand still for longer than a ttl, and their walls jump both ways; single calls are cancelled; turns
and claims supersede each other; every request is sent by many. What must never happen is held against them on the way,
and in the end the history of each session must be a serial one.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, Literal, TypeVar

from msgspec import Struct

from holdfast import Busy, Conflict, Holdfast, LeaseLost, Session
from holdfast.errors import Indeterminate, Unavailable
from holdfast.kernel.contract import Kernel
from holdfast.testing.clock import SeededIds
from holdfast.testing.simulation.loop import virtual_loop
from holdfast.testing.simulation.weather import CALM, Crashed, SimulatedStore, Weather
from holdfast.testing.simulation.world import HostClock
from holdfast.wrappers.around import Around, Verb

T = TypeVar("T")

TTL_S = 15.0
"""How long a turn or claim is believed in whose process is not heard of."""

PATIENCE_S = 3600.0
"""Virtual seconds that one turn may take, waiting included."""

REFUSED = (Busy, Conflict, Indeterminate, LeaseLost, Unavailable)


class Scenario(Struct, frozen=True, kw_only=True):
    """How large a world is; `broken` puts a kernel with a mistake around each process's connection.

    Where nobody supersedes, two that hold a session at once is a finding by itself, and so is a finished step that
    runs again: else the older one may not know yet that it is fenced. There walls differ less than would have one who
    beats taken for gone; where sessions are superseded anyway, they differ by a day.
    """

    processes: int = 3
    lanes: int = 2
    sessions: int = 2
    requests: int = 5
    supersedes: bool = True
    broken: Callable[[Kernel], Kernel] = lambda kernel: kernel

    def wall_us(self, chance: Random) -> int:
        """What the wall of a process is off by."""
        most_us = 10**11 if self.supersedes else round((TTL_S / 2 + 5) * 1_000_000)
        return chance.randint(-most_us, most_us)


class Stalling(Around):
    """The connection of a process that may stand still: nothing leaves it and nothing arrives meanwhile."""

    def __init__(self, inside: Kernel, clock: HostClock) -> None:
        super().__init__(inside)
        self.until_s = 0.0
        self._clock = clock

    async def awake(self) -> None:
        """Return when the process runs."""
        while True:
            left_s = self.until_s - self._clock.monotonic_s()
            if left_s <= 0:
                return
            await asyncio.sleep(left_s)

    async def call(self, verb: Verb, send: Callable[[], Awaitable[T]]) -> T:
        """There and back, as the process is awake."""
        await self.awake()
        answer = await send()
        await self.awake()
        return answer


class Process:
    """One incarnation of one process."""

    def __init__(self, world: World) -> None:
        self.clock = HostClock(asyncio.get_running_loop())
        self.clock.offset_us = world.scenario.wall_us(world.chance)
        self.connection = world.store.connect()
        self.kernel = Stalling(self.connection, self.clock)
        ids = SeededIds(world.chance.getrandbits(32))
        self.hold = Holdfast.over(world.scenario.broken(self.kernel), clock=self.clock, ids=ids)
        self.stalls = 0
        self.dead = False
        self.tasks: list[asyncio.Task[None]] = []

    def crash(self) -> None:
        """Nothing is closed, nothing finishes."""
        self.dead = self.clock.dead = True
        self.connection.crash()
        for task in self.tasks:
            task.cancel()

    def stall(self, seconds: float) -> None:
        """Stand still for so long, beats and all."""
        self.stalls += 1
        self.kernel.until_s = max(self.kernel.until_s, self.clock.monotonic_s() + seconds)

    async def sleep(self, seconds: float) -> None:
        """Work for so long; longer if the process stands still."""
        await self.clock.sleep(seconds)
        await self.kernel.awake()


class Holding(Struct, eq=False):
    """One who believes to hold a session, in a process that stood still so often by then."""

    process: Process
    stalls: int

    @property
    def is_sure(self) -> bool:
        """Whether nobody else may have taken the session for abandoned."""
        return not self.process.dead and self.process.stalls == self.stalls


class World:
    """One seed's life."""

    def __init__(self, seed: int, scenario: Scenario) -> None:
        self.chance = Random(f"turns {seed}")
        self.scenario = scenario
        self.store = SimulatedStore(Random(f"weather {seed}"), CALM)
        self.names = [f"s{n}" for n in range(scenario.sessions)]
        self.events: Counter[str] = Counter()
        self.processes: list[Process] = []
        self.todo: dict[tuple[int, int], list[tuple[str, str]]] = {}
        self._inside: dict[str, list[Holding]] = defaultdict(list)
        self._answers: dict[tuple[str, str], Any] = {}
        self._finished: set[tuple[str, str]] = set()
        self._counted: dict[str, set[str]] = defaultdict(set)
        self._ids = 0
        self._over = False

    async def live(self) -> World:
        """From the first session to the last check."""
        try:
            await self._live()
        finally:
            self._over = True
        return self

    async def _live(self) -> None:
        founder = Process(self)
        for name in self.names:
            await founder.hold.sessions.create(id=name)
        self.store.weather = Weather()
        for place in range(self.scenario.processes):
            for lane in range(self.scenario.lanes):
                todo = [(name, f"r{n}") for name in self.names for n in range(self.scenario.requests)]
                self.chance.shuffle(todo)
                self.todo[place, lane] = todo
            self.processes.append(self._started(place))
        while any(self.todo.values()):
            await asyncio.sleep(4 * self.chance.random())
            await self._disturb()
            self._raise_what_tasks_raised()
        self.store.weather = CALM
        await self._check(founder.hold)

    def _started(self, place: int) -> Process:
        process = Process(self)
        for lane in range(self.scenario.lanes):
            process.tasks.append(asyncio.ensure_future(self._work(process, self.todo[place, lane])))
        return process

    async def _disturb(self) -> None:
        place = self.chance.randrange(len(self.processes))
        process = self.processes[place]
        match self.chance.randrange(10):
            case 0:
                self.events["crash"] += 1
                process.crash()
                self.processes[place] = self._started(place)
            case 1 | 2:
                self.events["stall"] += 1
                process.stall(TTL_S * (0.5 + 2 * self.chance.random()))
            case 3 | 4:
                self.events["cancel"] += 1
                self.chance.choice(process.tasks).cancel()
            case 5 | 6:
                self.events["jump"] += 1
                process.clock.offset_us = self.scenario.wall_us(self.chance)
            case 7:
                self.events["sweep"] += 1
                try:
                    await process.hold.sweep()
                except (Unavailable, Indeterminate):
                    self.events["sweep failed"] += 1

    def _raise_what_tasks_raised(self) -> None:
        for process in self.processes:
            for task in process.tasks:
                problem = task.exception() if task.done() and not task.cancelled() else None
                if problem is not None and not isinstance(problem, Crashed):
                    raise problem

    # --- what a process does ------------------------------------------------------------------------

    async def _work(self, process: Process, todo: list[tuple[str, str]]) -> None:
        while todo:
            name, request = todo[-1]
            try:
                async with asyncio.timeout(PATIENCE_S):
                    session = await process.hold.sessions.get(name)
                    assert session is not None
                    if self.chance.random() < 0.25:
                        await self._count_alone(process, session)
                    await self._answer(process, session, request)
            except REFUSED as refused:
                self.events[type(refused).__name__] += 1
                await process.sleep(self.chance.random())
            except asyncio.CancelledError:
                if process.dead or self._over:
                    raise
                asyncio.current_task().uncancel()  # type: ignore[union-attr]
            else:
                todo.pop()

    def _how(self) -> Literal["queue", "reject", "supersede"]:
        busy = self.chance.choice(("queue", "queue", "queue", "queue", "reject", "supersede"))
        return busy if self.scenario.supersedes else "queue" if busy == "supersede" else busy

    async def _answer(self, process: Process, session: Session, request: str) -> None:
        asked = session.id, request
        async with session.turn(request_id=request, busy=self._how(), wait=None, ttl=TTL_S) as turn:
            if not turn.replayed:
                holding = self._enter(process, session.id)
                try:
                    count = await session.state.get("count", int, default=0)  # past the turn: the fence alone keeps it
                    assert await turn.step("ask", self._ask, asked, holding, key=request) == request
                    self._finished.add(asked)
                    await turn.messages.add("user", request)
                    await process.sleep(self.chance.choice((0.1, 2.0, 2.0, 2 * TTL_S)) * self.chance.random())
                    await turn.state.set("count", count + 1)
                    turn.output = count + 1
                finally:
                    self._leave(session.id, holding)
        self.events["replayed" if turn.replayed else "answered"] += 1
        self._agree(asked, turn.output)

    def _ask(self, asked: tuple[str, str], holding: Holding) -> str:
        holds = holding.is_sure and not self.scenario.supersedes  # who was fenced may not know it yet
        assert asked not in self._finished or not holds, f"a finished step of {asked} ran again"
        return asked[1]

    def _agree(self, asked: tuple[str, str], output: Any) -> None:
        first = self._answers.setdefault(asked, output)
        assert first == output, f"{asked} was answered {first!r} and {output!r}"

    async def _count_alone(self, process: Process, session: Session) -> None:
        """Read, change and write with nothing but a claim to keep others out."""
        self._ids += 1
        id = f"c{self._ids}"
        async with session.claim(busy=self._how(), wait=None, ttl=TTL_S):
            holding = self._enter(process, session.id)
            try:
                before = await session.state.get("alone", list[Any], default=[0, ""])
                await process.sleep(self.chance.random())
                await session.state.set("alone", [before[0] + 1, id])
                self._counted[session.id].add(id)
                self.events["counted"] += 1
            finally:
                self._leave(session.id, holding)

    def _enter(self, process: Process, name: str) -> Holding:
        sure = [other for other in self._inside[name] if other.is_sure]
        assert self.scenario.supersedes or not sure, f"two hold {name} at once"
        holding = Holding(process, process.stalls)
        self._inside[name].append(holding)
        return holding

    def _leave(self, name: str, holding: Holding) -> None:
        self._inside[name].remove(holding)

    # --- the end ------------------------------------------------------------------------------------

    async def _check(self, hold: Holdfast) -> None:
        for name in self.names:
            session = await hold.sessions.get(name)
            assert session is not None
            said = [message.content for message in await session.messages.list(limit=1000)]
            answers = [self._answers[name, request] for request in said]  # type: ignore[index]
            assert sorted(said, key=str) == sorted(f"r{n}" for n in range(self.scenario.requests)), f"{name}: {said}"
            assert answers == list(range(1, len(said) + 1)), f"{name}: {said} were answered {answers}"
            counts = [one.value for one in (await session.state.history("count", limit=1000)).items]
            assert counts[::-1] == answers, f"{name} counted {counts[::-1]}"
            alone = [one.value for one in (await session.state.history("alone", limit=1000)).items][::-1]
            assert [value[0] for value in alone] == list(range(1, len(alone) + 1)), f"{name} counted alone {alone}"
            assert self._counted[name] <= {value[1] for value in alone}, f"{name}: an acknowledged write is lost"


def live(seed: int, scenario: Scenario | None = None) -> World:
    """Live one seed to its end. Raises what it has shown, with the seed."""
    loop = virtual_loop(Random(f"loop {seed}"))
    try:
        world = loop.run(World(seed, Scenario() if scenario is None else scenario).live())
    except (Exception, Crashed) as problem:
        raise AssertionError(f"seed {seed}: {type(problem).__name__}: {problem}") from problem
    lost = [one for one in loop.problems if not isinstance(one.get("exception"), Crashed)]
    assert not lost, f"seed {seed}: errors that nobody saw: {lost[:3]}"
    return world
