"""Under which keys the bytes of a store are: what an operator wants to know before a key is thrown away.

It looks at frames from outside and opens none: the id of its key stands in front of each.
"""

from __future__ import annotations

from collections import Counter

from msgspec import Struct

from holdfast.errors import Compacted, Diverged, Gone
from holdfast.kernel.commit import Read
from holdfast.kernel.contract import Kernel
from holdfast.kernel.frame import is_sealed, parse_sealed
from holdfast.kernel.limits import PAGE_BYTES
from holdfast.wrappers.ring import SCOPE, find_ring

PAGE = 200


class Census(Struct):
    """What a store says of its keys, and what was found under them.

    needed      the keys that anything may be under, as the store has it written down
    under       cells and records by the id of their key; "" counts those that are not encrypted
    whole       whether everything was looked at
    scrubbed    whether no older bytes may be left in the store's files
    """

    needed: list[str]
    under: Counter[str]
    whole: bool = True
    scrubbed: bool = True


async def census(kernel: Kernel, *, now_us: int, most: int) -> Census | None:
    """Count the cells and records of the kernel that has the frames, `most` of them about; None if it has no ring."""
    ring, _ = await find_ring(kernel, now_us)
    if ring is None:
        return None
    found = Census(list(ring.ids), Counter(), scrubbed=not ring.dirty)
    after = ""
    while names := await kernel.scopes(after=after, limit=PAGE):
        for scope in names:
            if found.under.total() >= most:
                found.whole = False
                return found
            if scope != SCOPE:
                await _count_cells(kernel, scope, found.under)
                await _count_records(kernel, scope, found.under)
        after = names[-1]
    return found


async def _count_cells(kernel: Kernel, scope: str, under: Counter[str]) -> None:
    after: str | None = None
    while page := await kernel.stored(scope, after=after, limit=PAGE, bytes_max=PAGE_BYTES):
        under.update(_key_of(stored.cell.value) for stored in page)
        after = page[-1].cell.key


async def _count_records(kernel: Kernel, scope: str, under: Counter[str]) -> None:
    [view] = await kernel.read([Read(scope)], now_us=0)
    after = max(view.head.floor - 1, 0)
    try:
        while records := await kernel.log(scope, after=after, limit=PAGE, bytes_max=PAGE_BYTES):
            under.update(_key_of(record.body) for record in records if record.body)
            after = records[-1].seq
    except (Compacted, Gone, Diverged):  # trimmed or forgotten meanwhile
        return


def _key_of(kept: bytes) -> str:
    return parse_sealed(kept).key_id if is_sealed(kept) else ""
