"""Mutants that break how commits are applied: atomicity (G1), order (G3), seqs (G4), no trace (G7)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from msgspec.structs import replace

from holdfast.backends.memory import MemoryKernel
from holdfast.backends.memory.commit import CommitPath
from holdfast.errors import HoldfastError, TooLarge, Unavailable
from holdfast.kernel.commit import Cell, Commit, Committed, Conflict, Outcome, Put, ScopeCommit
from holdfast.kernel.evaluate import Plan
from holdfast.kernel.limits import PAYLOAD_BYTES_MAX
from holdfast.testing.mutants.mutant import breaks, with_parts

# --- G1 -------------------------------------------------------------------------------------------


@breaks("G1")
class ScopesAreJudgedOneByOne(CommitPath):
    """Each scope is judged and written before the next is judged."""

    def apply(self, commit: Commit) -> Outcome:
        """Stop at the first conflict, with the scopes before it written."""
        if commit.id.n <= self.space.lanes.get(commit.id.writer, 0) or self.refusal(commit) is not None:
            return super().apply(commit)
        self.space.lanes[commit.id.writer] = commit.id.n
        seqs: dict[str, int] = {}
        for part in commit.scopes:
            plans = self.judge(replace(commit, scopes=(part,)))
            if not isinstance(plans, list):
                return plans
            for plan in plans:
                self.write(plan)
                seqs[plan.scope] = plan.head.seq
        return Committed(seqs)


@breaks("G1")
class TheLastScopeIsForgotten(CommitPath):
    """Of a commit over several scopes all but the last are written."""

    def judge(self, commit: Commit) -> Conflict | list[Plan]:
        """Plan too little."""
        plans = super().judge(commit)
        return plans[:-1] if isinstance(plans, list) and len(plans) > 1 else plans


@breaks("G1")
class LimitsAreMetHalfWay(CommitPath):
    """A payload over the limit is noticed only where it is written, with the cells before it written."""

    def refusal(self, commit: Commit) -> HoldfastError | None:
        """Let payloads through."""
        refusal = super().refusal(commit)
        return None if isinstance(refusal, TooLarge) and refusal.facts.get("what") == "payload" else refusal

    def apply(self, commit: Commit) -> Outcome:
        """Write until it fails."""
        try:
            return super().apply(commit)
        except TooLarge as late:
            return late

    def write(self, plan: Plan) -> None:
        """Fail in the middle."""
        for place, write in enumerate(plan.writes):
            if any(len(entry.payload) > PAYLOAD_BYTES_MAX for entry in write.entries):
                super().write(replace(plan, writes=plan.writes[:place]))
                raise TooLarge("a payload over the limit", what="payload")
        super().write(plan)


@breaks("G1")
class CellsAppearOneByOne(MemoryKernel):
    """The cells of one commit are written one after the other, while others read."""

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Write some of a commit's cells, wait, and write it all."""
        for commit in commits:
            for part in commit.scopes:
                data = self._open().scopes.get(part.scope)
                for put in part.puts[:1]:
                    if data is not None and data.head.live and not part.checks:
                        data.put(Cell(put.key, put.value, data.head.seq + 1, put.expires_us))
                        await asyncio.sleep(0)
        return await super().commit(commits)


@breaks("G1")
class ACancelledCommitStopsBetweenScopes(MemoryKernel):
    """A commit over two scopes waits between them, and being cancelled there leaves the first alone."""

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Write each scope in a turn of its own."""
        outcomes = []
        for commit in commits:
            refusal = self._path.refusal(commit)
            if len(commit.scopes) < 2 or refusal or commit.id.n <= self._data.lanes.get(commit.id.writer, 0):
                outcomes += await super().commit([commit])
                continue
            self._data.lanes[commit.id.writer] = commit.id.n
            plans = self._path.judge(commit)
            if isinstance(plans, Conflict):
                outcomes.append(plans)
                continue
            for plan in plans:
                self._path.write(plan)
                await asyncio.sleep(0)
            outcomes.append(Committed({plan.scope: plan.head.seq for plan in plans}))
        return outcomes


@breaks("G1")
class ABodyBesideCellsIsLost(CommitPath):
    """The body of a commit that writes cells too is not kept."""

    def write(self, plan: Plan) -> None:
        """Lose it."""
        super().write(replace(plan, record=replace(plan.record, body=b"")) if plan.writes else plan)


# --- G3 -------------------------------------------------------------------------------------------


@breaks("G3")
class TheBatchIsAppliedBackwards(MemoryKernel):
    """The last commit of a batch is applied first; the outcomes stand in their places."""

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Reverse twice."""
        ids = [commit.id for commit in commits]
        for commit, id in zip(reversed(commits), ids, strict=True):
            commit.id = id
        return (await super().commit(commits[::-1]))[::-1]


@breaks("G3")
class TheBatchIsSortedByScope(MemoryKernel):
    """Commits of a batch are grouped by scope; one over several scopes comes with its first."""

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Sort, then put the outcomes back in place."""
        order = sorted(range(len(commits)), key=lambda i: [part.scope for part in commits[i].scopes], reverse=True)
        lanes = dict(self._open().lanes)
        outcomes: dict[int, Outcome] = {}
        for place in order:
            self._data.lanes.update(lanes)
            [outcomes[place]] = await super().commit([commits[place]])
        return [outcomes[place] for place in range(len(commits))]


@breaks("G3")
class DeletionsOfABatchComeLast(MemoryKernel):
    """A batch writes all its cells and then deletes, as a bulk write easily does."""

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Delete once more what a commit of the batch deleted."""
        outcomes = await super().commit(commits)
        for commit, outcome in zip(commits, outcomes, strict=True):
            for part in commit.scopes if isinstance(outcome, Committed) else ():
                for key in part.deletes:
                    self._data.scope(part.scope).delete(key)
                    self._data.set_entries(part.scope, key, ())
        return outcomes


# --- G4 -------------------------------------------------------------------------------------------


@breaks("G4")
class AConflictTakesASeq(CommitPath):
    """A commit that conflicts leaves a gap."""

    def judge(self, commit: Commit) -> Conflict | list[Plan]:
        """Count the conflict."""
        plans = super().judge(commit)
        if isinstance(plans, Conflict) and plans.head.live:
            data = self.space.scope(plans.scope)
            data.head = replace(data.head, seq=data.head.seq + 1)
        return plans


@breaks("G4")
class AVersionLagsOnRewrite(CommitPath):
    """A cell that is rewritten gets the seq before the one that rewrote it."""

    def write(self, plan: Plan) -> None:
        """Put the version back by one."""
        data = self.space.scope(plan.scope)
        old = set(data.cells)
        super().write(plan)
        for write in plan.writes:
            if write.key in old and write.key in data.cells:
                data.put(replace(data.cells[write.key], version=plan.head.seq - 1))


@breaks("G4")
class ChecksAloneTakeASeq(CommitPath):
    """A scope that is only checked gets a seq and a record all the same."""

    def judge(self, commit: Commit) -> Conflict | list[Plan]:
        """Make every part a write."""
        return super().judge(with_parts(commit, lambda p: p if p.writes else replace(p, deletes=("none",))))


@breaks("G4")
class DeletingNothingIsNotLogged(CommitPath):
    """A commit that only deletes what is absent is taken for no write."""

    def judge(self, commit: Commit) -> Conflict | list[Plan]:
        """Leave out deletions of nothing."""

        def trimmed(part: ScopeCommit) -> ScopeCommit:
            there = tuple(key for key in part.deletes if self.cell(part.scope, key, commit.at_us))
            return part if part.puts or part.appends or there else replace(part, deletes=())

        return super().judge(with_parts(commit, trimmed))


@breaks("G4")
class RewritingTheSameIsSkipped(CommitPath):
    """A put of the value that is there already is taken for no write."""

    def judge(self, commit: Commit) -> Conflict | list[Plan]:
        """Leave out puts that change nothing."""

        def changes(scope: str, put: Put) -> bool:
            cell = self.cell(scope, put.key, commit.at_us)
            return cell is None or cell.value != put.value or bool(put.entries) or put.expires_us is not None

        def trimmed(part: ScopeCommit) -> ScopeCommit:
            return replace(part, puts=tuple(put for put in part.puts if changes(part.scope, put)))

        return super().judge(with_parts(commit, trimmed))


@breaks("G4")
class SeqsBeginAnewWithTheScope(CommitPath):
    """A scope that is made again after its drop counts from 1."""

    def judge(self, commit: Commit) -> Conflict | list[Plan]:
        """Forget the scope that was dropped."""
        plans = super().judge(commit)
        for plan in plans if isinstance(plans, list) else ():
            data = self.space.scopes.get(plan.scope)
            if data is not None and not data.head.live:
                epoch = data.head.epoch
                self.space.forget(plan.scope)
                self.space.scope(plan.scope).head = replace(data.head, seq=0, floor=0, epoch=epoch)
                return super().judge(commit)
        return plans


# --- G7 -------------------------------------------------------------------------------------------


@breaks("G7")
class AConflictEndsTheBatch(MemoryKernel):
    """What stands behind a conflict in a batch is not tried."""

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Stop at the first conflict."""
        outcomes: list[Outcome] = []
        for commit in commits:
            if any(isinstance(outcome, Conflict) for outcome in outcomes):
                outcomes.append(Unavailable("the batch was given up"))
            else:
                outcomes += await super().commit([commit])
        return outcomes


@breaks("G7")
class ARefusalEndsTheBatch(MemoryKernel):
    """One commit over a limit refuses the whole batch."""

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Refuse all for one."""
        for commit in commits:
            if (refusal := self._path.refusal(commit)) is not None:
                return [refusal] * len(commits)
        return await super().commit(commits)


@breaks("G7")
class EntriesGoBeforeTheConflict(CommitPath):
    """The entries of cells to be written are removed before the conditions are judged."""

    def judge(self, commit: Commit) -> Conflict | list[Plan]:
        """Remove, then judge."""
        for part in commit.scopes:
            data = self.space.scopes.get(part.scope)
            for put in part.puts if data is not None else ():
                self.space.set_entries(part.scope, put.key, ())
        return super().judge(commit)


@breaks("G7")
class AConflictShowsInTheHead(CommitPath):
    """A conflict leaves its time and cause in the head."""

    def judge(self, commit: Commit) -> Conflict | list[Plan]:
        """Touch the head first."""
        plans = super().judge(commit)
        if isinstance(plans, Conflict) and plans.scope in self.space.scopes:
            data = self.space.scope(plans.scope)
            data.head = replace(data.head, cause=b"a conflict")
        return plans


@breaks("G7")
class AConflictMakesTheScope(CommitPath):
    """A scope is made before the conditions of the commit that makes it are judged."""

    def judge(self, commit: Commit) -> Conflict | list[Plan]:
        """Make, then judge."""
        plans = super().judge(commit)
        for part in commit.scopes if isinstance(plans, Conflict) else ():
            if part.need != "must_exist" and part.scope not in self.space.scopes:
                data = self.space.scope(part.scope)
                data.head = replace(data.head, live=True)
        return plans
