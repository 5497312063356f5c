"""A kernel whose kept bytes are frames: what is long is compressed on its way in, and comes out as it was.

How bytes are kept is decided by `Frames`, one commit, cell, record or head at a time; this kernel only knows where
bytes are. `Plain` compresses and nothing more; for encryption see `sealing`.

Limits are judged on what the caller gave, and declared lower than those inside by what a frame adds, so that what is
within them fits when it is framed. A bound of an answer holds for what was given too: inside it is asked for so much
more as frames may add.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec.structs import replace

from holdfast.errors import HoldfastError, WrongKey
from holdfast.kernel import frame
from holdfast.kernel.commit import (
    Append,
    Cell,
    Commit,
    Conflict,
    Found,
    Head,
    Outcome,
    Put,
    Read,
    Record,
    Rewrite,
    ScopeCommit,
    Stored,
    View,
)
from holdfast.kernel.contract import Kernel
from holdfast.kernel.keys import KEY_BYTES_MAX
from holdfast.kernel.limits import (
    Traits,
    check_bytes,
    check_commit,
    check_limit,
    check_range,
    check_rewrites,
    within,
)
from holdfast.model.keyring import Rekeyed
from holdfast.wrappers.around import Around

PAGE = 200

FRAMES_ADD = 2 * frame.SEALED_BYTES_MAX
"""What the frames of one cell or record add at most to its size."""

FEW = 16
"""So many values, each too short to be compressed, are within the limits of nearly every kernel."""

FEW_ENTRIES = 8
"""So many index entries with them are so too."""

Compresses = Callable[[str], bool]
"""Whether the value under a key may be compressed."""


def everything(_key: str) -> bool:
    """Every value may be compressed."""
    return True


class Frames(Protocol):
    """How bytes are kept."""

    def takes_as_it_is(self, commit: Commit) -> bool:
        """Whether the commit is kept just as it was given, and surely within the limits if it is inside."""
        ...

    def commit(self, commit: Commit) -> Commit:
        """The commit with its bytes as they are kept."""
        ...

    def cell(self, scope: str, cell: Cell) -> Cell:
        """The cell with its value as it was given."""
        ...

    def record(self, scope: str, record: Record) -> Record:
        """The record with body and cause as they were given."""
        ...

    def head(self, scope: str, head: Head) -> Head:
        """The head with its cause as it was given."""
        ...

    def payload(self, index: str, found: Found) -> Found:
        """The entry with its payload as it was given."""
        ...

    def stored(self, scope: str, stored: Stored) -> Stored:
        """The cell and its entries as they were given, as far as that can be told."""
        ...

    def rewrite(self, scope: str, kept: Cell, rewrite: Rewrite) -> Rewrite:
        """Other bytes for a cell that is kept so."""
        ...

    def rewritten_record(self, scope: str, record: Record) -> Record:
        """Other bytes for a record."""
        ...


class Framing(Around):
    """The kernel inside, its bytes kept as `frames` has it."""

    encrypts = False
    """Whether what is kept is encrypted."""

    def __init__(self, inside: Kernel, frames: Frames | None = None, *, compresses: Compresses = everything) -> None:
        super().__init__(inside)
        self.traits = lowered(inside.traits, by=1, each=1)
        self.frames: Frames = Plain(self.traits, compresses) if frames is None else frames

    async def read(self, reads: Sequence[Read], *, now_us: int) -> list[View]:
        """See `Kernel.read`."""
        views = await self.inside.read([_wider(read) for read in reads], now_us=now_us)
        return [self._view(read, view) for read, view in zip(reads, views, strict=True)]

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """See `Kernel.commit`."""
        refusals: dict[int, HoldfastError] = {}
        sent: list[Commit] = []
        for place, commit in enumerate(commits):
            if self.frames.takes_as_it_is(commit):
                sent.append(commit)
                continue
            try:
                check_commit(commit, self.traits)
            except HoldfastError as refusal:
                refusals[place] = refusal
            else:
                sent.append(self.frames.commit(commit))
        answers = map(self._outcome, await self.inside.commit(sent))
        if not refusals:
            return list(answers)
        return [refusals[place] if place in refusals else next(answers) for place in range(len(commits))]

    async def log(
        self, scope: str, *, after: int = 0, limit: int = 1000, reverse: bool = False, bytes_max: int | None = None
    ) -> tuple[Record, ...]:
        """See `Kernel.log`."""
        check_limit(limit)
        check_bytes(bytes_max)
        most = _more(bytes_max, limit)
        records = await super().log(scope, after=after, limit=limit, reverse=reverse, bytes_max=most)
        return tuple(within((self.frames.record(scope, record) for record in records), bytes_max))

    async def find(
        self,
        index: str,
        value: str,
        *,
        now_us: int,
        lo: str | None = None,
        hi: str | None = None,
        after: tuple[str, str, str] | None = None,
        limit: int = 1000,
        reverse: bool = False,
    ) -> tuple[Found, ...]:
        """See `Kernel.find`."""
        found = await super().find(index, value, now_us=now_us, lo=lo, hi=hi, after=after, limit=limit, reverse=reverse)
        return tuple([self.frames.payload(index, one) if one.payload else one for one in found])

    async def stored(
        self, scope: str, *, after: str | None = None, limit: int = 1000, bytes_max: int | None = None
    ) -> tuple[Stored, ...]:
        """See `Kernel.stored`. The value of an entry is shown as it is kept; `rewrite` knows it again."""
        check_limit(limit)
        check_bytes(bytes_max)
        stored = await super().stored(scope, after=after, limit=limit, bytes_max=_more(bytes_max, limit))
        return tuple(within((self.frames.stored(scope, one) for one in stored), bytes_max))

    async def rewrite(self, scope: str, *, cells: Sequence[Rewrite] = (), records: Sequence[Record] = ()) -> int:
        """See `Kernel.rewrite`."""
        check_rewrites(cells, self.traits)
        kept = await self._kept(scope) if cells else {}
        inside = [
            self.frames.rewrite(scope, kept[one.was.key], one)
            for one in cells
            if (cell := kept.get(one.was.key)) is not None and self.frames.cell(scope, cell).value == one.was.value
        ]
        framed = [self.frames.rewritten_record(scope, record) for record in records]
        return await super().rewrite(scope, cells=inside, records=framed)

    async def rekey(self, progress: Callable[[Rekeyed], None] | None = None) -> Rekeyed:
        """Encrypt everything under the active key. Raises WrongKey: here are none."""
        raise WrongKey(
            "the store was opened without keys, so there is nothing to encrypt it with",
            remedy="Open it with keys=KeyRing(…, strict=False) and run `hold.rekey()`, or set HOLDFAST_KEYS to "
            "id=BASE64 and run `holdfast rekey --from-plain`.",
            key_ids=[],
        )

    async def _kept(self, scope: str) -> dict[str, Cell]:
        """Every cell of the scope, as it is kept."""
        kept: dict[str, Cell] = {}
        after: str | None = None
        while page := await super().stored(scope, after=after, limit=PAGE):
            kept.update({one.cell.key: one.cell for one in page})
            after = page[-1].cell.key
        return kept

    def _view(self, read: Read, view: View) -> View:
        scope, opened = view.scope, self.frames.cell
        cells = {key: opened(scope, cell) for key, cell in view.cells.items()}
        if not view.ranges:
            return View(scope, self.frames.head(scope, view.head), cells)
        ranges = tuple(
            [
                tuple(within((opened(scope, cell) for cell in found), wanted.bytes_max))
                for wanted, found in zip(read.ranges, view.ranges, strict=True)
            ]
        )
        return View(scope, self.frames.head(scope, view.head), cells, ranges)

    def _outcome(self, outcome: Outcome) -> Outcome:
        if not isinstance(outcome, Conflict):
            return outcome
        scope, found = outcome.scope, outcome.found
        head = self.frames.head(scope, outcome.head)
        if isinstance(found, Cell):
            found = self.frames.cell(scope, found)
        elif found is not None:
            found = head
        return replace(outcome, found=found, head=head)


class Plain:
    """Compressed where that pays, and nothing more."""

    def __init__(self, traits: Traits, compresses: Compresses) -> None:
        self._traits = traits
        self._compresses = compresses
        self._few = FEW if _has_room(traits) else 0

    def takes_as_it_is(self, commit: Commit) -> bool:
        """See `Frames.takes_as_it_is`: a few short values, which is nearly every commit."""
        if len(commit.scopes) > 1 or not _is_short(commit.cause):
            return False
        for part in commit.scopes:
            puts, appends = part.puts, part.appends
            if len(puts) + len(appends) + len(part.deletes) > self._few or not _is_short(part.body):
                return False
            written: tuple[Put | Append, ...] = (*puts, *appends)
            entries = 0
            for put in written:
                value = put.value
                if len(value) >= frame.COMPRESSED_FROM or (value and value[0] < frame.FIRST_OF_PLAIN):
                    return False
                entries += len(put.entries)
            if entries > FEW_ENTRIES:
                return False
        return True

    def commit(self, commit: Commit) -> Commit:
        """See `Frames.commit`."""
        scopes = tuple([self._part(part) for part in commit.scopes])
        return Commit(scopes, commit.at_us, frame.pack(commit.cause, compress=False), commit.id, commit.durable)

    def _part(self, part: ScopeCommit) -> ScopeCommit:
        puts: tuple[Put, ...] = tuple([replace(put, value=self._packed(put.key, put.value)) for put in part.puts])
        appends: tuple[Append, ...] = tuple(
            [replace(append, value=self._packed(append.prefix, append.value)) for append in part.appends]
        )
        body = frame.pack(part.body, compress=compresses_body(part, self._compresses))
        return replace(part, puts=puts, appends=appends, body=body)

    def _packed(self, key: str, value: bytes) -> bytes:
        return frame.pack(value, compress=self._compresses(key))

    def cell(self, scope: str, cell: Cell) -> Cell:
        """See `Frames.cell`."""
        value = cell.value
        if not value or value[0] >= frame.FIRST_OF_PLAIN:
            return cell
        return replace(cell, value=self._unpacked(value, self._traits.value_bytes_max))

    def record(self, scope: str, record: Record) -> Record:
        """See `Frames.record`."""
        body, cause, most = record.body, record.cause, self._traits.commit_bytes_max
        if (not body or body[0] >= frame.FIRST_OF_PLAIN) and (not cause or cause[0] >= frame.FIRST_OF_PLAIN):
            return record
        return replace(record, body=self._unpacked(body, most), cause=self._unpacked(cause, most))

    def head(self, scope: str, head: Head) -> Head:
        """See `Frames.head`."""
        cause = head.cause
        if not cause or cause[0] >= frame.FIRST_OF_PLAIN:
            return head
        return replace(head, cause=self._unpacked(cause, self._traits.commit_bytes_max))

    def payload(self, index: str, found: Found) -> Found:
        """See `Frames.payload`: never framed."""
        return found

    def stored(self, scope: str, stored: Stored) -> Stored:
        """See `Frames.stored`."""
        return Stored(self.cell(scope, stored.cell), stored.entries)

    def rewrite(self, scope: str, kept: Cell, rewrite: Rewrite) -> Rewrite:
        """See `Frames.rewrite`."""
        return Rewrite(
            replace(kept, version=rewrite.was.version), self._packed(kept.key, rewrite.value), rewrite.entries
        )

    def rewritten_record(self, scope: str, record: Record) -> Record:
        """See `Frames.rewritten_record`."""
        body, cause = frame.pack(record.body, compress=False), frame.pack(record.cause, compress=False)
        return replace(record, body=body, cause=cause)

    def _unpacked(self, kept: bytes, most: int) -> bytes:
        if frame.is_sealed(kept):
            raise locked((frame.parse_sealed(kept).key_id,))
        return frame.unpack(kept, bytes_max=most)


def locked(ids: Sequence[str]) -> WrongKey:
    """What a store that is encrypted says to who has no keys."""
    return WrongKey(
        f"the store is encrypted, by the key {' and the key '.join(ids)}; it was opened without keys", key_ids=[*ids]
    )


def compresses_body(part: ScopeCommit, compresses: Compresses) -> bool:
    """Whether the body of a record may be compressed: it holds the values of this part."""
    return all(map(compresses, [put.key for put in part.puts])) and all(
        map(compresses, [append.prefix for append in part.appends])
    )


def lowered(traits: Traits, *, by: int, each: int) -> Traits:
    """The traits of what frames by adding up to `by` bytes to a value, and `each` to a write of a commit altogether."""
    commit_bytes = traits.commit_bytes_max - each * min(traits.operations_max, traits.commit_bytes_max // (4 * each))
    return replace(traits, value_bytes_max=traits.value_bytes_max - by, commit_bytes_max=commit_bytes - 2 * by)


def all_but(off: frozenset[str]) -> Compresses:
    """Compress what is not in one of these areas of a scope: state, runtime…"""
    return (lambda key: key.partition("/")[0] not in off) if off else everything


def _more(bytes_max: int | None, limit: int) -> int | None:
    """A bound for frames, by which the bound for what is in them is surely reached."""
    return None if bytes_max is None else bytes_max + FRAMES_ADD * limit


def _wider(read: Read) -> Read:
    """The same with the bounds of its ranges as `_more` has them."""
    if not read.ranges or all(wanted.bytes_max is None for wanted in read.ranges):
        return read
    for wanted in read.ranges:
        check_range(wanted)
    ranges = [replace(wanted, bytes_max=_more(wanted.bytes_max, wanted.limit)) for wanted in read.ranges]
    return replace(read, ranges=tuple(ranges))


def _is_short(raw: bytes) -> bool:
    return len(raw) < frame.COMPRESSED_FROM and (not raw or raw[0] >= frame.FIRST_OF_PLAIN)


def _has_room(traits: Traits) -> bool:
    """Whether `FEW` short values and `FEW_ENTRIES`, with as long a body and cause, are surely within these limits."""
    return (
        traits.value_bytes_max >= frame.COMPRESSED_FROM
        and traits.operations_max >= FEW
        and traits.commit_bytes_max >= (FEW + 2) * frame.COMPRESSED_FROM + (FEW + 4 * FEW_ENTRIES) * KEY_BYTES_MAX
    )
