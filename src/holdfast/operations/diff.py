"""What differs in one namespace between two versions of its scope, by the log alone.

    floor          since                until        head
      |..............|====================|............|
       befores: back   afters: forward

The keys touched in (since, until] are candidates; each one's last line there says what it became, and its newest line
at or before `since` what it had been.
"""

from __future__ import annotations

from holdfast.errors import Compacted, InvalidValue, shown
from holdfast.kernel import codec
from holdfast.kernel.commit import Record, Untouched
from holdfast.kernel.work import Work
from holdfast.model.cause import decode_cause
from holdfast.model.moment import to_datetime
from holdfast.model.state import Diff, Difference
from holdfast.services import change
from holdfast.services.state import Place


async def diff(work: Work, place: Place, since: int | None, until: int | None) -> Diff:
    """The keys that differ between two versions. Without `since`: as far as the log reaches; without `until`: now.

    The present life of the scope only: what was before it counts as empty. In a transaction it shows what was committed
    before, and without `until` the commit fails if somebody writes the namespace meanwhile. Raises Compacted if the log
    was trimmed past `since`, InvalidValue for versions that are not there or not in order, Unsupported where of a value
    to be compared the log has only the key, unless it is the present one.
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
    area = change.Area(place.scope, place.area, place.namespace, place.prefix)
    born, afters = await change.after(work, area, since, until)
    if born is not None:
        befores: dict[str, change.Made] = dict.fromkeys(afters, change.NOTHING)
    else:
        befores = await change.at(work, area, since, set(afters))
    values = {key: value for key, (_, value) in afters.items()}
    bare = {key: record.seq for key, (record, value) in afters.items() if isinstance(value, change.Untold)}
    values.update(await change.present(work, area, bare))
    for version, made in ((since, befores), (until, values)):
        for key, value in made.items():
            if isinstance(value, change.Untold):
                raise change.untold(place.scope, key, version)
    items = [
        found
        for key, (record, _) in sorted(afters.items())
        if (found := _difference(key, befores.get(key), values[key], record)) is not None
    ]
    return Diff(tuple(items), since, until)


def _version(name: str, version: int, newest: int) -> int:
    if not isinstance(version, int) or isinstance(version, bool) or not 0 <= version <= newest:
        raise InvalidValue(f"{name} must be a version from 0 to {newest}, not {shown(version)}", path=name)
    return version


def _difference(key: str, before: change.Made, after: change.Made, record: Record) -> Difference | None:
    """The difference between two values, None if there is none."""
    known = before is not None
    was, is_now = isinstance(before, bytes), isinstance(after, bytes)
    if known and before == after:
        return None
    if not known:
        change_ = "set" if is_now else "deleted"
    else:
        change_ = "deleted" if not is_now else "changed" if was else "added"
    return Difference(
        key,
        change_,  # type: ignore[arg-type]
        codec.decode(before) if isinstance(before, bytes) else None,
        codec.decode(after) if isinstance(after, bytes) else None,
        record.seq,
        to_datetime(record.at_us),
        decode_cause(record.cause).by,
        known,
    )
