"""What becomes of a commit: the one place where conditions are judged, shared by the backends that decide in Python.

Pure: heads and cells as found and a commit in, an outcome and the writes out. A backend that decides inside its
engine (a script, a function of the server) must come to the same result; the conformance kit compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct

from holdfast.kernel.commit import (
    Absent,
    Cell,
    Check,
    Commit,
    Conflict,
    Head,
    HeadAt,
    Present,
    Put,
    Record,
    ScopeCommit,
    Untouched,
    stamp,
)

GetHead = Callable[[str], Head]
GetCell = Callable[[str, str], Cell | None]
"""The cell under (scope, key) as visible at the commit's time, or None."""
GetTouched = Callable[[str, int], Iterable[tuple[str, ...]] | None]
"""What each record of a scope after that seq touched; None if some were trimmed or one dropped the scope."""


class Plan(Struct, frozen=True, gc=False):
    """What one commit does to one scope, decided: the head it leaves, the cells to write, the record to log.

    Of the cells to write, with the seq as their version, the commit's puts come first, then its appends under their
    completed keys.
    """

    scope: str
    head: Head
    writes: tuple[Put, ...]
    deletes: tuple[str, ...]
    record: Record


def evaluate(commit: Commit, head: GetHead, cell: GetCell, touched: GetTouched) -> Conflict | list[Plan]:
    """Judge every condition: the first that fails is the Conflict, else there is a plan for every written scope."""
    if len(commit.scopes) == 1:  # nearly every commit
        (part,) = commit.scopes
        before = head(part.scope)
        if (conflict := _judge(part, before, cell, touched)) is not None:
            return conflict
        return [_plan(commit, part, before)] if part.writes else []
    heads = [head(part.scope) for part in commit.scopes]
    for part, before in zip(commit.scopes, heads, strict=True):
        if (conflict := _judge(part, before, cell, touched)) is not None:
            return conflict
    return [_plan(commit, part, before) for part, before in zip(commit.scopes, heads, strict=True) if part.writes]


def _judge(part: ScopeCommit, head: Head, cell: GetCell, touched: GetTouched) -> Conflict | None:
    scope = part.scope
    if part.need == "must_exist":
        if not head.live:
            return Conflict(scope, "need", None, part.need, head, head)
    elif part.need == "must_not_exist" and head.live:
        return Conflict(scope, "need", None, part.need, head, head)
    if part.epoch is not None and part.epoch != head.epoch:
        return Conflict(scope, "epoch", None, part.epoch, head, head)
    for check in part.checks:
        if (conflict := _check(scope, check, head, cell, touched)) is not None:
            return conflict
    return None


def _check(scope: str, check: Check, head: Head, cell: GetCell, touched: GetTouched) -> Conflict | None:
    what: Any = type(check).__name__.lower()
    if isinstance(check, HeadAt):
        return None if head.seq == check.seq else Conflict(scope, what, None, check.seq, head, head)
    if isinstance(check, Untouched):
        if _untouched(scope, check, head, touched):
            return None
        return Conflict(scope, what, check.prefix, check.since, head, head)
    found = cell(scope, check.key)
    if isinstance(check, Absent):
        holds, expected = found is None, None
    elif isinstance(check, Present):
        holds, expected = found is not None, None
    else:
        holds, expected = found is not None and found.version <= check.since, check.since
    return None if holds else Conflict(scope, what, check.key, expected, found, head)


def _untouched(scope: str, check: Untouched, head: Head, touched: GetTouched) -> bool:
    if head.seq <= check.since:
        return True
    records = touched(scope, check.since)
    if records is None:
        return False
    prefix = check.prefix
    return not any(key.startswith(prefix) for keys in records for key in keys)


def _plan(commit: Commit, part: ScopeCommit, head: Head) -> Plan:
    seq = head.seq + 1
    writes = part.puts
    if part.appends:
        writes += tuple(
            Put(append.prefix + stamp(seq, ordinal), append.value, append.expires_us, append.entries)
            for ordinal, append in enumerate(part.appends)
        )
    epoch = head.epoch
    after = Head(seq, epoch + part.drop, not part.drop, head.floor or seq, commit.at_us, commit.cause)
    touched = tuple([write.key for write in writes])
    if part.deletes:
        touched += part.deletes
    record = Record(
        seq, epoch, commit.id, commit.at_us, commit.cause, touched, part.body, "drop" if part.drop else "write"
    )
    return Plan(part.scope, after, writes, part.deletes, record)


def is_visible(expires_us: int | None, now_us: int) -> bool:
    """Whether a cell with that expiry exists at that time."""
    return expires_us is None or now_us < expires_us
