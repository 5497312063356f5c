"""An area of one's own in a session: bytes under keys, for adapters and modules that bring their own format.

    area "/" name "/" key      area/langgraph/c/-/1f0c…

It is part of the session's scope: deleted, forked and expired with it, and written in the same transactions. Nothing of
it is shown in the change stream, since nobody but its owner can read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from holdfast.errors import InvalidValue, shown
from holdfast.handles.measured import measured
from holdfast.handles.unit import Target, Unit
from holdfast.kernel.commit import Absent, Check, Present, Range, Untouched
from holdfast.kernel.keys import check_name, escaped
from holdfast.kernel.limits import check_limit, listed
from holdfast.kernel.work import Work
from holdfast.model.config import Limits
from holdfast.model.page import Page

PAGE_BYTES_MAX = 8 * 1024 * 1024
"""Bytes in one page, unless a single value is larger."""


@measured("area", store="_unit.store")
class Area:
    """Bytes under keys of one's own in a session, which means nothing by them: `s.area(name)`.

    Keys are 1 to 256 bytes of NFC text without control characters, ordered by code point. Methods of a session that was
    deleted raise NotFound.
    """

    __slots__ = ("_prefix", "_target", "_unit")

    def __init__(self, unit: Unit, target: Target, name: str) -> None:
        self._unit = unit
        self._target = target
        self._prefix = f"area/{escaped(check_name(name, 'the name of an area'))}/"

    def __repr__(self) -> str:
        return f"<Area {self._prefix.removeprefix('area/').rstrip('/')!r} of {self._target.scope}>"

    @property
    def limits(self) -> Limits:
        """What one commit may hold here: of the configuration and the backend the lesser."""
        traits = self._unit.store.limits
        return Limits(
            value_bytes_max=traits.value_bytes_max,
            operations_max=traits.operations_max,
            commit_bytes_max=traits.commit_bytes_max,
        )

    async def get(self, keys: Iterable[str]) -> dict[str, bytes]:
        """The values of these keys, those that are there, as of one moment. One read."""
        names = {self._key(key): key for key in listed(keys, "keys")}
        found = await self._unit.read(self._target, lambda work: work.get_many(self._target.scope, [*names]))
        return {names[name]: cell.value for name, cell in found.items()}

    async def page(
        self,
        prefix: str = "",
        *,
        limit: int = 100,
        after: str | None = None,
        order: Literal["first", "last"] = "first",
    ) -> Page[tuple[str, bytes]]:
        """Keys that begin with `prefix`, and their values: in order from the "first", or backwards from the "last".

        `after` excludes everything up to that key in the direction of reading; go on with `after=page.next`. One read.
        """
        check_limit(limit)
        if order not in ("first", "last"):
            raise InvalidValue(f'order must be "first" or "last", not {shown(order)}', path="order")
        wanted = Range(
            self._key(prefix) if prefix else self._prefix,
            limit,
            None if after is None else self._key(after),
            reverse=order == "last",
            bytes_max=PAGE_BYTES_MAX,
        )
        cells, goes_on = await self._unit.read(self._target, lambda work: work.page(self._target.scope, wanted))
        items = tuple([(cell.key.removeprefix(self._prefix), cell.value) for cell in cells])
        return Page(items, items[-1][0] if goes_on else None)

    async def version(self) -> int:
        """The version that the session is at: what `untouched` of a later write is compared with. One read."""

        async def look(work: Work) -> int:
            return (await work.head(self._target.scope, tracked=False)).seq

        return await self._unit.read(self._target, look)

    async def write(
        self,
        puts: Mapping[str, bytes],
        *,
        deletes: Iterable[str] = (),
        new: Iterable[str] = (),
        present: Iterable[str] = (),
        untouched: Mapping[str, int] | None = None,
    ) -> int:
        """Store and remove values in one commit, without a read; returns the version.

        Raises Conflict, and stores nothing, if a key named in `new` is there already, one in `present` is not, or if
        anything under a prefix in `untouched` was written or removed after the version named there, or so long after it
        that the log does not reach back. TooLarge beyond the limits.
        """
        values = {self._key(key): _checked(value) for key, value in puts.items()}
        gone = [self._key(key) for key in listed(deletes, "deletes")]
        checks: list[Check] = [Absent(self._key(key)) for key in listed(new, "new")]
        checks += [Present(self._key(key)) for key in listed(present, "present")]
        for prefix, since in (untouched or {}).items():
            if type(since) is not int or since < 0:
                raise InvalidValue(f"{shown(since)} is no version of a session", path="untouched")
            checks.append(Untouched(self._key(prefix) if prefix else self._prefix, since))
        scope = self._target.scope

        def stage(work: Work) -> None:
            for check in checks:
                work.require(scope, check)
            for key, value in values.items():
                work.put(scope, key, value)
            for key in gone:
                work.delete(scope, key)

        return await self._unit.write(self._target, stage)

    def _key(self, key: str) -> str:
        return self._prefix + check_name(key, "a key of an area")


def _checked(value: bytes) -> bytes:
    if not isinstance(value, bytes):
        raise InvalidValue(f"an area keeps bytes, not {shown(value)}", path="puts")
    return value
