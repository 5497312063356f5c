"""Runs that have ended leave, with all that they consisted of.

    in a session    the record is rewritten as leaving, which nobody finds any more; then what the run consisted of is
                    deleted, as much in a commit as one may write; then the record
    alone           its scope is dropped

Each commit rests on the record as it was read: of several that sweep one goes on at a time, and what a crash leaves is
found again by the entry of the record, which goes last.
"""

from __future__ import annotations

from collections.abc import Callable

from holdfast.kernel.commit import Committed, Found, Range, Read, Unchanged
from holdfast.kernel.limits import may_go_on
from holdfast.kernel.work import Work
from holdfast.model.moment import order_of
from holdfast.services import claim, interaction, run, step, variable

PARTS: tuple[Callable[[str], str], ...] = (
    run.graph_prefix,
    run.node_prefix,
    step.prefix_of,
    interaction.prefix_of,
    claim.prefix_of,
    variable.run_prefix,
    variable.node_prefix,
)
"""What the keys of all parts of a run start with."""

BYTES_MAX = 1024 * 1024
"""So many bytes of what it consists of are read for one commit, about, of each of these: values too, which may be
large."""


async def leave(work: Callable[[], Work], found: Found, *, operations_max: int) -> bool:
    """Let a run leave, if it is as it was found; whether it has left by this."""
    view = (await work().peek((Read(found.scope, (found.key,)),)))[0]
    cell = view.cells.get(found.key)
    record = None if cell is None else run.decode(cell)
    if cell is None or record is None or record.ended_us is None:
        return False
    if found.order != f"{order_of(record.ended_us)}.{record.id}":
        return False
    unit = work()
    unit.ask(found.scope, "must_exist", epoch=view.head.epoch)
    unit.require(found.scope, Unchanged(found.key, cell.version))
    if found.scope == run.scope_of(record.id):
        unit.drop(found.scope)
        return isinstance(await unit.commit(), Committed)
    version = cell.version
    if not record.leaving:
        run.leave(unit, found.scope, record)
        outcome = await unit.commit()
        if not isinstance(outcome, Committed):
            return False
        version = outcome.seqs[found.scope]
    return await _remove(work, found, record.id, version, view.head.epoch, operations_max)


async def _remove(
    work: Callable[[], Work], found: Found, id: str, version: int, epoch: int, operations_max: int
) -> bool:
    """Delete all that a leaving run consists of, and its record last."""
    wanted = [Range(part(id), operations_max, bytes_max=BYTES_MAX) for part in PARTS]
    while True:
        view = (await work().peek((Read(found.scope, (), tuple(wanted)),)))[0]
        keys = [cell.key for cells in view.ranges for cell in cells]
        more = any(may_go_on(cells, operations_max, BYTES_MAX) for cells in view.ranges)
        unit = work()
        unit.ask(found.scope, "must_exist", epoch=epoch)
        unit.require(found.scope, Unchanged(found.key, version))
        for key in keys[: operations_max - 1]:
            unit.delete(found.scope, key)
        at_end = len(keys) < operations_max and not more
        if at_end:
            unit.delete(found.scope, found.key)
        if not isinstance(await unit.commit(), Committed):
            return False
        if at_end:
            return True
