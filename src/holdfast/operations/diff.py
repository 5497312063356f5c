"""What differs in one namespace between two versions of its scope, by the log alone.

    floor          since                until        head
      |..............|====================|............|
       befores: back   afters: forward

The keys touched in (since, until] are candidates; each one's last line there says what it became, and its newest line
at or before `since` what it had been.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from holdfast.errors import Compacted, InvalidValue, shown
from holdfast.kernel import codec
from holdfast.kernel.commit import Record, Untouched
from holdfast.kernel.limits import PAGE_BYTES, may_go_on
from holdfast.kernel.work import Work
from holdfast.model.cause import decode_cause
from holdfast.model.moment import to_datetime
from holdfast.model.state import Diff, Difference
from holdfast.services import change
from holdfast.services.state import Place

SCAN = 500
"""Records read at once, up to PAGE_BYTES."""


class _Nothing:
    """A key that does not exist, or no longer."""


_NOTHING = _Nothing()


async def diff(work: Work, place: Place, since: int | None, until: int | None) -> Diff:
    """The keys that differ between two versions. Without `since`: as far as the log reaches; without `until`: now.

    The present life of the scope only: what was before it counts as empty. In a transaction it shows what was committed
    before, and without `until` the commit fails if somebody writes the namespace meanwhile. Raises Compacted if the log
    was trimmed past `since`, InvalidValue for versions that are not there or not in order.
    """
    head = await work.head(place.scope, tracked=False)
    if until is None and head.live:
        work.require(place.scope, Untouched(place.prefix, head.seq))
    until = _version("until", head.seq if until is None else until, head.seq)
    oldest = max(head.floor - 1, 0)
    since = _version("since", min(oldest, until) if since is None else since, head.seq)
    if since > until:
        raise InvalidValue(f"version {since} is not before version {until}", path="since")
    if since < oldest:
        raise Compacted(
            f"the log of {place.scope} begins at version {head.floor}; version {since} cannot be compared any more",
            scope=place.scope,
            floor=head.floor,
        )
    if not head.live:
        return Diff((), since, until)
    born, afters = await _afters(work, place, since, until)
    if born is not None:
        befores: dict[str, Any] = dict.fromkeys(afters, _NOTHING)
    else:
        befores = await _befores(work, place, since, set(afters))
        if head.floor <= 1:
            befores = dict.fromkeys(afters, _NOTHING) | befores
    items = [
        found
        for key, (record, value) in sorted(afters.items())
        if (found := _difference(key, befores.get(key), value, record, known=key in befores)) is not None
    ]
    return Diff(tuple(items), since, until)


def _version(name: str, version: int, newest: int) -> int:
    if not isinstance(version, int) or isinstance(version, bool) or not 0 <= version <= newest:
        raise InvalidValue(f"{name} must be a version from 0 to {newest}, not {shown(version)}", path=name)
    return version


async def _afters(work: Work, place: Place, since: int, until: int) -> tuple[int | None, dict[str, tuple[Record, Any]]]:
    """For each key touched in (since, until] the last record that did, and the value it left; and the last drop."""
    born: int | None = None
    found: dict[str, tuple[Record, Any]] = {}
    after = since
    while after < until:
        records = await work.log(place.scope, after=after, limit=min(SCAN, until - after), bytes_max=PAGE_BYTES)
        for record in records:
            if record.op == "drop":
                born = record.seq
                found.clear()
            known = replace(record, body=b"", touched=())  # of a record, what is to be told; of its values, the last
            for key, value in _lines(record, place).items():
                found[key] = (known, value)
        if not records:
            break
        after = records[-1].seq
    return born, found


async def _befores(work: Work, place: Place, since: int, wanted: set[str]) -> dict[str, Any]:
    """What those keys were at `since`; one that the log no longer knows is left out."""
    found: dict[str, Any] = {}
    before = since + 1
    while len(found) < len(wanted) and before > 1:
        records = await work.log(place.scope, after=before, limit=SCAN, reverse=True, bytes_max=PAGE_BYTES)
        for record in records:
            if record.op == "drop":
                return dict.fromkeys(wanted, _NOTHING) | found
            for key, value in _lines(record, place).items():
                if key in wanted:
                    found.setdefault(key, value)
        if not may_go_on(records, SCAN, PAGE_BYTES):
            break
        before = records[-1].seq
    return found


def _lines(record: Record, place: Place) -> dict[str, Any]:
    """What one record made of the keys of a namespace."""
    touched = [key.removeprefix(place.prefix) for key in record.touched if key.startswith(place.prefix)]
    if not touched:
        return {}
    made: dict[str, Any] = {}
    for line in change.lines_of(record):
        if line.kind != place.area or line.namespace != place.namespace:
            continue
        if line.op == "clear":
            made.update(dict.fromkeys(touched, _NOTHING))
        elif line.key is not None:
            made[line.key] = _NOTHING if line.op == "delete" else codec.decode(bytes(line.value))
    return made


def _difference(key: str, before: Any, after: Any, record: Record, *, known: bool) -> Difference | None:
    """The difference between two values, None if there is none."""
    was, is_now = known and before is not _NOTHING, after is not _NOTHING
    if known and was == is_now and (not is_now or codec.encode(before) == codec.encode(after)):
        return None
    if not known:
        change_ = "set" if is_now else "deleted"
    else:
        change_ = "deleted" if not is_now else "changed" if was else "added"
    return Difference(
        key,
        change_,  # type: ignore[arg-type]
        before if was else None,
        after if is_now else None,
        record.seq,
        to_datetime(record.at_us),
        decode_cause(record.cause).by,
        known,
    )
