"""The context of a session: what whoever takes it up needs first."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct

from holdfast.model.budget import Progress
from holdfast.model.event import Event
from holdfast.model.interaction import InteractionKind
from holdfast.model.run import RunStatus
from holdfast.model.status import SessionStatus


class OpenRun(Struct, frozen=True):
    """A run of the session that has not ended: `await s.runs.get(id)` is the whole of it."""

    id: str
    workflow: str
    status: RunStatus
    started_at: datetime


class OpenQuestion(Struct, frozen=True):
    """A question of one of them that may be answered: `await hold.interactions.get(id)` is the whole of it."""

    id: str
    run: str
    node: str | None
    kind: InteractionKind
    prompt: str
    assignees: tuple[str, ...]
    asked_at: datetime
    due_at: datetime | None


class Context(Struct, frozen=True):
    """What a session is about and where it stands, all of one moment.

    task, mode, status  as in its record
    state       its own state, of the default namespace
    iterations  how many began
    progress    how much of its budget is used
    events      the newest entries of its event log, the oldest of them first
    runs        its runs that have not ended, the oldest first
    interactions  what they ask people and may be answered, the oldest first
    version     the version of the session's scope at that moment: `s.changes` and `s.state.diff` go on from there
    at          when it was last written
    """

    task: str | None
    mode: str | None
    status: SessionStatus
    state: dict[str, Any]
    iterations: int
    progress: Progress
    events: tuple[Event, ...]
    runs: tuple[OpenRun, ...]
    interactions: tuple[OpenQuestion, ...]
    version: int
    at: datetime
