"""Changes: what the records of the log say, line by line; and what is told live."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from holdfast.errors import Corrupt, InvalidValue, shown
from holdfast.kernel import codec
from holdfast.kernel.commit import Record
from holdfast.kernel.cursor import Cursor, parse_cursor
from holdfast.kernel.keys import check_name
from holdfast.kernel.limits import SIGNAL_BYTES_MAX
from holdfast.kernel.line import Line, decode_lines, line
from holdfast.kernel.live import Live
from holdfast.model.cause import decode_cause
from holdfast.model.change import KINDS, Change
from holdfast.model.moment import to_datetime
from holdfast.model.scope import Scope


def lines_of(record: Record) -> list[Line]:
    """The lines of one record. Raises Corrupt for a body that no commit has written."""
    try:
        return decode_lines(record.body)
    except codec.UNREADABLE as problem:
        raise Corrupt(f"a log record that cannot be read: {problem}", seq=record.seq) from problem


def changes_of(
    scope: str, record: Record, *, kinds: Container[str] | None = None, after: Cursor | None = None
) -> list[Change]:
    """The changes of one record, of these kinds, beyond what `after` says was delivered of it."""
    delivered = after.place if after is not None and after.seq == record.seq else -1
    cause = decode_cause(record.cause)
    at = to_datetime(record.at_us)
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
            key=line.key,
            value=codec.decode(bytes(line.value)),
            namespace=line.namespace,
        )
        for place, line in enumerate(lines_of(record))
        if place > delivered and (kinds is None or line.kind in kinds)
    ]


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
    return line(kind, "emit", check_name(key, "a key"), raw, "")
