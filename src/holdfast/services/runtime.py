"""Runtime state: what a running session shows to whoever watches it, one cell per key."""

from __future__ import annotations

from holdfast.kernel.codec import check_size
from holdfast.kernel.commit import Cell, Range
from holdfast.kernel.keys import check_name
from holdfast.kernel.limits import PAGE_MAX
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
    """Every cell by its key, in key order, up to PAGE_MAX of them."""
    cells = await work.range(scope, Range(AREA, PAGE_MAX))
    return {cell.key.removeprefix(AREA): cell for cell in cells}


async def clear(work: Work, scope: str, keys: tuple[str, ...]) -> int:
    """Stage the removal of those of the keys that exist, or of all if none is named; returns how many."""
    if not keys:
        there: tuple[str, ...] = tuple(await everything(work, scope))
        if there:
            work.note(scope, "runtime", "clear")
    else:
        names = tuple(AREA + check_name(key, "a runtime key") for key in keys)
        there = tuple(name.removeprefix(AREA) for name in await work.get_many(scope, names))
        for key in there:
            work.note(scope, "runtime", "delete", key)
    for key in there:
        work.delete(scope, AREA + key)
    return len(there)
