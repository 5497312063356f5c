"""Limits and traits, and the check that a commit keeps them before anything is sent.

On engines whose scripts keep what they wrote before an error, nothing that depends on data may fail half-way,
so every commit is judged whole here first. The default limits fit the weakest backend there is (DynamoDB's
items of 400 KB and transactions of 100 items and 4 MB); a configuration raises them only where the traits allow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Literal, Protocol, TypeVar

from msgspec import Struct

from holdfast.errors import InvalidValue, TooLarge, Unsupported, shown
from holdfast.kernel.commit import ORDINAL_DIGITS, SEQ_DIGITS, Append, Commit, Put, Range, Rewrite, ScopeCommit
from holdfast.kernel.keys import KEY_BYTES_MAX, bucket

T = TypeVar("T")


class Sized(Protocol):
    """What counts for something against a bound of bytes."""

    @property
    def size(self) -> int:
        """How much."""
        ...


S = TypeVar("S", bound=Sized)

KIB = 1024
MIB = 1024 * 1024

VALUE_BYTES_MAX = 256 * KIB
"""The default limit of one value."""

OPERATIONS_MAX = 90
"""The default limit of puts, appends and deletes in one commit."""

COMMIT_BYTES_MAX = 3 * MIB
"""The default limit of one commit's keys, values, entries and bodies together. A value that followers see stands in the
body of the log record too, so about half of it is left for values."""

DEPTH_MAX = 64
"""How deep a value may be nested."""

PAYLOAD_BYTES_MAX = 256
"""What one index entry carries, on every backend; less where it is encrypted on the way."""

SIGNAL_BYTES_MAX = 64 * KIB
"""The limit of the payload of one signal, on every backend."""

APPENDS_MAX: int = 10**ORDINAL_DIGITS
"""The limit of appends to one scope in one commit, on every backend: as many as a stamp can count."""

STAMP_BYTES = SEQ_DIGITS + 1 + ORDINAL_DIGITS
"""What completing an append adds to its key."""

TIME_US_MAX: int = 10**16 - 1
"""The last moment a clock may show, in November 2286; the first is that of 1970.

Within it every form of a time is exact: 16 digits in an index, the 48 bits of milliseconds of a UUIDv7, a datetime, 64
bits with the longest duration added.
"""

EXPIRES_US_MAX: int = 2**63 - 1
"""The last moment at which a cell may expire."""

VERSION_MAX: int = 10**SEQ_DIGITS - 1
"""The greatest version there can be."""

PAGE_MAX = 10_000
"""The limit of cells, records, entries or scopes in one answer; more is asked for page by page."""

PAGE_BYTES: int = 8 * MIB
"""What who reads many records or cells asks for at once, so that no more than that, and one of them, is held."""

Durability = Literal["none", "process", "fsync", "replicated"]


class Traits(Struct, frozen=True):
    """What a backend declares of itself. A call that needs more raises `Unsupported`; nothing is silently weaker.

    durability           what survives once a commit is acknowledged: nothing (none), the end of the process
                         (process), of the machine (fsync), of any one machine (replicated)
    span                 what one commit may cover: the scopes of one bucket, or of the store
    cache                whether a cached read can be known to be current (exact), or only to be recent (bounded)
    value_bytes_max      the largest value of a cell
    operations_max       puts, appends and deletes in one commit
    commit_bytes_max     keys, values, entries and bodies of one commit together
    payload_bytes_max    what one index entry carries
    signal_bytes_max     the payload of one signal
    poll_s               how often a reader should look when no hint came
    """

    durability: Durability = "none"
    span: Literal["bucket", "store"] = "store"
    cache: Literal["exact", "bounded"] = "bounded"
    value_bytes_max: int = VALUE_BYTES_MAX
    operations_max: int = OPERATIONS_MAX
    commit_bytes_max: int = COMMIT_BYTES_MAX
    payload_bytes_max: int = PAYLOAD_BYTES_MAX
    signal_bytes_max: int = SIGNAL_BYTES_MAX
    poll_s: float = 1.0


def check_commit(commit: Commit, traits: Traits) -> None:
    """Refuse a commit that the backend may not take, before any of it is sent (G19).

    Raises TooLarge (a key, a value, the number of operations or the bytes of the whole are over the limit),
    Unsupported (scopes of several buckets where that is the span), or InvalidValue (a scope, key or index entry named
    twice, a drop together with writes, no scope at all, text that has no UTF-8 form, a time that is out of range).
    """
    check_time(commit.at_us)
    scopes = commit.scopes
    if len(scopes) == 1:
        operations, size = _weigh(scopes[0], traits)
    else:
        _check_span(commit, traits)
        operations = size = 0
        for part in scopes:
            part_operations, part_size = _weigh(part, traits)
            operations += part_operations
            size += part_size
    if operations > traits.operations_max:
        raise TooLarge(
            f"a commit of {operations} writes; the limit is {traits.operations_max} (operations_max)",
            what="operations",
            size=operations,
            limit=traits.operations_max,
        )
    if size > traits.commit_bytes_max:
        raise TooLarge(
            f"a commit of {size} bytes, cells and log; the limit is {traits.commit_bytes_max} (commit_bytes_max)",
            what="commit",
            size=size,
            limit=traits.commit_bytes_max,
        )


def check_rewrites(rewrites: Sequence[Rewrite], traits: Traits) -> None:
    """Refuse other bytes for cells that are over a limit (TooLarge)."""
    for rewrite in rewrites:
        _weigh_put(Put(rewrite.was.key, rewrite.value, None, rewrite.entries), rewrite.was.key, traits)


def check_together(first: str, scope: str, traits: Traits) -> None:
    """Refuse a scope that the backend cannot commit together with another one (Unsupported)."""
    if traits.span == "bucket" and bucket(first) != bucket(scope):
        raise Unsupported(
            f"this backend cannot commit {first} and {scope} together: it spans one bucket only", scopes=[first, scope]
        )


def _check_span(commit: Commit, traits: Traits) -> None:
    names = [part.scope for part in commit.scopes]
    if not names:
        raise InvalidValue("a commit names no scope", path="scopes")
    if len(set(names)) != len(names):
        raise InvalidValue("a commit names a scope twice", path="scopes")
    if traits.span == "bucket" and len({bucket(name) for name in names}) > 1:
        raise Unsupported(
            f"one commit over {', '.join(names)}: this backend commits to the scopes of one bucket only",
            scopes=names,
        )


def _weigh(part: ScopeCommit, traits: Traits) -> tuple[int, int]:
    """Operations and bytes of one scope's part, each key and value judged on the way."""
    operations = len(part.puts) + len(part.appends) + len(part.deletes)
    if part.drop:
        if operations:
            raise InvalidValue(f"a commit drops {part.scope} and writes to it", path=part.scope)
        operations = 1
    _key_bytes(part.scope)
    size = len(part.body)
    if operations == 1 and part.puts:
        return 1, size + _weigh_put(part.puts[0], part.puts[0].key, traits)
    if len(part.appends) > APPENDS_MAX:
        raise TooLarge(
            f"a commit of {len(part.appends)} appends to {part.scope}; the limit is {APPENDS_MAX}",
            what="appends",
            size=len(part.appends),
            limit=APPENDS_MAX,
        )
    for put in part.puts:
        size += _weigh_put(put, put.key, traits)
    for append in part.appends:
        size += _weigh_put(append, append.prefix, traits) + STAMP_BYTES
    for key in part.deletes:
        size += _key_bytes(key)
    if operations > 1 and len(part.puts) + len(part.deletes) > 1:
        keys = {put.key for put in part.puts}
        keys.update(part.deletes)
        if len(keys) != len(part.puts) + len(part.deletes):
            raise InvalidValue(f"a commit writes a key of {part.scope} twice", path=part.scope)
    return operations, size


def _weigh_put(put: Put | Append, key: str, traits: Traits) -> int:
    value_bytes = len(put.value)
    expires_us = put.expires_us
    if expires_us is not None and (type(expires_us) is not int or not 0 <= expires_us <= EXPIRES_US_MAX):
        raise InvalidValue(f"{key!r} expires at {shown(expires_us)}, which is out of range", path=key)
    if value_bytes > traits.value_bytes_max:
        raise TooLarge(
            f"the value of {key!r} has {value_bytes} bytes; the limit is {traits.value_bytes_max}",
            what="value",
            key=key,
            size=value_bytes,
            limit=traits.value_bytes_max,
        )
    size = _key_bytes(key, more=STAMP_BYTES if isinstance(put, Append) else 0) + value_bytes
    if not put.entries:
        return size
    if len(put.entries) > 1 and len({(entry.index, entry.value, entry.order) for entry in put.entries}) < len(
        put.entries
    ):
        raise InvalidValue(f"a commit gives {key!r} an index entry twice", path=key)
    for entry in put.entries:
        payload_bytes, limit = len(entry.payload), traits.payload_bytes_max
        if payload_bytes > limit:
            raise TooLarge(
                f"an index entry of {key!r} carries {payload_bytes} bytes; the limit is {limit}",
                what="payload",
                key=key,
                size=payload_bytes,
                limit=limit,
            )
        size += payload_bytes + _key_bytes(entry.index) + _key_bytes(entry.value) + _key_bytes(entry.order)
    return size


def _key_bytes(key: str, *, more: int = 0) -> int:
    """The bytes of a key as text; refused if those and `more` are over the limit."""
    try:
        size = len(key) if key.isascii() else len(key.encode())
    except UnicodeEncodeError as error:
        raise InvalidValue(f"{key[:64]!r} has a lone surrogate", path=ascii(key[:64])) from error
    if size + more > KEY_BYTES_MAX:
        raise TooLarge(
            f"a key of {size + more} bytes; the limit is {KEY_BYTES_MAX}",
            what="key",
            key=key[:64],
            size=size + more,
            limit=KEY_BYTES_MAX,
        )
    return size


def check_time(now_us: int) -> int:
    """The time, if it is one that every form can hold: raises InvalidValue unless it is within 1970 to 2286."""
    if type(now_us) is not int or not 0 <= now_us <= TIME_US_MAX:
        raise InvalidValue(
            f"the clock shows {shown(now_us)}, which is out of range: 0 to {TIME_US_MAX} microseconds since 1970",
            remedy="Set the clock of this host, or the one that was given to Holdfast, to the time of day.",
            path="clock",
        )
    return now_us


def check_version(if_version: int | None) -> None:
    """Refuse what cannot be a version (InvalidValue)."""
    if if_version is not None and (type(if_version) is not int or not 0 <= if_version <= VERSION_MAX):
        raise InvalidValue(
            f"if_version must be a version, or 0 for 'must not exist', not {shown(if_version)}", path="if_version"
        )


def check_limit(limit: int) -> None:
    """Refuse an answer of no or unbounded length: raises InvalidValue unless it is a whole number, 1 to PAGE_MAX."""
    if type(limit) is not int or not 1 <= limit <= PAGE_MAX:
        raise InvalidValue(f"limit must be a whole number from 1 to {PAGE_MAX}, not {shown(limit)}", path="limit")


def check_signal(scope: str, payload: bytes, traits: Traits) -> None:
    """Refuse a signal that is over the limits (TooLarge)."""
    for what, size, limit in (
        ("signal", len(payload), traits.signal_bytes_max),
        ("scope", len(scope.encode("utf-8", "replace")), KEY_BYTES_MAX),
    ):
        if size > limit:
            raise TooLarge(f"a {what} of {size} bytes; the limit is {limit}", what=what, size=size, limit=limit)


def listed(items: Iterable[T], what: str, *, most: int = PAGE_MAX) -> list[T]:
    """The items as a list. Raises InvalidValue, naming `what`, for what is no collection or has more than `most`."""
    if isinstance(items, (str, bytes)) or not isinstance(items, Iterable):
        said = f"; for one say {{{shown(items)}}}" if isinstance(items, str) else ""
        raise InvalidValue(f"{what} must be several, not {shown(items)}{said}", path=what)
    found = [*islice(items, most + 1)]  # which ends, also where they do not
    if len(found) > most:
        raise InvalidValue(f"more than {most} {what}", path=what)
    return found


def check_range(wanted: Range) -> None:
    """Refuse a range whose limit or bound is out of bounds (InvalidValue)."""
    check_limit(wanted.limit)
    check_bytes(wanted.bytes_max)


def check_bytes(bytes_max: int | None) -> None:
    """Refuse a bound that is no number of bytes, 1 or more, nor None (InvalidValue)."""
    if bytes_max is not None and (type(bytes_max) is not int or bytes_max < 1):
        raise InvalidValue(f"bytes_max must be 1 or more, not {shown(bytes_max)}", path="bytes_max")


def within(items: Iterable[S], bytes_max: int | None) -> Iterable[S]:
    """The items up to the one with which their sizes together reach the bound, that one included."""
    if bytes_max is None:
        yield from items
        return
    size = 0
    for item in items:
        yield item
        size += item.size
        if size >= bytes_max:
            return


def may_go_on(items: Sequence[Sized], limit: int, bytes_max: int | None) -> bool:
    """Whether more may follow an answer with this limit and bound: it is the end unless one of them was reached."""
    return len(items) >= limit or (bytes_max is not None and sum(item.size for item in items) >= bytes_max)
