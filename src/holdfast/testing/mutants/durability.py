"""Mutants that show late, forget, or mix spaces: durable as declared (G6), isolated (G9)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from holdfast.backends.memory import MemoryKernel, MemoryStore
from holdfast.kernel.commit import Commit, Committed, Found, Moved, Outcome, Read, Record, Retention, Swept, View
from holdfast.testing.mutants.mutant import breaks

# --- G6 -------------------------------------------------------------------------------------------


@breaks("G6")
class ReadsComeFromAnOldCache(MemoryKernel):
    """A kernel answers reads from what it read before, until it writes itself: others' commits are not seen."""

    _cache: dict[tuple[str, int], View]

    async def read(self, reads: Sequence[Read], *, now_us: int) -> list[View]:
        """Answer from the cache where there is something."""
        self._cache = cache = getattr(self, "_cache", {})
        views = []
        for read in reads:
            place = (repr(read), now_us)
            if place not in cache:
                [cache[place]] = await super().read([read], now_us=now_us)
            views.append(cache[place])
        return views

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Commit, and clear the cache."""
        self._cache = {}
        return await super().commit(commits)


@breaks("G6")
class ReadsLagByOneCommit(MemoryKernel):
    """A scope is shown as it was before its last commit, when it was read then."""

    _before: dict[str, View]

    async def read(self, reads: Sequence[Read], *, now_us: int) -> list[View]:
        """Show the cells of before, once."""
        self._before = before = getattr(self, "_before", {})
        views = await super().read(reads, now_us=now_us)
        shown = [replace(view, cells=before.get(view.scope, view).cells) for view in views]
        before.update({view.scope: view for view in views})
        return shown


@breaks("G6")
class AcknowledgedBeforeItIsDone(MemoryKernel):
    """A batch is answered, and applied with the next one."""

    _waiting: list[Commit]

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Promise each scope its next seq."""
        outcomes = await super().commit(commits)
        self._undone = [self._data.scopes[c.scopes[0].scope] for c in commits if c.scopes][-1:]
        for data in self._undone:
            data.cells = {key: cell for key, cell in data.cells.items() if cell.version < data.head.seq}
            data.keys = sorted(data.cells)
        return outcomes


@breaks("G6")
class WhatNeedNotBeDurableWaits(MemoryKernel):
    """A commit that need not be durable is answered, and applied with the next one."""

    _waiting: tuple[Commit, ...] = ()

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Promise each scope its next seq."""
        if any(commit.durable for commit in commits):
            waiting, self._waiting = self._waiting, ()
            return (await super().commit([*waiting, *commits]))[len(waiting) :]
        self._waiting += tuple(commits)
        seqs = [{part.scope: self._data.head(part.scope).seq + 1 for part in commit.scopes} for commit in commits]
        return [Committed(each) for each in seqs]


@breaks("G6")
class WhatNeedNotBeDurableEndsWithItsOpening(MemoryKernel):
    """Cells of commits that need not be durable are kept in memory only, whatever comes after them."""

    _kept: tuple[tuple[str, int], ...] = ()

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Remember what was written so."""
        outcomes = await super().commit(commits)
        for commit, outcome in zip(commits, outcomes, strict=True):
            if isinstance(outcome, Committed) and not commit.durable:
                self._kept += tuple(outcome.seqs.items())
        return outcomes

    async def close(self) -> None:
        """Forget it."""
        for scope, seq in self._kept:
            data = self._data.scopes[scope]
            data.cells = {key: cell for key, cell in data.cells.items() if cell.version != seq}
            data.keys = sorted(data.cells)
        await super().close()


@breaks("G6")
class ClosingLosesTheIndexes(MemoryKernel):
    """Index entries are kept in memory only."""

    async def close(self) -> None:
        """Forget them."""
        self._data.indexes.clear()
        for data in self._data.scopes.values():
            data.entries.clear()
        await super().close()


@breaks("G6")
class ClosingLosesTheLanes(MemoryKernel):
    """Which ids were used is kept in memory only."""

    async def close(self) -> None:
        """Forget them."""
        self._data.lanes.clear()
        await super().close()


@breaks("G6")
class ClosingLosesTheTombstones(MemoryKernel):
    """What is dropped is not kept over a close."""

    async def close(self) -> None:
        """Forget them."""
        for name in [name for name, data in self._data.scopes.items() if not data.head.live]:
            self._data.forget(name)
        await super().close()


@breaks("G6")
class StatsLeaveOutRecords(MemoryKernel):
    """The figures lack one that is owed."""

    async def stats(self) -> Mapping[str, int | float | str]:
        """Leave it out."""
        return {name: value for name, value in (await super().stats()).items() if name != "records"}


@breaks("G6")
class AnotherKernelsMovesAreNotReported(MemoryKernel):
    """A kernel reports what it committed itself."""

    _own: set[tuple[str, int]]

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Remember what is its own."""
        outcomes = await super().commit(commits)
        own = {(scope, seq) for outcome in outcomes for scope, seq in getattr(outcome, "seqs", {}).items()}
        self._own = getattr(self, "_own", set()) | own
        return outcomes

    async def moved(self, after: str | None = None, *, limit: int = 1000) -> Moved:
        """Leave out the others'."""
        moved = await super().moved(after, limit=limit)
        return replace(moved, scopes=tuple(move for move in moved.scopes if move in getattr(self, "_own", set())))


@breaks("G6")
class TheMarkStandsStill(MemoryKernel):
    """It says that nothing was committed."""

    def mark(self) -> int | None:
        """Say nothing."""
        super().mark()
        return 0


@breaks("G6")
class TheMarkCountsOwnCommits(MemoryKernel):
    """What another opening commits does not move it."""

    _own = 0

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Count."""
        self._own += len(commits)
        return await super().commit(commits)

    async def sweep(self, *, now_us: int, retention: Retention, budget: int = 10_000) -> Swept:
        """Count."""
        self._own += 1
        return await super().sweep(now_us=now_us, retention=retention, budget=budget)

    def mark(self) -> int | None:
        """Say what was counted."""
        super().mark()
        return self._own


@breaks("G6")
class SweepsAreNotTold(MemoryKernel):
    """Beside the moves nothing is said of sweeps."""

    async def moved(self, after: str | None = None, *, limit: int = 1000) -> Moved:
        """Keep it back."""
        return replace(await super().moved(after, limit=limit), sweeps=0)


# --- G9 -------------------------------------------------------------------------------------------


@breaks("G9")
class SpacesAreCutShort(MemoryKernel):
    """Two spaces whose names begin alike are one."""

    def __init__(self, store: MemoryStore, *, space: str) -> None:
        super().__init__(store, space=space[:22])
        self.space = space


@breaks("G9")
class FindLooksIntoEverySpace(MemoryKernel):
    """Entries of all spaces are found."""

    async def find(self, index: str, value: str, *, now_us: int, **rest: Any) -> tuple[Found, ...]:
        """Ask every space of the store and merge."""
        found: list[Found] = []
        own = self._data
        for data in list(self._store._spaces.values()):
            self._data = data
            found += await super().find(index, value, now_us=now_us, **rest)
        self._data = own
        found.sort(key=lambda entry: entry.cursor, reverse=bool(rest.get("reverse")))
        return tuple(found[: rest.get("limit", 1000)])


@breaks("G9")
class ScopesOfEverySpaceAreListed(MemoryKernel):
    """Names of all spaces are listed."""

    async def scopes(self, *, after: str = "", limit: int = 1000) -> tuple[str, ...]:
        """Ask every space of the store and merge."""
        self._open()
        spaces = self._store._spaces.values()
        return tuple(
            sorted({n for data in spaces for n in data.names if n > after and data.scopes[n].head.live})[:limit]
        ) or await super().scopes(after=after, limit=limit)


@breaks("G9")
class MovesOfEverySpaceAreReported(MemoryKernel):
    """Scopes that moved in another space are reported."""

    async def moved(self, after: str | None = None, *, limit: int = 1000) -> Moved:
        """Add what all the spaces have."""
        moved = await super().moved(after, limit=limit)
        others = [(scope, seq) for data in self._store._spaces.values() for _, scope, seq in data.moves]
        return moved if after is None or moved.more else replace(moved, scopes=(*moved.scopes, *others)[:limit])


@breaks("G9")
class ASweepGoesThroughEverySpace(MemoryKernel):
    """A sweep of one space sweeps them all."""

    async def sweep(self, *, now_us: int, retention: Retention, budget: int = 10_000) -> Swept:
        """Sweep each."""
        own, swept = self._open(), Swept()
        for data in list(self._store._spaces.values()):
            self._data = data
            swept = await super().sweep(now_us=now_us, retention=retention, budget=budget)
        self._data = own
        return swept


@breaks("G9")
class ASweepExpiresThePositionsOfEverySpace(MemoryKernel):
    """A tombstone swept in one space expires the positions of all."""

    async def sweep(self, *, now_us: int, retention: Retention, budget: int = 10_000) -> Swept:
        """Raise the floor of every space."""
        swept = await super().sweep(now_us=now_us, retention=retention, budget=budget)
        for data in self._store._spaces.values() if swept.scopes else ():
            data.moves_floor = data.moves_end
        return swept


@breaks("G9")
class ALogIsFoundByItsScopeAlone(MemoryKernel):
    """A scope that this space has not is looked for in the others."""

    async def log(
        self, scope: str, *, after: int = 0, limit: int = 1000, reverse: bool = False, bytes_max: int | None = None
    ) -> tuple[Record, ...]:
        """Take any space that has it."""
        own = self._open()
        if scope not in own.scopes:
            self._data = next((data for data in self._store._spaces.values() if scope in data.scopes), own)
        try:
            return await super().log(scope, after=after, limit=limit, reverse=reverse, bytes_max=bytes_max)
        finally:
            self._data = own
