"""Messages of a session as people use them: `s.messages`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from holdfast.errors import InvalidValue, TooLarge, shown
from holdfast.handles.measured import measured
from holdfast.handles.unit import Target, Unit
from holdfast.kernel import codec
from holdfast.kernel.commit import stamp
from holdfast.kernel.cursor import check_stamp
from holdfast.kernel.limits import check_limit
from holdfast.kernel.work import Work
from holdfast.model.event import Event
from holdfast.model.message import Message, MessageRecord
from holdfast.services import message
from holdfast.services.message import Order

Listed = list[Message]
"""Messages in order. (Inside the class the name `list` is a method.)"""


@measured("messages", store="_unit.store")
class Messages:
    """The conversation of one session, in the order in which its messages were committed.

    Adding never conflicts, whoever else adds. Reading the last ten costs the same at any length.
    """

    __slots__ = ("_target", "_unit")

    def __init__(self, unit: Unit, target: Target) -> None:
        self._unit = unit
        self._target = target

    def __repr__(self) -> str:
        return f"<Messages of {self._target.scope}>"

    async def add(self, role: str, content: str, *, metadata: Mapping[str, Any] | None = None) -> Message:
        """Append one message; durable on return. Its `cursor` is None inside a transaction.

        Raises InvalidId for a role, InvalidValue for content or metadata that cannot be stored, TooLarge.
        """
        return (await self._append([self._record(role, content, metadata)]))[0]

    async def add_many(self, messages: Iterable[Mapping[str, Any]]) -> Listed:
        """Append several, given as mappings with `role`, `content` and perhaps `metadata`, in one commit."""
        limit = self._unit.store.limits.operations_max
        if isinstance(messages, (str, bytes, Mapping)) or not isinstance(messages, Iterable):
            raise InvalidValue(f"messages must be several, not {shown(messages)}", path="messages")
        given = [*islice(messages, limit + 1)]  # which ends, also where they do not
        if len(given) > limit:
            raise TooLarge(f"more than {limit} messages in one commit", what="operations", limit=limit)
        return await self._append([self._parsed(one) for one in given])

    async def list(
        self,
        *,
        limit: int = 20,
        before: Message | str | None = None,
        after: Message | str | None = None,
        order: Order = "oldest",
    ) -> Listed:
        """Messages strictly between `after` and `before` (a Message or its cursor), at most `limit`.

        "oldest" reads forward from `after` or the beginning, "newest" backward from `before` or the end.
        """
        check_limit(limit)
        if order not in ("oldest", "newest"):
            raise InvalidValue(f'order must be "oldest" or "newest", not {shown(order)}', path="order")
        first, last = stamp_of(after, Message, "after"), stamp_of(before, Message, "before")
        found = await self._unit.read(
            self._target,
            lambda work: message.page(work, self._target.scope, limit=limit, before=last, after=first, order=order),
        )
        return [*found]

    async def last(self, count: int) -> Listed:
        """The newest `count` messages, oldest of them first."""
        newest = await self.list(limit=count, order="newest")
        return newest[::-1]

    def _parsed(self, given: Mapping[str, Any]) -> MessageRecord:
        fields = set(codec.mapping(given, "a message"))
        if not {"role", "content"} <= fields <= {"role", "content", "metadata"}:
            raise InvalidValue("a message has role, content and perhaps metadata, and nothing else", path="messages")
        return self._record(given["role"], given["content"], given.get("metadata"))

    def _record(self, role: str, content: str, metadata: Mapping[str, Any] | None) -> MessageRecord:
        now_us = self._unit.store.now_us()
        id = self._unit.store.ids.uuid7(now_us)
        limit = self._unit.store.config.messages.value_bytes_max
        return message.new_record(id, role=role, content=content, metadata=metadata, at_us=now_us, bytes_max=limit)

    async def _append(self, records: Sequence[MessageRecord]) -> Listed:
        if not records:
            return []
        scope = self._target.scope
        limit = self._unit.store.config.messages.value_bytes_max

        def stage(work: Work) -> None:
            for record in records:
                message.append(work, scope, record, value_bytes_max=limit)

        seq = await self._unit.write(self._target, stage)
        return [message.as_message(record, stamp(seq, n) if seq else None) for n, record in enumerate(records)]


def stamp_of(place: Message | Event | str | None, kind: type[Message] | type[Event], what: str) -> str | None:
    """The cursor in a message or event, or given as such. Raises InvalidValue, naming `what`, for anything else."""
    if place is None:
        return None
    if isinstance(place, (Message, Event)) and isinstance(place, kind):
        if place.cursor is None:
            raise InvalidValue(f"{what} has no place yet: the transaction it was added in is open", path=what)
        return place.cursor
    return check_stamp(place, what)  # type: ignore[arg-type]
