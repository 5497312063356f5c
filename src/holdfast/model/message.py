"""A message of a conversation."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct


class MessageRecord(Struct, frozen=True, omit_defaults=True):
    """A message as the store keeps it. Its place in the conversation is its key, not here."""

    id: str
    role: str
    content: str
    at_us: int
    metadata: dict[str, Any] = {}


Interval = tuple[int, int]
"""Messages hidden: those of the commits after the first number, up to the second one."""


class Hidden(Struct, frozen=True, array_like=True):
    """Which messages are hidden, for their session was restored, and which were: `steps`, each a version and the
    intervals from then on, the oldest first. How it was before the version `floor` is not known any more."""

    floor: int = 0
    steps: tuple[tuple[int, tuple[Interval, ...]], ...] = ()

    @property
    def now(self) -> tuple[Interval, ...]:
        """What is hidden."""
        return self.steps[-1][1] if self.steps else ()

    def at(self, version: int) -> tuple[Interval, ...]:
        """What was hidden at that version, which is not before the floor."""
        found: tuple[Interval, ...] = ()
        for since, intervals in self.steps:
            if since > version:
                break
            found = intervals
        return found

    def changed(self, version: int, intervals: tuple[Interval, ...]) -> Hidden:
        """The same, with others hidden from that version on."""
        return Hidden(self.floor, (*self.steps, (version, intervals)))

    def shortened(self) -> Hidden:
        """The same without its oldest step."""
        return Hidden(self.steps[1][0], self.steps[1:])


class Message(Struct, frozen=True):
    """One message: who spoke (`role`), what (`content`), when (`at`), and free `metadata`.

    `cursor` is its place in the conversation, for `before=` and `after=`; None for one added in a transaction that
    has not committed yet.
    """

    id: str
    role: str
    content: str
    at: datetime
    metadata: dict[str, Any]
    cursor: str | None = None
