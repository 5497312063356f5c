"""Changes: what the records of the log say, line by line; and what is told live."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence, Set
from typing import Any

from msgspec import UNSET, Struct
from msgspec.structs import replace

from holdfast.errors import Corrupt, InvalidValue, Unsupported, shown
from holdfast.kernel import codec
from holdfast.kernel import line as lines
from holdfast.kernel.commit import Read, Record, stamp
from holdfast.kernel.cursor import Cursor, parse_cursor
from holdfast.kernel.keys import check_name, escaped
from holdfast.kernel.limits import PAGE_BYTES, SIGNAL_BYTES_MAX, may_go_on
from holdfast.kernel.line import Line, decode_lines
from holdfast.kernel.live import Live
from holdfast.kernel.work import Work
from holdfast.model.cause import decode_cause
from holdfast.model.change import KINDS, Change
from holdfast.model.moment import to_datetime
from holdfast.model.scope import Scope

SCAN = 500
"""Records read at once, up to PAGE_BYTES."""


def lines_of(record: Record) -> list[lines.Read]:
    """The lines of one record. Raises Corrupt for a body that no commit has written."""
    try:
        return decode_lines(record.body)
    except codec.UNREADABLE as problem:
        raise Corrupt(f"a log record that cannot be read: {problem}", seq=record.seq) from problem


class Area(Struct, frozen=True):
    """Keys with values whose changes the log tells, whole: a namespace of state, or runtime state."""

    scope: str
    kind: str
    namespace: str
    prefix: str
    """What the keys of the cells start with."""


class Nothing:
    """What a key is that does not exist, or no longer."""


class Untold:
    """What a key is that was written, and of which the log has not the value."""


NOTHING = Nothing()
UNTOLD = Untold()

Made = bytes | Nothing | Untold | None
"""What a commit made of a key: an encoded value, nothing, a value that is not told, or what the log does not tell at
all (None)."""


def made(record: Record, area: Area) -> dict[str, Made]:
    """What one record made of the keys of an area that it touched."""
    touched = [key.removeprefix(area.prefix) for key in record.touched if key.startswith(area.prefix)]
    if not touched:
        return {}
    found: dict[str, Made] = dict.fromkeys(touched)
    for line in lines_of(record):
        if line.kind != area.kind or line.namespace != area.namespace:
            continue
        if line.op == "clear":
            found.update(dict.fromkeys(touched, NOTHING))
        elif line.key is not None:
            found[line.key] = NOTHING if line.op == "delete" else UNTOLD if line.bare else bytes(line.value)
    return found


async def after(work: Work, area: Area, since: int, until: int) -> tuple[int | None, dict[str, tuple[Record, Made]]]:
    """For each key touched in (since, until] the last record that did, and what it made of it; and the last drop."""
    born: int | None = None
    found: dict[str, tuple[Record, Made]] = {}
    place = since
    while place < until:
        records = await work.log(area.scope, after=place, limit=min(SCAN, until - place), bytes_max=PAGE_BYTES)
        for record in records:
            if record.op == "drop":
                born = record.seq
                found.clear()
            known = replace(record, body=b"", touched=())  # of a record, what is to be told; of its values, the last
            for key, value in made(record, area).items():
                found[key] = (known, value)
        if not records:
            break
        place = records[-1].seq
    return born, found


async def at(work: Work, area: Area, version: int, wanted: Set[str]) -> dict[str, Made]:
    """What those keys were at that version; one that the log does not reach is left out."""
    found: dict[str, Made] = {}
    before = version + 1
    while len(found) < len(wanted) and before > 1:
        records = await work.log(area.scope, after=before, limit=SCAN, reverse=True, bytes_max=PAGE_BYTES)
        for record in records:
            if record.op == "drop":
                return {**dict.fromkeys(wanted, NOTHING), **found}
            for key, value in made(record, area).items():
                if key in wanted:
                    found.setdefault(key, value)
            if len(found) == len(wanted):
                return found
        before = records[-1].seq if records else before
        if not may_go_on(records, SCAN, PAGE_BYTES):
            break
    return {**dict.fromkeys(wanted, NOTHING), **found} if before <= 1 else found


def untold(scope: str, key: str, version: int) -> Unsupported:
    """The error that says that a value is asked for of which the log has only the key."""
    return Unsupported(
        f"what {key!r} was at version {version} of {scope} is kept nowhere: it was written with "
        'Config.changes.values="keys"',
        remedy='With Config(changes=ChangesConfig(values="inline")) what is written from then on has a past; `why` and '
        "the change stream tell either way who wrote what, and when.",
        scope=scope,
        key=key,
        version=version,
    )


async def present(work: Work, area: Area, versions: Mapping[str, int]) -> dict[str, bytes]:
    """Of those keys the encoded values that are there now, where they are of just that version."""
    if not versions:
        return {}
    [view] = await work.peek((Read(area.scope, tuple(area.prefix + key for key in versions)),))
    cells = {key: view.cells.get(area.prefix + key) for key in versions}
    return {key: cell.value for key, cell in cells.items() if cell is not None and cell.version == versions[key]}


def changes_of(
    scope: str, record: Record, *, kinds: Container[str] | None = None, after: Cursor | None = None
) -> list[Change]:
    """The changes of one record, of these kinds, beyond what `after` says was delivered of it."""
    delivered = after.place if after is not None and after.seq == record.seq else -1
    cause = decode_cause(record.cause)
    at = to_datetime(record.at_us)
    told = lines_of(record)
    keys = _keys_of(record, told)
    return [
        Change(
            seq=record.seq,
            cursor=str(Cursor(record.seq, place, record.epoch, record.commit)),
            at=at,
            by=cause.by,
            cause=cause,
            scope=Scope.parse(scope),
            kind=line.kind,  # type: ignore[arg-type]
            op=line.op,  # type: ignore[arg-type]
            key=keys[place],
            value=UNSET if line.bare else codec.decode(bytes(line.value)),
            namespace=line.namespace,
        )
        for place, line in enumerate(told)
        if place > delivered and (kinds is None or line.kind in kinds)
    ]


def _keys_of(record: Record, told: Sequence[Line]) -> list[str | None]:
    """The key of each line. That of what was appended is the stamp that its commit gave it."""
    keys = [line.key for line in told]
    for kind in {line.kind for line in told if line.op == "append"}:
        prefix = f"{kind}/"
        own = prefix + stamp(record.seq, 0).partition(".")[0]
        stamps = sorted(key.removeprefix(prefix) for key in record.touched if key.startswith(own))
        places = [place for place, line in enumerate(told) if line.op == "append" and line.kind == kind]
        for place, key in zip(places, stamps, strict=True):
            keys[place] = key
    return keys


def cell_of(change: Change) -> str:
    """The key of the cell in which what was set or appended is kept."""
    if change.kind in ("state", "temp"):
        return f"{change.kind}/{escaped(change.namespace)}/{change.key}"
    if change.kind == "run" and change.namespace:  # of a node of it
        return f"node/{escaped(str(change.key))}/{change.namespace}"
    if change.kind == "interaction":
        return f"{change.kind}/{escaped(change.namespace)}/{change.key}"
    return f"{change.kind}/{change.namespace}/{change.key}" if change.namespace else f"{change.kind}/{change.key}"


def live_change(scope: str, live: Live, *, after: str | int) -> Change:
    """The change that a signal told of, which arrived after that place of its scope."""
    cause = decode_cause(b"" if bytes(live.cause) == b"null" else bytes(live.cause))
    told = live.line
    return Change(
        seq=after if isinstance(after, int) else parse_cursor(after).seq,
        cursor=str(after),
        at=to_datetime(live.at_us),
        by=cause.by,
        cause=cause,
        scope=Scope.parse(scope),
        kind=told.kind,  # type: ignore[arg-type]
        op="emit",
        key=told.key,
        value=codec.decode(bytes(told.value)),
        namespace=told.namespace,
    )


def emitted(kind: str, key: str, value: Any) -> Line:
    """What followers will see of what is emitted.

    Raises InvalidValue for a kind that there is not or a value that cannot be shown as it is, InvalidId for a key,
    TooLarge.
    """
    if not isinstance(kind, str) or kind not in KINDS:
        raise InvalidValue(f"there is no kind {shown(kind)}; there are {', '.join(sorted(KINDS))}", path="kind")
    raw = codec.encode(value, bytes_max=SIGNAL_BYTES_MAX, key=key)
    return lines.line(kind, "emit", check_name(key, "a key"), raw, "")
