"""The log of events of a session, or of a run that is alone: what is appended to it, and its pages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from holdfast.errors import InvalidValue, shown
from holdfast.handles.measured import measured
from holdfast.handles.messages import stamp_of
from holdfast.handles.unit import Target, Unit
from holdfast.kernel.commit import stamp
from holdfast.kernel.limits import check_limit
from holdfast.model.event import LEARNING, Event, EventRecord
from holdfast.model.page import Page
from holdfast.services import event, session


@measured("session", store="_unit.store")
class EventLog:
    """What happened, in the order in which it was committed."""

    _unit: Unit
    _target: Target

    async def log_learning(self, insight: str, *, source: str | None = None) -> Event:
        """Append an entry that tells of something learnt: type "learning", data `insight` and, if given, `source`."""
        limit = self._unit.store.limits.value_bytes_max
        data = {"insight": session.checked_text(insight, "insight", limit)}
        if data["insight"] is None:
            raise InvalidValue("insight must be text, not None", path="insight")
        if source is not None:
            data["source"] = session.checked_text(source, "source", limit)
        return await self._append(self._entry(LEARNING, data))

    async def log(self, type: str, data: Any = None) -> Event:
        """Append an event; durable on return, or with the transaction. Raises InvalidValue for a type that the library
        keeps for its own entries, so that one of these always tells what happened."""
        return await self._append(self._entry(event.checked_free(type), data))

    async def _append(self, record: EventRecord) -> Event:
        seq = await self._unit.write(self._target, lambda work: event.append(work, self._target.scope, record))
        return event.as_event(record, stamp(seq, 0) if seq else None)

    def _entry(self, type: str, data: Any) -> EventRecord:
        store = self._unit.store
        now_us = store.now_us()
        limit = store.limits.value_bytes_max
        return event.new_record(store.ids.uuid7(now_us), type=type, data=data, at_us=now_us, bytes_max=limit)

    async def events(
        self,
        *,
        types: Iterable[str] | None = None,
        after: Event | str | None = None,
        limit: int = 50,
        order: Literal["oldest", "newest"] = "oldest",
    ) -> Page[Event]:
        """A page of the event log, of these types only; continue with `after=page.next` (None at the end)."""
        check_limit(limit)
        if order not in ("oldest", "newest"):
            raise InvalidValue(f'order must be "oldest" or "newest", not {shown(order)}', path="order")
        wanted = None if types is None else event.checked_types(types)
        cursor = stamp_of(after, Event, "after")
        return await self._unit.read(
            self._target,
            lambda work: event.page(
                work, self._target.scope, types=wanted, limit=limit, after=cursor, newest=order == "newest"
            ),
        )
