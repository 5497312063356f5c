"""A session as it was at an earlier version, to be read: `s.at(version)`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, NoReturn

from holdfast.errors import InvalidValue, shown
from holdfast.handles.measured import measured
from holdfast.handles.messages import Listed, stamp_of
from holdfast.handles.unit import Alone, Target
from holdfast.kernel import codec
from holdfast.kernel.commit import stamp
from holdfast.kernel.keys import check_name
from holdfast.kernel.limits import VERSION_MAX, check_limit
from holdfast.kernel.work import Work
from holdfast.model.event import Event
from holdfast.model.message import Message
from holdfast.model.page import Page
from holdfast.operations.past import check_version_of, value_at, values_at
from holdfast.services import event, message, runtime
from holdfast.services.change import Area


class ReadOnly:
    """What has only a past: a word that is not there names what cannot be done to it."""

    __slots__ = ()

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"the past can only be read; it has no {name!r}")


@measured("past", store="_unit.store")
class PastValues(ReadOnly):
    """Keys with values as they were: `s.at(version).state` and `.runtime`.

    Raises NotFound for a version that the session, as it lives now, did not have; InvalidValue for one to come;
    Compacted if the log does not reach what is asked for.
    """

    __slots__ = ("_area", "_target", "_unit", "_version")

    def __init__(self, unit: Alone, target: Target, area: Area, version: int) -> None:
        self._unit = unit
        self._target = target
        self._area = area
        self._version = version

    async def get(self, key: str, type: Any = None, *, default: Any = None) -> Any:
        """The value of a key then, or `default` if it was not there; with a type, read as that (else TypeMismatch).

        Reads the log back from that version to the value, or nothing of it if the key was not written since.
        """
        name, area, version = check_name(key, "a key"), self._area, self._version
        if type is not None:
            codec.check_type(type)
        raw = await self._unit.read(self._target, lambda work: value_at(work, area, name, version))
        if raw is None:
            return default
        return codec.decode(raw) if type is None else codec.decode_as(raw, type, key=key)

    async def has(self, key: str) -> bool:
        """Whether the key was there."""
        name, area, version = check_name(key, "a key"), self._area, self._version
        return await self._unit.read(self._target, lambda work: value_at(work, area, name, version)) is not None

    async def all(self) -> dict[str, Any]:
        """Every key and value, in key order."""
        area, version = self._area, self._version
        raws = await self._unit.read(self._target, lambda work: values_at(work, area, version))
        return {key: codec.decode(raw) for key, raw in raws.items()}

    async def keys(self) -> list[str]:
        """Every key, in the order of its code points."""
        return list(await self.all())


@measured("past", store="_unit.store")
class PastMessages(ReadOnly):
    """The conversation as far as it had come; messages that were removed since are not shown."""

    __slots__ = ("_target", "_unit", "_version")

    def __init__(self, unit: Alone, target: Target, version: int) -> None:
        self._unit = unit
        self._target = target
        self._version = version

    async def list(
        self,
        *,
        limit: int = 20,
        before: Message | str | None = None,
        after: Message | str | None = None,
        order: Literal["oldest", "newest"] = "oldest",
    ) -> Listed:
        """Messages strictly between `after` and `before`, at most `limit`. See `Messages.list`."""
        check_limit(limit)
        if order not in ("oldest", "newest"):
            raise InvalidValue(f'order must be "oldest" or "newest", not {shown(order)}', path="order")
        scope, version = self._target.scope, self._version
        first, last = stamp_of(after, Message, "after"), stamp_of(before, Message, "before")
        end = min(stamp(version + 1, 0), last or "~")

        async def look(work: Work) -> Listed:
            await check_version_of(work, scope, version)
            found = await message.page(work, scope, limit=limit, before=end, after=first, order=order, version=version)
            return [*found]

        return await self._unit.read(self._target, look)

    async def last(self, count: int) -> Listed:
        """The newest `count` messages of then, oldest of them first."""
        newest = await self.list(limit=count, order="newest")
        return newest[::-1]


@measured("past", store="_unit.store")
class Past(ReadOnly):
    """A session as it was right after one of its commits. Making it reads nothing, and nothing can be written to it.

    Temporary values have no past: when they went, the log does not tell.
    """

    def __init__(self, unit: Alone, target: Target, version: int) -> None:
        if type(version) is not int or not 0 <= version <= VERSION_MAX:
            raise InvalidValue(f"a version is a whole number, 0 or more, not {shown(version)}", path="version")
        scope = target.scope
        self._unit = unit
        self._target = target
        self.version = version
        """The version."""
        self.state = PastValues(unit, target, Area(scope, "state", "", "state//"), version)
        """Its state."""
        self.runtime = PastValues(unit, target, Area(scope, "runtime", "", runtime.AREA), version)
        """Its runtime state, as far as it had been committed."""
        self.messages = PastMessages(unit, target, version)
        """Its conversation."""

    def __repr__(self) -> str:
        return f"<{self._target.scope} at version {self.version}>"

    async def events(
        self, *, types: Iterable[str] | None = None, after: Event | str | None = None, limit: int = 50
    ) -> Page[Event]:
        """A page of the event log of then, oldest first; continue with `after=page.next` (None at the end)."""
        check_limit(limit)
        scope, version = self._target.scope, self.version
        wanted = None if types is None else event.checked_types(types)
        cursor = stamp_of(after, Event, "after")
        end = stamp(version + 1, 0)

        async def look(work: Work) -> Page[Event]:
            await check_version_of(work, scope, version)
            page = await event.page(work, scope, types=wanted, limit=limit, after=cursor, newest=False)
            kept = tuple([one for one in page.items if one.cursor is not None and one.cursor < end])
            more = page.next if page.next is not None and page.next < end and len(kept) == len(page.items) else None
            return Page(kept, more)

        return await self._unit.read(self._target, look)
