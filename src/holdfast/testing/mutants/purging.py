"""Mutants that purge too little, too much, or visibly (G23)."""

from __future__ import annotations

from msgspec.structs import replace

from holdfast.backends.memory import MemoryKernel
from holdfast.kernel.commit import Commit, CommitId, ScopeCommit, Swept
from holdfast.testing.mutants.mutant import breaks


@breaks("G23")
class APurgeDoesNothing(MemoryKernel):
    """Nothing is purged."""

    async def purge(self, scope: str, *, budget: int = 10_000) -> Swept:
        """Do nothing."""
        self._open()
        return Swept()


@breaks("G23")
class APurgeTakesTheTombstone(MemoryKernel):
    """Of a scope that was dropped and purged no trace is left."""

    async def purge(self, scope: str, *, budget: int = 10_000) -> Swept:
        """Forget it."""
        purged = await super().purge(scope, budget=budget)
        data = self._data.scopes.get(scope)
        if data is not None and not data.head.live and not purged.more:
            self._data.forget(scope)
            self._data.trim_moves()
        return purged


@breaks("G23")
class APurgeTakesThePresentLifeToo(MemoryKernel):
    """All but the newest record of a scope is purged, whatever life it is of."""

    async def purge(self, scope: str, *, budget: int = 10_000) -> Swept:
        """Trim all of it."""
        data = self._open().scopes.get(scope)
        if data is None or not data.records:
            return Swept()
        removed = min(budget, len(data.records) - 1)
        del data.records[:removed], data.positions[:removed]
        data.head = replace(data.head, floor=data.records[0].seq)
        return Swept(records=removed, more=len(data.records) > 1)


@breaks("G23")
class APurgeEmptiesThePresentLife(MemoryKernel):
    """A scope that lives again loses its cells with those of its past."""

    async def purge(self, scope: str, *, budget: int = 10_000) -> Swept:
        """Remove them."""
        data = self._open().scopes.get(scope)
        if data is not None and data.head.epoch:
            self._path.clear(scope)
        return await super().purge(scope, budget=budget)


@breaks("G23")
class APurgeIsACommit(MemoryKernel):
    """A purge takes a seq and a record."""

    async def purge(self, scope: str, *, budget: int = 10_000) -> Swept:
        """Commit it."""
        purged = await super().purge(scope, budget=budget)
        if purged.records:
            part = ScopeCommit(scope, "create", drop=True)
            await self.commit([Commit((part,), 0, b"", CommitId(f"purge {self._data.moves_end}", 1))])
        return purged


@breaks("G23")
class APurgeKnowsNoBudget(MemoryKernel):
    """A purge removes all there is at once."""

    async def purge(self, scope: str, *, budget: int = 10_000) -> Swept:
        """Take another budget."""
        return await super().purge(scope, budget=10_000)


@breaks("G23")
class WhoLivesAgainHasNotEnded(MemoryKernel):
    """Only scopes that do not live are named as ended."""

    async def ended(self, *, after: str = "", limit: int = 1000) -> tuple[str, ...]:
        """Leave the others out."""
        names = await super().ended(after=after, limit=limit)
        return tuple(name for name in names if not self._data.head(name).live)
