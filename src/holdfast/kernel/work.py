"""The unit of work: what one operation, transaction or turn reads and wants to write, until it commits as one.

Writes are staged; reads see them (an overlay) and are remembered. At the commit every read becomes a condition, so
that what commits is as if it had run alone at that moment, phantoms included: serialisable. Blind writes make
no condition, so writes to different keys, and appends, never conflict.

    read                            condition
    a cell found at version v       Unchanged(key, v)
    a cell not found                Absent(key)
    a range under a prefix          Untouched(prefix, seq of the scope then), and Unchanged for cells that can expire
    the head                        HeadAt(seq)

A unit belongs to one task at a time and is used up by its commit. A read that meets Unavailable is asked again, as the
writer sends a commit again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from holdfast import errors
from holdfast.errors import AlreadyExists, Closed, InvalidValue, NotFound, TooLarge, Unavailable, Unsupported, shown
from holdfast.kernel.commit import (
    SEQ_DIGITS,
    Absent,
    Append,
    Cell,
    Check,
    Commit,
    Committed,
    Conflict,
    Entry,
    Found,
    Head,
    HeadAt,
    Need,
    Put,
    Range,
    Read,
    Record,
    Unchanged,
    View,
)
from holdfast.kernel.contract import Kernel
from holdfast.kernel.cursor import STAGED
from holdfast.kernel.keys import KEY_BYTES_MAX, bucket
from holdfast.kernel.limits import PAGE_MAX, Traits, check_commit, check_limit, may_go_on
from holdfast.kernel.line import line
from holdfast.kernel.part import Part
from holdfast.kernel.writer import Writer

T = TypeVar("T")

VERSION_MAX: int = 10**SEQ_DIGITS - 1
"""The greatest version there can be."""


class Work:
    """One unit of work on one kernel."""

    __slots__ = ("_bytes", "_kernel", "_limits", "_open", "_operations", "_parts", "_writer", "cause", "now_us")

    def __init__(self, writer: Writer, *, now_us: int, limits: Traits, cause: bytes = b"") -> None:
        self.now_us = now_us
        self.cause = cause
        self._writer = writer
        self._kernel: Kernel = writer.kernel
        self._limits = limits
        self._parts: dict[str, Part] = {}
        self._open = True
        # What was ever staged, at most. Only a unit that may be over its limits is weighed exactly: the kernel judges
        # every commit anyway.
        self._operations = 0
        self._bytes = 0

    # --- scopes -----------------------------------------------------------------------------------

    def part(self, scope: str, *, need: Need | None = None, epoch: int | None = None) -> Part:
        """The unit's part for one scope, made at the first touch.

        Raises Closed when the unit is used up, Unsupported when the backend cannot span it together with the
        scopes touched before, NotFound for a scope that this unit drops, AlreadyExists for one that is to be made and
        was already written here.
        """
        if not self._open:
            raise Closed("this transaction has ended")
        part = self._parts.get(scope)
        if part is None:
            if self._parts:
                self._check_span(scope)
            part = self._parts[scope] = Part(scope)
            if need is not None:
                part.need = need
        else:
            _check_again(part, need)
        if epoch is not None and part.epoch is None:
            part.epoch = epoch
        return part

    @property
    def touched(self) -> Iterable[str]:
        """The scopes touched so far."""
        return self._parts.keys()

    def _check_span(self, scope: str) -> None:
        if self._limits.span == "bucket":
            first = next(iter(self._parts))
            if bucket(first) != bucket(scope):
                raise Unsupported(
                    f"this backend cannot commit {first} and {scope} together: it spans one bucket only",
                    scopes=[first, scope],
                )

    # --- reading ----------------------------------------------------------------------------------

    async def get(self, scope: str, key: str) -> Cell | None:
        """One cell, with the unit's own writes seen; None if there is none."""
        return (await self.get_many(scope, (key,))).get(key)

    async def get_many(self, scope: str, keys: Sequence[str]) -> dict[str, Cell]:
        """Several cells of one scope in one cut; absent ones are missing from the answer."""
        part = self.part(scope)
        staged = part.staged(keys)
        unknown = tuple([key for key in keys if key not in staged and key not in part.found])
        if unknown or part.head is None:
            view = (await self.peek((Read(scope, unknown),)))[0]
            part.see(view.head)
            for key in unknown:
                part.found.setdefault(key, view.cells.get(key))
        result: dict[str, Cell] = {}
        for key in keys:
            cell = staged[key] if key in staged else part.found[key]
            if cell is not None:
                result[key] = cell
        return result

    async def range(self, scope: str, wanted: Range) -> tuple[Cell, ...]:
        """A range of one scope, with the unit's own puts, deletes and appends seen.

        A staged append has a provisional key (after every stamped one) and version 0, like every staged put.
        """
        return (await self._range(scope, wanted))[0]

    async def page(self, scope: str, wanted: Range) -> tuple[tuple[Cell, ...], bool]:
        """The same with `Range.bytes_max` kept, and whether more may follow: what is short of the limit need not be
        the end."""
        cells, _, goes_on = await self._range(scope, wanted)
        return cells, goes_on

    async def all(self, scope: str, prefix: str) -> list[Cell]:
        """Every cell under a prefix, in key order: one cut, however many pages it takes.

        Raises Conflict if the scope kept changing between the pages.
        """
        cells: list[Cell] = []
        first: Head | None = None
        after: str | None = None
        while True:
            page, head, _ = await self._range(scope, Range(prefix, PAGE_MAX, after))
            if first is not None and head != first:
                raise errors.Conflict(f"{scope} changed while it was read", scope=scope, what="headat", found=head)
            cells += page
            if len(page) < PAGE_MAX:
                return cells
            first, after = head, page[-1].key

    async def _range(self, scope: str, wanted: Range) -> tuple[tuple[Cell, ...], Head, bool]:
        check_limit(wanted.limit)
        part = self.part(scope)
        hidden = part.hidden_in(wanted.prefix)
        limit = min(wanted.limit + hidden, PAGE_MAX)
        after = _real(wanted)
        kept: list[Cell] = []
        while True:
            ask = Range(wanted.prefix, limit, after, wanted.reverse, wanted.bytes_max)
            view = (await self.peek((Read(scope, (), (ask,)),)))[0]
            part.see(view.head)
            part.ranges.setdefault(wanted.prefix, view.head.seq)
            cells = view.ranges[0]
            for cell in cells:
                if cell.expires_us is not None:
                    part.found.setdefault(cell.key, cell)
            kept += [cell for cell in cells if cell.key not in part.puts and cell.key not in part.deletes]
            goes_on = may_go_on(cells, limit, wanted.bytes_max)
            if not goes_on or len(kept) >= wanted.limit or (kept and wanted.bytes_max is not None):
                break
            after = cells[-1].key  # so much of the page was hidden that it was not enough
        staged = part.staged_in(wanted)
        if staged and goes_on:
            # More may follow in the store: what is staged beyond the last one read belongs to a later page.
            last = cells[-1].key
            staged = [cell for cell in staged if (cell.key > last if wanted.reverse else cell.key < last)]
        if staged:
            kept = sorted(kept + staged, key=lambda cell: cell.key, reverse=wanted.reverse)
        return tuple(kept[: wanted.limit]), view.head, goes_on or len(kept) > wanted.limit

    async def head(self, scope: str, *, tracked: bool = True) -> Head:
        """The head of one scope; when tracked, the commit fails if anything at all is written to the scope before."""
        part = self.part(scope)
        if part.head is None:
            part.see((await self.peek((Read(scope),)))[0].head)
        head = part.head
        assert head is not None
        if tracked and not any(isinstance(check, HeadAt) for check in part.checks):
            part.checks.append(HeadAt(head.seq))
        return head

    async def peek(self, reads: Sequence[Read]) -> list[View]:
        """Read without seeing the unit's own writes and without making conditions."""
        try:
            return await self._kernel.read(reads, now_us=self.now_us)
        except Unavailable:
            return await self._writer.again(lambda: self._kernel.read(reads, now_us=self.now_us))

    async def find(
        self,
        index: str,
        value: str,
        *,
        lo: str | None = None,
        hi: str | None = None,
        after: tuple[str, str, str] | None = None,
        limit: int = 100,
        reverse: bool = False,
    ) -> tuple[Found, ...]:
        """Index entries as the store has them now; see `Kernel.find`. Makes no condition."""
        return await self._ask(
            lambda: self._kernel.find(
                index, value, now_us=self.now_us, lo=lo, hi=hi, after=after, limit=limit, reverse=reverse
            )
        )

    async def log(
        self, scope: str, *, after: int = 0, limit: int = 1000, reverse: bool = False, bytes_max: int | None = None
    ) -> tuple[Record, ...]:
        """Log records as the store has them now; see `Kernel.log`. Makes no condition."""
        return await self._ask(
            lambda: self._kernel.log(scope, after=after, limit=limit, reverse=reverse, bytes_max=bytes_max)
        )

    async def _ask(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            return await call()
        except Unavailable:
            return await self._writer.again(call)

    # --- writing ----------------------------------------------------------------------------------

    def put(
        self,
        scope: str,
        key: str,
        value: bytes,
        *,
        expires_us: int | None = None,
        entries: tuple[Entry, ...] = (),
    ) -> None:
        """Stage one cell. Raises TooLarge at once if the value is over the limit."""
        part = self._staging(scope, len(value), entries)
        if len(value) > self._limits.value_bytes_max:
            self._refuse(key, value)
        if part.deletes:
            part.deletes.pop(key, None)
        part.puts[key] = Put(key, value, expires_us, entries)

    def append(
        self,
        scope: str,
        prefix: str,
        value: bytes,
        *,
        expires_us: int | None = None,
        entries: tuple[Entry, ...] = (),
    ) -> None:
        """Stage one stamped cell. Raises TooLarge at once if the value is over the limit."""
        part = self._staging(scope, len(value), entries)
        if len(value) > self._limits.value_bytes_max:
            self._refuse(prefix, value)
        part.appends.append(Append(prefix, value, expires_us, entries))

    def delete(self, scope: str, key: str) -> None:
        """Stage the removal of one cell, there or not."""
        part = self._staging(scope)
        part.puts.pop(key, None)
        part.deletes[key] = None

    def drop(self, scope: str) -> None:
        """Stage the end of a scope: what else was staged for it is forgotten, but not its conditions.

        One that this very unit was to make is as if it had never been touched.
        """
        part = self._staging(scope)
        if part.need == "must_not_exist":
            del self._parts[scope]
            return
        part.drop = True
        part.puts.clear()
        part.appends.clear()
        part.deletes.clear()
        part.lines.clear()

    def require(self, scope: str, check: Check) -> None:
        """Add a condition that no read implies."""
        self.part(scope).checks.append(check)

    def require_version(self, scope: str, key: str, if_version: int | None) -> None:
        """Let the commit fail if the cell was written after `if_version` (0: if it exists). None asks for nothing.

        Raises InvalidValue for what cannot be a version.
        """
        if if_version is None:
            return
        if type(if_version) is not int or not 0 <= if_version <= VERSION_MAX:
            raise InvalidValue(
                f"if_version must be a version, or 0 for 'must not exist', not {shown(if_version)}", path="if_version"
            )
        self.require(scope, Unchanged(key, if_version) if if_version else Absent(key))

    def note(
        self, scope: str, kind: str, op: str, key: str | None = None, value: bytes | None = None, namespace: str = ""
    ) -> None:
        """Add one line to the body of the scope's log record: what followers of the stream will see."""
        part = self._parts.get(scope)
        if part is not None:
            self._bytes += 3 * KEY_BYTES_MAX + (0 if value is None else len(value))
            part.lines.append(line(kind, op, key, value, namespace))

    def _staging(self, scope: str, value_bytes: int = 0, entries: tuple[Entry, ...] = ()) -> Part:
        """The part of a scope that gets one more operation."""
        self._operations += 1
        self._bytes += value_bytes + KEY_BYTES_MAX + 4 * KEY_BYTES_MAX * len(entries)
        part = self._parts.get(scope)
        return part if part is not None and self._open and not part.drop else self.part(scope)

    def _refuse(self, key: str, value: bytes) -> None:
        limit = self._limits.value_bytes_max
        raise TooLarge(
            f"the value of {key!r} has {len(value)} bytes; the limit is {limit}",
            what="value",
            key=key,
            size=len(value),
            limit=limit,
        )

    # --- the end ----------------------------------------------------------------------------------

    def commit(self) -> Awaitable[Committed | Conflict]:
        """Send everything as one commit; the unit is used up, whatever comes of it.

        A unit that only read is checked too: it commits if all it saw was true together. One that touched nothing
        commits without asking the store.
        """
        if not self._open:
            raise Closed("this transaction has ended")
        self._open = False
        if not self._parts:
            return _nothing()
        commit = Commit(tuple([part.to_commit() for part in self._parts.values()]), self.now_us, self.cause)
        if self._operations > self._limits.operations_max or self._bytes > self._limits.commit_bytes_max:
            check_commit(commit, self._limits)
        return self._writer.commit(commit)

    def discard(self) -> None:
        """End the unit without a commit."""
        self._open = False


async def _nothing() -> Committed:
    return Committed({})


def _check_again(part: Part, need: Need | None) -> None:
    """What a further touch of a scope asks for beside the earlier ones."""
    if part.drop:
        raise NotFound(f"{part.scope} was deleted in this transaction", scope=part.scope)
    if need == "must_not_exist":
        if part.writes or (part.head is not None and part.head.live):
            raise AlreadyExists(f"{part.scope} exists already", scope=part.scope)
        part.need = need
    elif need == "must_exist" and part.need == "create":
        part.need = need  # never weaker than what an earlier touch asked for


def _real(wanted: Range) -> str | None:
    """Where the store has to start: a provisional key lies beyond all stored ones of its prefix."""
    after = wanted.after
    if after is not None and after.startswith(wanted.prefix + STAGED):
        return None if wanted.reverse else after
    return after
