"""Mutants whose rewriting shows, or reaches what it should not (G21)."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from holdfast.backends.memory import MemoryKernel
from holdfast.kernel.commit import Commit, CommitId, Outcome, Put, Record, Rewrite, ScopeCommit, Stored
from holdfast.kernel.limits import Traits
from holdfast.testing.mutants.mutant import breaks


@breaks("G21")
class ARewriteIsACommit(MemoryKernel):
    """Cells are rewritten by putting them, which takes a seq and a version."""

    async def rewrite(self, scope: str, *, cells: Sequence[Rewrite] = (), records: Sequence[Record] = ()) -> int:
        """Put them."""
        before = await super().rewrite(scope, cells=cells, records=records)
        puts = tuple(Put(one.was.key, one.value, one.was.expires_us, one.entries) for one in cells)
        if before and puts:
            part = ScopeCommit(scope, "create", puts=puts)
            await self.commit([Commit((part,), 0, b"", CommitId(f"rewrite {self._data.moves_end}", 1))])
        return before


@breaks("G21")
class ARewriteAsksNothing(MemoryKernel):
    """A cell is rewritten whatever it is by now."""

    async def rewrite(self, scope: str, *, cells: Sequence[Rewrite] = (), records: Sequence[Record] = ()) -> int:
        """Take what is there for what it was."""
        data = self._open().scopes.get(scope)
        there = {} if data is None else data.cells
        cells = [replace(one, was=there[one.was.key]) for one in cells if one.was.key in there]
        return await super().rewrite(scope, cells=cells, records=records)


@breaks("G21")
class RecordsAreFoundBySeqAlone(MemoryKernel):
    """A record is rewritten whichever commit made it."""

    async def rewrite(self, scope: str, *, cells: Sequence[Rewrite] = (), records: Sequence[Record] = ()) -> int:
        """Take it for the one given."""
        data = self._open().scopes.get(scope)
        there = {} if data is None else {record.seq: record.commit for record in data.records}
        records = [replace(one, commit=there[one.seq]) for one in records if one.seq in there]
        return await super().rewrite(scope, cells=cells, records=records)


@breaks("G21")
class EntriesStayWhatTheyWere(MemoryKernel):
    """Only the value of a cell is replaced."""

    async def rewrite(self, scope: str, *, cells: Sequence[Rewrite] = (), records: Sequence[Record] = ()) -> int:
        """Keep the entries there are."""
        data = self._open().scopes.get(scope)
        kept = {} if data is None else data.entries
        cells = [replace(one, entries=kept.get(one.was.key, ())) for one in cells]
        return await super().rewrite(scope, cells=cells, records=records)


@breaks("G21")
class TheHeadKeepsItsCause(MemoryKernel):
    """The head shows the cause that its record had."""

    async def rewrite(self, scope: str, *, cells: Sequence[Rewrite] = (), records: Sequence[Record] = ()) -> int:
        """Put the old one back."""
        cause = self._open().head(scope).cause
        rewritten = await super().rewrite(scope, cells=cells, records=records)
        if (data := self._data.scopes.get(scope)) is not None:
            data.head = replace(data.head, cause=cause)
        return rewritten


@breaks("G21")
class RewrittenCellsExpireNoMore(MemoryKernel):
    """A rewritten cell lives for ever."""

    async def rewrite(self, scope: str, *, cells: Sequence[Rewrite] = (), records: Sequence[Record] = ()) -> int:
        """Forget when they expire."""
        rewritten = await super().rewrite(scope, cells=cells, records=records)
        data = self._open().scopes.get(scope)
        for one in cells if data is not None else ():
            if data is not None and (cell := data.cells.get(one.was.key)) is not None:
                data.put(replace(cell, expires_us=None))
        return rewritten


@breaks("G21")
class WhatExpiredIsNotShown(MemoryKernel):
    """Cells that may expire are not among those stored."""

    async def stored(
        self, scope: str, *, after: str | None = None, limit: int = 1000, bytes_max: int | None = None
    ) -> tuple[Stored, ...]:
        """Leave them out."""
        stored = await super().stored(scope, after=after, limit=limit, bytes_max=bytes_max)
        return tuple(one for one in stored if one.cell.expires_us is None)


@breaks("G21")
class RewrittenRecordsLoseTheirPlace(MemoryKernel):
    """A rewritten record no longer says which commit made it, nor what it touched."""

    async def rewrite(self, scope: str, *, cells: Sequence[Rewrite] = (), records: Sequence[Record] = ()) -> int:
        """Make another record of it."""
        rewritten = await super().rewrite(scope, cells=cells, records=records)
        data = self._open().scopes.get(scope)
        if data is not None and records:
            data.records[:] = [replace(r, commit=CommitId("rewriter", r.seq), touched=()) for r in data.records]
        return rewritten


@breaks("G21")
class ARewriteHasNoLimits(MemoryKernel):
    """A rewrite takes values and payloads of any size."""

    async def rewrite(self, scope: str, *, cells: Sequence[Rewrite] = (), records: Sequence[Record] = ()) -> int:
        """Lift them."""
        declared, self.traits = self.traits, Traits(value_bytes_max=1 << 40, payload_bytes_max=1 << 40)
        try:
            return await super().rewrite(scope, cells=cells, records=records)
        finally:
            self.traits = declared


@breaks("G21")
class ScrubbingTrimsTheLog(MemoryKernel):
    """Scrubbing forgets all but the newest record of each scope."""

    async def scrub(self) -> bool:
        """Trim."""
        for data in self._open().scopes.values():
            del data.records[:-1], data.positions[:-1]
            data.head = replace(data.head, floor=data.head.seq)
        return True


@breaks("G21")
class OnlyTheRewriterSees(MemoryKernel):
    """Other kernels on the space go on with the bytes that they remember."""

    async def rewrite(self, scope: str, *, cells: Sequence[Rewrite] = (), records: Sequence[Record] = ()) -> int:
        """Say that it was done where this kernel never committed."""
        if not hasattr(self, "_wrote"):
            return len(cells) + len(records)
        return await super().rewrite(scope, cells=cells, records=records)

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Remember that this kernel commits."""
        self._wrote = True
        return await super().commit(commits)
