"""Mutants that lose track of commit ids (G5)."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from holdfast.backends.memory import MemoryKernel
from holdfast.backends.memory.commit import CommitPath
from holdfast.backends.memory.store import SpaceData
from holdfast.errors import Indeterminate, Unavailable
from holdfast.kernel.commit import Commit, CommitId, Committed, Outcome
from holdfast.kernel.limits import Traits
from holdfast.testing.mutants.mutant import breaks


@breaks("G5")
class IdsAreIgnored(CommitPath):
    """Every send is applied."""

    def first_time(self, commit: Commit) -> Outcome:
        """Apply it again."""
        del self.space.lanes[commit.id.writer]
        return self.apply(commit)


@breaks("G5")
class ARepeatGetsTheNewestSeqs(CommitPath):
    """A repeat is told the present seqs of its scopes."""

    def first_time(self, commit: Commit) -> Outcome:
        """Answer with the heads."""
        outcome = super().first_time(commit)
        if isinstance(outcome, Committed):
            return replace(outcome, seqs={scope: self.space.head(scope).seq for scope in outcome.seqs})
        return outcome


@breaks("G5")
class ARepeatIsNotMarked(CommitPath):
    """A repeat looks like a first time."""

    def first_time(self, commit: Commit) -> Outcome:
        """Leave the mark off."""
        outcome = super().first_time(commit)
        return replace(outcome, replayed=False) if isinstance(outcome, Committed) else outcome


@breaks("G5")
class ARepeatNamesOneScope(CommitPath):
    """A repeat over several scopes returns the seq of the first."""

    def first_time(self, commit: Commit) -> Outcome:
        """Cut the answer."""
        outcome = super().first_time(commit)
        return replace(outcome, seqs=dict([*outcome.seqs.items()][:1])) if isinstance(outcome, Committed) else outcome


@breaks("G5")
class ARepeatIsJudgedAgain(CommitPath):
    """Conditions are judged before the id is looked up."""

    def first_time(self, commit: Commit) -> Outcome:
        """Judge first."""
        judged = self.judge(commit)
        return super().first_time(commit) if isinstance(judged, list) else judged


@breaks("G5")
class ABurntIdIsNotToldAsSuch(CommitPath):
    """That an id is used up looks like a store that is down: the writer would send it for ever."""

    def first_time(self, commit: Commit) -> Outcome:
        """Leave the fact out."""
        outcome = super().first_time(commit)
        return Unavailable("try again later") if isinstance(outcome, Unavailable) else outcome


@breaks("G5")
class RepeatsWithinABatchAreApplied(MemoryKernel):
    """The ids of a batch are looked up before any of it is applied."""

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Give the repeats of one batch a lane of their own."""
        seen: set[CommitId] = set()
        for place, commit in enumerate(commits):
            if commit.id in seen:
                commits = [*commits[:place], replace(commit, id=CommitId(f"again{place}", 1)), *commits[place + 1 :]]
            seen.add(commit.id)
        return await super().commit(commits)


@breaks("G5")
class ADropForgetsIds(CommitPath):
    """A repeat is looked for in the present epoch alone."""

    def first_time(self, commit: Commit) -> Outcome:
        """Take an older epoch for nothing."""
        outcome = super().first_time(commit)
        for scope, seq in outcome.seqs.items() if isinstance(outcome, Committed) else ():
            data = self.space.scopes[scope]
            if data.records_after(seq - 1)[0].epoch < data.head.epoch:
                return Unavailable("not found in this epoch", burnt=True)
        return outcome


@breaks("G5")
class AnIdIsFreeUntilItsCommitIsApplied(CommitPath):
    """A commit that conflicted goes through when it is sent again."""

    def apply(self, commit: Commit) -> Outcome:
        """Take the id back after a conflict."""
        last = self.space.lanes.get(commit.id.writer, 0)
        outcome = super().apply(commit)
        if not isinstance(outcome, Committed):
            self.space.lanes[commit.id.writer] = last
        return outcome


@breaks("G5")
class OnlyKnownIdsAreRefused(CommitPath):
    """An id below the lane's last that is in no log is applied late."""

    def first_time(self, commit: Commit) -> Outcome:
        """Apply what is not found."""
        outcome = super().first_time(commit)
        if isinstance(outcome, Unavailable):
            writer, last = commit.id.writer, self.space.lanes[commit.id.writer]
            del self.space.lanes[writer]
            outcome = self.apply(commit)
            self.space.lanes[writer] = last
        return outcome


@breaks("G5")
class WritersShareOneLane(CommitPath):
    """The number of an id is compared without its writer."""

    def apply(self, commit: Commit) -> Outcome:
        """Give every writer the highest number of all."""
        lanes = self.space.lanes
        lanes[commit.id.writer] = max([*lanes.values(), 0])
        return super().apply(commit)


@breaks("G5")
class TrimmedEvidenceMeansUnapplied(CommitPath):
    """What is not in the log was not applied, trimmed or not."""

    def first_time(self, commit: Commit) -> Outcome:
        """Be sure where nobody can be."""
        outcome = super().first_time(commit)
        return Unavailable("not in the log", burnt=True) if isinstance(outcome, Indeterminate) else outcome


@breaks("G5")
class TrimmedEvidenceMeansAgain(CommitPath):
    """What is not in a trimmed log is applied a second time."""

    def first_time(self, commit: Commit) -> Outcome:
        """Apply it again."""
        outcome = super().first_time(commit)
        if isinstance(outcome, Indeterminate):
            del self.space.lanes[commit.id.writer]
            return self.apply(commit)
        return outcome


@breaks("G5")
class TheOutcomeIsSureOfTrimmedLogs(MemoryKernel):
    """`outcome` says None where the evidence may be gone."""

    async def outcome(self, scope: str, commit_id: CommitId) -> Committed | None:
        """Be sure where nobody can be."""
        try:
            return await super().outcome(scope, commit_id)
        except Indeterminate:
            return None


@breaks("G5")
class OneScopesEvidenceWillDo(CommitPath):
    """Only the first scope of a commit is asked whether it was applied."""

    def first_time(self, commit: Commit) -> Outcome:
        """Look into one log."""
        first = super().first_time(replace(commit, scopes=commit.scopes[:1]))
        return first if isinstance(first, Committed) else Unavailable("not in its log", burnt=True)


@breaks("G5")
class IdsAreRememberedInTheProcess(CommitPath):
    """What ids were used is kept beside the store: another kernel on it does not know."""

    def __init__(self, space: SpaceData, traits: Traits) -> None:
        super().__init__(space, traits)
        self._lanes: dict[str, int] = {}

    def apply(self, commit: Commit) -> Outcome:
        """Swap the lanes in and out."""
        shared, self.space.lanes = self.space.lanes, self._lanes
        try:
            return super().apply(commit)
        finally:
            self.space.lanes = shared


@breaks("G5")
class TheOutcomeIsTheNewestSeq(MemoryKernel):
    """`outcome` answers with the present seq of the scope."""

    async def outcome(self, scope: str, commit_id: CommitId) -> Committed | None:
        """Answer with the head."""
        outcome = await super().outcome(scope, commit_id)
        return outcome and replace(outcome, seqs={scope: self._data.head(scope).seq})


@breaks("G5")
class TheOutcomeEndsWithTheEpoch(MemoryKernel):
    """`outcome` looks no further back than the last drop."""

    async def outcome(self, scope: str, commit_id: CommitId) -> Committed | None:
        """Take an older epoch for nothing."""
        outcome = await super().outcome(scope, commit_id)
        data = self._data.scopes.get(scope)
        if outcome is None or data is None:
            return outcome
        return outcome if data.records_after(outcome.seqs[scope] - 1)[0].epoch == data.head.epoch else None
