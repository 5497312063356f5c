"""Runtime state: what a running session shows to whoever watches it, one cell per key."""

from __future__ import annotations

from holdfast.kernel.codec import check_size
from holdfast.kernel.commit import Cell, Range
from holdfast.kernel.keys import check_name
from holdfast.kernel.work import Work

AREA = "runtime/"
"""What the keys of all runtime cells start with."""


def put(work: Work, scope: str, key: str, raw: bytes, *, value_bytes_max: int) -> None:
    """Stage one value."""
    check_size(raw, value_bytes_max, key)
    work.put(scope, AREA + check_name(key, "a runtime key"), raw)
    work.note(scope, "runtime", "set", key, raw)


async def get(work: Work, scope: str, key: str) -> Cell | None:
    """One cell, None if there is none."""
    return await work.get(scope, AREA + check_name(key, "a runtime key"))


async def everything(work: Work, scope: str) -> dict[str, Cell]:
    """Every cell by its key, in key order, as one cut. Raises Conflict if the scope kept changing meanwhile."""
    return {cell.key.removeprefix(AREA): cell for cell in await work.all(scope, AREA)}


async def delete(work: Work, scope: str, keys: tuple[str, ...]) -> int:
    """Stage the removal of those of the keys that exist; returns how many."""
    names = {AREA + check_name(key, "a runtime key"): key for key in keys}
    there = await work.get_many(scope, tuple(names))
    for cell in there:
        work.delete(scope, cell)
        work.note(scope, "runtime", "delete", names[cell])
    return len(there)


async def clear(work: Work, scope: str, limit: int) -> int:
    """Stage the removal of up to `limit` keys; returns how many. Fewer than the limit means: all."""
    cells = await work.range(scope, Range(AREA, limit))
    for cell in cells:
        work.delete(scope, cell.key)
        if len(cells) == limit:
            work.note(scope, "runtime", "delete", cell.key.removeprefix(AREA))
    if 0 < len(cells) < limit:
        work.note(scope, "runtime", "clear")
    return len(cells)
