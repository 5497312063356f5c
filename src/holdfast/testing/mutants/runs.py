"""Mutants that do the work of runs twice, out of order, or beside who holds them (D1, D2, D3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from holdfast.backends.memory import MemoryKernel
from holdfast.handles import run_steps
from holdfast.handles.keeper import Keeper
from holdfast.handles.lease import Taking
from holdfast.handles.run_writes import RunWrites
from holdfast.kernel.commit import Absent, Check, Commit, CommitId, Committed, Outcome, Unchanged
from holdfast.model import graph
from holdfast.model import node as nodes
from holdfast.model import run as model
from holdfast.model.graph import Board
from holdfast.model.node import NodeRecord
from holdfast.model.node_spec import NodeSpec
from holdfast.services import claim, step
from holdfast.testing.mutants.mutant import breaks, mistake, with_checks

Real = Callable[..., Any]


class Careless(MemoryKernel):
    """Does not judge some of the conditions."""

    def leaves_out(self, check: Check) -> bool:
        """Whether it does not judge that one."""
        raise NotImplementedError

    async def commit(self, commits: Any) -> list[Outcome]:
        """Leave them out."""
        careless = [with_checks(one, lambda check: () if self.leaves_out(check) else (check,)) for one in commits]
        for one, original in zip(careless, commits, strict=True):
            one.id = original.id
        return await super().commit(careless)


class TwoCommits(MemoryKernel):
    """Of a commit that writes cells of an area, those are a commit of their own."""

    area = ""

    async def commit(self, commits: Any) -> list[Outcome]:
        """Take them apart."""
        outcomes: list[Outcome] = []
        for commit in commits:
            outcomes += await self._apart(commit)
        return outcomes

    async def _apart(self, commit: Commit) -> list[Outcome]:
        [part, *others] = commit.scopes
        own = tuple(put for put in part.puts if put.key.startswith(self.area))
        rest = tuple(put for put in part.puts if not put.key.startswith(self.area))
        if not own or not (rest or part.appends):
            return await super().commit([commit])
        first = replace(commit, scopes=(replace(part, puts=rest), *others))
        first.id = commit.id
        [outcome] = await super().commit([first])
        if not isinstance(outcome, Committed):
            return [outcome]
        second = replace(part, need="must_exist", checks=(), puts=own, deletes=(), appends=(), body=b"")
        id = CommitId(f"{self.area}{commit.id.writer}"[:16], commit.id.n)
        [last] = await super().commit([Commit((second,), commit.at_us, b"", id)])
        return [last]


# --- D1 -------------------------------------------------------------------------------------------


@mistake("D1", step, "put")
def what_steps_come_to_is_kept_by_their_process_alone(_real: Real) -> Real:
    """The store is told nothing of it."""
    return lambda work, scope, key, *, name, result: None


@breaks("D1")
class StepsAreDoneByWhoeverIsLast(Careless):
    """That nobody did a step meanwhile is not asked."""

    def leaves_out(self, check: Check) -> bool:
        """Of steps, that there is none."""
        return isinstance(check, Absent) and check.key.startswith("step/")


@breaks("D1")
class CompletionIsACommitOfItsOwn(TwoCommits):
    """An atomic step is done by another commit than the one that has its effects."""

    area = "step/"


@mistake("D1", run_steps, "step_identity")
def steps_are_told_by_their_name(real: Real) -> Real:
    """Arguments, key and version are not looked at."""
    return lambda name, *, arguments, version, salt: real(name, arguments=[], version=None, salt=salt)


@mistake("D1", RunWrites, "_look_up")
def steps_are_looked_for_in_the_process_alone(real: Real) -> Real:
    """What the store has of a step is not read."""

    async def look_up(self: RunWrites, key: str) -> bytes | None:
        await real(self, key)
        return None

    return look_up


# --- D2 -------------------------------------------------------------------------------------------


@mistake("D2", NodeSpec, "needed")
def every_join_is_of_all(_real: Any) -> Any:
    """Any and numbers of joins are not looked at."""
    return property(lambda self: len(self.after))


@mistake("D2", nodes, "check_move")
def every_move_of_a_node_is_taken(_real: Real) -> Real:
    """A node becomes whatever is told of it."""
    return lambda node, status, to: None


@breaks("D2")
class NodesAreOverwritten(Careless):
    """What is told of a node that somebody else told of since is taken."""

    def leaves_out(self, check: Check) -> bool:
        """Of nodes, that they are as they were seen."""
        return isinstance(check, (Absent, Unchanged)) and check.key.startswith("node/")


@breaks("D2")
class NodesAreACommitOfTheirOwn(TwoCommits):
    """A node is completed by another commit than the one that has what it wrote."""

    area = "node/"


@mistake("D2", NodeRecord, "failed")
def retries_are_not_counted(real: Real) -> Real:
    """A node that failed is tried for ever, and at once."""

    def failed(self: NodeRecord, spec: NodeSpec, *, at_us: int, error: bytes) -> NodeRecord:
        after: NodeRecord = real(self, spec, at_us=at_us, error=error)
        return after if spec.retry is None else replace(after, status=nodes.NodeStatus.READY, next_us=None)

    return failed


@mistake("D2", model, "check_works")
def a_paused_run_works(_real: Real) -> Real:
    """Whether a run is paused is not looked at."""
    return lambda record, open=(): None


@mistake("D2", graph, "_check_order")
def cycles_are_taken(_real: Real) -> Real:
    """Whether nodes wait for each other is not looked at."""
    return lambda specs: None


# --- D3 -------------------------------------------------------------------------------------------


@mistake("D3", claim, "fence")
def writes_carry_no_fence(_real: Real) -> Real:
    """What is written under a claim does not rest on it."""
    return lambda work, scope, token, *, cell=claim.CELL: None


@mistake("D3", Keeper, "is_dead")
def whoever_is_asked_about_is_dead(_real: Real) -> Real:
    """A run is taken from whoever holds it."""

    async def is_dead(self: Keeper, *_: object) -> bool:
        return True

    return is_dead


@mistake("D3", Keeper, "is_dead")
def nobody_dies(_real: Real) -> Real:
    """Who holds a run is waited for, whether it beats or not."""

    async def is_dead(self: Keeper, *_: object) -> bool:
        return False

    return is_dead


@breaks("D3")
class ClaimsAreTakenByBoth(Careless):
    """That nobody took it meanwhile is not asked of a claim."""

    def leaves_out(self, check: Check) -> bool:
        """Of claims, that there is none."""
        return isinstance(check, Absent) and claim.is_claim(check.key)


@mistake("D3", Taking, "_lease")
def every_claim_has_one_token(real: Real) -> Real:
    """The token says nothing."""

    def lease(self: Taking, landed: Committed, sent_s: float) -> Any:
        found = real(self, landed, sent_s)
        found.token = 1
        return found

    return lease


@mistake("D3", Board, "hold")
def what_the_dead_had_under_way_stays_so(_real: Real) -> Real:
    """Who takes a run up sees its interrupted nodes as running."""

    def hold(self: Board, token: int) -> None:
        self.token = 0

    return hold
