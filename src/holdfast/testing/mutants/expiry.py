"""Mutants that let cells live too long or too short (G12)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from holdfast.backends.memory import MemoryKernel
from holdfast.backends.memory.commit import CommitPath
from holdfast.kernel.commit import Cell, Commit, Conflict, Found, Outcome, Read, View
from holdfast.kernel.evaluate import Plan
from holdfast.testing.clock import EPOCH_US
from holdfast.testing.mutants.mutant import breaks


@breaks("G12")
class ACellLivesThroughItsMicrosecond(CommitPath):
    """In checks a cell is there at the very time it expires."""

    def cell(self, scope: str, key: str, now_us: int) -> Cell | None:
        """Look a microsecond earlier."""
        return super().cell(scope, key, now_us - 1)


@breaks("G12")
class ReadsLookAMicrosecondBack(MemoryKernel):
    """In reads a cell is there at the very time it expires."""

    async def read(self, reads: Sequence[Read], *, now_us: int) -> list[View]:
        """Look a microsecond earlier."""
        return await super().read(reads, now_us=now_us - 1)


@breaks("G12")
class ACellDiesAMicrosecondEarly(MemoryKernel):
    """In reads a cell is gone a microsecond before it expires."""

    async def read(self, reads: Sequence[Read], *, now_us: int) -> list[View]:
        """Look a microsecond later."""
        return await super().read(reads, now_us=now_us + 1)


@breaks("G12")
class RangesShowWhatExpired(MemoryKernel):
    """Ranges do not look at the expiry; point reads do."""

    async def read(self, reads: Sequence[Read], *, now_us: int) -> list[View]:
        """Read the ranges at the beginning of time."""
        points = await super().read(reads, now_us=now_us)
        ranges = await super().read(reads, now_us=-1)
        return [replace(view, ranges=other.ranges) for view, other in zip(points, ranges, strict=True)]


@breaks("G12")
class PointsShowWhatExpired(MemoryKernel):
    """Point reads do not look at the expiry; ranges do."""

    async def read(self, reads: Sequence[Read], *, now_us: int) -> list[View]:
        """Read the points at the beginning of time."""
        points = await super().read(reads, now_us=-1)
        ranges = await super().read(reads, now_us=now_us)
        return [replace(view, ranges=other.ranges) for view, other in zip(points, ranges, strict=True)]


@breaks("G12")
class FindShowsWhatExpired(MemoryKernel):
    """Entries outlive their cell until it is swept."""

    async def find(self, index: str, value: str, *, now_us: int, **rest: Any) -> tuple[Found, ...]:
        """Look at the beginning of time."""
        return await super().find(index, value, now_us=-1, **rest)


@breaks("G12")
class AnExpiredCellStillBlocks(CommitPath):
    """What has expired, but was not swept, counts as present in checks."""

    def cell(self, scope: str, key: str, now_us: int) -> Cell | None:
        """Look at the beginning of time."""
        return super().cell(scope, key, -1)


@breaks("G12")
class ABatchHasOneTime(MemoryKernel):
    """All commits of a batch are judged at the time of the first."""

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Give them all its time."""
        return await super().commit([replace(commit, at_us=commits[0].at_us) for commit in commits])


@breaks("G12")
class AConflictShowsWhatExpired(CommitPath):
    """The conflict on an expired cell hands the cell out."""

    def judge(self, commit: Commit) -> Conflict | list[Plan]:
        """Look it up at the beginning of time."""
        conflict = super().judge(commit)
        if isinstance(conflict, Conflict) and conflict.key is not None and conflict.found is None:
            return replace(conflict, found=self.cell(conflict.scope, conflict.key, -1))
        return conflict


@breaks("G12")
class TheLimitCountsWhatExpired(MemoryKernel):
    """A range takes its limit first and then leaves out what has expired."""

    async def read(self, reads: Sequence[Read], *, now_us: int) -> list[View]:
        """Filter last."""
        points = await super().read(reads, now_us=now_us)
        raw = await super().read(reads, now_us=-1)
        return [
            replace(
                view,
                ranges=tuple(
                    tuple(c for c in found if c.expires_us is None or now_us < c.expires_us) for found in other.ranges
                ),
            )
            for view, other in zip(points, raw, strict=True)
        ]


@breaks("G12")
class ExpiriesAreRoundedToMilliseconds(CommitPath):
    """An expiry is kept in milliseconds."""

    def write(self, plan: Plan) -> None:
        """Round it."""
        writes = tuple(
            replace(write, expires_us=write.expires_us and write.expires_us // 1000 * 1000) for write in plan.writes
        )
        super().write(replace(plan, writes=writes))


@breaks("G12")
class ARewrittenCellKeepsItsExpiry(CommitPath):
    """A put without an expiry leaves the old one in force."""

    def write(self, plan: Plan) -> None:
        """Take it over."""
        old = dict(self.space.scope(plan.scope).cells)
        writes = tuple(
            replace(write, expires_us=old[write.key].expires_us)
            if write.expires_us is None and write.key in old
            else write
            for write in plan.writes
        )
        super().write(replace(plan, writes=writes))


@breaks("G12")
class AppendsNeverExpire(CommitPath):
    """The expiry of an append is dropped."""

    def write(self, plan: Plan) -> None:
        """Drop it."""
        writes = tuple(replace(w, expires_us=None) if w.key[-4:].isdigit() else w for w in plan.writes)
        super().write(replace(plan, writes=writes))


@breaks("G12")
class AnExpiryInThePastIsNone(CommitPath):
    """A cell written with an expiry that is over lives for ever."""

    def judge(self, commit: Commit) -> Conflict | list[Plan]:
        """Drop it."""
        plans = super().judge(commit)
        for place, plan in enumerate(plans if isinstance(plans, list) else ()):
            writes = tuple(
                replace(w, expires_us=None) if w.expires_us is not None and w.expires_us <= commit.at_us else w
                for w in plan.writes
            )
            plans[place] = replace(plan, writes=writes)  # type: ignore[index]
        return plans


@breaks("G12")
class NoExpiryMeansTenYears(MemoryKernel):
    """A cell without an expiry is gone after a long time."""

    async def read(self, reads: Sequence[Read], *, now_us: int) -> list[View]:
        """Let everything end in the far future."""
        views = await super().read(reads, now_us=now_us)
        return [replace(v, cells={}, ranges=((),) * len(v.ranges)) if now_us > 2**52 else v for v in views]


@breaks("G12")
class TheClockIsToldInMilliseconds(MemoryKernel):
    """The store's clock is told in the unit of its engine."""

    async def clock_us(self) -> int | None:
        """Forget to multiply."""
        self._open()
        return EPOCH_US // 1000


@breaks("G12")
class TheClockOfTheStoreExpiresCells(MemoryKernel):
    """Reads ask the store's clock what has expired, and not their caller's."""

    async def clock_us(self) -> int | None:
        """Tell one's own time."""
        self._open()
        return EPOCH_US

    async def read(self, reads: Sequence[Read], *, now_us: int) -> list[View]:
        """Read at one's own time."""
        return await super().read(reads, now_us=EPOCH_US)
