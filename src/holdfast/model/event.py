"""An entry in a session's event log, and what the library itself calls the entries that it makes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct

from holdfast.model.status import SessionStatus

START, PAUSE, RESUME = "start", "pause", "resume"
COMPLETE, ERROR, CANCEL, TIMEOUT, CLEANUP = "complete", "error", "cancel", "timeout", "cleanup"
ITERATION, TOOL_CALL, LEARNING, INTERACTION = "iteration", "tool_call", "learning", "interaction"
RESTORED = "checkpoint_restored"

RESERVED = frozenset(
    {START, PAUSE, RESUME, COMPLETE, ERROR, CANCEL, TIMEOUT, CLEANUP, ITERATION, TOOL_CALL, LEARNING, INTERACTION}
    | {RESTORED}
)
"""The types of the library's own entries, which no other entry has."""

_MOVED_TO = {
    SessionStatus.PAUSED: PAUSE,
    SessionStatus.COMPLETED: COMPLETE,
    SessionStatus.FAILED: ERROR,
    SessionStatus.CANCELLED: CANCEL,
    SessionStatus.TIMED_OUT: TIMEOUT,
    SessionStatus.CLEANUP: CLEANUP,
}


def entry_of(before: SessionStatus, after: SessionStatus) -> str:
    """The type of the entry that tells of a session's move from one status to another."""
    started = before is SessionStatus.INITIALIZING
    return _MOVED_TO.get(after) or (START if started else RESUME)


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
