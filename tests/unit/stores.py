"""What tests of the public surface run on: stores of every backend, and a clock that stands still."""

from __future__ import annotations

from pathlib import Path
from random import Random

from holdfast import Config, Holdfast, KeyRing, Scope
from holdfast.backends.memory import MemoryKernel, MemoryStore
from holdfast.backends.postgres import PostgresKernel, Settings
from holdfast.backends.sqlite import SqliteKernel
from holdfast.kernel.contract import Kernel
from holdfast.kernel.keys import bucket
from holdfast.model.scope import ScopeKind
from holdfast.system import SystemIds, random_bytes
from holdfast.testing.clock import LeapingClock, SeededIds, StillClock
from holdfast.wrappers.sealing import Sealing
from holdfast.wrappers.weakest import weakest
from tests.servers import fresh

RING = KeyRing({"2026-11": b"k" * 32}, active="2026-11")


class Stores:
    """One store, and as many openings of it as a test asks for: each is what another process would have."""

    def __init__(self, backend: str, folder: Path) -> None:
        self.backend = backend
        self.clock = StillClock()
        self._memory = MemoryStore()
        self._path = folder / "store.db"
        self._opened: list[Holdfast] = []
        self._postgres: Settings | None = None

    async def kernel(self, *, space: str = "default") -> Kernel:
        """One more kernel of the store, as its tests are to see it."""
        kernel = await self.plain(space=space)
        if self.backend == "encrypted":
            ids = SystemIds()  # of the ring's commits; those of the store repeat
            return await Sealing.open(kernel, RING, clock=self.clock, ids=ids, entropy=random_bytes)
        if self.backend == "weakest":
            return weakest(kernel, clock=LeapingClock(), random=Random(len(self._opened)))
        return kernel

    async def plain(self, *, space: str = "default") -> Kernel:
        """One more kernel of the same store with nothing around it: what it reads is what is stored."""
        if self.backend == "sqlite":
            return await SqliteKernel.open(self._path, space=space, durability="process")
        if self.backend == "postgres":
            if self._postgres is None:
                self._postgres = await fresh()
            return await PostgresKernel.open(self._postgres, space=space)
        return MemoryKernel(self._memory, space=space)

    async def open(self, *, config: Config | None = None, space: str = "default") -> Holdfast:
        ids = SeededIds(len(self._opened))
        hold = Holdfast.over(await self.kernel(space=space), config=config, clock=self.clock, ids=ids)
        self._opened.append(hold)
        return hold

    async def close(self) -> None:
        for hold in self._opened:
            await hold.close()


def together(*kinds: ScopeKind, near: str = "session/s") -> list[Scope]:
    """Scopes of these kinds that every backend can commit together, with the one of that name."""
    found: list[Scope] = []
    for kind in kinds:
        n = 0
        while bucket(f"{kind}/{kind}-{n}") != bucket(near) or Scope(kind, f"{kind}-{n}") in found:
            n += 1
        found.append(Scope(kind, f"{kind}-{n}"))
    return found
