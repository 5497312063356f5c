"""Winding up: what is stored as open in a run or a session that has ended is ended as well, commit by commit.

    run/<run>   lingers    its questions are withdrawn
    ended       "runs"     the open runs of the session are cancelled; those with questions linger
                "all"      its temporary and runtime state, variables, runs and questions are removed

A run or a session ends in one commit, however much of it is open. What that commit had no room for counts as withdrawn,
and as cancelled, wherever it is met; the cell says what is left, until a following commit of the same call has written
the last of it. What a crash leaves a sweep finds by the cell's entry in the index of what is due.

Each commit rests on the record as it was read: whatever is done twice is done once.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from holdfast.kernel.commit import Cell, Committed, Range, Read, Unchanged
from holdfast.kernel.limits import may_go_on
from holdfast.kernel.work import Work
from holdfast.model import end
from holdfast.services import claim, event, interaction, run, runtime, session, state, step, variable


class Means(Struct, frozen=True):
    """What it is done with: units of work, ids for entries in the event log, how many writes and about how many bytes
    of questions one commit may have, whether questions that are closed are kept, and whether runtime state is told to
    followers."""

    work: Callable[[], Work]
    new_id: Callable[[], str]
    operations_max: int
    bytes_max: int
    keeps_closed: bool
    streaming: bool


async def wind_up(means: Means, scope: str, key: str) -> bool:
    """Do what is left to be done of the run whose record has that key or, by the key of its end, of a session; whether
    this call did the last of it.

    Of several that do so at once each goes on with what the others have left.
    """
    if key != end.KEY:
        return await _withdraw_all(means, scope, key)
    while True:
        view = (await means.work().peek((Read(scope, (key,)),)))[0]
        if key not in view.cells or (left := end.decode(view.cells[key].value).left) == "nothing":
            return False
        if left == "runs":
            return await _cancel_all(means, scope)
        work = means.work()
        work.ask(scope, "must_exist", epoch=view.head.epoch)
        work.require(scope, Unchanged(key, view.cells[key].version))
        runs = await work.range(scope, Range(run.AREA, 1), along=(key,))
        if await clear(work, scope, means, room=means.operations_max - RESERVED, has_runs=bool(runs)):
            return isinstance(await work.commit(), Committed)
        await work.commit()


async def _withdraw_all(means: Means, scope: str, key: str) -> bool:
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
"""Writes of a commit beside those that are counted: the run's record, and what keeps a session alive."""


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


async def _cancel_all(means: Means, scope: str) -> bool:
    """Cancel the open runs of a session that has ended, and withdraw their questions."""
    after: str | None = None
    linger: list[str] = []
    while True:
        per_page = max(means.operations_max - RESERVED, 1)
        wanted = Range(run.AREA, per_page, after, bytes_max=means.bytes_max)
        view = (await means.work().peek((Read(scope, (end.KEY,), (wanted,)),)))[0]
        cell, cells = view.cells.get(end.KEY), view.ranges[0]
        if cell is None or (over := end.decode(cell.value)).left == "nothing" or not over.is_final:
            return False
        at_end = not may_go_on(cells, per_page, means.bytes_max)
        work = means.work()
        work.ask(scope, "must_exist", epoch=view.head.epoch)
        work.require(scope, Unchanged(end.KEY, cell.version))
        asked = []
        for one in cells:
            record = run.decode(one)
            if record.status.is_open:
                work.require(scope, Unchanged(one.key, one.version))
                run.put(work, scope, replace(record.met(over), lingers=record.asked > 0))
                asked += [one.key] if record.asked else []
        if at_end:
            session.put_end(work, scope, replace(over, left="nothing"))
        if not isinstance(await work.commit(), Committed):
            continue  # somebody else is at it
        linger += asked
        if at_end:
            break
        after = cells[-1].key
    for key in linger:
        await _withdraw_all(means, scope, key)
    return True


async def clear(work: Work, scope: str, means: Means, *, room: int, has_runs: bool) -> bool:
    """Stage, of a session that has ended, the removal of its temporary and runtime state, variables, runs and
    questions, up to so many writes; whether that is all. Open questions are told as withdrawn."""
    cell = await work.get(scope, end.KEY)
    spent = await state.clear_area(work, scope, "temp", room)
    if spent < room:
        spent += await runtime.clear(work, scope, room - spent, streaming=means.streaming)
    if spent < room:
        spent += await variable.clear(work, scope, variable.AREA, room - spent)
    if spent < room and has_runs:
        spent += await _remove_runs(work, scope, means, room - spent)
    done = spent < room
    over = None if cell is None else end.decode(cell.value)
    if over is not None and (over.left != "nothing" if done else over.left != "all"):
        session.put_end(work, scope, replace(over, left="nothing" if done else "all"))
    return done


async def _remove_runs(work: Work, scope: str, means: Means, room: int) -> int:
    """Stage the removal of runs and what they consist of, up to so many writes; returns how many. Their records go
    last, by which the rest is found."""
    spent = 0
    for cell in await work.range(scope, Range(interaction.AREA, max(room // 2, 1))):
        record = interaction.decode(cell)
        if record.is_pending:
            withdrawn = record.cancelled(work.now_us)
            event.note_question(work, scope, withdrawn, id=means.new_id(), step=withdrawn.status.value)
        interaction.remove(work, scope, record)
        spent += 2
    if spent + 1 >= room:
        return room
    for prefix in (run.GRAPHS, run.NODES, step.AREA, claim.RUNS, run.AREA):
        if spent >= room:
            break
        for cell in await work.range(scope, Range(prefix, room - spent)):
            work.delete(scope, cell.key)
            if prefix == run.AREA:
                work.note(scope, "run", "delete", cell.key.removeprefix(run.AREA))
            spent += 1
    return spent
