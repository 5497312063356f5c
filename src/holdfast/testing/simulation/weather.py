"""A store behind a bad network: the memory backend behind the weakest traits, and everything that may go wrong between.

`SimulatedStore` is what survives; a `StormyKernel` is one process's connection to it. Whatever the contract allows to
happen happens, by chance: a call is not executed, a reply is lost after the commit or before it, part of a batch is
applied, a commit sent by a process that then died still lands or does not, hints are lost, late and doubled. (That
moves repeat and a read shows each scope at another moment is the part of `Weakened`.) What the contract forbids never
happens here; so whatever the checker finds is a defect above the kernel.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from holdfast.backends.memory import MemoryKernel, MemoryStore
from holdfast.errors import Indeterminate, Unavailable
from holdfast.kernel.commit import Commit, Committed, Outcome, Record
from holdfast.kernel.contract import Kernel
from holdfast.wrappers.around import Around, Verb
from holdfast.wrappers.weakest import Weakened

T = TypeVar("T")


class Weather(Struct, frozen=True):
    """How bad it is: chances per call, and times in virtual seconds."""

    unavailable: float = 0.04
    reply_lost: float = 0.06
    request_lost: float = 0.03
    cut_short: float = 0.04
    hint_lost: float = 0.6
    hint_late_s: float = 0.3
    latency_s: float = 0.02
    stall: float = 0.02
    stall_s: float = 2.0


CALM = Weather(0, 0, 0, 0, 0, 0, 0, 0, 0)
"""Nothing goes wrong, and nothing takes time."""


STORM = Weather(0.3, 0.2, 0.1, 0.1, 0.9, 5.0, 0.2)
"""Hardly anything gets through at the first try."""


class Crashed(BaseException):
    """The process that made this call is dead. Nothing in it may go on."""


class SimulatedStore:
    """What survives every process: the data, and the witness of all that was ever logged."""

    def __init__(self, chance: Random, weather: Weather) -> None:
        self.chance = chance
        self.weather = weather
        self.witness: dict[str, list[Record]] = defaultdict(list)
        """scope -> every record, also those that were trimmed since."""
        self.landed_late = 0
        """Commits that were applied after their process had died."""
        self._data = MemoryStore()
        self._inside = self._open()

    def connect(self) -> StormyKernel:
        """One process's connection."""
        return StormyKernel(self, self._open())

    def _open(self) -> Weakened:
        return Weakened(MemoryKernel(self._data), random=self.chance)

    async def apply(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Apply them now, and note what was logged."""
        outcomes = await self._inside.commit(commits)
        for outcome in outcomes:
            if isinstance(outcome, Committed) and not outcome.replayed:
                for scope, seq in outcome.seqs.items():
                    self.witness[scope] += await self._inside.log(scope, after=seq - 1, limit=1)
        return outcomes

    def happens(self, chance: float) -> bool:
        """Whether something of that chance happens now."""
        return chance > 0 and self.chance.random() < chance


class StormyKernel(Around):
    """One process's connection to the store, through the weather."""

    def __init__(self, store: SimulatedStore, inside: Kernel) -> None:
        super().__init__(inside)
        self._store = store
        self._dead = False

    def crash(self) -> None:
        """The process dies: what it waits for never comes back, what it sent may still land."""
        self._dead = True

    async def _travel(self) -> None:
        """The time a message takes, and the end of the process meanwhile."""
        store, weather = self._store, self._store.weather
        if self._dead:
            raise Crashed
        if store.happens(weather.stall):
            await asyncio.sleep(weather.stall_s * store.chance.random())
        elif store.happens(0.8):
            await asyncio.sleep(weather.latency_s * store.chance.random())
        if self._dead:
            raise Crashed

    async def call(self, verb: Verb, send: Callable[[], Awaitable[T]]) -> T:
        """There and back, unless the store cannot be reached."""
        await self._travel()
        if self._store.happens(self._store.weather.unavailable):
            raise Unavailable(f"simulated: the store could not be reached ({verb})")
        answer = await send()
        await self._travel()
        return answer

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """See `Kernel.commit`. Cancelling or killing the caller does not stop what is on its way."""
        if self._dead:
            raise Crashed
        sent = [replace(commit) for commit in commits]
        delivery = asyncio.get_running_loop().create_task(self._deliver(sent), name="delivery")
        return await asyncio.shield(delivery)

    async def _deliver(self, commits: list[Commit]) -> list[Outcome]:
        store, weather = self._store, self._store.weather
        await self._travel_alone()
        if self._dead:
            if store.happens(0.5):
                raise Crashed
            store.landed_late += 1
        if store.happens(weather.unavailable):
            raise Unavailable("simulated: the store could not be reached")
        if store.happens(weather.request_lost):
            raise Indeterminate("simulated: no reply, and nothing was applied")
        if len(commits) > 1 and store.happens(weather.cut_short * len(commits)):
            return await self._apply_part(commits)
        outcomes = await store.apply(commits)
        await self._travel_alone()
        if self._dead:
            raise Crashed
        if store.happens(weather.reply_lost):
            raise Indeterminate("simulated: everything was applied, and the reply was lost")
        return outcomes

    async def _apply_part(self, commits: list[Commit]) -> list[Outcome]:
        """The first ones are applied, the rest is not; what is known of each may be less."""
        store = self._store
        cut = store.chance.randrange(len(commits))
        outcomes = await store.apply(commits[:cut])
        outcomes += [Unavailable("simulated: not executed") for _ in commits[cut:]]
        return [
            Indeterminate("simulated: this reply was lost") if store.happens(0.4) else outcome for outcome in outcomes
        ]

    async def _travel_alone(self) -> None:
        try:
            await self._travel()
        except Crashed:
            return

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        """See `Kernel.watch`. Hints get lost, come late, come twice."""
        store = self._store
        loop = asyncio.get_running_loop()

        def hint() -> None:
            if self._dead or loop.is_closed():
                return
            for _ in range(1 + store.happens(0.1)):
                if not store.happens(store.weather.hint_lost):
                    loop.call_later(store.weather.hint_late_s * store.chance.random(), wake)

        return self.inside.watch(hint)

    def listen(self, hear: Callable[[str, bytes], None]) -> Callable[[], None]:
        """See `Kernel.listen`. Signals get lost and come twice, in their order."""
        store = self._store
        loop = asyncio.get_running_loop()

        def heard(scope: str, payload: bytes) -> None:
            if self._dead or loop.is_closed():
                return
            for _ in range(1 + store.happens(0.1)):
                if not store.happens(store.weather.hint_lost):
                    loop.call_soon(hear, scope, payload)

        return self.inside.listen(heard)


__all__ = ["CALM", "STORM", "Crashed", "SimulatedStore", "StormyKernel", "Weather"]
