"""Scoped state: one cell per key, in the areas `state` and `temp`.

    state/<namespace>/<key>     kept as long as the scope
    temp/<namespace>/<key>      gone a while after it was last set: after the commit that set it

Setting one key of a thousand writes one cell.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Literal

from msgspec import Struct
from msgspec.structs import force_setattr

from holdfast.kernel.codec import check_size
from holdfast.kernel.commit import Cell, Range
from holdfast.kernel.keys import check_name, escaped, unescaped
from holdfast.kernel.work import Work


class Place(Struct, frozen=True):
    """Where a piece of state lives: a scope's name, an area, a namespace; and for how long once set."""

    scope: str
    area: Literal["state", "temp"]
    namespace: str
    value_bytes_max: int
    ttl_us: int | None = None
    prefix: str = ""
    """What the keys of all its cells start with; it follows from area and namespace."""

    def __post_init__(self) -> None:
        force_setattr(self, "prefix", f"{self.area}/{escaped(self.namespace)}/")


def put(work: Work, place: Place, key: str, raw: bytes, if_version: int | None = None) -> None:
    """Stage one value. With `if_version` the commit fails if anybody wrote the key after it (0: if it exists)."""
    if len(raw) > place.value_bytes_max:
        check_size(raw, place.value_bytes_max, key)
    cell = place.prefix + check_name(key, "a state key")
    if if_version is not None:
        work.require_version(place.scope, cell, if_version)
    work.put(place.scope, cell, raw, ttl_us=place.ttl_us)
    work.note(place.scope, place.area, "set", key, raw, place.namespace)


def get(work: Work, place: Place, key: str) -> Awaitable[Cell | None]:
    """One cell, None if there is none."""
    return work.get(place.scope, place.prefix + check_name(key, "a state key"))


async def delete(work: Work, place: Place, keys: tuple[str, ...]) -> int:
    """Stage the removal of those keys that exist; returns how many."""
    names = {place.prefix + check_name(key, "a state key"): key for key in keys}
    there = await work.get_many(place.scope, tuple(names))
    for cell in there:
        work.delete(place.scope, cell)
        work.note(place.scope, place.area, "delete", names[cell], None, place.namespace)
    return len(there)


async def clear(work: Work, place: Place, limit: int) -> int:
    """Stage the removal of up to `limit` keys; returns how many. Fewer than the limit means: all."""
    cells = await work.range(place.scope, Range(place.prefix, limit))
    for cell in cells:
        work.delete(place.scope, cell.key)
    if len(cells) == limit:
        for cell in cells:
            key = cell.key.removeprefix(place.prefix)
            work.note(place.scope, place.area, "delete", key, None, place.namespace)
    elif cells:
        work.note(place.scope, place.area, "clear", None, None, place.namespace)
    return len(cells)


async def clear_area(work: Work, scope: str, area: Literal["state", "temp"], limit: int) -> int:
    """Stage the removal of up to `limit` keys of all namespaces; returns how many. Fewer than the limit means: all."""
    cells = await work.range(scope, Range(f"{area}/", limit))
    for cell in cells:
        namespace, _, key = cell.key.removeprefix(f"{area}/").partition("/")
        work.delete(scope, cell.key)
        work.note(scope, area, "delete", key, None, unescaped(namespace))
    return len(cells)


def put_back(work: Work, scope: str, key: str, raw: bytes | None, *, ttl_us: int | None = None) -> None:
    """Stage a cell as it was kept, under its whole key; without a value, that it is gone."""
    area, namespace, name = key.split("/", 2)
    if raw is None:
        work.delete(scope, key)
    else:
        work.put(scope, key, raw, ttl_us=ttl_us)
    work.note(scope, area, "delete" if raw is None else "set", name, raw, unescaped(namespace))


async def everything(work: Work, place: Place) -> dict[str, Cell]:
    """Every cell by its key, in key order, as one cut. Raises Conflict if the scope kept changing meanwhile."""
    return {cell.key.removeprefix(place.prefix): cell for cell in await work.all(place.scope, place.prefix)}
