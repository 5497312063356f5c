"""What keys were at an earlier version of their scope: from what is there now, and the log.

A cell that is not newer than the version is what it was. What was written since is looked for in the log, backwards
from the version: for one key as far as its value then, for all of them as far as the oldest of their values.
"""

from __future__ import annotations

from holdfast.errors import Compacted, InvalidValue, NotFound
from holdfast.kernel.commit import Head
from holdfast.kernel.part import missing
from holdfast.kernel.work import Work
from holdfast.services import change
from holdfast.services.change import Area, Made, Untold


async def value_at(work: Work, area: Area, key: str, version: int) -> bytes | None:
    """The encoded value of one key then; None if it was not there.

    Raises NotFound for a version before the present life of the scope, InvalidValue for one it has not reached,
    Compacted if the log does not reach the value, Unsupported if it has only the key.
    """
    cell = await work.get(area.scope, area.prefix + key)
    await check_version_of(work, area.scope, version)
    if cell is not None and cell.version <= version:
        return cell.value
    return _told(await change.at(work, area, version, {key}), key, area, version)


async def values_at(work: Work, area: Area, version: int) -> dict[str, bytes]:
    """The encoded values of all keys then, in key order. Raises as `value_at` does, and Conflict if the scope kept
    changing meanwhile."""
    cells = {cell.key.removeprefix(area.prefix): cell for cell in await work.all(area.scope, area.prefix)}
    head = await check_version_of(work, area.scope, version)
    _, since = await change.after(work, area, version, head.seq)
    then = await change.at(work, area, version, since.keys())
    values: dict[str, bytes | None] = {key: cell.value for key, cell in cells.items() if key not in since}
    values.update({key: _told(then, key, area, version) for key in since})
    return {key: raw for key, raw in sorted(values.items()) if raw is not None}


async def check_version_of(work: Work, scope: str, version: int) -> Head:
    """The head of the scope, if its present life has that version. Raises as `value_at` does."""
    head = await work.head(scope, tracked=False)
    if not head.live:
        raise missing(scope)
    if version > head.seq:
        raise InvalidValue(f"{scope} is at version {head.seq}; it has no version {version} yet", path="version")
    if version == 0:
        raise NotFound(f"{scope} did not exist at version 0", scope=scope)
    if head.epoch and version != head.seq:  # an earlier life may have had that version
        records = await work.log(scope, after=version + 1, limit=1, reverse=True)
        if not records:
            raise _compacted(scope, version, head.floor)
        if records[0].epoch != head.epoch or records[0].op == "drop":
            raise NotFound(f"{scope} did not exist at version {version}", scope=scope)
    return head


def _told(then: dict[str, Made], key: str, area: Area, version: int) -> bytes | None:
    found = then.get(key)
    if found is None:
        raise _compacted(area.scope, version, None, key)
    if isinstance(found, Untold):
        raise change.untold(area.scope, key, version)
    return found if isinstance(found, bytes) else None


def _compacted(scope: str, version: int, floor: int | None, key: str | None = None) -> Compacted:
    about = f" ({key})" if key is not None else ""
    return Compacted(
        f"the log of {scope} does not tell any more what was there at version {version}{about}",
        remedy="Read a later version, or keep more of the log (Config.changes); runtime state is told while "
        "Config.runtime.streaming is on.",
        scope=scope,
        floor=floor,
    )
