"""An entry in a session's event log."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct


class EventRecord(Struct, frozen=True, omit_defaults=True):
    """An event as the store keeps it. Its place in the log is its key, not here."""

    id: str
    type: str
    at_us: int
    data: Any = None


class Event(Struct, frozen=True):
    """One event: its `type`, its `data`, when it was logged, and its place (`cursor`) in the session's log."""

    id: str
    type: str
    data: Any
    at: datetime
    cursor: str | None = None
