"""Mutants that read wrongly: one cut (G8), exact bytes and ranges (G18)."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from msgspec.structs import replace

from holdfast.backends.memory import MemoryKernel
from holdfast.backends.memory.commit import CommitPath
from holdfast.kernel.commit import Cell, Commit, CommitId, Committed, Found, Outcome, Range, Read, Record, View
from holdfast.kernel.evaluate import Plan
from holdfast.testing.mutants.mutant import breaks


class Cells(MemoryKernel):
    """A kernel whose views are altered on the way out."""

    async def read(self, reads: Sequence[Read], *, now_us: int) -> list[View]:
        """Alter every cell."""
        return [self._each(view) for view in await super().read(reads, now_us=now_us)]

    def _each(self, view: View) -> View:
        cells = {key: new for key, cell in view.cells.items() if (new := self.cell(cell)) is not None}
        ranges = tuple(tuple(new for c in found if (new := self.cell(c)) is not None) for found in view.ranges)
        return replace(view, cells=cells, ranges=ranges)

    def cell(self, cell: Cell) -> Cell | None:
        """What becomes of a cell."""
        return cell


# --- G8 -------------------------------------------------------------------------------------------


@breaks("G8")
class ScopesAreReadOneByOne(MemoryKernel):
    """A read of several scopes reads them one after the other, while others commit."""

    async def read(self, reads: Sequence[Read], *, now_us: int) -> list[View]:
        """Wait between the scopes."""
        views = []
        for read in reads:
            views += await super().read([read], now_us=now_us)
            await asyncio.sleep(0)
        return views or await super().read(reads, now_us=now_us)


@breaks("G8")
class HeadAndCellsAreReadOneAfterTheOther(MemoryKernel):
    """A head is read first and the cells later."""

    async def read(self, reads: Sequence[Read], *, now_us: int) -> list[View]:
        """Wait between the two."""
        early = await super().read(reads, now_us=now_us)
        await asyncio.sleep(0)
        late = await super().read(reads, now_us=now_us)
        return [replace(view, head=first.head) for first, view in zip(early, late, strict=True)]


@breaks("G8")
class PointsAndRangesAreReadOneAfterTheOther(MemoryKernel):
    """Keys are read first and ranges later."""

    async def read(self, reads: Sequence[Read], *, now_us: int) -> list[View]:
        """Wait between the two."""
        early = await super().read(reads, now_us=now_us)
        await asyncio.sleep(0)
        late = await super().read(reads, now_us=now_us)
        return [replace(first, ranges=view.ranges) for first, view in zip(early, late, strict=True)]


@breaks("G8")
class ScopesOfACommitAppearOneByOne(MemoryKernel):
    """The scopes of one commit are written one after the other, while others read."""

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Show the last cells of a commit late."""
        outcomes = await super().commit(commits)
        for commit, outcome in zip(commits, outcomes, strict=True):
            if isinstance(outcome, Committed) and not outcome.replayed and len(outcome.seqs) > 1:
                data = self._data.scopes[commit.scopes[-1].scope]
                whole = (data.head, data.cells, data.keys)
                data.cells = {key: cell for key, cell in data.cells.items() if cell.version < data.head.seq}
                data.keys = sorted(data.cells)
                await asyncio.sleep(0)
                data.head, data.cells, data.keys = whole
        return outcomes


@breaks("G8")
class AViewIsLive(MemoryKernel):
    """The cells of a view are those of the store, and change with it."""

    async def read(self, reads: Sequence[Read], *, now_us: int) -> list[View]:
        """Hand out the store's own dict where it is just what was asked for."""
        views = await super().read(reads, now_us=now_us)
        scopes = self._data.scopes
        return [
            replace(v, cells=scopes[v.scope].cells) if v.scope in scopes and v.cells == scopes[v.scope].cells else v
            for v in views
        ]


# --- G18: bytes -----------------------------------------------------------------------------------


@breaks("G18")
class TrailingZerosAreLost(Cells):
    """A value ends at its last byte that is not zero."""

    def cell(self, cell: Cell) -> Cell:
        """Strip."""
        return replace(cell, value=cell.value.rstrip(b"\x00"))


@breaks("G18")
class AnEmptyValueIsNoCell(Cells):
    """A cell with an empty value is not read."""

    def cell(self, cell: Cell) -> Cell | None:
        """Take empty for nothing."""
        return cell if cell.value else None


@breaks("G18")
class ValuesAreText(Cells):
    """Values pass through UTF-8."""

    def cell(self, cell: Cell) -> Cell:
        """Replace what is no text."""
        return replace(cell, value=cell.value.decode(errors="replace").encode())


@breaks("G18")
class LineEndsAreMadeEqual(Cells):
    """A carriage return and a line feed become one line feed."""

    def cell(self, cell: Cell) -> Cell:
        """Replace them."""
        return replace(cell, value=cell.value.replace(b"\r\n", b"\n"))


@breaks("G18")
class TimesPassThroughFloats(Cells):
    """An expiry is kept as seconds in a float, and loses microseconds of the far future."""

    def cell(self, cell: Cell) -> Cell:
        """Divide and multiply."""
        expires_us = cell.expires_us
        return cell if expires_us is None else replace(cell, expires_us=int(expires_us / 1e6 * 1e6))


@breaks("G18")
class KeysAreCaseBlind(CommitPath):
    """Two keys that differ in case are one cell."""

    def write(self, plan: Plan) -> None:
        """Remove the other spelling first."""
        data = self.space.scope(plan.scope)
        for write in plan.writes:
            for other in [key for key in data.cells if key != write.key and key.lower() == write.key.lower()]:
                data.delete(other)
        super().write(plan)


@breaks("G18")
class KeysAreNormalised(CommitPath):
    """Keys are brought into compatibility form, in which different keys are equal."""

    def write(self, plan: Plan) -> None:
        """Normalise the keys written."""
        writes = tuple(replace(write, key=unicodedata.normalize("NFKC", write.key)) for write in plan.writes)
        super().write(replace(plan, writes=writes))


@breaks("G18")
class ACauseEndsAtItsFirstZero(CommitPath):
    """The cause in a record is cut at a NUL."""

    def write(self, plan: Plan) -> None:
        """Cut it."""
        super().write(replace(plan, record=replace(plan.record, cause=plan.record.cause.partition(b"\x00")[0])))


@breaks("G18")
class AnOutcomeIsRemembered(CommitPath):
    """A repeat is answered with the very object of the first time, which its caller may have changed."""

    def apply(self, commit: Commit) -> Outcome:
        """Remember every outcome."""
        self._seqs: dict[CommitId, dict[str, int]] = getattr(self, "_seqs", {})
        outcome = super().apply(commit)
        if isinstance(outcome, Committed):
            outcome = replace(outcome, seqs=self._seqs.setdefault(commit.id, outcome.seqs))
        return outcome


@breaks("G18")
class ThereIsOneViewForAll(MemoryKernel):
    """A view is kept and handed out again while the scope has not moved."""

    async def read(self, reads: Sequence[Read], *, now_us: int) -> list[View]:
        """Hand out what was handed out before."""
        self._views: dict[tuple[str, int, int], View] = getattr(self, "_views", {})
        views = await super().read(reads, now_us=now_us)
        return [
            self._views.setdefault((repr(read), view.head.seq, now_us), view)
            for read, view in zip(reads, views, strict=True)
        ]


@breaks("G18")
class ScopesAreCaseBlind(CommitPath):
    """Two scopes that differ in case are one."""

    def write(self, plan: Plan) -> None:
        """Write into the other spelling as well."""
        super().write(plan)
        for name, data in self.space.scopes.items():
            if name != plan.scope and name.lower() == plan.scope.lower():
                for write in plan.writes:
                    data.put(Cell(write.key, write.value, data.head.seq, write.expires_us))


@breaks("G18")
class IndexTextsAreStripped(MemoryKernel):
    """Blanks around the name of an index are taken off when it is searched."""

    async def find(self, index: str, value: str, *, now_us: int, **rest: Any) -> tuple[Found, ...]:
        """Strip them."""
        return await super().find(index.strip(), value.strip(), now_us=now_us, **rest)


@breaks("G18")
class CellsAreOpen(MemoryKernel):
    """The cells of a view can be changed."""

    async def read(self, reads: Sequence[Read], *, now_us: int) -> list[View]:
        """Hand out look-alikes."""
        views = await super().read(reads, now_us=now_us)
        fields = Cell.__struct_fields__
        return [
            replace(v, cells={k: SimpleNamespace(**{f: getattr(c, f) for f in fields}) for k, c in v.cells.items()})
            for v in views
        ]


@breaks("G18")
class CommitsAreKeptByReference(MemoryKernel):
    """The log reads causes from the commits themselves, which their authors may change."""

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Keep them."""
        self._kept: dict[CommitId, Commit] = getattr(self, "_kept", {})
        self._kept |= {commit.id: commit for commit in commits}
        return await super().commit(commits)

    async def log(
        self, scope: str, *, after: int = 0, limit: int = 1000, reverse: bool = False, bytes_max: int | None = None
    ) -> tuple[Record, ...]:
        """Look into them."""
        records = await super().log(scope, after=after, limit=limit, reverse=reverse, bytes_max=bytes_max)
        return tuple(replace(r, cause=self._kept[r.commit].cause) if r.commit in self._kept else r for r in records)


# --- G18: ranges ----------------------------------------------------------------------------------


class Ranges(MemoryKernel):
    """A kernel that reads another range than was asked for."""

    async def read(self, reads: Sequence[Read], *, now_us: int) -> list[View]:
        """Ask for the altered ranges, and alter what is found."""
        asked = [replace(read, ranges=tuple(self.asked(wanted) for wanted in read.ranges)) for read in reads]
        views = await super().read(asked, now_us=now_us)
        return [
            replace(view, ranges=tuple(self.found(c, w) for c, w in zip(view.ranges, read.ranges, strict=True)))
            for view, read in zip(views, reads, strict=True)
        ]

    def asked(self, wanted: Range) -> Range:
        """The range that is read."""
        return wanted

    def found(self, cells: tuple[Cell, ...], wanted: Range) -> tuple[Cell, ...]:
        """What is answered."""
        return cells


@breaks("G18")
class APageRepeatsItsCursor(Ranges):
    """`after` is included."""

    def asked(self, wanted: Range) -> Range:
        """Step back by one character."""
        if wanted.after is None or wanted.reverse or not wanted.after:
            return wanted
        return replace(wanted, after=wanted.after[:-1] + chr(max(ord(wanted.after[-1]) - 1, 1)) + "\U0010ffff")


@breaks("G18")
class ARangeForgetsItsBound(Ranges):
    """However many bytes were asked for, the answer is as long as its limit."""

    def asked(self, wanted: Range) -> Range:
        """Ask for all of them."""
        return replace(wanted, bytes_max=None)


@breaks("G18")
class TheCellThatReachesTheBoundIsLeftOut(Ranges):
    """An answer stays below its bound of bytes, with nothing where the first cell is larger."""

    def found(self, cells: tuple[Cell, ...], wanted: Range) -> tuple[Cell, ...]:
        """Leave it out."""
        bound = wanted.bytes_max
        return cells[:-1] if bound is not None and sum(cell.size for cell in cells) >= bound else cells


@breaks("G18")
class APrefixEndsBeforeTheRareCharacters(Ranges):
    """A range ends at the prefix followed by U+FFFF: what goes on beyond the basic plane is not in it."""

    def found(self, cells: tuple[Cell, ...], wanted: Range) -> tuple[Cell, ...]:
        """Cut there."""
        return tuple(cell for cell in cells if cell.key < wanted.prefix + "\uffff")


@breaks("G18")
class APrefixIsAPattern(Ranges):
    """A prefix is compared without case, as LIKE does."""

    def asked(self, wanted: Range) -> Range:
        """Ask for everything."""
        return replace(wanted, prefix="", limit=10_000)

    def found(self, cells: tuple[Cell, ...], wanted: Range) -> tuple[Cell, ...]:
        """Compare in lower case."""
        prefix = wanted.prefix.lower()
        return tuple(cell for cell in cells if cell.key.lower().startswith(prefix))[: wanted.limit]


@breaks("G18")
class TheLastAreTheFirstTurnedRound(Ranges):
    """A range from the end takes the first cells and turns them round."""

    def asked(self, wanted: Range) -> Range:
        """Read forwards."""
        return replace(wanted, reverse=False) if wanted.after is None else wanted

    def found(self, cells: tuple[Cell, ...], wanted: Range) -> tuple[Cell, ...]:
        """Turn round."""
        return cells[::-1] if wanted.reverse and wanted.after is None else cells


@breaks("G18")
class AfterIsForgottenFromTheEnd(Ranges):
    """`after` counts only when reading forwards."""

    def asked(self, wanted: Range) -> Range:
        """Leave it out."""
        return replace(wanted, after=None) if wanted.reverse else wanted


@breaks("G18")
class KeysAreSortedByUtf16(Ranges):
    """Keys are sorted by their UTF-16 code units."""

    def asked(self, wanted: Range) -> Range:
        """Ask for everything."""
        return replace(wanted, limit=10_000)

    def found(self, cells: tuple[Cell, ...], wanted: Range) -> tuple[Cell, ...]:
        """Sort again."""
        found = sorted(cells, key=lambda cell: cell.key.encode("utf-16-be"), reverse=wanted.reverse)
        return tuple(found[: wanted.limit])


@breaks("G18")
class APageIsOneTooLong(Ranges):
    """A range answers one cell more than its limit."""

    def asked(self, wanted: Range) -> Range:
        """Ask for one more."""
        return replace(wanted, limit=min(wanted.limit + 1, 10_000))
