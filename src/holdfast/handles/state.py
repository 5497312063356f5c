"""Scoped state as people use it: `s.state`, `s.user_state`, `s.agent_state`, `s.temp`, `hold.state(scope)`."""

from __future__ import annotations

import builtins
import inspect
from collections.abc import Callable, Mapping
from copy import deepcopy
from types import UnionType
from typing import Any, TypeVar, overload

from holdfast.errors import InvalidId, InvalidValue, TypeMismatch, articled, shown
from holdfast.handles.measured import measured
from holdfast.handles.unit import Alone, Target, Unit, check_callable
from holdfast.kernel import codec
from holdfast.kernel.beginning import firm_at
from holdfast.kernel.commit import Cell
from holdfast.kernel.keys import check_name
from holdfast.kernel.limits import PAGE_MAX, check_limit, listed
from holdfast.kernel.work import Work
from holdfast.model.cause import decode_cause
from holdfast.model.moment import to_datetime
from holdfast.model.scope import KINDS, Scope
from holdfast.model.state import Diff, History, Snapshot, Why
from holdfast.operations import diff, history
from holdfast.services import session, state

T = TypeVar("T")

_CONTAINERS = (list, dict, set)
_IMMUTABLE = frozenset({str, int, float, bool, bytes, type(None)})


@measured("state", store="_unit.store")
class State:
    """One namespace of one scope's state: a mapping from keys to JSON values, or values of a declared type.

    Keys are 1 to 256 bytes of NFC text without control characters. Every write is durable on return, alone or with
    the transaction it stands in. Inside a transaction the returned versions are 0: they are known when it commits.
    State of a session that does not exist raises NotFound; writing to any other scope makes it.
    """

    __slots__ = ("_place", "_target", "_unit")

    def __init__(self, unit: Unit, target: Target, place: state.Place) -> None:
        self._unit = unit
        self._target = target
        self._place = place

    def __repr__(self) -> str:
        return f"<State of {self._place.scope} namespace={self._place.namespace!r}>"

    @property
    def place(self) -> state.Place:
        """Where in the store it is kept."""
        return self._place

    @overload
    async def get(self, key: str) -> Any: ...
    @overload
    async def get(self, key: str, type: type[T], *, default: None = None) -> T | None: ...
    @overload
    async def get(self, key: str, type: type[T], *, default: T) -> T: ...
    @overload
    async def get(self, key: str, type: UnionType, *, default: Any = None) -> Any: ...
    @overload
    async def get(self, key: str, *, default: Any) -> Any: ...
    async def get(self, key: str, type: Any = None, *, default: Any = None) -> Any:
        """The value of a key, or `default` if it was never set; a stored None is None. One read.

        With a type the value is read as that: a builtin, dataclass, msgspec Struct, TypedDict, pydantic model or
        generic of these. Raises TypeMismatch if it is something else.
        """
        cell = await self._unit.read(self._target, lambda work: state.get(work, self._place, key))
        return _value(cell, type, default, key)

    async def set(self, key: str, value: Any, *, if_version: int | None = None) -> int:
        """Store a value; returns its version. One commit, without a read.

        With `if_version` it raises Conflict if anybody wrote the key after that version (0: if it exists).
        Raises InvalidValue for what would come back changed, TooLarge beyond the limit.
        """
        place = self._place
        raw = codec.encode(value, bytes_max=place.value_bytes_max, key=key)
        return await self._unit.write(self._target, lambda work: state.put(work, place, key, raw, if_version))

    @overload
    async def mutate(self, key: str, change: Callable[[Any], Any]) -> Any: ...
    @overload
    async def mutate(self, key: str, change: Callable[[T], T], type: type[T], *, default: T) -> T: ...
    @overload
    async def mutate(self, key: str, change: Callable[[T | None], T], type: type[T]) -> T: ...
    @overload
    async def mutate(self, key: str, change: Callable[[Any], Any], type: UnionType, *, default: Any = None) -> Any: ...
    @overload
    async def mutate(self, key: str, change: Callable[[Any], Any], *, default: Any) -> Any: ...
    async def mutate(self, key: str, change: Callable[[Any], Any], type: Any = None, *, default: Any = None) -> Any:
        """Read, change, write: `change` gets the value and returns the new one, which is stored and returned.

        Never loses another's update: when somebody else wrote in between, it reads and calls `change` again, so that
        must have no effects of its own. Raises Conflict only after a hundred attempts; TypeMismatch, and stores
        nothing, if `change` returns something else than the type named, or None after changing a container in place.
        """

        check_callable(change, "change")

        async def step(work: Work) -> Any:
            cell = await state.get(work, self._place, key)
            # The default is copied, or what `change` does to it would be there the next time, and for others.
            absent = default if cell is not None or builtins.type(default) in _IMMUTABLE else deepcopy(default)
            old = _value(cell, type, absent, key)
            value = change(old)
            state.put(work, self._place, key, _changed(old, value, type, limit=self._place.value_bytes_max))
            return value

        if isinstance(self._unit, Alone):
            # Tasks of this process queue up instead of colliding; other processes are met by the version check.
            async with self._unit.store.queue(self._place, key):
                return (await self._unit.change(self._target, step))[0]
        return (await self._unit.change(self._target, step))[0]

    async def update(self, values: Mapping[str, Any]) -> int:
        """Store several values in one commit; returns their version."""
        limits = self._unit.store.limits
        raws = codec.encode_entries(values, bytes_max=self._place.value_bytes_max, entries_max=limits.operations_max)

        def stage(work: Work) -> None:
            for key, raw in raws.items():
                state.put(work, self._place, key, raw)

        return await self._unit.write(self._target, stage)

    async def merge(self, key: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Merge into a stored mapping, key by key at its top level; returns the result. Absent counts as empty.

        Raises TypeMismatch if what is stored is not a mapping.
        """

        codec.mapping(values, "values")

        def merged(old: Any) -> dict[str, Any]:
            if not isinstance(old, dict):
                raise TypeMismatch(f"{key!r} holds {articled(type(old).__name__)}, not a mapping", key=key)
            return {**old, **values}

        result: dict[str, Any] = await self.mutate(key, merged, default={})
        return result

    async def delete(self, *keys: str) -> int:
        """Remove keys, in one commit; returns how many existed. At most 10,000 may be named."""
        listed(keys, "keys")
        return (await self._unit.change(self._target, lambda work: state.delete(work, self._place, keys)))[0]

    async def clear(self) -> int:
        """Remove every key of the namespace; returns how many existed.

        One commit, unless there are more keys than a commit may write: then one for each `limits.operations_max`.
        """
        limit = min(self._unit.store.limits.operations_max, PAGE_MAX)
        removed = 0
        while True:
            count, _ = await self._unit.change(self._target, lambda work: state.clear(work, self._place, limit))
            removed += count
            if count < limit:
                return removed

    async def has(self, key: str) -> bool:
        """Whether the key exists (a stored None does)."""
        return await self._unit.read(self._target, lambda work: state.get(work, self._place, key)) is not None

    async def keys(self) -> list[str]:
        """Every key, in the order of its code points."""
        return list(await self._unit.read(self._target, lambda work: state.everything(work, self._place)))

    async def snapshot(self) -> Snapshot:
        """Everything at one moment, with the scope's version at that moment. See `Snapshot`."""

        async def look(work: Work) -> Snapshot:
            cells = await state.everything(work, self._place)
            head = await work.head(self._place.scope)
            return Snapshot(
                {key: codec.decode(cell.value) for key, cell in cells.items()},
                await _firm(work, self._place.scope, head.seq),
                to_datetime(head.at_us) if head.seq else None,
                decode_cause(head.cause).by,
            )

        return await self._unit.read(self._target, look)

    async def history(self, key: str, *, limit: int = 10) -> History:
        """Earlier values of a key, newest first, as far as the log reaches. See `History`."""
        check_name(key, "a state key")
        check_limit(limit)
        return await self._unit.read(self._target, lambda work: history.history(work, self._place, key, limit))

    async def why(self, key: str) -> Why | None:
        """How a key came to be what it is: who wrote it, when, at which version and with which cause, and what it was
        before. See `Why`.

        Of a key that was removed it tells who did that. None if it is not there, and was not as far as the log
        reaches. Reads the value, and the log from its version back to the one before.
        """
        check_name(key, "a state key")
        return await self._unit.read(self._target, lambda work: history.why(work, self._place, key))

    async def diff(self, *, since: int | None = None, until: int | None = None) -> Diff:
        """Every key that differs between two versions of the scope; see `Diff`.

        Without `since` as far as the log reaches, without `until` up to now. Raises Compacted if the log was trimmed
        past `since`, InvalidValue for versions the scope does not have.
        """
        return await self._unit.read(self._target, lambda work: diff.diff(work, self._place, since, until))


def _value(cell: Cell | None, type: Any, default: Any, key: str) -> Any:
    if type is not None:
        codec.check_type(type)  # also while there is nothing to be read as it
    if cell is None:
        return default
    return codec.decode(cell.value) if type is None else codec.decode_as(cell.value, type, key=key)


def _changed(old: Any, value: Any, type: Any, *, limit: int) -> bytes:
    """The bytes of what a mutation returned, if it is what it should be."""
    if inspect.isawaitable(value):
        if inspect.iscoroutine(value):
            value.close()
        raise TypeMismatch(
            "the change of a mutate must be a plain function, not an async one",
            remedy="Await what it needs before, and let it compute only; or read, await and write in a `transact`.",
        )
    if value is None and isinstance(old, _CONTAINERS):
        raise TypeMismatch(
            "the change returned None: did it change the value in place?", remedy="Let it return the new value."
        )
    raw = codec.encode(value, bytes_max=limit)
    if type is not None:
        codec.decode_as(raw, type)
    return raw


async def _firm(work: Work, scope: str, seq: int) -> int:
    """The version to tell of a scope that is at `seq`: in a session that may be the number of a claim, which the next
    commit gets if the power goes."""
    return await firm_at(work.log, scope, seq) if session.is_scope(scope) else seq


def scope_name(scope: Scope) -> str:
    """The name of a scope in the store. Raises InvalidValue for what is no Scope, InvalidId for one that cannot be."""
    if not isinstance(scope, Scope):
        raise InvalidValue(f"a scope is made by Scope.user(id) and the like; got {shown(scope)}", path="scope")
    if scope.kind not in KINDS:
        raise InvalidId(f"there is no scope of kind {shown(scope.kind)}; there are {', '.join(KINDS)}")
    return f"{scope.kind}/{check_name(scope.id, 'the id of a scope')}"


def state_of(unit: Unit, scope: Scope, *, namespace: str = "") -> State:
    """The state of any scope. Raises InvalidId for a scope or namespace that cannot be one."""
    name = scope_name(scope)
    if unit.store.principal is not None:
        unit.store.principal.check(scope)
    if namespace != "":
        namespace = check_name(namespace, "a namespace")
    target = Target(name, "must_exist" if scope.kind == "session" else "create")
    return State(unit, target, state.Place(name, "state", namespace, unit.store.config.state.value_bytes_max))
