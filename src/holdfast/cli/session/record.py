"""A session as the command line prints it."""

from __future__ import annotations

from typing import Any

from holdfast import NotFound, Session
from holdfast.hold import Holdfast

FIELDS = (
    "id", "user", "app", "agent", "mode", "channel", "task", "status", "tags", "metadata", "version",
    "created_at", "updated_at", "last_activity",
)  # fmt: skip


def fields_of(session: Session) -> dict[str, Any]:
    """Everything the record of a session says."""
    return {name: getattr(session, name) for name in FIELDS}


async def the_session(hold: Holdfast, id: str) -> Session:
    """The session of that id. Raises NotFound."""
    found = await hold.sessions.get(id)
    if found is None:
        raise NotFound(f"session {id!r} does not exist", scope=f"session/{id}")
    return found
