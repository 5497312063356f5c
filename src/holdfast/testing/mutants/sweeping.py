"""Mutants whose sweep shows (G16)."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from holdfast.backends.memory import MemoryKernel
from holdfast.kernel.commit import Commit, CommitId, Outcome, Record, Retention, ScopeCommit, Swept
from holdfast.testing.mutants.mutant import breaks


@breaks("G16")
class ASweepIsACommit(MemoryKernel):
    """What expired is deleted by a commit, which takes a seq and a record."""

    async def sweep(self, *, now_us: int, retention: Retention, budget: int = 10_000) -> Swept:
        """Delete what is expired by a commit."""
        for number, (name, data) in enumerate(list(self._open().scopes.items())):
            expired = tuple(k for k, c in data.cells.items() if c.expires_us is not None and c.expires_us <= now_us)
            if expired and data.head.live:
                part = ScopeCommit(name, deletes=expired)
                await self.commit([Commit((part,), now_us, b"", CommitId(f"sweep {self._data.moves_end}", number + 1))])
        return await super().sweep(now_us=now_us, retention=retention, budget=budget)


@breaks("G16")
class ASweepComesAMicrosecondEarly(MemoryKernel):
    """Cells are removed a microsecond before they expire."""

    async def sweep(self, *, now_us: int, retention: Retention, budget: int = 10_000) -> Swept:
        """Sweep at the next microsecond."""
        return await super().sweep(now_us=now_us + 1, retention=retention, budget=budget)


@breaks("G16")
class ASweepComesAMicrosecondLate(MemoryKernel):
    """Cells and tombstones are kept a microsecond too long."""

    async def sweep(self, *, now_us: int, retention: Retention, budget: int = 10_000) -> Swept:
        """Sweep at the last microsecond."""
        return await super().sweep(now_us=now_us - 1, retention=retention, budget=budget)


@breaks("G16")
class ASweepDoesNothing(MemoryKernel):
    """Nothing is ever removed."""

    async def sweep(self, *, now_us: int, retention: Retention, budget: int = 10_000) -> Swept:
        """Do nothing."""
        self._open()
        return Swept()


@breaks("G16")
class TheBudgetIsForEachKind(MemoryKernel):
    """Cells and records are removed up to the budget each."""

    async def sweep(self, *, now_us: int, retention: Retention, budget: int = 10_000) -> Swept:
        """Sweep once for cells and once for the rest."""
        one = await super().sweep(now_us=now_us, retention=Retention(tombstone_us=None), budget=budget)
        two = await super().sweep(now_us=now_us, retention=retention, budget=budget)
        return Swept(one.cells + two.cells, two.records, two.scopes, two.more)


@breaks("G16")
class MoreIsNotTold(MemoryKernel):
    """A sweep that ran out of its budget says that it is done."""

    async def sweep(self, *, now_us: int, retention: Retention, budget: int = 10_000) -> Swept:
        """Keep it back."""
        return replace(await super().sweep(now_us=now_us, retention=retention, budget=budget), more=False)


@breaks("G16")
class TombstonesGoAtOnce(MemoryKernel):
    """A dropped scope is forgotten by the next sweep, whatever the retention."""

    async def sweep(self, *, now_us: int, retention: Retention, budget: int = 10_000) -> Swept:
        """Set their time to nothing."""
        return await super().sweep(now_us=now_us, retention=replace(retention, tombstone_us=0), budget=budget)


@breaks("G16")
class TombstonesNeverGo(MemoryKernel):
    """A dropped scope leaves its trace for ever."""

    async def sweep(self, *, now_us: int, retention: Retention, budget: int = 10_000) -> Swept:
        """Set their time to none."""
        return await super().sweep(now_us=now_us, retention=replace(retention, tombstone_us=None), budget=budget)


@breaks("G16")
class EitherBoundTrims(MemoryKernel):
    """A record goes when it is beyond one of two bounds."""

    async def sweep(self, *, now_us: int, retention: Retention, budget: int = 10_000) -> Swept:
        """Sweep by the one, then by the other."""
        if retention.age_us is not None and retention.count is not None:
            await super().sweep(now_us=now_us, retention=replace(retention, age_us=None), budget=budget)
            return await super().sweep(now_us=now_us, retention=replace(retention, count=None), budget=budget)
        return await super().sweep(now_us=now_us, retention=retention, budget=budget)


@breaks("G16")
class ACountKeepsOneLess(MemoryKernel):
    """One record less than the count is kept."""

    async def sweep(self, *, now_us: int, retention: Retention, budget: int = 10_000) -> Swept:
        """Lower the count."""
        count = None if retention.count is None else retention.count - 1
        return await super().sweep(now_us=now_us, retention=replace(retention, count=count), budget=budget)


@breaks("G16")
class TheAgeIsThatOfTheNewest(MemoryKernel):
    """A log is trimmed only when its newest record is old."""

    async def sweep(self, *, now_us: int, retention: Retention, budget: int = 10_000) -> Swept:
        """Leave the logs alone while any head is young."""
        age_us = retention.age_us
        if age_us is not None and any(now_us - d.head.at_us < age_us for d in self._open().scopes.values()):
            retention = replace(retention, age_us=None, count=None)
        return await super().sweep(now_us=now_us, retention=retention, budget=budget)


@breaks("G16")
class WhatOnceExpiredIsSwept(MemoryKernel):
    """A list of what will expire is kept, and swept without looking again."""

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Note every expiry."""
        self._due: list[tuple[int, str, str]] = getattr(self, "_due", [])
        self._due += [
            (put.expires_us, part.scope, put.key)
            for commit in commits
            for part in commit.scopes
            for put in part.puts
            if put.expires_us is not None
        ]
        return await super().commit(commits)

    async def sweep(self, *, now_us: int, retention: Retention, budget: int = 10_000) -> Swept:
        """Delete what is on the list."""
        swept = await super().sweep(now_us=now_us, retention=retention, budget=budget)
        for due_us, scope, key in getattr(self, "_due", ()):
            if due_us <= now_us and scope in self._data.scopes:
                self._data.scopes[scope].delete(key)
                self._data.set_entries(scope, key, ())
        return swept


@breaks("G16")
class EmptyScopesAreSwept(MemoryKernel):
    """A scope that lives and has no cells is forgotten."""

    async def sweep(self, *, now_us: int, retention: Retention, budget: int = 10_000) -> Swept:
        """Forget it."""
        swept = await super().sweep(now_us=now_us, retention=retention, budget=budget)
        for name in [name for name, data in self._data.scopes.items() if data.head.live and not data.cells]:
            self._data.forget(name)
        return swept


@breaks("G16")
class TheRecordAtTheFloorIsGone(MemoryKernel):
    """The log begins one record later than the floor of the head says."""

    async def log(
        self, scope: str, *, after: int = 0, limit: int = 1000, reverse: bool = False, bytes_max: int | None = None
    ) -> tuple[Record, ...]:
        """Leave out the record at the floor, once something was trimmed."""
        records = await super().log(scope, after=after, limit=limit, reverse=reverse, bytes_max=bytes_max)
        floor = self._open().head(scope).floor
        return tuple(record for record in records if floor == 1 or record.seq != floor)
