"""Earlier values of one key, read backwards from the log."""

from __future__ import annotations

from holdfast.kernel import codec
from holdfast.kernel.commit import Record, Untouched
from holdfast.kernel.limits import PAGE_BYTES, may_go_on
from holdfast.kernel.work import Work
from holdfast.model.cause import decode_cause
from holdfast.model.moment import to_datetime
from holdfast.model.state import History, PastValue
from holdfast.services import change
from holdfast.services.state import Place

SCAN = 500
"""Records read at once, up to PAGE_BYTES."""


async def history(work: Work, place: Place, key: str, limit: int) -> History:
    """Up to `limit` earlier values, newest first, as far as the log reaches.

    A value that expired still stands in the log. The history ends where the scope's present life began. In a
    transaction it shows what was committed before, and the commit fails if somebody writes the key meanwhile.
    """
    items: list[PastValue] = []
    head = await work.head(place.scope, tracked=False)
    if not head.live:
        return History((), complete=True)
    work.require(place.scope, Untouched(place.prefix + key, head.seq))
    oldest = 0
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


def _past(record: Record, place: Place, key: str) -> PastValue | None:
    """What the record did to the key: the last of its lines that names it, or a clear of its namespace."""
    if place.prefix + key not in record.touched:
        return None
    by = decode_cause(record.cause).by
    at = to_datetime(record.at_us)
    for line in reversed(change.lines_of(record)):
        if line.kind != place.area or line.namespace != place.namespace:
            continue
        if line.op == "clear" or (line.key == key and line.op == "delete"):
            return PastValue(None, record.seq, at, by, deleted=True)
        if line.key == key:
            return PastValue(codec.decode(bytes(line.value)), record.seq, at, by)
    return None
