"""Where a reader of a log begins: at which record, whose the life there is, and what it resumes after.

Commits that need not be durable (`Commit.durable`) take a seq like all others, and a failure of the machine may take it
back and give it to another one. So no place that is told to anybody is that of such a commit: what it is told instead
is *firm*, the place of the last record before that has something to tell. None of those commits has.

    record      4  5  6      4 has a body; 5 and 6 claim the session and give it back
    place       4  4  4
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from itertools import chain, repeat

from holdfast.errors import Diverged
from holdfast.kernel.commit import Head, Record
from holdfast.kernel.contract import Kernel
from holdfast.kernel.cursor import Cursor
from holdfast.kernel.limits import PAGE_MAX
from holdfast.kernel.lives import Admission, Lives

GLANCE = 64
"""Records read from one log at once when no more are expected: few enough for a backend to read them in place."""

FIRM_BYTES = 64 * 1024
"""Of these so many at once: what has a body of that size is the one that was looked for."""


def is_firm(record: Record) -> bool:
    """Whether a record stays, once it was seen: of commits that need not be durable, none has anything to tell."""
    return bool(record.body) or record.op == "drop"


async def firm_at(log: Callable[..., Awaitable[Sequence[Record]]], scope: str, seq: int) -> int:
    """The firm place at `seq`, by that log (see `Kernel.log`): as a rule one of the last.

    Where a session was claimed and given back a thousand times without a word, it reads all that back, a page at a
    time: whatever is not firm the power may take, however much it is. Where the log begins with such records it is
    the place before them.
    """
    place = seq
    for limit in chain((4, GLANCE), repeat(PAGE_MAX)):
        records = await log(scope, after=place + 1, limit=limit, reverse=True, bytes_max=FIRM_BYTES) if place else ()
        for record in records:
            if is_firm(record):
                return record.seq
        if not records:
            break
        place = records[-1].seq - 1
    return place


async def first_of(kernel: Kernel, scope: str, head: Head, after: Cursor | int | None) -> int:
    """The seq of the first record to deliver."""
    if after is None:
        return head.seq + 1
    if after == 0:
        return max(head.floor, 1)
    if isinstance(after, int):
        await kernel.log(scope, after=after, limit=1)
        return after + 1
    records = await kernel.log(scope, after=after.seq - 1, limit=1)
    if not records or not after.names(records[0]):
        raise Diverged(
            f"the record of {scope} at {after.seq} is not the one this cursor was taken at",
            scope=scope,
            seq=after.seq,
        )
    return after.seq  # its own record again: the reader skips what the cursor says was delivered


async def lives_from(
    kernel: Kernel, scope: str, head: Head, after: Cursor | int | None, admission: Admission, *, first: int
) -> Lives:
    """The life at that place, unless it is known to be for others, and those that begin later."""
    place = head.seq if after is None else after.seq if isinstance(after, Cursor) else after
    last = await _last(kernel, scope, place) if place else None
    if last is not None:
        ended = last.op == "drop" and not isinstance(after, Cursor)  # the record at a cursor is read again
        is_known = not ended and await _is_for(kernel, scope, last, admission, named=True)
        return Lives(admission, known=last.epoch if is_known else None, since=place + 1, fresh=ended)
    # `first`: the oldest record kept, if any; what came before it is trimmed.
    oldest = (*await kernel.log(scope, after=first - 1, limit=1), None)[0]
    is_known = oldest is not None and await _is_for(kernel, scope, oldest, admission, named=place > 0)
    known = oldest.epoch if is_known and oldest is not None else None
    return Lives(admission, known=known, since=first, fresh=first == 1)


async def _last(kernel: Kernel, scope: str, seq: int) -> Record | None:
    """The record at that seq, if it is kept."""
    records = await kernel.log(scope, after=seq + 1, limit=1, reverse=True)
    return records[0] if records and records[0].seq == seq else None


async def _is_for(kernel: Kernel, scope: str, record: Record, admission: Admission, *, named: bool) -> bool:
    """Whether the life that this record is of is for the follower.

    Of the present life its cell says so, of an earlier one the record it begins with. Where that was trimmed
    nobody knows: it is, if its place was named by whoever was told of it before, unless a record shows whose it is.
    """
    standing = (await admission.look((scope,))).get(scope)
    if standing is None:
        return False
    if standing.head.live and standing.head.epoch == record.epoch:
        return standing.admitted
    low, first = max(standing.head.floor, 1), record
    is_whole = low == 1  # whether the record before `low` is of another life, or there never was one
    while low < first.seq:
        middle = (low + first.seq) // 2
        found = await _last(kernel, scope, middle)
        if found is not None and found.epoch == record.epoch:
            first = found
        else:
            low, is_whole = middle + 1, found is not None
    if is_whole:
        return admission.begins(first)
    return admission.begins(first) or (named and not admission.refuses(first))
