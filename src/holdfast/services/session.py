"""Sessions: one record cell each, with an index entry for every filter that a list offers, and the cells of its time.

    session     the record      index session.all     value ""           order: created, as 16 digits of microseconds;
                                                                         carries the figures of the session
                                index session.user    value "ada"        and so for app, agent, mode, channel, status
                                                                         and tag
                                and while it is open
                                index session.open    value "ada"        order: its arrival among her sessions
    alive       its deadline    the session exists as long as this cell does, which expires with it
    due                         index due             value "session"    order: when it expires
                                                      value "ended"      order: when it ended
    ended                       index due             value "ending"     order: when it ended; see `model.end`, while
                                                                         something is left to be done about that
    active                      index session.active  value "open"       order: when it was last written to, by a minute
                                                      or "ended"         at most earlier than it was
                                index session.active.user     "ada"      the same

The record is rewritten only when it changes: appending a message or setting state does not touch it. `alive` and `due`
move together, with a write that is made anyway, and only when it matters; so does `active`, once a minute from each
process at most. What that has to know of the session stands in `alive`, which is read with everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from holdfast.errors import Corrupt, InvalidValue, shown
from holdfast.kernel import codec
from holdfast.kernel.commit import Cell, Entry, Put
from holdfast.kernel.keys import check_name
from holdfast.kernel.line import line
from holdfast.kernel.part import missing
from holdfast.kernel.work import Work
from holdfast.model import end
from holdfast.model.budget import Account, Bounds
from holdfast.model.deadline import NEVER, Deadline
from holdfast.model.end import End, Left
from holdfast.model.moment import order_of
from holdfast.model.session import SessionRecord, clean_tags, failure
from holdfast.model.session_filter import Span
from holdfast.model.session_stats import pack
from holdfast.model.status import SessionStatus

CELL = "session"
"""The key of the record in its scope."""

PREFIX = "session/"
"""What the names of sessions' scopes start with."""

ALIVE = "alive"
"""The key of the cell that keeps a session alive."""

DUE = "due"
"""The key of the cell, and the name of the index, by which a sweep finds whose time has come."""

ACTIVE = "active"
"""The key of the cell that tells when the session was last written to."""

ACTIVE_BY, ACTIVE_BY_USER = "session.active", "session.active.user"
"""The indexes of sessions by when they were last written to: of those that are "open" or "ended", and of each user."""

ACTIVE_US = 60_000_000
"""How much later than told the last write may have been."""

OPEN_OF = "session.open"
"""The index of each user's open sessions, by their arrival."""

ALL = "session.all"
"""The index of all sessions; its entries carry what statistics need."""

NAMED = ("user", "app", "agent", "mode", "channel")
"""The fields that hold one name each, and are listed by it."""

_NOTHING = b"0"  # the value of a cell that is there for its entries

_decoder = msgspec.json.Decoder(SessionRecord)
_encode = msgspec.json.Encoder().encode


class Living(Struct, frozen=True, array_like=True, omit_defaults=True):
    """What `alive` tells: until when the session lives, whose it is, whether it is open, and when it was created."""

    deadline: Deadline = NEVER
    user: str | None = None
    open: bool = True
    created_us: int = 0


_decode_living = msgspec.json.Decoder(Living).decode


def scope_of(id: str) -> str:
    """The name of a session's scope; raises InvalidId."""
    return PREFIX + check_name(id, "a session id")


def is_scope(name: str) -> bool:
    """Whether the scope of that name is a session's."""
    return name.startswith(PREFIX)


def id_of(scope: str) -> str:
    """The inverse of `scope_of`."""
    return scope.removeprefix(PREFIX)


def decode(cell: Cell) -> SessionRecord:
    """The record in a cell."""
    return decode_raw(cell.value)


def decode_raw(raw: bytes) -> SessionRecord:
    """The record in a value, as its cell and the stream have it."""
    try:
        return _decoder.decode(raw)
    except codec.UNREADABLE as problem:
        raise Corrupt(f"a session record that cannot be read: {problem}") from problem


def orders_of(created: Span) -> tuple[str | None, str | None]:
    """Between which orders those stand that were created in that span."""
    lo = None if created.after_us is None else order_of(created.after_us + 1)
    return lo, None if created.before_us is None else order_of(created.before_us)


def new_record(
    id: str,
    *,
    at_us: int,
    names: Mapping[str, str | None],
    task: str | None,
    tags: Iterable[str],
    metadata: Mapping[str, Any] | None,
    life: Life,
    budget: Bounds,
    bytes_max: int,
) -> SessionRecord:
    """The record of a session that starts now.

    Raises InvalidId or InvalidValue for what may not be stored, TooLarge for more than `bytes_max`.
    """
    checked: dict[str, Any] = {
        field: None if name is None else check_name(name, f"the {field} of a session") for field, name in names.items()
    }
    return SessionRecord(
        check_name(id, "a session id"),
        SessionStatus.ACTIVE,
        at_us,
        at_us,
        task=checked_text(task, "task", bytes_max),
        tags=checked_tags(tags),
        metadata={} if metadata is None else checked_metadata(metadata, bytes_max),
        ttl_us=life.ttl_us,
        sliding=life.sliding and life.ttl_us is not None,
        idle_us=life.idle_us,
        budget=budget,
        **checked,
    )


def checked_metadata(metadata: Mapping[str, Any], bytes_max: int) -> dict[str, Any]:
    """A copy of the metadata as it will come back. Raises InvalidValue or TooLarge for what may not be stored."""
    return codec.copied_mapping(metadata, "metadata", bytes_max=bytes_max)


def checked_text(text: str | None, what: str, bytes_max: int) -> str | None:
    """The text if it can be stored; raises InvalidValue or TooLarge."""
    if text is None:
        return None
    if not isinstance(text, str):
        raise InvalidValue(f"{what} must be text, not {shown(text)}", path=what)
    codec.encode({what: str(text)}, bytes_max=bytes_max, what=what)
    return str(text)


def checked_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """The tags without repetition; raises InvalidId or InvalidValue."""
    return tuple([check_name(tag, "a tag") for tag in clean_tags(tags)])


def checked_result(value: Any, what: str, bytes_max: int) -> Any:
    """What came of a session, as it will come back. Raises InvalidValue or TooLarge for what may not be stored."""
    if value is None:
        return None
    return codec.decode(codec.encode(value, bytes_max=bytes_max, what=what, path=what))


def checked_error(error: Any, bytes_max: int) -> Any:
    """Why a session failed, as it will come back: of an exception its type and message, anything else as it is."""
    return checked_result(failure(error) if isinstance(error, BaseException) else error, "error", bytes_max)


async def read(work: Work, scope: str) -> tuple[SessionRecord, int]:
    """The record of a session and its version (0: staged here); the commit fails if it is written meanwhile.

    Raises NotFound.
    """
    cell = await work.get(scope, CELL)
    if cell is None:
        raise missing(scope)
    return decode(cell), cell.version


def move(
    work: Work,
    record: SessionRecord,
    to: SessionStatus,
    *,
    account: Account,
    reason: str | None = None,
    result: Any = None,
    error: Any = None,
    budget_raised: bool = False,
    left: Left = "nothing",
) -> SessionRecord:
    """Stage the move of a session, whose record and `account` (what it has used of its budget) this unit has read, to
    another status; returns the record it gets. If it ends, `left` is what is to be done about that afterwards.

    Whoever moves it adds the entry to the event log that tells of it: `operations.move` does both. Raises
    InvalidTransition, and then nothing is staged.
    """
    moved = record.moved(
        to,
        at_us=work.now_us,
        reason=reason,
        result=result,
        error=error,
        account=account,
        budget_raised=budget_raised,
    )
    put(work, moved)
    if moved.status.is_open != record.status.is_open:
        living = living_of(moved, work.now_us)
        if moved.ended_us is None:
            work.delete(scope_of(record.id), end.KEY)
        else:
            put_end(work, scope_of(record.id), End(moved.ended_us, moved.status, left))
        put_deadline(work, scope_of(record.id), living, ended_us=moved.ended_us)
        _put_active(work, scope_of(record.id), living)
    return moved


def put_end(work: Work, scope: str, over: End) -> None:
    """Stage that a session has ended, and what is left to be done about that."""
    entries = () if over.left == "nothing" else (Entry(DUE, "ending", order_of(over.at_us)),)
    work.put(scope, end.KEY, end.encode(over), entries=entries)


def create(work: Work, record: SessionRecord) -> None:
    """Stage a new session, which lives from now on."""
    put(work, record)
    scope, living = scope_of(record.id), living_of(record, record.created_us)
    if living.deadline == NEVER:
        work.put(scope, ALIVE, _encode(living))
    else:
        put_deadline(work, scope, living, record.expires_us)
    _put_active(work, scope, living)


def put(work: Work, record: SessionRecord) -> None:
    """Stage the record with its index entries, and the change that tells of it: whose a session is, its log says."""
    scope = scope_of(record.id)
    raw = _encode(record)
    work.put(scope, CELL, raw, entries=_entries(record))
    work.tell(scope, line("session", "set", record.id, raw, ""))


def announce(work: Work, record: SessionRecord) -> None:
    """Tell of a session that is being made in several commits, in the first one: whose a life is, its first record
    says. Nothing of it is there before `create` is staged."""
    work.tell(scope_of(record.id), line("session", "set", record.id, _encode(record), ""))


def living_of(record: SessionRecord, now_us: int) -> Living:
    """What `alive` tells of a session that begins to live now."""
    return Living(record.deadline(now_us), record.user, record.status.is_open, record.created_us)


def put_deadline(
    work: Work, scope: str, living: Living, expires_us: int | None = None, *, ended_us: int | None = None
) -> None:
    """Stage until when the session lives: to `expires_us` or, without it, as one that was accessed now.

    One that has ended is due by when it did.
    """
    expires_us = living.deadline.at(work.now_us) if expires_us is None else expires_us
    work.put(scope, ALIVE, _encode(living), expires_us=expires_us)
    if expires_us is not None:
        work.put(scope, DUE, _NOTHING, entries=_due("session", expires_us))
    elif ended_us is not None:
        work.put(scope, DUE, _NOTHING, entries=_due("ended", ended_us))
    else:
        work.delete(scope, DUE)


def _put_active(work: Work, scope: str, living: Living) -> None:
    active = active_of(living, work.now_us)
    work.put(scope, ACTIVE, active.value, entries=active.entries)


def renewed(living: Living, expires_us: int) -> tuple[Put, ...]:
    """What moves a deadline, whatever else is committed."""
    return Put(ALIVE, _encode(living), expires_us), Put(DUE, _NOTHING, None, _due("session", expires_us))


def active_of(living: Living, at_us: int) -> Put:
    """What tells that the session was written to then."""
    order = order_of(at_us)
    entries = [Entry(ACTIVE_BY, "open" if living.open else "ended", order)]
    if living.user is not None:
        entries.append(Entry(ACTIVE_BY_USER, living.user, order))
    return Put(ACTIVE, _NOTHING, None, tuple(entries))


def decode_living(cell: Cell) -> Living:
    """What an `alive` cell tells."""
    try:
        return _decode_living(cell.value)
    except codec.UNREADABLE as problem:
        raise Corrupt(f"a deadline that cannot be read: {problem}") from problem


class Life(Struct, frozen=True):
    """How long a session may live: at most `ttl_us`, from its creation or, `sliding`, from the last access; and at most
    `idle_us` from the last access."""

    ttl_us: int | None = None
    sliding: bool = False
    idle_us: int | None = None


def drop(work: Work, id: str) -> None:
    """Stage the end of the session: everything in its scope goes at once."""
    scope = scope_of(id)
    work.drop(scope)
    work.note(scope, "session", "delete", id)


def _due(what: str, at_us: int) -> tuple[Entry, ...]:
    return (Entry(DUE, what, order_of(at_us)),)


def _entries(record: SessionRecord) -> tuple[Entry, ...]:
    order = order_of(record.created_us)
    entries = [Entry(ALL, "", order, pack(record)), Entry("session.status", record.status.value, order)]
    entries += [
        Entry(f"session.{field}", name, order) for field in NAMED if (name := getattr(record, field)) is not None
    ]
    entries += [Entry("session.tag", tag, order) for tag in record.tags]
    if record.user is not None and record.status.is_open:
        arrival_us = record.created_us if record.arrival_us is None else record.arrival_us
        entries.append(Entry(OPEN_OF, record.user, order_of(arrival_us)))
    return tuple(entries)


async def arrival_us(work: Work, user: str, at_us: int) -> int:
    """When a session that is created now arrives among those of its user: after all there are, whatever clocks say."""
    newest = await work.find(OPEN_OF, user, limit=1, reverse=True)
    return max(at_us, int(newest[0].order) + 1) if newest else at_us
