"""Runtime state of a session as people use it: `s.runtime`."""

from __future__ import annotations

from collections.abc import Mapping
from types import UnionType
from typing import Any, TypeVar, overload

from holdfast.handles.measured import measured
from holdfast.handles.unit import Target, Unit
from holdfast.kernel import codec
from holdfast.kernel.limits import PAGE_MAX, listed
from holdfast.kernel.work import Work
from holdfast.services import runtime

T = TypeVar("T")
D = TypeVar("D")


@measured("runtime", store="_unit.store")
class Runtime:
    """What a running session shows to whoever follows its changes: keys with values, durable on return."""

    __slots__ = ("_target", "_unit")

    def __init__(self, unit: Unit, target: Target) -> None:
        self._unit = unit
        self._target = target

    async def set(self, key: str, value: Any) -> int:
        """Store one value; returns its version (0 inside a transaction)."""
        return await self.update({key: value})

    async def update(self, values: Mapping[str, Any]) -> int:
        """Store several values in one commit; returns their version."""
        limit = self._unit.store.config.state.value_bytes_max
        raws = codec.encode_entries(values, bytes_max=limit, entries_max=self._unit.store.limits.operations_max)

        def stage(work: Work) -> None:
            for key, raw in raws.items():
                runtime.put(work, self._target.scope, key, raw, value_bytes_max=limit)

        return await self._unit.write(self._target, stage)

    @overload
    async def get(self, key: str) -> Any: ...
    @overload
    async def get(self, key: str, type: type[T]) -> T | None: ...
    @overload
    async def get(self, key: str, type: type[T], *, default: D) -> T | D: ...
    @overload
    async def get(self, key: str, type: UnionType, *, default: Any = None) -> Any: ...
    @overload
    async def get(self, key: str, *, default: Any) -> Any: ...
    async def get(self, key: str, type: Any = None, *, default: Any = None) -> Any:
        """The value of a key, or `default` if it is not set; with a type, read as that (else TypeMismatch)."""
        cell = await self._unit.read(self._target, lambda work: runtime.get(work, self._target.scope, key))
        if type is not None:
            codec.check_type(type)
        if cell is None:
            return default
        return codec.decode(cell.value) if type is None else codec.decode_as(cell.value, type, key=key)

    async def all(self) -> dict[str, Any]:
        """Every key and value, in key order."""
        cells = await self._unit.read(self._target, lambda work: runtime.everything(work, self._target.scope))
        return {key: codec.decode(cell.value) for key, cell in cells.items()}

    async def clear(self, *keys: str) -> int:
        """Remove these keys, or all if none is named; returns how many existed.

        One commit, unless there are more keys than a commit may write: then one for each `limits.operations_max`.
        """
        scope = self._target.scope
        if listed(keys, "keys"):
            return (await self._unit.change(self._target, lambda work: runtime.delete(work, scope, keys)))[0]
        limit = min(self._unit.store.limits.operations_max, PAGE_MAX)
        removed = 0
        while True:
            count, _ = await self._unit.change(self._target, lambda work: runtime.clear(work, scope, limit))
            removed += count
            if count < limit:
                return removed
