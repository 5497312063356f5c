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
