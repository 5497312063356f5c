"""Runtime state of a session as people use it: `s.runtime`."""

from __future__ import annotations

from collections.abc import Mapping
from types import UnionType
from typing import Any, TypeVar, overload

from holdfast.handles.fence import is_fenced
from holdfast.handles.measured import measured
from holdfast.handles.unit import Alone, Direct, Target, Unit, refuse_inside
from holdfast.kernel import codec
from holdfast.kernel.limits import PAGE_MAX, listed
from holdfast.kernel.work import Work
from holdfast.model.runtime import Buffered
from holdfast.services import runtime

T = TypeVar("T")
D = TypeVar("D")


@measured("runtime", store="_unit.store")
class Runtime:
    """What a running session shows to whoever follows its changes: keys with values.

    How durable a write is, `Config.runtime.persistence` says:

    "immediate"     on return, like state.
    "batched"       in this process it is visible at once, to every handle of the session, in every task, thread and
                    transaction. It is committed with `batch_size` writes, after `flush_every`, before or with
                    whatever else this process commits to the session, by `flush()`, and by closing the store.
    "checkpoint"    the same, but it is committed every `checkpoint_every` writes, by `flush()`, by `s.checkpoint()`, by
                    closing the store, and before or with a commit that clears it, or reads or writes it in a
                    transaction.

    A write that waits is answered by `Buffered` and is lost if the process dies; so are at most two batches of a
    session. What a process wrote to one key between two commits is committed as one write, and told as one change. A
    session that is deleted discards what waits. Where the store is out of reach it waits on; a write that can never be
    committed (its session was deleted elsewhere) is given up, and the next write, `clear` or `flush` raises what the
    commit would have raised, with how many were `lost`.

    In a transaction a write is part of that, whatever the configuration. While its task holds a claim a write is
    committed at once, with what waits: later nothing would tell that the session had been taken away meanwhile.
    """

    __slots__ = ("_target", "_unit")

    def __init__(self, unit: Unit, target: Target) -> None:
        self._unit = unit
        self._target = target

    def __repr__(self) -> str:
        return f"<Runtime of {self._target.scope}>"

    async def set(self, key: str, value: Any) -> int:
        """Store one value; returns its version (0 inside a transaction), or `Buffered` if it waits to be committed."""
        return await self.update({key: value})

    async def update(self, values: Mapping[str, Any]) -> int:
        """Store several values in one commit; returns their version, or `Buffered` if they wait to be committed.

        Raises, where runtime state is buffered, what became of earlier writes that were given up; these are stored
        by calling again. It waits while two batches are full, and raises what keeps them from being committed.
        """
        store = self._unit.store
        limit = store.config.state.value_bytes_max
        raws = codec.encode_entries(values, bytes_max=limit, entries_max=store.limits.operations_max)
        runtime.check(raws, value_bytes_max=min(limit, store.limits.value_bytes_max))
        if raws and isinstance(self._unit, Alone) and store.buffers.takes_in and not is_fenced(store):
            if store.buffers.fits(raws):
                return await self._buffer(raws)
            await self.flush()
        return await self._unit.write(self._target, lambda work: self._put(work, raws))

    async def _buffer(self, raws: Mapping[str, bytes]) -> Buffered:
        store, target = self._unit.store, self._target
        store.check_open()
        refuse_inside(store, target.scope)
        direct = Direct(store)
        return await store.buffers.add(
            (target.scope, target.epoch or 0),
            raws,
            lambda taken: direct.write(target, lambda work: self._put(work, taken)),
            store.why(),
        )

    def _put(self, work: Work, raws: Mapping[str, bytes]) -> None:
        runtime.put(work, self._target.scope, raws, streaming=self._unit.store.config.runtime.streaming)

    async def flush(self) -> None:
        """Return once everything written to this session's runtime state so far, by any handle here, is committed.

        Raises what keeps it from that: Unavailable and the like, and then it waits on; or that it was given up, and
        why. Within a transaction nothing of that waits.
        """
        await self._admit()
        await self._unit.store.buffers.flush(self._target.scope, self._target.epoch)

    async def _admit(self) -> None:
        """For a principal: raise NotFound before anything happens to what waits of a session that is not theirs."""
        if self._unit.store.principal is not None and self._target.epoch is None:
            await self._unit.read(self._target, lambda work: work.look_for(self._target.scope))

    async def _settled(self) -> dict[str, bytes]:
        """What is to be seen over what is stored; in a transaction nothing, for there it is committed first."""
        buffers, scope, epoch = self._unit.store.buffers, self._target.scope, self._target.epoch
        if isinstance(self._unit, Alone):
            return buffers.values((scope, epoch or 0))
        await self._admit()
        await buffers.settle(scope, epoch)
        return {}

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
        if type is not None:
            codec.check_type(type)
        waiting = await self._settled()
        cell = await self._unit.read(self._target, lambda work: runtime.get(work, self._target.scope, key))
        raw = waiting.get(key, None if cell is None else cell.value)
        if raw is None:
            return default
        return codec.decode(raw) if type is None else codec.decode_as(raw, type, key=key)

    async def all(self) -> dict[str, Any]:
        """Every key and value, in key order."""
        waiting = await self._settled()
        cells = await self._unit.read(self._target, lambda work: runtime.everything(work, self._target.scope))
        raws = {key: cell.value for key, cell in cells.items()} | waiting
        return {key: codec.decode(raws[key]) for key in sorted(raws)}

    async def clear(self, *keys: str) -> int:
        """Remove these keys, or all if none is named; returns how many existed. Durable on return, with all that waits.

        One commit, unless there are more keys than a commit may write: then one for each `limits.operations_max`.
        """
        scope, streaming = self._target.scope, self._unit.store.config.runtime.streaming
        named = listed(keys, "keys")
        await self.flush() if isinstance(self._unit, Alone) else await self._settled()
        if named:
            found, _ = await self._unit.change(
                self._target, lambda work: runtime.delete(work, scope, keys, streaming=streaming)
            )
            return found
        limit = min(self._unit.store.limits.operations_max, PAGE_MAX)
        removed = 0
        while True:
            count, _ = await self._unit.change(
                self._target, lambda work: runtime.clear(work, scope, limit, streaming=streaming)
            )
            removed += count
            if count < limit:
                return removed
