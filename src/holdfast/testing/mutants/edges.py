"""Mutants at the edges: stamped order (G17), declared limits (G19), a clean end (G20)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from msgspec.structs import replace

from holdfast.backends.memory import MemoryKernel, MemoryStore
from holdfast.backends.memory.commit import CommitPath
from holdfast.errors import Closed, HoldfastError, InvalidValue, TooLarge
from holdfast.kernel.commit import Append, Commit, Conflict, HeadAt, Moved, Outcome, Put, Read, View, stamp
from holdfast.kernel.evaluate import Plan
from holdfast.kernel.limits import KIB, PAGE_MAX, Traits
from holdfast.testing.clock import EPOCH_US
from holdfast.testing.mutants.mutant import breaks, with_parts

P = TypeVar("P", Put, Append)

SMALL = Traits(value_bytes_max=4 * KIB, operations_max=20, commit_bytes_max=64 * KIB)

# --- G17 ------------------------------------------------------------------------------------------


class Stamps(CommitPath):
    """A commit path that completes keys in its own way."""

    def judge(self, commit: Commit) -> Conflict | list[Plan]:
        """Stamp the keys again."""
        plans = super().judge(commit)
        if not isinstance(plans, list):
            return plans
        parts = {part.scope: part for part in commit.scopes}
        return [self._restamped(plan, parts[plan.scope].appends) for plan in plans]

    def _restamped(self, plan: Plan, appends: Sequence[object]) -> Plan:
        first = len(plan.writes) - len(appends)
        prefixes = [write.key[: -len(stamp(0, 0))] for write in plan.writes[first:]]
        stamped = [
            replace(write, key=prefix + self.stamp(plan, prefixes, ordinal))
            for ordinal, (write, prefix) in enumerate(zip(plan.writes[first:], prefixes, strict=True))
        ]
        writes: tuple[Put, ...] = (*plan.writes[:first], *stamped)
        touched = tuple(write.key for write in writes) + plan.deletes
        return replace(plan, writes=writes, record=replace(plan.record, touched=touched))

    def stamp(self, plan: Plan, prefixes: Sequence[str], ordinal: int) -> str:
        """What completes a key."""
        return stamp(plan.head.seq, ordinal)


@breaks("G17")
class StampsHaveNoWidth(Stamps):
    """Seq and ordinal are written as they are: 10 comes before 9."""

    def stamp(self, plan: Plan, prefixes: Sequence[str], ordinal: int) -> str:
        """No zeros in front."""
        return f"{plan.head.seq}.{ordinal}"


@breaks("G17")
class OrdinalsHaveOneDigit(Stamps):
    """The ordinal has no fixed width."""

    def stamp(self, plan: Plan, prefixes: Sequence[str], ordinal: int) -> str:
        """No zeros in front of the ordinal."""
        return f"{plan.head.seq:016d}.{ordinal}"


@breaks("G17")
class OrdinalsCountPerPrefix(Stamps):
    """Each prefix of a commit counts its appends for itself."""

    def stamp(self, plan: Plan, prefixes: Sequence[str], ordinal: int) -> str:
        """Count the same prefix alone."""
        return stamp(plan.head.seq, prefixes[:ordinal].count(prefixes[ordinal]))


@breaks("G17")
class OrdinalsBeginAtOne(Stamps):
    """The first append of a commit is number 1."""

    def stamp(self, plan: Plan, prefixes: Sequence[str], ordinal: int) -> str:
        """One more."""
        return stamp(plan.head.seq, ordinal + 1)


@breaks("G17")
class StampsAreOfTheTime(Stamps):
    """Keys are completed with the commit's time: those of one microsecond overwrite each other."""

    def stamp(self, plan: Plan, prefixes: Sequence[str], ordinal: int) -> str:
        """Take the time for the seq."""
        return stamp(plan.head.at_us, ordinal)


@breaks("G17")
class StampsBeginAnewWithTheEpoch(Stamps):
    """Keys are completed with the number of commits in this epoch."""

    def stamp(self, plan: Plan, prefixes: Sequence[str], ordinal: int) -> str:
        """Count from the last drop."""
        drops = [r.seq for r in self.space.scopes[plan.scope].records if r.op == "drop"] if plan.head.epoch else []
        return stamp(plan.head.seq - (drops[-1] if drops else 0), ordinal)


@breaks("G17")
class AppendsConflict(MemoryKernel):
    """An append expects its scope where it was at the beginning of the batch."""

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Add a condition on the head."""
        self._open()
        seqs = {part.scope: self._data.head(part.scope).seq for commit in commits for part in commit.scopes}
        return await super().commit(
            [
                with_parts(c, lambda p: replace(p, checks=(*p.checks, HeadAt(seqs[p.scope]))) if p.appends else p)
                for c in commits
            ]
        )


# --- G19 ------------------------------------------------------------------------------------------


class Limited(MemoryKernel):
    """A kernel with small limits, which it declares."""

    def __init__(self, store: MemoryStore, *, space: str) -> None:
        super().__init__(store, space=space, traits=SMALL)


class _OneMore(CommitPath):
    """Lets a commit pass that is beyond one limit by one."""

    limit = ""

    def refusal(self, commit: Commit) -> HoldfastError | None:
        """Forgive one."""
        refusal = super().refusal(commit)
        if isinstance(refusal, TooLarge) and refusal.facts.get("what") == self.limit:
            return refusal if refusal.facts["size"] > refusal.facts["limit"] + 1 else None
        return refusal


class _OneMoreByte(_OneMore):
    limit = "value"


class _OneMoreWrite(_OneMore):
    limit = "operations"


class _OneMoreInAll(_OneMore):
    limit = "commit"


class _OneMoreInAKey(_OneMore):
    limit = "key"


class _OneMoreInAPayload(_OneMore):
    limit = "payload"


@breaks("G19")
class AValueMayHaveOneByteMore(Limited):
    """A value one byte over the limit is stored."""

    commit_path = _OneMoreByte


@breaks("G19")
class ACommitMayHaveOneWriteMore(Limited):
    """A commit of one write over the limit is applied."""

    commit_path = _OneMoreWrite


@breaks("G19")
class ACommitMayWeighOneByteMore(Limited):
    """A commit one byte over the limit is applied."""

    commit_path = _OneMoreInAll


@breaks("G19")
class AKeyMayHaveOneByteMore(Limited):
    """A key one byte over the limit is stored."""

    commit_path = _OneMoreInAKey


@breaks("G19")
class APayloadMayHaveOneByteMore(Limited):
    """A payload one byte over the limit is stored."""

    commit_path = _OneMoreInAPayload


@breaks("G19")
class AnyTimeIsTaken(CommitPath):
    """A commit at a time that no datetime can hold is stored."""

    def refusal(self, commit: Commit) -> HoldfastError | None:
        """Judge it as of now."""
        return super().refusal(replace(commit, at_us=0))


@breaks("G19")
class AnyExpiryIsTaken(CommitPath):
    """A cell that expires at a time of more than 64 bits is stored."""

    def refusal(self, commit: Commit) -> HoldfastError | None:
        """Judge it as if nothing expired."""
        parts = [replace(part, puts=_lasting(part.puts), appends=_lasting(part.appends)) for part in commit.scopes]
        return super().refusal(replace(commit, scopes=tuple(parts)))


def _lasting(puts: tuple[P, ...]) -> tuple[P, ...]:
    return tuple([replace(put, expires_us=None) for put in puts])


@breaks("G19")
class TheLimitItselfIsRefused(MemoryKernel):
    """What is exactly at the limits is refused, for they are compared with `<`."""

    def __init__(self, store: MemoryStore, *, space: str) -> None:
        less = Traits(SMALL.durability, SMALL.span, SMALL.cache, 4 * KIB - 1, 19, 64 * KIB - 1)
        super().__init__(store, space=space, traits=less)
        self.traits = SMALL


@breaks("G19")
class EachScopeMayHaveAsMany(Limited):
    """Writes are counted for each scope, not for the commit."""

    class commit_path(CommitPath):
        """Judges each part by itself."""

        def refusal(self, commit: Commit) -> HoldfastError | None:
            """Refuse what one part is too large for."""
            refusals = (CommitPath.refusal(self, replace(commit, scopes=(part,))) for part in commit.scopes)
            return next((r for r in refusals if r is not None), None) if commit.scopes else super().refusal(commit)


@breaks("G19")
class KeysAreCountedInCharacters(CommitPath):
    """A key of many characters that take several bytes each is stored."""

    def refusal(self, commit: Commit) -> HoldfastError | None:
        """Count again."""
        refusal = super().refusal(commit)
        if isinstance(refusal, TooLarge) and refusal.facts.get("what") == "key":
            keys = [text for part in commit.scopes for text in (part.scope, *(put.key for put in part.puts))]
            return refusal if max(map(len, keys)) > 1024 else None
        return refusal


@breaks("G19")
class BucketsAreSpannedAgainstTheTraits(MemoryKernel):
    """The kernel declares to span one bucket, and takes commits over several."""

    def __init__(self, store: MemoryStore, *, space: str) -> None:
        super().__init__(store, space=space)
        self.traits = replace(self.traits, span="bucket")


@breaks("G19")
class ALimitIsClamped(MemoryKernel):
    """A limit beyond the greatest page is cut to it in silence."""

    async def moved(self, after: str | None = None, *, limit: int = 1000) -> Moved:
        """Cut it."""
        return await super().moved(after, limit=min(limit, PAGE_MAX))


@breaks("G19")
class ALimitOfNothingIsTaken(MemoryKernel):
    """A range of no cells is answered."""

    async def read(self, reads: Sequence[Read], *, now_us: int) -> list[View]:
        """Answer nothing where it is refused."""
        try:
            return await super().read(reads, now_us=now_us)
        except InvalidValue:
            return [replace(view, ranges=((),)) for view in await super().read([Read(reads[0].scope)], now_us=now_us)]


# --- G20 ------------------------------------------------------------------------------------------


@breaks("G20")
class ReadsGoOnAfterClose(MemoryKernel):
    """A closed kernel still reads."""

    async def read(self, reads: Sequence[Read], *, now_us: int) -> list[View]:
        """Read as if it were open."""
        closed, self._closed = self._closed, False
        try:
            return await super().read(reads, now_us=now_us)
        finally:
            self._closed = closed


@breaks("G20")
class CommitsGoOnAfterClose(MemoryKernel):
    """A closed kernel still commits."""

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Commit as if it were open."""
        closed, self._closed = self._closed, False
        try:
            return await super().commit(commits)
        finally:
            self._closed = closed


@breaks("G20")
class NothingIsAskedOfAClosedKernel(MemoryKernel):
    """An empty batch is answered without a look at whether the kernel is open."""

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Answer at once."""
        return await super().commit(commits) if commits else []


@breaks("G20")
class WatchesBeginAfterClose(MemoryKernel):
    """A closed kernel takes on a watch."""

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Promise hints that never come."""
        return (lambda: None) if self._closed else super().watch(wake)


@breaks("G20")
class AClosedKernelTellsTheTime(MemoryKernel):
    """The store's clock is told through a kernel that was closed."""

    async def clock_us(self) -> int | None:
        """Ask nothing whether it is open."""
        return EPOCH_US


@breaks("G20")
class ClosingTwiceFails(MemoryKernel):
    """A second close raises."""

    async def close(self) -> None:
        """Ask to be open."""
        self._open()
        await super().close()


@breaks("G20")
class ClosingClosesTheStore(MemoryKernel):
    """Closing one kernel closes all on its store."""

    async def read(self, reads: Sequence[Read], *, now_us: int) -> list[View]:
        """Look whether the store was closed."""
        if getattr(self._store, "closed", False):
            raise Closed("the store is closed")
        return await super().read(reads, now_us=now_us)

    async def close(self) -> None:
        """Close the store."""
        self._store.closed = True  # type: ignore[attr-defined]
        await super().close()
