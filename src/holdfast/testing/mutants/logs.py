"""Mutants whose log is not honest (G13)."""

from __future__ import annotations

from msgspec.structs import replace

from holdfast.backends.memory import MemoryKernel
from holdfast.backends.memory.commit import CommitPath
from holdfast.errors import Compacted, Diverged, Gone
from holdfast.kernel.commit import Record
from holdfast.kernel.evaluate import Plan
from holdfast.testing.mutants.mutant import breaks


class Logs(MemoryKernel):
    """A kernel whose log is altered on the way out."""

    async def whole(self, scope: str) -> tuple[Record, ...]:
        """All records that are kept."""
        return (await MemoryKernel.log(self, scope, limit=10_000, reverse=True))[::-1]


@breaks("G13")
class TheLogLeavesOutDrops(Logs):
    """The record of a drop is not shown."""

    async def log(
        self, scope: str, *, after: int = 0, limit: int = 1000, reverse: bool = False, bytes_max: int | None = None
    ) -> tuple[Record, ...]:
        """Leave them out."""
        records = await super().log(scope, after=after, limit=limit, reverse=reverse, bytes_max=bytes_max)
        return tuple(record for record in records if record.op != "drop")


@breaks("G13")
class TheLogBeginsWithTheEpoch(Logs):
    """Records of earlier epochs are not shown."""

    async def log(
        self, scope: str, *, after: int = 0, limit: int = 1000, reverse: bool = False, bytes_max: int | None = None
    ) -> tuple[Record, ...]:
        """Leave them out."""
        records = await super().log(scope, after=after, limit=limit, reverse=reverse, bytes_max=bytes_max)
        data = self._open().scopes.get(scope)
        return tuple(record for record in records if data is not None and record.epoch == data.head.epoch)


@breaks("G13")
class ATrimmedLogAnswersWithWhatIsLeft(Logs):
    """From a position that was trimmed the log goes on at its floor, in silence."""

    async def log(
        self, scope: str, *, after: int = 0, limit: int = 1000, reverse: bool = False, bytes_max: int | None = None
    ) -> tuple[Record, ...]:
        """Skip the gap."""
        try:
            return await super().log(scope, after=after, limit=limit, reverse=reverse, bytes_max=bytes_max)
        except Compacted as trimmed:
            return await super().log(scope, after=trimmed.facts["floor"] - 1, limit=limit, bytes_max=bytes_max)


@breaks("G13")
class CompactedComesOneTooEarly(Logs):
    """The position just before the floor is called trimmed."""

    async def log(
        self, scope: str, *, after: int = 0, limit: int = 1000, reverse: bool = False, bytes_max: int | None = None
    ) -> tuple[Record, ...]:
        """Compare with `<=`."""
        records = await super().log(scope, after=after, limit=limit, reverse=reverse, bytes_max=bytes_max)
        floor = self._open().head(scope).floor
        if not reverse and floor > 1 and after + 1 == floor:
            raise Compacted("trimmed", floor=floor)
        return records


@breaks("G13")
class CompactedDoesNotNameTheFloor(Logs):
    """Compacted does not say where the log begins."""

    async def log(
        self, scope: str, *, after: int = 0, limit: int = 1000, reverse: bool = False, bytes_max: int | None = None
    ) -> tuple[Record, ...]:
        """Leave the fact out."""
        try:
            return await super().log(scope, after=after, limit=limit, reverse=reverse, bytes_max=bytes_max)
        except Compacted:
            raise Compacted("trimmed") from None


@breaks("G13")
class LostHistoryIsAnEmptyPage(Logs):
    """A position beyond the log answers nothing, as the end of the log does."""

    async def log(
        self, scope: str, *, after: int = 0, limit: int = 1000, reverse: bool = False, bytes_max: int | None = None
    ) -> tuple[Record, ...]:
        """Hide it."""
        try:
            return await super().log(scope, after=after, limit=limit, reverse=reverse, bytes_max=bytes_max)
        except Diverged:
            return ()


@breaks("G13")
class AForgottenScopeIsAnEmptyLog(Logs):
    """A position in a scope without a trace answers nothing."""

    async def log(
        self, scope: str, *, after: int = 0, limit: int = 1000, reverse: bool = False, bytes_max: int | None = None
    ) -> tuple[Record, ...]:
        """Hide it."""
        try:
            return await super().log(scope, after=after, limit=limit, reverse=reverse, bytes_max=bytes_max)
        except Gone:
            return ()


@breaks("G13")
class ReverseIncludesItsPosition(Logs):
    """In reverse the record at the position is answered too."""

    async def log(
        self, scope: str, *, after: int = 0, limit: int = 1000, reverse: bool = False, bytes_max: int | None = None
    ) -> tuple[Record, ...]:
        """Begin one further."""
        after += bool(reverse and after)
        return await super().log(scope, after=after, limit=limit, reverse=reverse, bytes_max=bytes_max)


@breaks("G13")
class ReverseBeginsAtTheOldest(Logs):
    """In reverse a page holds the oldest records before the position, not the newest."""

    async def log(
        self, scope: str, *, after: int = 0, limit: int = 1000, reverse: bool = False, bytes_max: int | None = None
    ) -> tuple[Record, ...]:
        """Cut at the wrong end."""
        more = 10_000 if 0 < limit <= 10_000 else limit
        records = await super().log(scope, after=after, limit=more, reverse=reverse, bytes_max=bytes_max)
        return records[-limit:] if reverse else records[:limit]


@breaks("G13")
class APageOfTheLogIsOneShort(Logs):
    """A page that is cut has one record less than its limit."""

    async def log(
        self, scope: str, *, after: int = 0, limit: int = 1000, reverse: bool = False, bytes_max: int | None = None
    ) -> tuple[Record, ...]:
        """Cut it short."""
        records = await super().log(scope, after=after, limit=limit, reverse=reverse, bytes_max=bytes_max)
        return records[:-1] if len(records) == limit > 1 else records


@breaks("G13")
class TheLogForgetsItsBound(Logs):
    """However many bytes were asked for, the answer is as long as its limit."""

    async def log(
        self, scope: str, *, after: int = 0, limit: int = 1000, reverse: bool = False, bytes_max: int | None = None
    ) -> tuple[Record, ...]:
        """Do not pass it on."""
        return await super().log(scope, after=after, limit=limit, reverse=reverse)


@breaks("G13")
class TheRecordThatReachesTheBoundIsLeftOut(Logs):
    """An answer stays below its bound of bytes, with nothing where the first record is larger."""

    async def log(
        self, scope: str, *, after: int = 0, limit: int = 1000, reverse: bool = False, bytes_max: int | None = None
    ) -> tuple[Record, ...]:
        """Leave it out."""
        records = await super().log(scope, after=after, limit=limit, reverse=reverse, bytes_max=bytes_max)
        reached = bytes_max is not None and sum(record.size for record in records) >= bytes_max
        return records[:-1] if reached else records


@breaks("G13")
class OnlyBodiesCountAgainstTheBound(Logs):
    """Causes and keys weigh nothing."""

    async def log(
        self, scope: str, *, after: int = 0, limit: int = 1000, reverse: bool = False, bytes_max: int | None = None
    ) -> tuple[Record, ...]:
        """Leave them out of account."""
        if bytes_max is not None and bytes_max < 1:
            return await super().log(scope, bytes_max=bytes_max)
        records = await super().log(scope, after=after, limit=limit, reverse=reverse)
        sizes = [sum(len(record.body) for record in records[:n]) for n in range(len(records))]
        return tuple(r for r, size in zip(records, sizes, strict=True) if bytes_max is None or size < bytes_max)


@breaks("G13")
class ADropBelongsToTheNextEpoch(CommitPath):
    """The record of a drop carries the epoch that it begins."""

    def write(self, plan: Plan) -> None:
        """Raise it."""
        epoch = plan.record.epoch + (plan.record.op == "drop")
        super().write(replace(plan, record=replace(plan.record, epoch=epoch)))


@breaks("G13")
class ARecordLeavesOutDeletions(CommitPath):
    """A record names what was written, not what was deleted."""

    def write(self, plan: Plan) -> None:
        """Leave them out."""
        touched = tuple(write.key for write in plan.writes)
        super().write(replace(plan, record=replace(plan.record, touched=touched)))


@breaks("G13")
class ADropsBodyIsLost(CommitPath):
    """The record of a drop has no body."""

    def write(self, plan: Plan) -> None:
        """Lose it."""
        lost = plan.record.op == "drop"
        super().write(replace(plan, record=replace(plan.record, body=b"") if lost else plan.record))


@breaks("G13")
class ARecordsTimeNeverGoesBack(CommitPath):
    """A commit at an earlier time than the last one gets the last one's."""

    def write(self, plan: Plan) -> None:
        """Take the later time."""
        at_us = max(plan.record.at_us, self.space.head(plan.scope).at_us)
        super().write(replace(plan, record=replace(plan.record, at_us=at_us)))
