"""Beginning a session: its record, the state it begins with, and the entry in its event log that tells of it."""

from __future__ import annotations

from collections.abc import Mapping

from holdfast.kernel.work import Work
from holdfast.model.event import START, EventRecord
from holdfast.model.session import SessionRecord
from holdfast.services import event, session, state
from holdfast.services.state import Place


def begin(work: Work, record: SessionRecord, *, id: str, place: Place, values: Mapping[str, bytes]) -> None:
    """Stage a new session with those values of state, which live at that place; `id` is that of its first entry.

    The entry has no data: what the session begins with is in its record, which the same commit tells of.
    """
    session.create(work, record)
    event.append(work, session.scope_of(record.id), EventRecord(id, START, record.created_us))
    for key, raw in values.items():
        state.put(work, place, key, raw)
