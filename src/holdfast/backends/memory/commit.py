"""Applying commits in memory: look the id up, judge, then write. The order no other backend may deviate from."""

from __future__ import annotations

from msgspec.structs import replace

from holdfast.backends.memory.store import SpaceData
from holdfast.errors import HoldfastError, Indeterminate, Unavailable
from holdfast.kernel.commit import Cell, Commit, CommitId, Committed, Conflict, Outcome
from holdfast.kernel.evaluate import Plan, evaluate
from holdfast.kernel.limits import Traits, check_commit


class CommitPath:
    """What happens to each commit of one space, step by step; none of the steps waits."""

    def __init__(self, space: SpaceData, traits: Traits) -> None:
        self.space = space
        self.traits = traits

    def apply(self, commit: Commit) -> Outcome:
        """One commit, whole or not at all."""
        if (refusal := self.refusal(commit)) is not None:
            return refusal
        lanes = self.space.lanes
        writer, n = commit.id
        if n <= lanes.get(writer, 0):
            return self.first_time(commit)
        lanes[writer] = n
        plans = self.judge(commit)
        if not isinstance(plans, list):
            return plans
        for plan in plans:
            self.write(plan)
        return Committed({plan.scope: plan.head.seq for plan in plans})

    def refusal(self, commit: Commit) -> HoldfastError | None:
        """Why this commit is not even tried, by `limits.check_commit`."""
        try:
            check_commit(commit, self.traits)
        except HoldfastError as refusal:
            return refusal
        return None

    def first_time(self, commit: Commit) -> Outcome:
        """The outcome of a commit whose id was used before, from the logs of the scopes it writes."""
        seqs: dict[str, int] = {}
        unknown: Indeterminate | None = None
        for part in commit.scopes:
            if part.writes:
                try:
                    seq = first_seq(self.space, part.scope, commit.id)
                except Indeterminate as error:
                    unknown = error
                else:
                    if seq is not None:
                        seqs[part.scope] = seq
        if unknown is not None:
            return unknown
        if seqs:
            return Committed(seqs, replayed=True)
        return Unavailable(f"commit {commit.id} was never applied and its id is used up", burnt=True)

    def judge(self, commit: Commit) -> Conflict | list[Plan]:
        """The conflict, or what to write, by `evaluate`."""
        return evaluate(commit, self.space.head, lambda scope, key: self.cell(scope, key, commit.at_us), self.touched)

    def cell(self, scope: str, key: str, now_us: int) -> Cell | None:
        """A cell as a check sees it."""
        data = self.space.scopes.get(scope)
        return data.cell(key, now_us) if data is not None else None

    def touched(self, scope: str, since: int) -> list[tuple[str, ...]] | None:
        """What each record of a scope after that seq touched; None if some were trimmed or one dropped the scope."""
        data = self.space.scopes.get(scope)
        if data is None or since + 1 < data.head.floor:
            return None
        records = data.records_after(since)
        if any(record.op == "drop" for record in records):
            return None
        return [record.touched for record in records]

    def write(self, plan: Plan) -> None:
        """Do what was decided for one scope."""
        space = self.space
        data = space.scope(plan.scope)
        if plan.record.op == "drop":
            self.clear(plan.scope)
        for key in plan.deletes:
            data.delete(key)
            if key in data.entries:
                space.set_entries(plan.scope, key, ())
        seq = plan.head.seq
        for write in plan.writes:
            data.put(Cell(write.key, exact(write.value), seq, write.expires_us))
            if write.entries or write.key in data.entries:
                space.set_entries(plan.scope, write.key, write.entries)
        data.records.append(replace(plan.record, body=exact(plan.record.body)))
        data.head = plan.head
        space.move(plan.scope, seq)

    def clear(self, scope: str) -> None:
        """Remove every cell and entry of a scope that is dropped."""
        data = self.space.scope(scope)
        for key in list(data.entries):
            self.space.set_entries(scope, key, ())
        data.cells.clear()
        data.keys.clear()


def exact(content: bytes) -> bytes:
    """The same bytes in no more memory than they need: an encoder's answer may keep half as much again in reserve."""
    return bytes(memoryview(content))


def first_seq(space: SpaceData, scope: str, commit_id: CommitId) -> int | None:
    """The seq that commit took in one scope by the scope's log; None if it is not there.

    Raises Indeterminate where it is not there but records of the scope were trimmed.
    """
    data = space.scopes.get(scope)
    records = data.records if data is not None else []
    for record in reversed(records):
        if record.commit == commit_id:
            return record.seq
    if data is not None and data.head.floor > 1:
        raise Indeterminate(
            f"the log of {scope} was trimmed below {data.head.floor}: whether {commit_id} was applied is not known",
            scope=scope,
        )
    return None
