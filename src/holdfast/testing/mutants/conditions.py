"""Mutants that judge wrongly: conditions (G2), phantoms (G10), resurrection (G11)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from msgspec.structs import replace

from holdfast.backends.memory import MemoryKernel
from holdfast.backends.memory.commit import CommitPath
from holdfast.kernel.commit import (
    Cell,
    Commit,
    Committed,
    Conflict,
    HeadAt,
    Outcome,
    ScopeCommit,
    Unchanged,
    Untouched,
)
from holdfast.kernel.evaluate import Plan
from holdfast.testing.mutants.mutant import breaks, with_checks, with_parts

Judged = Conflict | list[Plan]

# --- G2 -------------------------------------------------------------------------------------------


@breaks("G2")
class TheBatchIsJudgedBeforeItIsApplied(MemoryKernel):
    """All commits of a batch are judged against what was there before the batch."""

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Judge all, then apply those that passed without their conditions."""
        self._open()
        judged = {id(c): self._path.judge(c) for c in commits if self._path.refusal(c) is None}
        outcomes: list[Outcome] = []
        for commit in commits:
            conflict = judged.get(id(commit))
            if isinstance(conflict, Conflict) and commit.id.n > self._data.lanes.get(commit.id.writer, 0):
                self._data.lanes[commit.id.writer] = commit.id.n
                outcomes.append(conflict)
            else:
                free = with_parts(commit, lambda part: replace(part, need="create", epoch=None, checks=()))
                outcomes += await super().commit([free])
        return outcomes


@breaks("G2")
class OthersComeBetweenJudgingAndWriting(MemoryKernel):
    """A commit is judged, waits, and is then applied as judged."""

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Let others in between."""
        outcomes: list[Outcome] = []
        for commit in commits:
            fresh = commit.id.n > self._data.lanes.get(commit.id.writer, 0)
            if fresh and self._path.refusal(commit) is None and not self._closed:
                judged = self._path.judge(commit)
                await asyncio.sleep(0)
                if not isinstance(judged, Conflict):
                    commit = with_parts(commit, lambda part: replace(part, need="create", epoch=None, checks=()))
            outcomes += await super().commit([commit])
        return outcomes


@breaks("G2")
class OnlyTheFirstCheckCounts(CommitPath):
    """Of several checks of a scope the first is judged."""

    def judge(self, commit: Commit) -> Judged:
        """Leave out the rest."""
        return super().judge(with_parts(commit, lambda part: replace(part, checks=part.checks[:1])))


@breaks("G2")
class OnlyTheLastCheckCounts(CommitPath):
    """Of several checks of a scope the last is judged."""

    def judge(self, commit: Commit) -> Judged:
        """Leave out the rest."""
        return super().judge(with_parts(commit, lambda part: replace(part, checks=part.checks[-1:])))


@breaks("G2")
class AScopeOnlyCheckedIsNotJudged(CommitPath):
    """Conditions of a scope that a commit does not write are passed over."""

    def judge(self, commit: Commit) -> Judged:
        """Leave out the parts that write nothing, beside others."""
        parts = tuple(part for part in commit.scopes if part.writes)
        return super().judge(replace(commit, scopes=parts) if parts else commit)


@breaks("G2")
class ACommitSeesItsOwnWrites(CommitPath):
    """Checks look at the cells as the commit will leave them."""

    def judge(self, commit: Commit) -> Judged:
        """Judge with the puts of the commit itself laid over what is there."""
        self._own = {
            (part.scope, put.key): Cell(put.key, put.value, self.space.head(part.scope).seq + 1, put.expires_us)
            for part in commit.scopes
            for put in part.puts
        }
        return super().judge(commit)

    def cell(self, scope: str, key: str, now_us: int) -> Cell | None:
        """Its own first."""
        return self._own.get((scope, key)) or super().cell(scope, key, now_us)


@breaks("G2")
class UnchangedMeansOlder(CommitPath):
    """`Unchanged` fails on the very version it names."""

    def judge(self, commit: Commit) -> Judged:
        """Shift by one."""
        return super().judge(
            with_checks(commit, lambda c: (Unchanged(c.key, c.since - 1),) if isinstance(c, Unchanged) else (c,))
        )


@breaks("G2")
class UnchangedTakesOneNewer(CommitPath):
    """`Unchanged` lets one version newer than it names pass."""

    def judge(self, commit: Commit) -> Judged:
        """Shift by one."""
        return super().judge(
            with_checks(commit, lambda c: (Unchanged(c.key, c.since + 1),) if isinstance(c, Unchanged) else (c,))
        )


@breaks("G2")
class UnchangedHoldsOfNothing(CommitPath):
    """`Unchanged` passes where there is no cell."""

    def judge(self, commit: Commit) -> Judged:
        """Drop such checks."""
        conflict = super().judge(commit)
        if isinstance(conflict, Conflict) and conflict.what == "unchanged" and conflict.found is None:
            wanted = Unchanged(str(conflict.key), int(conflict.expected or 0))
            return self.judge(with_checks(commit, lambda c: () if c == wanted else (c,)))
        return conflict


@breaks("G2")
class AHeadMayBeFurther(CommitPath):
    """`HeadAt` passes when the scope is already beyond that seq."""

    def judge(self, commit: Commit) -> Judged:
        """Forgive what lies behind."""

        def forgiving(part: ScopeCommit) -> ScopeCommit:
            seq = self.space.head(part.scope).seq
            return replace(part, checks=tuple(c for c in part.checks if not isinstance(c, HeadAt) or c.seq > seq))

        return super().judge(with_parts(commit, forgiving))


@breaks("G2")
class AnEmptyCellIsAbsent(CommitPath):
    """A cell with an empty value counts as absent in checks."""

    def cell(self, scope: str, key: str, now_us: int) -> Cell | None:
        """Take empty for nothing."""
        cell = super().cell(scope, key, now_us)
        return cell if cell is not None and cell.value else None


@breaks("G2")
class MustNotExistIsTakenForCreate(CommitPath):
    """A scope that must not exist may."""

    def judge(self, commit: Commit) -> Judged:
        """Weaken the need."""
        return super().judge(
            with_parts(commit, lambda p: replace(p, need="create") if p.need == "must_not_exist" else p)
        )


@breaks("G2")
class AConflictDoesNotSayWhatItFound(CommitPath):
    """A conflict keeps the cell it found to itself."""

    def judge(self, commit: Commit) -> Judged:
        """Leave it out."""
        conflict = super().judge(commit)
        return replace(conflict, found=None) if isinstance(conflict, Conflict) else conflict


@breaks("G2")
class AConflictHandsOutAForgery(CommitPath):
    """The cell that a conflict found lacks its expiry and version."""

    def judge(self, commit: Commit) -> Judged:
        """Leave them out."""
        judged = super().judge(commit)
        if isinstance(judged, Conflict) and isinstance(judged.found, Cell):
            return replace(judged, found=replace(judged.found, version=0, expires_us=None))
        return judged


@breaks("G2")
class ChecksComeBeforeNeed(CommitPath):
    """The conflict of a scope that is not there is told as that of its first check."""

    def judge(self, commit: Commit) -> Judged:
        """Judge the checks with no need first."""
        free = super().judge(with_parts(commit, lambda part: replace(part, need="create", epoch=None)))
        return free if isinstance(free, Conflict) else super().judge(commit)


# --- G10 ------------------------------------------------------------------------------------------


@breaks("G10")
class APrefixIsJudgedByItsCells(CommitPath):
    """A prefix counts as untouched if no cell now under it is newer: what was deleted is not missed."""

    def judge(self, commit: Commit) -> Judged:
        """Look at cells instead of records."""
        for part in commit.scopes:
            data = self.space.scopes.get(part.scope)
            for check in part.checks:
                if isinstance(check, Untouched) and any(
                    cell.version > check.since and cell.key.startswith(check.prefix)
                    for cell in (data.cells.values() if data is not None else ())
                ):
                    head = self.space.head(part.scope)
                    return Conflict(part.scope, "untouched", check.prefix, check.since, head, head)
        return super().judge(with_checks(commit, lambda c: () if isinstance(c, Untouched) else (c,)))


@breaks("G10")
class AppendsTouchNothing(CommitPath):
    """Keys that the kernel completed are not seen by a condition on their prefix."""

    def touched(self, scope: str, since: int) -> list[tuple[str, ...]] | None:
        """Leave stamped keys out."""
        records = super().touched(scope, since)
        if records is None:
            return None
        return [tuple(key for key in keys if not key[-4:].isdigit()) for keys in records]


@breaks("G10")
class DeletingNothingTouchesNothing(CommitPath):
    """Records are thinned out to the keys that changed something."""

    def write(self, plan: Plan) -> None:
        """Leave deletions of nothing out of the record."""
        data = self.space.scope(plan.scope)
        nothing = {key for key in plan.deletes if key not in data.cells}
        touched = tuple(key for key in plan.record.touched if key not in nothing)
        super().write(replace(plan, record=replace(plan.record, touched=touched)))


@breaks("G10")
class ATrimmedLogIsTakenAsUntouched(CommitPath):
    """Where records were trimmed the ones that are left decide."""

    def touched(self, scope: str, since: int) -> list[tuple[str, ...]] | None:
        """Ask from the floor on."""
        return super().touched(scope, max(since, self.space.head(scope).floor - 1))


@breaks("G10")
class ADropTouchesNothing(CommitPath):
    """The record of a drop names no keys, and so counts as touching none."""

    def touched(self, scope: str, since: int) -> list[tuple[str, ...]] | None:
        """Pass over drops."""
        data = self.space.scopes[scope]
        return None if since + 1 < data.head.floor else [record.touched for record in data.records_after(since)]


@breaks("G10")
class APrefixMatchesAnywhere(CommitPath):
    """A key that has the prefix somewhere in it counts as touching it."""

    def judge(self, commit: Commit) -> Judged:
        """Search instead of comparing the start."""
        for part in commit.scopes:
            for check in part.checks:
                records = self.touched(part.scope, check.since) if isinstance(check, Untouched) else None
                if isinstance(check, Untouched) and any(check.prefix in key for keys in records or () for key in keys):
                    head = self.space.head(part.scope)
                    return Conflict(part.scope, "untouched", check.prefix, check.since, head, head)
        return super().judge(commit)


@breaks("G10")
class TheRecordAfterIsPassedOver(CommitPath):
    """A condition on a prefix looks from the second record after its seq."""

    def judge(self, commit: Commit) -> Judged:
        """Shift by one."""
        return super().judge(
            with_checks(commit, lambda c: (Untouched(c.prefix, c.since + 1),) if isinstance(c, Untouched) else (c,))
        )


# --- G11 ------------------------------------------------------------------------------------------


@breaks("G11")
class ABlindWriteBringsTheScopeBack(CommitPath):
    """A write that needs its scope makes it again when it was dropped."""

    def judge(self, commit: Commit) -> Judged:
        """Make what is missing, if it ever was."""

        def weakened(part: ScopeCommit) -> ScopeCommit:
            return (
                replace(part, need="create") if part.need == "must_exist" and self.space.head(part.scope).seq else part
            )

        return super().judge(with_parts(commit, weakened))


@breaks("G11")
class TheEpochIsNotChecked(CommitPath):
    """The epoch a commit names is passed over."""

    def judge(self, commit: Commit) -> Judged:
        """Leave it out."""
        return super().judge(with_parts(commit, lambda part: replace(part, epoch=None)))


@breaks("G11")
class TheEpochIsCheckedOfTheLivingOnly(CommitPath):
    """The epoch a commit names counts only while the scope lives."""

    def judge(self, commit: Commit) -> Judged:
        """Leave it out where the scope is dropped."""
        return super().judge(
            with_parts(commit, lambda p: p if self.space.head(p.scope).live else replace(p, epoch=None))
        )


@breaks("G11")
class AnEarlierEpochWillDo(CommitPath):
    """A commit may name any epoch up to the present one."""

    def judge(self, commit: Commit) -> Judged:
        """Compare with `<=`."""

        def weakened(part: ScopeCommit) -> ScopeCommit:
            epoch = self.space.head(part.scope).epoch
            return replace(part, epoch=None) if part.epoch is not None and part.epoch <= epoch else part

        return super().judge(with_parts(commit, weakened))


@breaks("G11")
class ADropKeepsTheEpoch(CommitPath):
    """Dropping a scope does not raise its epoch."""

    def write(self, plan: Plan) -> None:
        """Lower it again."""
        super().write(plan)
        if plan.record.op == "drop":
            data = self.space.scope(plan.scope)
            data.head = replace(data.head, epoch=plan.record.epoch)


@breaks("G11")
class ADropKeepsTheCells(CommitPath):
    """The cells of a dropped scope are there again when it is made again."""

    def clear(self, scope: str) -> None:
        """Clear the entries alone."""
        data = self.space.scope(scope)
        for key in list(data.entries):
            self.space.set_entries(scope, key, ())


@breaks("G11")
class ADropForgetsTheScope(MemoryKernel):
    """A drop leaves no tombstone: epoch and seq begin anew."""

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Forget at once what was dropped."""
        outcomes = await super().commit(commits)
        for commit, outcome in zip(commits, outcomes, strict=True):
            for part in commit.scopes if isinstance(outcome, Committed) else ():
                if not self._data.head(part.scope).live and part.scope in self._data.scopes:
                    self._data.forget(part.scope)
        return outcomes
