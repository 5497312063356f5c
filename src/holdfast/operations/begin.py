"""Beginning a session: its record, the state it begins with, and the entry in its event log that tells of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from holdfast.kernel.work import Work
from holdfast.model.event import START, EventRecord
from holdfast.model.session import SessionRecord
from holdfast.model.variable import VariableRecord
from holdfast.services import event, session, state, variable
from holdfast.services.state import Place


class Values(NamedTuple):
    """What a session has from its beginning: encoded state, and variables."""

    state: Mapping[str, bytes]
    variables: Mapping[str, VariableRecord]


def begin(work: Work, record: SessionRecord, *, id: str, place: Place, values: Values) -> None:
    """Stage a new session with those values; its state lives at that place; `id` is that of its first entry.

    The entry has no data: what the session begins with is in its record, which the same commit tells of.
    """
    session.create(work, record)
    event.append(work, session.scope_of(record.id), EventRecord(id, START, record.created_us))
    for key, raw in values.state.items():
        state.put(work, place, key, raw)
    for name, one in values.variables.items():
        variable.put(work, variable.Place("session", place.scope), name, one)
