"""Earlier values of one key, and how the present one came to be, read backwards from the log.

Of a value that the log does not tell only the newest may still be had, from where it stands.
"""

from __future__ import annotations

from msgspec import UNSET
from msgspec.structs import replace

from holdfast.kernel import codec
from holdfast.kernel.commit import Record, Untouched
from holdfast.kernel.limits import PAGE_BYTES, may_go_on
from holdfast.kernel.work import Work
from holdfast.model.cause import decode_cause
from holdfast.model.moment import to_datetime
from holdfast.model.state import History, PastValue, Why
from holdfast.services import change
from holdfast.services.state import Place

SCAN = 500
"""Records read at once, up to PAGE_BYTES."""


async def history(work: Work, place: Place, key: str, limit: int) -> History:
    """Up to `limit` earlier values, newest first, as far as the log reaches.

    A value that expired still stands in the log. The history ends where the scope's present life began. In a
    transaction it shows what was committed before, and the commit fails if somebody writes the key meanwhile. Raises
    Unsupported where the log has only the key of a value that is not the present one.
    """
    past = await _past_of(work, place, key, limit)
    items = list(past.items)
    if items and items[0].value is UNSET:
        area = change.Area(place.scope, place.area, place.namespace, place.prefix)
        version = items[0].version
        if raw := (await change.present(work, area, {key: version})).get(key):
            items[0] = replace(items[0], value=codec.decode(raw))
    for item in items:
        if item.value is UNSET:
            raise change.untold(place.scope, key, item.version)
    return History(tuple(items), past.complete)


async def _past_of(work: Work, place: Place, key: str, limit: int, *, until: int | None = None) -> History:
    """The same of `until` and before, if given; a value that the log does not tell is UNSET."""
    items: list[PastValue] = []
    head = await work.head(place.scope, tracked=False)
    if not head.live:
        return History((), complete=True)
    work.require(place.scope, Untouched(place.prefix + key, head.seq))
    oldest = 0 if until is None else until + 1
    while True:
        records = await work.log(place.scope, after=oldest, limit=SCAN, reverse=True, bytes_max=PAGE_BYTES)
        for record in records:
            if record.op == "drop":
                return History(tuple(items), complete=True)
            past = _past(record, place, key)
            if past is not None and len(items) == limit:
                return History(tuple(items), complete=False)
            if past is not None:
                items.append(past)
        oldest = records[-1].seq if records else oldest
        if not may_go_on(records, SCAN, PAGE_BYTES):
            return History(tuple(items), complete=oldest <= 1)


async def why(work: Work, place: Place, key: str) -> Why | None:
    """How a key came to be what it is; None if it is not there, and the log knows nothing of it. A value that the log
    does not tell is UNSET.

    Reads the cell, and the log from its version back to the value before: no further.
    """
    cell = await work.get(place.scope, place.prefix + key)
    past = await _past_of(work, place, key, 2, until=None if cell is None else cell.version)
    items = past.items
    if cell is not None and not (items and items[0].version == cell.version):
        return Why(key, codec.decode(cell.value), cell.version, None, None, None)  # its record was trimmed
    if not items:
        return None
    now, before = items[0], items[1] if len(items) > 1 else None
    gone = cell is None
    value = codec.decode(cell.value) if cell is not None else now.value
    if before is None:
        return Why(key, value, now.version, now.at, now.by, now.cause, gone, None, False if past.complete else None)
    existed = not before.deleted
    return Why(key, value, now.version, now.at, now.by, now.cause, gone, before.value, existed)


def _past(record: Record, place: Place, key: str) -> PastValue | None:
    """What the record did to the key: the last of its lines that names it, or a clear of its namespace."""
    if place.prefix + key not in record.touched:
        return None
    cause = decode_cause(record.cause)
    at = to_datetime(record.at_us)
    for line in reversed(change.lines_of(record)):
        if line.kind != place.area or line.namespace != place.namespace:
            continue
        if line.op == "clear" or (line.key == key and line.op == "delete"):
            return PastValue(None, record.seq, at, cause.by, deleted=True, cause=cause)
        if line.key == key:
            value = UNSET if line.bare else codec.decode(bytes(line.value))
            return PastValue(value, record.seq, at, cause.by, cause=cause)
    return None
