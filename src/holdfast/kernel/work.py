"""The unit of work: what one operation, transaction or turn reads and wants to write, until it commits as one.

Writes are staged; reads see them (an overlay) and are remembered. At the commit every read becomes a condition, so
that what commits is as if it had run alone at that moment, phantoms included: serialisable. Blind writes make
no condition, so writes to different keys, and appends, never conflict.

    read                            condition
    a cell found at version v       Unchanged(key, v)
    a cell not found                Absent(key)
    a range under a prefix          Untouched(prefix, seq of the scope then), and Unchanged for cells that can expire
    the head                        HeadAt(seq)

A unit belongs to one task at a time and is used up by its commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Raw, Struct, json

from holdfast.errors import Closed, TooLarge, Unsupported
from holdfast.kernel.commit import (
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
    ScopeCommit,
    Unchanged,
    Untouched,
    View,
)
from holdfast.kernel.contract import Kernel
from holdfast.kernel.keys import bucket
from holdfast.kernel.limits import PAGE_MAX, Traits, check_commit
from holdfast.kernel.writer import Writer

STAGED = "~"
"""A staged append's provisional key is prefix + this + its ordinal, which sorts after every stamp."""


_NULL = Raw(b"null")


class Line(Struct, frozen=True, array_like=True, gc=False):
    """One change as the body of a log record keeps it: [kind, op, key, value, namespace]."""

    kind: str
    op: str
    key: str | None = None
    value: Raw = _NULL
    namespace: str = ""


_lines_decoder = json.Decoder(list[Line])
_encode = json.Encoder().encode


def encode_lines(lines: list[Line]) -> bytes:
    """The body of a log record."""
    return _encode(lines) if lines else b""


def decode_lines(body: bytes) -> list[Line]:
    """The changes in the body of a log record."""
    return _lines_decoder.decode(body) if body else []


class Part:
    """What a unit knows of, and wants from, one scope."""

    __slots__ = (
        "appends", "checks", "deletes", "drop", "epoch", "found", "head", "lines", "need", "puts", "ranges", "scope",
    )  # fmt: skip

    def __init__(self, scope: str) -> None:
        self.scope = scope
        self.need: Need = "must_exist"
        self.epoch: int | None = None
        self.head: Head | None = None  # as first read
        self.found: dict[str, Cell | None] = {}
        self.ranges: dict[str, int] = {}
        self.checks: list[Check] = []
        self.puts: dict[str, Put] = {}
        self.appends: list[Append] = []
        self.deletes: dict[str, None] = {}
        self.lines: list[Line] = []
        self.drop = False

    def to_commit(self) -> ScopeCommit:
        """The part as the kernel takes it."""
        checks = self.checks
        if self.found or self.ranges:
            checks = checks + [
                Absent(key) if cell is None else Unchanged(key, cell.version) for key, cell in self.found.items()
            ]
            checks += [Untouched(prefix, since) for prefix, since in self.ranges.items()]
        return ScopeCommit(
            self.scope,
            self.need,
            self.epoch,
            tuple(checks),
            tuple(self.puts.values()),
            tuple(self.appends),
            tuple(self.deletes),
            encode_lines(self.lines),
            self.drop,
        )


class Work:
    """One unit of work on one kernel."""

    __slots__ = ("_kernel", "_limits", "_open", "_parts", "_writer", "cause", "now_us", "span")

    def __init__(self, writer: Writer, *, now_us: int, limits: Traits, cause: bytes = b"") -> None:
        self.now_us = now_us
        self.cause = cause
        self._writer = writer
        self._kernel: Kernel = writer.kernel
        self._limits = limits
        self._parts: dict[str, Part] = {}
        self._open = True

    # --- scopes -----------------------------------------------------------------------------------

    def part(self, scope: str, *, need: Need | None = None, epoch: int | None = None) -> Part:
        """The unit's part for one scope, made at the first touch.

        Raises Closed when the unit is used up, Unsupported when the backend cannot span it together with the
        scopes touched before.
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
        elif need is not None and part.need == "create":
            part.need = need  # never weaker than what an earlier touch asked for
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

    async def get_many(self, scope: str, keys: Iterable[str]) -> dict[str, Cell]:
        """Several cells of one scope in one cut; absent ones are missing from the answer."""
        part = self.part(scope)
        staged = self._staged(part, keys)
        unknown = tuple(key for key in keys if key not in staged and key not in part.found)
        if unknown or part.head is None:
            view = (await self._kernel.read([Read(scope, unknown)], now_us=self.now_us))[0]
            self._see(part, view.head)
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
        part = self.part(scope)
        hidden = sum(key.startswith(wanted.prefix) for key in part.deletes)
        hidden += sum(key.startswith(wanted.prefix) for key in part.puts)
        limit = min(wanted.limit + hidden, PAGE_MAX)
        ask = Range(wanted.prefix, limit, _real(wanted), wanted.reverse)
        view = (await self._kernel.read([Read(scope, (), (ask,))], now_us=self.now_us))[0]
        self._see(part, view.head)
        part.ranges.setdefault(wanted.prefix, view.head.seq)
        cells = view.ranges[0]
        for cell in cells:
            if cell.expires_us is not None:
                part.found.setdefault(cell.key, cell)
        staged = self._staged_in(part, wanted)
        if not staged and not hidden:
            return cells[: wanted.limit]
        kept = [cell for cell in cells if cell.key not in part.puts and cell.key not in part.deletes]
        if len(cells) == limit and staged:
            # More may follow in the store: what is staged beyond the last one read belongs to a later page.
            last = cells[-1].key
            staged = [cell for cell in staged if (cell.key > last if wanted.reverse else cell.key < last)]
        merged = sorted(kept + staged, key=lambda cell: cell.key, reverse=wanted.reverse)
        return tuple(merged[: wanted.limit])

    async def head(self, scope: str, *, tracked: bool = True) -> Head:
        """The head of one scope; when tracked, the commit fails if anything at all is written to the scope before."""
        part = self.part(scope)
        if part.head is None:
            view = (await self._kernel.read([Read(scope)], now_us=self.now_us))[0]
            self._see(part, view.head)
        head = part.head
        assert head is not None
        if tracked and not any(isinstance(check, HeadAt) for check in part.checks):
            part.checks.append(HeadAt(head.seq))
        return head

    async def peek(self, reads: Sequence[Read]) -> list[View]:
        """Read without seeing the unit's own writes and without making conditions."""
        return await self._kernel.read(reads, now_us=self.now_us)

    async def peek_head(self, scope: str) -> Head:
        """The head as it is now, without making a condition."""
        return (await self.peek([Read(scope)]))[0].head

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
        return await self._kernel.find(
            index, value, now_us=self.now_us, lo=lo, hi=hi, after=after, limit=limit, reverse=reverse
        )

    async def log(self, scope: str, *, after: int = 0, limit: int = 1000, reverse: bool = False) -> tuple[Record, ...]:
        """Log records as the store has them now; see `Kernel.log`. Makes no condition."""
        return await self._kernel.log(scope, after=after, limit=limit, reverse=reverse)

    def _see(self, part: Part, head: Head) -> None:
        if part.head is None:
            part.head = head
            if part.epoch is None:
                part.epoch = head.epoch

    def _staged(self, part: Part, keys: Iterable[str]) -> dict[str, Cell | None]:
        if not part.puts and not part.deletes:
            return {}
        staged: dict[str, Cell | None] = {}
        for key in keys:
            if (put := part.puts.get(key)) is not None:
                staged[key] = Cell(key, put.value, 0, put.expires_us)
            elif key in part.deletes:
                staged[key] = None
        return staged

    def _staged_in(self, part: Part, wanted: Range) -> list[Cell]:
        prefix = wanted.prefix
        cells = [
            Cell(put.key, put.value, 0, put.expires_us) for put in part.puts.values() if put.key.startswith(prefix)
        ]
        cells += [
            Cell(f"{append.prefix}{STAGED}{place:04d}", append.value, 0, append.expires_us)
            for place, append in enumerate(part.appends)
            if append.prefix.startswith(prefix)
        ]
        after = wanted.after
        if after is None:
            return cells
        return [cell for cell in cells if (cell.key < after if wanted.reverse else cell.key > after)]

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
        part = self.part(scope)
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
        part = self.part(scope)
        if len(value) > self._limits.value_bytes_max:
            self._refuse(prefix, value)
        part.appends.append(Append(prefix, value, expires_us, entries))

    def delete(self, scope: str, key: str) -> None:
        """Stage the removal of one cell, there or not."""
        part = self.part(scope)
        part.puts.pop(key, None)
        part.deletes[key] = None

    def drop(self, scope: str) -> None:
        """Stage the end of a scope: everything else staged for it is forgotten but its conditions."""
        part = self.part(scope)
        part.drop = True
        part.puts.clear()
        part.appends.clear()
        part.deletes.clear()
        part.lines.clear()

    def require(self, scope: str, check: Check) -> None:
        """Add a condition that no read implies."""
        self.part(scope).checks.append(check)

    def note(
        self, scope: str, kind: str, op: str, key: str | None = None, value: bytes | None = None, namespace: str = ""
    ) -> None:
        """Add one line to the body of the scope's log record: what followers of the stream will see."""
        line = Line(kind, op, key, _NULL if value is None else Raw(value), namespace)
        self.part(scope).lines.append(line)

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

    async def commit(self) -> Committed | Conflict:
        """Send everything as one commit; the unit is used up, whatever comes of it.

        A unit that only read is checked too: it commits if all it saw was true together. One that touched nothing
        commits without asking the store.
        """
        if not self._open:
            raise Closed("this transaction has ended")
        self._open = False
        if not self._parts:
            return Committed({})
        commit = Commit(tuple([part.to_commit() for part in self._parts.values()]), self.now_us, self.cause)
        check_commit(commit, self._limits)
        return await self._writer.commit(commit)

    def discard(self) -> None:
        """End the unit without a commit."""
        self._open = False


def _real(wanted: Range) -> str | None:
    """Where the store has to start: a provisional key lies beyond all stored ones of its prefix."""
    after = wanted.after
    if after is not None and after.startswith(wanted.prefix + STAGED):
        return None if wanted.reverse else after
    return after
