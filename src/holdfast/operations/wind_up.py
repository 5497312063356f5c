"""Winding up: what is stored as open in a run that has ended is ended as well, commit by commit.

A run ends in one commit, however much of it is open. What that commit had no room for counts as withdrawn wherever it
is met; the record says that the run lingers, until a following commit of the same call has written the last of it. What
a crash leaves a sweep finds by the record's entry in the index of what is due.

Each commit rests on the record as it was read: whatever is done twice is done once.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from holdfast.kernel.commit import Cell, Committed, Range, Read, Unchanged
from holdfast.kernel.limits import may_go_on
from holdfast.kernel.work import Work
from holdfast.services import event, interaction, run


class Means(Struct, frozen=True):
    """What it is done with: units of work, ids for entries in the event log, how many writes and about how many bytes
    of questions one commit may have, and whether questions that are closed are kept."""

    work: Callable[[], Work]
    new_id: Callable[[], str]
    operations_max: int
    bytes_max: int
    keeps_closed: bool


async def wind_up(means: Means, scope: str, key: str) -> bool:
    """Withdraw the questions of the run whose record has that key, if it lingers; whether this call did the last of it.

    Of several that do so at once each goes on with what the others have left.
    """
    after: str | None = None
    while True:
        per_page = max((means.operations_max - RESERVED) // 2, 1)
        wanted = Range(interaction.prefix_of(key.removeprefix(run.AREA)), per_page, after, bytes_max=means.bytes_max)
        view = (await means.work().peek((Read(scope, (key,), (wanted,)),)))[0]
        cell = view.cells.get(key)
        if cell is None or not run.decode(cell).lingers:
            return False
        cells = view.ranges[0]
        at_end = not may_go_on(cells, per_page, means.bytes_max)
        work = means.work()
        work.ask(scope, "must_exist", epoch=view.head.epoch)
        work.require(scope, Unchanged(key, cell.version))
        _withdraw(work, means, scope, cell, cells)
        if at_end:
            run.put(work, scope, replace(run.decode(cell), lingers=False))
        if not isinstance(await work.commit(), Committed):
            continue  # somebody else is at it
        if at_end:
            return True
        after = cells[-1].key


RESERVED = 6
"""Writes of a commit that are not those of questions: the run's record, and what keeps a session alive."""


def _withdraw(work: Work, means: Means, scope: str, ended: Cell, cells: tuple[Cell, ...]) -> None:
    ended_us = run.decode(ended).ended_us
    for cell in cells:
        record = interaction.decode(cell)
        if record.is_pending:
            withdrawn = record.met(ended_us)
            interaction.put(work, scope, withdrawn, seen=cell.version)
            event.note_question(work, scope, withdrawn, id=means.new_id(), step=withdrawn.status.value)
        elif not means.keeps_closed:
            interaction.remove(work, scope, record)
