"""The commit of a unit of work with scopes that are kept alive by a cell: see `keeping`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from holdfast.kernel.commit import Cell, Committed, Conflict, Read, ScopeCommit
from holdfast.kernel.keeping import Keeper, Renewal, as_need
from holdfast.kernel.part import Part
from holdfast.kernel.reads import Reads

Send = Callable[[Sequence[ScopeCommit], int], Awaitable[Committed | Conflict]]
"""Sends these as one commit of that time."""


async def nothing() -> Committed:
    """The outcome of a commit of nothing."""
    return Committed({})


async def commit_kept(
    reads: Reads, parts: Sequence[Part], keeper: Keeper, send: Send, *, room: int
) -> Committed | Conflict:
    """Send the parts, with what renews their cells as far as there is room for so many more writes.

    A cell that was written since it was known is looked at anew, and the commit sent again. For a unit that has read it
    it is unchanged if it was only renewed: of the same value, to expire at another time. What a condition on a cell
    says that did not hold, is told of the scope.
    """
    renewals: dict[str, Renewal] = {}
    for part in parts:
        if part.may_be_renewed and not keeper.knows(part.scope):
            await reads.peek((Read(part.scope),))
        room -= _renew(part, keeper, renewals, reads.now_us, room)
    while True:
        now_us = reads.now_us
        scopes = [part.to_commit(now_us, renewals.get(part.scope)) for part in parts]
        outcome = await send(scopes, now_us)
        if isinstance(outcome, Committed):
            for part in parts:
                if part.drop or part.scope in renewals or part.kept in part.puts:
                    _learn(scopes, keeper, outcome)
                    break
            return outcome
        if outcome.key != keeper.key or not outcome.scope.startswith(keeper.prefix):
            return outcome
        renewed = renewals.pop(outcome.scope, None)
        found = outcome.found if isinstance(outcome.found, Cell) else None
        if outcome.what == "absent":
            return as_need(outcome, exists=True)
        if found is None and (outcome.what == "present" or renewed is not None):
            return as_need(outcome, exists=False)
        part = next(part for part in parts if part.scope == outcome.scope)
        was_only_renewed = _rebase(part, keeper.key, found)
        if renewed is None and not was_only_renewed:
            return outcome
        keeper.learn(outcome.scope, found)
        room += 0 if renewed is None else len(renewed.puts)
        room -= _renew(part, keeper, renewals, reads.now_us, room)


def _renew(part: Part, keeper: Keeper, renewals: dict[str, Renewal], now_us: int, room: int) -> int:
    """Let the part carry what renews its cell, if that is to be renewed; returns how many writes it takes."""
    if not part.may_be_renewed:
        return 0
    renewal = keeper.renewal(part.scope, now_us, part.least_us, writes=part.writes)
    if renewal is None or len(renewal.puts) > room:
        return 0
    renewals[part.scope] = renewal
    return len(renewal.puts)


def _rebase(part: Part, key: str, found: Cell | None) -> bool:
    """Whether the unit has read the cell, and it was only renewed since: then it is taken to have read that.

    Not if the unit itself puts the cell to expire before that.
    """
    read, put = part.found.get(key), part.puts.get(key)
    if read is None or found is None or read.value != found.value:
        return False
    if put is not None and put.expires_us is not None and put.expires_us < (found.expires_us or put.expires_us + 1):
        return False
    part.found[key] = found
    return True


def _learn(scopes: Sequence[ScopeCommit], keeper: Keeper, committed: Committed) -> None:
    """Let the keeper know what was committed."""
    for part in scopes:
        if part.drop and part.scope.startswith(keeper.prefix):
            keeper.learn(part.scope, None)
        elif part.puts and part.scope.startswith(keeper.prefix):
            keeper.wrote(part.scope, part.puts, committed.seqs[part.scope])
