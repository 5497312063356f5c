"""The context of a session: its record, account, state, newest events, open runs and their questions, in one read."""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.errors import Conflict
from holdfast.kernel import codec
from holdfast.kernel.commit import Cell, Range, Read, View
from holdfast.kernel.limits import PAGE_MAX
from holdfast.kernel.part import missing
from holdfast.kernel.work import Work
from holdfast.model.budget import Account, progress_of
from holdfast.model.context import Context, OpenQuestion, OpenRun
from holdfast.model.interaction import InteractionRecord
from holdfast.model.moment import to_datetime
from holdfast.model.run import RunRecord
from holdfast.model.session import SessionRecord
from holdfast.services import budget, event, interaction, run, session
from holdfast.services.state import Place

EVENTS = 10
"""How many events are told."""


class Seen:
    """What one read has brought of a session."""

    def __init__(self, view: View) -> None:
        cell = view.cells.get(session.CELL)
        if cell is None:
            raise missing(view.scope)
        self.head = view.head
        self.version = cell.version
        self.record: SessionRecord = session.decode(cell)
        alive = view.cells.get(session.ALIVE)
        self.expires_us = None if alive is None else alive.expires_us
        self.account: Account = budget.decode(view.cells.get(budget.CELL))


async def context(work: Work, place: Place) -> tuple[Context, Seen]:
    """The context of the session whose state is at that place, and what was seen of it on the way.

    One read, however long its history is; more only for more than a page of state, runs or questions, and then Conflict
    if the session was written meanwhile. Raises NotFound.
    """
    prefixes = (place.prefix, run.AREA, interaction.AREA)
    ranges = (*(Range(prefix, PAGE_MAX) for prefix in prefixes), Range(event.AREA, EVENTS, None, reverse=True))
    view = (await work.peek([Read(place.scope, (session.CELL, budget.CELL), ranges)]))[0]
    seen = Seen(view)
    *found, newest = view.ranges
    if any(len(cells) == PAGE_MAX for cells in found):
        found = [tuple(await work.all(place.scope, prefix)) for prefix in prefixes]
        if (await work.peek([Read(place.scope)]))[0].head != view.head:
            raise Conflict(f"{place.scope} changed while it was read", scope=place.scope, what="headat")
    cells, runs, questions = found
    whole = {record.id: record for record in map(run.decode, runs) if record.status.is_open}
    return Context(
        seen.record.task,
        seen.record.mode,
        seen.record.status,
        {cell.key.removeprefix(place.prefix): codec.decode(cell.value) for cell in cells},
        seen.account.used.iterations,
        progress_of(seen.account, seen.record.budget),
        tuple([event.decode(cell) for cell in reversed(newest)]),
        tuple([_told(record) for record in sorted(whole.values(), key=lambda one: (one.started_us, one.id))]),
        tuple([_asked(one) for one in _by_time(questions) if one.is_pending and one.run in whole]),
        view.head.seq,
        to_datetime(view.head.at_us),
    ), seen


def _by_time(questions: Iterable[Cell]) -> list[InteractionRecord]:
    records = map(interaction.decode, questions)
    return sorted(records, key=lambda one: (one.asked_us, one.number, one.id))


def _told(record: RunRecord) -> OpenRun:
    return OpenRun(record.id, record.workflow, record.status, to_datetime(record.started_us))


def _asked(record: InteractionRecord) -> OpenQuestion:
    due_at = None if record.due_us is None else to_datetime(record.due_us)
    question, asked_at = record.question, to_datetime(record.asked_us)
    return OpenQuestion(
        record.id, record.run, record.node, question.kind, question.prompt, record.assignees, asked_at, due_at
    )
