"""Dropping checkpoints: one is shown no more at once, and goes when none rests on it that is shown.

Nothing is merged: what a dropped one keeps is needed as long as a later step of the same base is shown, and that is at
most thirty-one steps long.
"""

from __future__ import annotations

from collections.abc import Callable

from holdfast.kernel.commit import Committed, Found, Read
from holdfast.kernel.work import Work
from holdfast.model.checkpoint import CheckpointRecord, newest, removable
from holdfast.services import checkpoint


async def drop(work: Work, scope: str, id: str) -> list[str]:
    """Stage that a checkpoint is dropped; returns the keys of what nobody needs any more once that is committed.

    Raises NotFound.
    """
    await checkpoint.get(work, scope, id)
    records: list[CheckpointRecord] = []
    for record in await checkpoint.everything(work, scope):
        if record.id == id:
            checkpoint.drop(work, scope, record)
            record = record.as_dropped()
        records.append(record)
    goes = removable(records)
    gone = {record.id for record in goes}
    checkpoint.set_last(work, scope, newest([record for record in records if record.id not in gone]))
    return [key for record in sorted(goes, key=lambda one: -one.depth) for key in checkpoint.keys_of(record)]


REMOVED_AT_ONCE = 90
"""Cells that one commit of a sweep removes."""


async def give_up(works: Callable[[], Work], found: Found) -> bool:
    """Remove what is left of a checkpoint that was begun and not finished, unless somebody went on with it since it was
    found due.

    The first commit says so in the cell by which it goes on: whoever has been slow, and not dead, is refused then.
    """
    scope, key = found.scope, found.key
    wanted = checkpoint.parts_of(key.removeprefix(checkpoint.MADE))
    while True:
        work = works()
        cell = await work.get(scope, key)
        if cell is None or cell.value.decode() != found.order:
            return False
        parts = (await work.peek([Read(scope, (), (wanted,))]))[0].ranges[0][: REMOVED_AT_ONCE - 1]
        for part in parts:
            work.delete(scope, part.key)
        checkpoint.mark(work, scope, key, found.order)
        if not parts:
            work.delete(scope, key)
        if not isinstance(await work.commit(), Committed):
            return False
        if not parts:
            return True
