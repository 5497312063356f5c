"""Beginning a session: its record, the state it begins with, and the entry in its event log that tells of it."""

from __future__ import annotations

from collections.abc import Mapping

from holdfast.kernel.work import Work
from holdfast.model.session import SessionRecord
from holdfast.services import session, state
from holdfast.services.state import Place


def begin(work: Work, record: SessionRecord, *, id: str, place: Place, values: Mapping[str, bytes]) -> None:
    """Stage a new session with those values of state, which live at that place; `id` is that of its first entry."""
    session.create(work, record)
    for key, raw in values.items():
        state.put(work, place, key, raw)
