"""The commit of a unit of work with scopes that are kept alive by a cell: see `keeping`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from holdfast.kernel.commit import Cell, Committed, Conflict, Read, ScopeCommit
from holdfast.kernel.keeping import Keeper, Renewal, as_need
from holdfast.kernel.part import Part
from holdfast.kernel.reads import Reads

Send = Callable[[Sequence[ScopeCommit], int], Awaitable[Committed | Conflict]]
"""Sends these as one commit of that time."""


async def commit_kept(
    reads: Reads, parts: Sequence[Part], keeper: Keeper, send: Send, *, room: int
) -> Committed | Conflict:
    """Send the parts, with what renews their cells as far as there is room for so many more writes.

    A cell that was written since it was known is not renewed: the commit is sent again without that. What a condition
    on a cell says that did not hold, is told of the scope.
    """
    renewals: dict[str, Renewal] = {}
    for part in parts:
        if not part.may_be_renewed:
            continue
        if not keeper.knows(part.scope):
            await reads.peek((Read(part.scope),))
        renewal = keeper.renewal(part.scope, reads.now_us)
        if renewal is not None and len(renewal.puts) <= room:
            renewals[part.scope] = renewal
            room -= len(renewal.puts)
    while True:
        now_us = reads.now_us
        scopes = [part.to_commit(now_us, renewals.get(part.scope)) for part in parts]
        outcome = await send(scopes, now_us)
        if isinstance(outcome, Committed):
            for part in parts:
                if part.scope in renewals or part.kept in part.puts:
                    _learn(scopes, keeper, outcome)
                    break
            return outcome
        if outcome.key != keeper.key or not outcome.scope.startswith(keeper.prefix):
            return outcome
        renewed = renewals.pop(outcome.scope, None)
        found = outcome.found if isinstance(outcome.found, Cell) else None
        if outcome.what == "present" or (renewed is not None and found is None):
            return as_need(outcome, exists=False)
        if outcome.what == "absent":
            return as_need(outcome, exists=True)
        if renewed is None:
            return outcome  # of the cell as the unit read it
        keeper.learn(outcome.scope, found)


def _learn(scopes: Sequence[ScopeCommit], keeper: Keeper, committed: Committed) -> None:
    """Let the keeper know the cells that were committed."""
    for part in scopes:
        for put in part.puts:
            if put.key == keeper.key and part.scope.startswith(keeper.prefix):
                version = committed.seqs[part.scope]
                keeper.learn(part.scope, Cell(put.key, put.value, version, put.expires_us))
