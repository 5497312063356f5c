"""Mutants that miss a move (G14)."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from holdfast.backends.memory import MemoryKernel
from holdfast.backends.memory.commit import CommitPath
from holdfast.errors import Compacted
from holdfast.kernel.commit import Commit, Moved, Outcome
from holdfast.kernel.evaluate import Plan
from holdfast.testing.mutants.mutant import breaks


@breaks("G14")
class AFullPageSkipsTheRest(MemoryKernel):
    """The position of a page that was cut is the end."""

    async def moved(self, after: str | None = None, *, limit: int = 1000) -> Moved:
        """Jump to the end."""
        moved = await super().moved(after, limit=limit)
        return replace(moved, position=(await super().moved()).position, more=False)


@breaks("G14")
class APageSkipsOneMove(MemoryKernel):
    """The position of a page that was cut is one too far."""

    async def moved(self, after: str | None = None, *, limit: int = 1000) -> Moved:
        """Add one."""
        moved = await super().moved(after, limit=limit)
        place, _, begin = moved.position.partition("-")
        return replace(moved, position=f"{int(place) + 1}-{begin}") if moved.more else moved


@breaks("G14")
class ThePresentPositionIsOneTooFar(MemoryKernel):
    """From the present position the next commit is not reported."""

    async def moved(self, after: str | None = None, *, limit: int = 1000) -> Moved:
        """Add one."""
        moved = await super().moved(after, limit=limit)
        return replace(moved, position=str(int(moved.position) + 1)) if after is None else moved


@breaks("G14")
class MoreIsNotSaid(MemoryKernel):
    """A page that was cut does not say so."""

    async def moved(self, after: str | None = None, *, limit: int = 1000) -> Moved:
        """Keep it back."""
        return replace(await super().moved(after, limit=limit), more=False)


@breaks("G14")
class DropsDoNotMove(CommitPath):
    """A drop is not reported."""

    def write(self, plan: Plan) -> None:
        """Take the move back."""
        super().write(plan)
        if plan.record.op == "drop":
            self.space.moves.pop()


@breaks("G14")
class OneScopeOfACommitMoves(CommitPath):
    """Of a commit over several scopes the first is reported."""

    def apply(self, commit: Commit) -> Outcome:
        """Take the other moves back."""
        before = len(self.space.moves)
        outcome = super().apply(commit)
        del self.space.moves[before + 1 :]
        return outcome


@breaks("G14")
class TheFirstOfSeveralMovesIsNotTold(MemoryKernel):
    """Of a scope that moved several times in a page only the last seq is told."""

    async def moved(self, after: str | None = None, *, limit: int = 1000) -> Moved:
        """Leave the firsts out."""
        return replace(await super().moved(after, limit=limit), firsts={})


@breaks("G14")
class AScopeIsReportedAtItsFirstSeq(MemoryKernel):
    """Of a scope that moved several times in a page the first is told, and the others are taken for repeats."""

    async def moved(self, after: str | None = None, *, limit: int = 1000) -> Moved:
        """Take the first."""
        moved = await super().moved(after, limit=limit)
        start = self._data.moves_floor if not after else int(after.partition("-")[0])
        first: dict[str, int] = {}
        for position, scope, seq in self._data.moves:
            if position >= start:
                first.setdefault(scope, seq)
        return replace(moved, scopes=tuple((scope, first.get(scope, seq)) for scope, seq in moved.scopes))


@breaks("G14")
class ABatchMovesOnce(MemoryKernel):
    """Of a batch the last commit is reported."""

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Take the other moves back."""
        before = len(self._open().moves)
        outcomes = await super().commit(commits)
        del self._data.moves[before:-1]
        return outcomes


@breaks("G14")
class WritesWithoutCellsDoNotMove(CommitPath):
    """A commit that only logs is not reported."""

    def write(self, plan: Plan) -> None:
        """Take the move back."""
        super().write(plan)
        if not plan.record.touched and plan.record.op == "write":
            self.space.moves.pop()


@breaks("G14")
class AnExpiredPositionGoesOnInSilence(MemoryKernel):
    """From a position that was trimmed `moved` goes on with what is kept."""

    async def moved(self, after: str | None = None, *, limit: int = 1000) -> Moved:
        """Begin at the floor."""
        try:
            return await super().moved(after, limit=limit)
        except Compacted:
            return await super().moved("", limit=limit)


@breaks("G14")
class AnyTextIsAPosition(MemoryKernel):
    """What is no position is taken for the beginning."""

    async def moved(self, after: str | None = None, *, limit: int = 1000) -> Moved:
        """Begin at the beginning."""
        return await super().moved("" if after and not after.isdigit() else after, limit=limit)


@breaks("G14")
class ASweepTakesMovesAlong(CommitPath):
    """The oldest moves are forgotten after twenty, without a word."""

    def write(self, plan: Plan) -> None:
        """Keep twenty."""
        super().write(plan)
        del self.space.moves[:-20]
