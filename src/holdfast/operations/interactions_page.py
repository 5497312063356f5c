"""Pages of questions: those that may be answered, the oldest first, and all of a run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from holdfast.errors import InvalidValue, shown
from holdfast.kernel.commit import Found, Read, View
from holdfast.kernel.merge import Place, Stream, join, meet
from holdfast.kernel.work import Work
from holdfast.model.interaction import InteractionRecord
from holdfast.services import interaction, run

_CURSOR = re.compile(r"([0-9]{16}\..+?)@((?:session|run)/.+)", re.DOTALL)

BUFFER = 200
"""Entries read at once from each index when several are merged."""

Row = tuple[View, InteractionRecord]


def parse_cursor(text: str) -> Place:
    """The place a page's cursor names; raises InvalidValue for anything else."""
    match = _CURSOR.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise InvalidValue(f"{shown(text)} is not the cursor of a page of questions", path="cursor")
    return match[1], match[2]


async def page(
    work: Work, names: Mapping[str, str], *, of: str | None, due_us: int | None, limit: int, after: Place | None
) -> tuple[list[Row], str | None]:
    """Up to `limit` pending questions that have all these names and are due before that time, and the cursor that
    continues after them (None at the end). `of` leaves those of one user's sessions or assigned to them."""
    rows: list[Row] = []
    while True:
        size = limit - len(rows)
        met = await _met(work, names, of, after, size)
        for view, record in await records(work, met):
            if record.is_pending and (due_us is None or (record.due_us is not None and record.due_us < due_us)):
                rows.append((view, record))
        if len(met) < size:
            return rows, None
        after = (met[-1].order, met[-1].scope)
        if len(rows) == limit:
            return rows, "@".join(after)


async def _met(work: Work, names: Mapping[str, str], of: str | None, after: Place | None, size: int) -> list[Found]:
    sought = [(f"interaction.{field}", name) for field, name in names.items()]
    own = [] if of is None else [("interaction.user", of), ("interaction.assignee", of)]

    def streams(pairs: Sequence[tuple[str, str]]) -> list[Stream]:
        each = size if len(pairs) == 1 else BUFFER
        return [Stream(work, index, value, lo=None, hi=None, newest=False, size=each) for index, value in pairs]

    if not own:
        return await meet(streams(sought or [(interaction.PENDING, "")]), after, size)
    found: list[Found] = []
    while len(found) < size:
        some = await join(streams(own), after, size, newest=False)
        for one in some:
            after = (one.order, one.scope)
            if not sought or await _has(work, sought, one):
                found.append(one)
        if len(some) < size:
            break
    return found[:size]


async def _has(work: Work, sought: Sequence[tuple[str, str]], one: Found) -> bool:
    """Whether an entry stands in each of those indexes too."""
    for index, value in sought:
        same = await work.find(index, value, lo=one.order, hi=f"{one.order}\0", limit=10)
        if not any((other.scope, other.key) == (one.scope, one.key) for other in same):
            return False
    return True


async def records(work: Work, places: Sequence[Found]) -> list[Row]:
    """The questions that stand at those places still, each as its run lets it count, with its scope as it was seen."""
    if not places:
        return []
    runs = [interaction.run_of(found.key) for found in places]
    asked = zip(places, runs, strict=True)
    views = await work.peek([Read(found.scope, (found.key, *run.end_keys(of))) for found, of in asked])
    return [
        (view, interaction.decode(view.cells[found.key]).met(run.ended_us(view.cells, of)))
        for view, found, of in zip(views, places, runs, strict=True)
        if found.key in view.cells
    ]


async def history(work: Work, scope: str, of: str) -> tuple[View, list[InteractionRecord]]:
    """Every question of a run in that scope, the oldest first, and the scope as it was seen. One read
    for each ten thousand. Raises Conflict if it was written between those."""
    wanted = interaction.all_of(of)
    view = (await work.peek([Read(scope, run.end_keys(of), (wanted,))]))[0]
    ended_us = run.ended_us(view.cells, of)
    cells = await run.pages(work, view, view.ranges[0], wanted) if view.ranges else ()
    records = [interaction.decode(cell).met(ended_us) for cell in cells]
    return view, sorted(records, key=lambda record: (record.number, record.id))


async def of_scope(work: Work, scope: str) -> list[InteractionRecord]:
    """Every question of the runs of a scope, the oldest first."""
    cells = await work.all(scope, interaction.AREA)
    runs = {cell.key: cell for cell in await work.all(scope, run.AREA)}
    records = [interaction.decode(cell) for cell in cells]
    met = [record.met(run.ended_us(runs, record.run)) for record in records]
    return sorted(met, key=lambda record: (record.asked_us, record.run, record.number, record.id))


async def scopes_asking(work: Work, run: str, person: str) -> set[str]:
    """The scopes, up to two, in which a run of that id has a question that is open and assigned to that person."""
    scopes: set[str] = set()
    after: Place | None = None
    while len(scopes) < 2:
        sought = [("interaction.run", run), ("interaction.assignee", person)]
        met = await meet([Stream(work, *one, lo=None, hi=None, newest=False, size=BUFFER) for one in sought], after, 50)
        scopes |= {found.scope for found in met}
        if len(met) < 50:
            break
        after = (met[-1].order, met[-1].scope)
    return scopes
