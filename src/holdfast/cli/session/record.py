"""A session as the command line prints it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from holdfast import NotFound, Session
from holdfast.hold import Holdfast
from holdfast.model.budget import FIELDS as FIELDS_OF_BUDGETS

FIELDS = (
    "id", "user", "app", "agent", "mode", "channel", "task", "status", "tags", "metadata", "version",
    "created_at", "updated_at", "last_activity",
)  # fmt: skip


def fields_of(session: Session) -> dict[str, Any]:
    """Everything the record of a session says."""
    return {name: getattr(session, name) for name in FIELDS}


def budget_of(session: Session) -> list[dict[str, Any]]:
    """What is used of each budget: a row for each that has a limit or of which anything was used."""
    progress = session.progress
    rows = []
    for name in FIELDS_OF_BUDGETS:
        used, reserved, limit = (_plain(getattr(of, name)) for of in (progress.used, progress.reserved, progress.limit))
        percent = progress.per_budget.get(name)
        if limit is not None or used not in (0, "0"):
            row = {"budget": "wall_time_s" if name == "wall_time" else name, "used": used, "reserved": reserved}
            rows.append({**row, "limit": limit, "percent": None if percent is None else round(percent, 1)})
    return rows


def _plain(amount: Any) -> Any:
    """An amount as JSON has it: a cost as text, a time in seconds."""
    if isinstance(amount, timedelta):
        return amount.total_seconds()
    return str(amount) if isinstance(amount, Decimal) else amount


async def the_session(hold: Holdfast, id: str) -> Session:
    """The session of that id. Raises NotFound."""
    found = await hold.sessions.get(id)
    if found is None:
        raise NotFound(f"session {id!r} does not exist", scope=f"session/{id}")
    return found
