"""Applying commits in memory: look the id up, judge, then write. The order no other backend may deviate from."""

from __future__ import annotations

from holdfast.backends.memory.store import SpaceData
from holdfast.errors import HoldfastError, Indeterminate, Unavailable
from holdfast.kernel.commit import Cell, Commit, CommitId, Committed, Outcome
from holdfast.kernel.evaluate import Plan, evaluate
from holdfast.kernel.limits import Traits, check_commit


def apply(space: SpaceData, commit: Commit, traits: Traits) -> Outcome:
    """One commit, whole or not at all."""
    try:
        check_commit(commit, traits)
    except HoldfastError as refusal:
        return refusal
    writer, n = commit.id
    if n <= space.lanes.get(writer, 0):
        return _first_time(space, commit)
    space.lanes[writer] = n
    plans = evaluate(
        commit,
        space.head,
        lambda scope, key: _cell(space, scope, key, commit.at_us),
        lambda scope, since: _touched(space, scope, since),
    )
    if not isinstance(plans, list):
        return plans
    for plan in plans:
        _write(space, plan)
    return Committed({plan.scope: plan.head.seq for plan in plans})


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


def _first_time(space: SpaceData, commit: Commit) -> Outcome:
    seqs: dict[str, int] = {}
    try:
        for part in commit.scopes:
            seq = first_seq(space, part.scope, commit.id)
            if seq is not None:
                seqs[part.scope] = seq
    except Indeterminate as unknown:
        if not seqs:
            return unknown
    if seqs:
        return Committed(seqs, replayed=True)
    return Unavailable(f"commit {commit.id} was never applied and its id is used up", burnt=True)


def _cell(space: SpaceData, scope: str, key: str, now_us: int) -> Cell | None:
    data = space.scopes.get(scope)
    return data.cell(key, now_us) if data is not None else None


def _touched(space: SpaceData, scope: str, since: int) -> list[tuple[str, ...]] | None:
    data = space.scopes[scope]
    if since + 1 < data.head.floor:
        return None
    records = data.records_after(since)
    if any(record.op == "drop" for record in records):
        return None
    return [record.touched for record in records]


def _write(space: SpaceData, plan: Plan) -> None:
    data = space.scope(plan.scope)
    if plan.record.op == "drop":
        for key in list(data.entries):
            space.set_entries(plan.scope, key, ())
        data.cells.clear()
        data.keys.clear()
    for key in plan.deletes:
        data.delete(key)
        if key in data.entries:
            space.set_entries(plan.scope, key, ())
    seq = plan.head.seq
    for write in plan.writes:
        data.put(Cell(write.key, write.value, seq, write.expires_us))
        if write.entries or write.key in data.entries:
            space.set_entries(plan.scope, write.key, write.entries)
    data.records.append(plan.record)
    data.head = plan.head
    space.moves.append((plan.scope, seq))
