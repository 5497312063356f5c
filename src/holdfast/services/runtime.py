"""Runtime state: what a running session shows to whoever watches it, one cell per key."""

from __future__ import annotations

from collections.abc import Mapping

from holdfast.kernel.codec import check_size
from holdfast.kernel.commit import Cell, Put, Range
from holdfast.kernel.keys import check_name
from holdfast.kernel.line import Line, line
from holdfast.kernel.work import Work

AREA = "runtime/"
"""What the keys of all runtime cells start with."""


def check(values: Mapping[str, bytes], *, value_bytes_max: int) -> None:
    """Refuse what may not be stored: raises InvalidId for a key, TooLarge for a value."""
    for key, raw in values.items():
        check_size(raw, value_bytes_max, key)
        check_name(key, "a runtime key")


def put(work: Work, scope: str, values: Mapping[str, bytes], *, streaming: bool) -> None:
    """Stage values that were checked, and unless they are not to be streamed the changes that tell of them."""
    for key, raw in values.items():
        work.put(scope, AREA + key, raw)
        if streaming:
            work.note(scope, "runtime", "set", key, raw)


def put_back(work: Work, scope: str, key: str, raw: bytes | None, *, streaming: bool) -> None:
    """Stage a cell as it was kept, under its whole key; without a value, that it is gone."""
    if raw is None:
        work.delete(scope, key)
    else:
        work.put(scope, key, raw)
    if streaming:
        work.note(scope, "runtime", "delete" if raw is None else "set", key.removeprefix(AREA), raw)


def puts(values: Mapping[str, bytes]) -> list[Put]:
    """The same as cells, for a commit that is made already."""
    return [Put(AREA + key, raw) for key, raw in values.items()]


def lines(values: Mapping[str, bytes]) -> list[Line]:
    """The changes that tell of them."""
    return [line("runtime", "set", key, raw, "") for key, raw in values.items()]


async def get(work: Work, scope: str, key: str) -> Cell | None:
    """One cell, None if there is none."""
    return await work.get(scope, AREA + check_name(key, "a runtime key"))


async def everything(work: Work, scope: str) -> dict[str, Cell]:
    """Every cell by its key, in key order, as one cut. Raises Conflict if the scope kept changing meanwhile."""
    return {cell.key.removeprefix(AREA): cell for cell in await work.all(scope, AREA)}


async def delete(work: Work, scope: str, keys: tuple[str, ...], *, streaming: bool) -> int:
    """Stage the removal of those of the keys that exist; returns how many."""
    names = {AREA + check_name(key, "a runtime key"): key for key in keys}
    there = await work.get_many(scope, tuple(names))
    for cell in there:
        work.delete(scope, cell)
        if streaming:
            work.note(scope, "runtime", "delete", names[cell])
    return len(there)


async def clear(work: Work, scope: str, limit: int, *, streaming: bool) -> int:
    """Stage the removal of up to `limit` keys; returns how many. Fewer than the limit means: all."""
    cells = await work.range(scope, Range(AREA, limit))
    for cell in cells:
        work.delete(scope, cell.key)
        if streaming and len(cells) == limit:
            work.note(scope, "runtime", "delete", cell.key.removeprefix(AREA))
    if streaming and 0 < len(cells) < limit:
        work.note(scope, "runtime", "clear")
    return len(cells)
