"""Which sessions a caller asks for, checked: by the names in their record, and by their times."""

from __future__ import annotations

from datetime import datetime

from holdfast.handles.store import Store
from holdfast.kernel.keys import check_name
from holdfast.model.moment import to_us
from holdfast.model.session_filter import SessionFilter, Span
from holdfast.model.status import SessionStatus


def sought(
    store: Store,
    *,
    status: SessionStatus | str | None = None,
    created_after: datetime | None = None,
    created_before: datetime | None = None,
    updated_after: datetime | None = None,
    updated_before: datetime | None = None,
    **names: str | None,
) -> SessionFilter | None:
    """What they must be. A principal wants their own; None where those of somebody else were asked for.

    Raises InvalidId for a name that none can have, InvalidValue for a status or time that is none.
    """
    theirs = store.principal is None or names["user"] in (None, store.principal.user)
    if store.principal is not None:
        names["user"] = store.principal.user
    checked = {field: check_name(name, field) for field, name in names.items() if name is not None}
    if status is not None:
        checked["status"] = SessionStatus(status).value
    created = _span(created_after, created_before, "created")
    updated = _span(updated_after, updated_before, "updated")
    return SessionFilter(checked, created, updated) if theirs else None


def _span(after: datetime | None, before: datetime | None, what: str) -> Span:
    return Span(
        None if after is None else to_us(after, f"{what}_after"),
        None if before is None else to_us(before, f"{what}_before"),
    )
