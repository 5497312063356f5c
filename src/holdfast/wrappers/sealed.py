"""How an encrypted store keeps its bytes: every value, payload, body and cause in a sealed frame of its own.

    bytes           sealed for                                 so it does not open
    a value         space, scope, key                          under another key, in another scope or space
    one appended    space, scope, prefix                       under another prefix; its key is not known at the send
    a payload       space, scope, key or prefix, index         in another index
    a body          space, scope; its nonce is the commit's    in another scope, or without the cause it came with
    a cause         space, scope, and the same nonce           with the body of another commit
    … of a commit   space, and the same nonce                  with the body of another commit
      over several

What this leaves open to somebody who writes to the store's files: putting back what stood at that very place before,
exchanging what was appended under one prefix of one scope or whole records of one scope (until they are rewritten under
another key, which seals values for their full keys), removing, and reading what is not sealed (names, numbers, times).

The value of an index entry is a keyed hash. What is empty stays empty, but for the value of a cell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec.structs import replace

from holdfast.errors import Corrupt
from holdfast.kernel.commit import (
    Append,
    Cell,
    Commit,
    Entry,
    Found,
    Head,
    Put,
    Record,
    Rewrite,
    ScopeCommit,
    Stored,
)
from holdfast.kernel.frame import (
    AT_COMMIT,
    AT_KEY,
    AT_PREFIX,
    COMPRESSED_FROM,
    NONCE_BYTES,
    is_sealed,
    pack,
    parse_sealed,
    unpack,
)
from holdfast.kernel.limits import STAMP_BYTES, Traits
from holdfast.wrappers.framing import Compresses, compresses_body
from holdfast.wrappers.seal import Place, Seal, hashed

Entropy = Callable[[int], bytes]
"""So many random bytes, fit for keys."""


class Hashed(str):
    """The value of an index entry as it is kept, so that it is not hashed twice."""

    __slots__ = ()


class SealedFrames:
    """See `framing.Frames`."""

    def __init__(
        self, seal: Seal, index_key: bytes, traits: Traits, *, compresses: Compresses, entropy: Entropy
    ) -> None:
        self._seal = seal
        self._index_key = index_key
        self._traits = traits
        self._compresses = compresses
        self._entropy = entropy
        self._strict = seal.keys.strict

    # --- closing ----------------------------------------------------------------------------------

    def takes_as_it_is(self, commit: Commit) -> bool:
        """See `Frames.takes_as_it_is`."""
        return False

    def commit(self, commit: Commit) -> Commit:
        """See `Frames.commit`."""
        nonces = self._nonces(commit)
        own = next(nonces)  # the commit's: of its bodies, and of its cause under another key
        cause = commit.cause
        scopes = tuple([self._part(part, own, nonces, caused=bool(cause)) for part in commit.scopes])
        if cause:
            single = len(scopes) == 1
            place = Place(scopes[0].scope if single else None, "cause")
            cause = self._seal.close(
                place, pack(cause, compress=False), nonce=own, kind=AT_KEY if single else AT_COMMIT
            )
        return Commit(scopes, commit.at_us, cause, commit.id, commit.durable)

    def hash(self, index: str, value: str) -> str:
        """What stands for a value in an index."""
        return str(value) if type(value) is Hashed else hashed(self._index_key, index, value)

    def _part(self, part: ScopeCommit, own: bytes, nonces: Iterator[bytes], *, caused: bool) -> ScopeCommit:
        scope = part.scope
        puts = tuple(
            [
                Put(
                    put.key,
                    self._value(scope, put.key, put.value, AT_KEY, nonces),
                    put.expires_us,
                    self._entries(scope, put.key, put.entries, AT_KEY, nonces) if put.entries else (),
                )
                for put in part.puts
            ]
        )
        appends = tuple(
            [
                Append(
                    append.prefix,
                    self._value(scope, append.prefix, append.value, AT_PREFIX, nonces),
                    append.expires_us,
                    self._entries(scope, append.prefix, append.entries, AT_PREFIX, nonces) if append.entries else (),
                )
                for append in part.appends
            ]
        )
        body = part.body
        if body:
            packed = pack(body, compress=len(body) >= COMPRESSED_FROM and compresses_body(part, self._compresses))
            body = self._seal.close(Place(scope, "body with cause" if caused else "body"), packed, nonce=own)
        return ScopeCommit(scope, part.need, part.epoch, part.checks, puts, appends, part.deletes, body, part.drop)

    def _value(self, scope: str, key: str, value: bytes, kind: int, nonces: Iterator[bytes]) -> bytes:
        packed = pack(value, compress=len(value) >= COMPRESSED_FROM and self._compresses(key))
        return self._seal.close(Place(scope, "value", key), packed, nonce=next(nonces), kind=kind)

    def _entries(
        self, scope: str, key: str, entries: tuple[Entry, ...], kind: int, nonces: Iterator[bytes]
    ) -> tuple[Entry, ...]:
        return tuple(
            [
                Entry(
                    entry.index,
                    self.hash(entry.index, entry.value),
                    entry.order,
                    entry.payload
                    and self._seal.close(
                        _of_payload(scope, entry.index, key),
                        pack(entry.payload, compress=False),
                        nonce=next(nonces),
                        kind=kind,
                    ),
                )
                for entry in entries
            ]
        )

    def _nonces(self, commit: Commit) -> Iterator[bytes]:
        count = 1
        for part in commit.scopes:
            writes: tuple[Put | Append, ...] = part.puts + part.appends
            count += len(writes)
            for put in writes:
                count += len(put.entries)
        return self._random(count)

    def _random(self, count: int) -> Iterator[bytes]:
        drawn = self._entropy(count * NONCE_BYTES)
        return iter([drawn[at : at + NONCE_BYTES] for at in range(0, len(drawn), NONCE_BYTES)])

    # --- opening ----------------------------------------------------------------------------------

    def cell(self, scope: str, cell: Cell) -> Cell:
        """See `Frames.cell`."""
        return Cell(cell.key, self._opened_value(scope, cell), cell.version, cell.expires_us)

    def record(self, scope: str, record: Record) -> Record:
        """See `Frames.record`."""
        if not record.body and not record.cause:
            return record
        self._check_pair(scope, record)
        body, cause = record.body, record.cause
        role = Place(scope, "body with cause" if cause else "body")
        most = self._traits.commit_bytes_max
        return replace(
            record, body=self._opened(role, body, most) if body else body, cause=self._opened_cause(scope, cause)
        )

    def head(self, scope: str, head: Head) -> Head:
        """See `Frames.head`."""
        return replace(head, cause=self._opened_cause(scope, head.cause)) if head.cause else head

    def payload(self, index: str, found: Found) -> Found:
        """See `Frames.payload`."""
        return replace(found, payload=self._opened_payload(found.scope, found.key, index, found.payload))

    def stored(self, scope: str, stored: Stored) -> Stored:
        """See `Frames.stored`."""
        cell = stored.cell
        entries = tuple(
            Entry(
                entry.index,
                Hashed(entry.value) if is_sealed(cell.value) else entry.value,
                entry.order,
                entry.payload and self._opened_payload(scope, cell.key, entry.index, entry.payload),
            )
            for entry in stored.entries
        )
        return Stored(self.cell(scope, cell), entries)

    def _opened_value(self, scope: str, cell: Cell) -> bytes:
        return self._opened(self._place_of(scope, cell), cell.value, self._traits.value_bytes_max)

    def _place_of(self, scope: str, cell: Cell) -> Place:
        """What the value of a cell was sealed for."""
        is_of_prefix = cell.value[:1] == bytes((AT_PREFIX,))
        return Place(scope, "value", cell.key[:-STAMP_BYTES] if is_of_prefix else cell.key)

    def _check_pair(self, scope: str, record: Record) -> None:
        body, cause = record.body, record.cause
        if is_sealed(body) and is_sealed(cause) and parse_sealed(body).nonce != parse_sealed(cause).nonce:
            raise Corrupt(f"body and cause of record {record.seq} of {scope} are of two commits", scope=scope)

    def _opened_payload(self, scope: str, key: str, index: str, kept: bytes) -> bytes:
        if kept[0] == AT_PREFIX:
            key = key[:-STAMP_BYTES]
        return self._opened(_of_payload(scope, index, key), kept, self._traits.payload_bytes_max)

    def _opened_cause(self, scope: str, kept: bytes) -> bytes:
        if not kept:
            return kept
        place = Place(None if kept[0] == AT_COMMIT else scope, "cause")
        return self._opened(place, kept, self._traits.commit_bytes_max)

    def _opened(self, place: Place, kept: bytes, most: int) -> bytes:
        return unpack(self._packed(place, kept), bytes_max=most)

    def _packed(self, place: Place, kept: bytes) -> bytes:
        """What was sealed, compressed or not; or what is kept, where that is not sealed and the ring is not strict."""
        if is_sealed(kept):
            return self._seal.open(place, kept)
        if self._strict:
            raise Corrupt(
                f"the {place.role} of {place.name!r} in {place.scope} is not encrypted, which a strict ring refuses",
                remedy="Somebody wrote to the store without its keys. Find out who; to read it all the same and "
                "encrypt it, open the store with KeyRing(…, strict=False) and run `hold.rekey()`.",
                scope=place.scope,
                key=place.name,
            )
        return kept

    # --- other bytes in place ---------------------------------------------------------------------

    def rewrite(self, scope: str, kept: Cell, rewrite: Rewrite) -> Rewrite:
        """See `Frames.rewrite`. Sealed for the full key, also what was appended."""
        nonces = self._random(1 + len(rewrite.entries))
        value = self._value(scope, kept.key, rewrite.value, AT_KEY, nonces)
        entries = self._entries(scope, kept.key, rewrite.entries, AT_KEY, nonces)
        return Rewrite(replace(kept, version=rewrite.was.version), value, entries)

    def rewritten_record(self, scope: str, record: Record) -> Record:
        """See `Frames.rewritten_record`. Its cause is sealed for this one scope, also that of a commit over several."""
        return self._closed_record(scope, record, pack(record.body, compress=False), pack(record.cause, compress=False))

    def renewed(self, scope: str, stored: Stored) -> Rewrite | None:
        """The cell under the active key, compressed or not as it was; None if it is kept so already."""
        cell = stored.cell
        if self._is_current(cell.value):
            return None
        is_hashed = is_sealed(cell.value)
        nonces = self._random(1 + len(stored.entries))
        value = self._seal.close(
            Place(scope, "value", cell.key), self._packed(self._place_of(scope, cell), cell.value), nonce=next(nonces)
        )
        entries = tuple(
            replace(
                entry,
                value=Hashed(entry.value) if is_hashed else entry.value,
                payload=entry.payload and self._opened_payload(scope, cell.key, entry.index, entry.payload),
            )
            for entry in stored.entries
        )
        return Rewrite(cell, value, self._entries(scope, cell.key, entries, AT_KEY, nonces))

    def renewed_record(self, scope: str, record: Record) -> Record | None:
        """The record under the active key, compressed or not as it was; None if it is kept so already."""
        body, cause = record.body, record.cause
        if (not body or self._is_current(body)) and (not cause or self._is_current(cause)):
            return None
        self._check_pair(scope, record)
        if body:
            body = self._packed(Place(scope, "body with cause" if cause else "body"), body)
        if cause:
            cause = self._packed(Place(None if cause[0] == AT_COMMIT else scope, "cause"), cause)
        return self._closed_record(scope, record, body, cause)

    def _closed_record(self, scope: str, record: Record, body: bytes, cause: bytes) -> Record:
        own = next(self._random(1))
        if body:
            body = self._seal.close(Place(scope, "body with cause" if cause else "body"), body, nonce=own)
        if cause:
            cause = self._seal.close(Place(scope, "cause"), cause, nonce=own)
        return replace(record, body=body, cause=cause)

    def _is_current(self, kept: bytes) -> bool:
        """Whether these bytes are sealed under the active key."""
        return is_sealed(kept) and parse_sealed(kept).key_id == self._seal.keys.active


def _of_payload(scope: str, index: str, key: str) -> Place:
    return Place(scope, "payload", f"{len(index)}:{index}{key}")
