"""The unit of work: what one operation, transaction or turn reads and wants to write, until it commits as one.

Writes are staged; reads see them (an overlay) and are remembered. At the commit every read becomes a condition, so
that what commits is as if it had run alone at that moment, phantoms included: serialisable. Blind writes make
no condition, so writes to different keys, and appends, never conflict.

    read                            condition
    a cell found at version v       Unchanged(key, v)
    a cell not found                Absent(key)
    a range under a prefix          Untouched(prefix, seq of the scope then), and Unchanged for cells that can expire
    the head                        HeadAt(seq)
    that a scope exists, or not     see `part`

Time: a read sees what exists at the time of that read; what was read once stays as it was read. The conditions are
judged at the time of the commit, which is when it is sent and not when the unit began: a cell that was read and has
expired by then is a Conflict, like one that somebody else deleted. What is to live for a time (`ttl_us`) lives from the
call of `commit` on, for only then is it set; so nothing that a unit staged expires while it is open.

A unit belongs to one event loop and is used up by its commit. Tasks of that loop may share it: staging never waits, and
what is staged shows in a read that was under way.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from holdfast import errors
from holdfast.errors import Closed, TooLarge
from holdfast.kernel.commit import (
    Absent,
    Append,
    Cell,
    Check,
    Commit,
    Committed,
    Conflict,
    Entry,
    Head,
    HeadAt,
    Need,
    Put,
    Range,
    Read,
    ScopeCommit,
    Unchanged,
)
from holdfast.kernel.keeping import Keeper
from holdfast.kernel.kept import commit_kept, nothing
from holdfast.kernel.keys import KEY_BYTES_MAX
from holdfast.kernel.limits import (
    PAGE_MAX,
    Traits,
    check_commit,
    check_limit,
    check_together,
    check_version,
    may_go_on,
)
from holdfast.kernel.line import Line, Values, line, told
from holdfast.kernel.part import Part, missing
from holdfast.kernel.reads import Reads
from holdfast.kernel.writer import Writer


class Work(Reads):
    """One unit of work on one kernel."""

    __slots__ = (
        "_bytes", "_limits", "_open", "_parts", "called", "cause", "durable", "guard", "missed", "operations", "values"
    )  # fmt: skip

    def __init__(self, writer: Writer, *, limits: Traits, cause: bytes = b"", keeper: Keeper | None = None) -> None:
        super().__init__(writer, keeper)
        self.cause = cause
        self.durable = True
        """Whether the commit is to outlive a failure of the machine; see `Kernel.commit`. One that tells the stream of
        something, or drops a scope, does in any case."""
        self.missed: Callable[[Committed], object] | None = None
        """Called if the commit landed though whoever waited for it was cancelled; without it, it may not be sent."""
        self.guard: Callable[[], None] | None = None
        """Called at every touch, if whoever owns the unit set it: raises where it may not be used."""
        self.called = "transaction"
        """What whoever owns the unit calls it."""
        self.values: Values = "inline"
        """What its records tell of what it writes."""
        self._limits = limits
        self._parts: dict[str, Part] = {}
        self._open = True
        # What was ever staged, at most: only a unit that may be over its limits is weighed exactly.
        self.operations = 0
        self._bytes = 0

    # --- scopes -----------------------------------------------------------------------------------

    def part(self, scope: str, *, need: Need | None = None, epoch: int | None = None) -> Part:
        """The unit's part for one scope, made at the first touch, as a handle that needs it so (or not at all) has it.

        Raises Closed when the unit is used up, Unsupported when the backend cannot span it together with the
        scopes touched before, NotFound for a scope that this unit ended, or found to be missing though it must exist.
        """
        if not self._open:
            self.check()
        if self.guard is not None:
            self.guard()
        part = self._parts.get(scope) or self._new_part(scope)
        if part.gone:
            raise missing(scope)
        if need is not None:
            part.declare(need, epoch)
        return part

    def ask(self, scope: str, need: Need, *, epoch: int | None = None) -> Part:
        """The same, for a write: the commit fails unless the scope is as needed, whatever is read or staged besides.

        Raises AlreadyExists, at once, for a scope to be made that this unit found, made or wrote to.
        """
        if need == "must_not_exist":
            part = self._part(scope)
            part.make()
            part.epoch = epoch
        else:
            part = self.part(scope, need=need, epoch=epoch)
            part.ask()
        return part

    def asked(self, conflict: Conflict) -> bool:
        """Whether a scope is not as it was asked for, and not only changed since it was read."""
        part = self._parts[conflict.scope]
        before, after = part.head, conflict.head
        return part.asked and (before is None or (before.live, before.epoch) == (after.live, after.epoch))

    def check(self) -> None:
        """Raise Closed when the unit is used up, and what else whoever owns it has against its use."""
        if not self._open:
            raise Closed(f"this {self.called} has ended")
        if self.guard is not None:
            self.guard()

    def _part(self, scope: str) -> Part:
        self.check()
        return self._parts.get(scope) or self._new_part(scope)

    def _new_part(self, scope: str) -> Part:
        if self._parts:
            check_together(next(iter(self._parts)), scope, self._limits)
        keeper = self._keeper
        kept = keeper.key if keeper is not None and scope.startswith(keeper.prefix) else None
        part = self._parts[scope] = Part(scope, kept)
        return part

    @property
    def touched(self) -> Mapping[str, Part]:
        """The scopes touched so far, with what is known of and wanted from each."""
        return self._parts

    # --- reading ----------------------------------------------------------------------------------

    async def get(self, scope: str, key: str) -> Cell | None:
        """One cell, with the unit's own writes seen; None if there is none."""
        part = self.part(scope)
        if part.head is not None or part.puts or part.deletes:
            return (await self.get_many(scope, (key,))).get(key)
        view = (await self.peek((Read(scope, (key,)),)))[0]  # the first that is read, which is mostly all
        self.part(scope).see(view.head)
        found = part.found.setdefault(key, view.cells.get(key))
        staged = part.staged((key,))  # what another task staged meanwhile is seen too
        return staged[key] if staged else found

    async def get_many(self, scope: str, keys: Sequence[str]) -> dict[str, Cell]:
        """Several cells of one scope in one cut; absent ones are missing from the answer."""
        part = self.part(scope)
        staged = part.staged(keys)
        unknown = tuple([key for key in keys if key not in staged and key not in part.found])
        if unknown or part.head is None:
            view = (await self.peek((Read(scope, unknown),)))[0]
            self.part(scope).see(view.head)
            for key in unknown:
                part.found.setdefault(key, view.cells.get(key))
            staged = part.staged(keys)  # what another task staged meanwhile is seen too
        result: dict[str, Cell] = {}
        for key in keys:
            cell = staged[key] if key in staged else part.found[key]
            if cell is not None:
                result[key] = cell
        return result

    async def range(self, scope: str, wanted: Range, *, along: tuple[str, ...] = ()) -> tuple[Cell, ...]:
        """A range of one scope, with the unit's own puts, deletes and appends seen. The cells named by `along` come in
        the same read: `get` has them then.

        A staged append has a provisional key (after every stamped one) and version 0, like every staged put.
        """
        return (await self._range(scope, wanted, along))[0]

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

    async def _range(
        self, scope: str, wanted: Range, along: tuple[str, ...] = ()
    ) -> tuple[tuple[Cell, ...], Head, bool]:
        check_limit(wanted.limit)
        part = self.part(scope)
        hidden = part.hidden_in(wanted.prefix)
        limit = min(wanted.limit + hidden, PAGE_MAX)
        after = part.stored_after(wanted)
        kept: list[Cell] = []
        while True:
            ask = Range(wanted.prefix, limit, after, wanted.reverse, wanted.bytes_max)
            view = (await self.peek((Read(scope, along, (ask,)),)))[0]
            self.part(scope).see(view.head)
            for key in along:
                part.found.setdefault(key, view.cells.get(key))
            # The oldest of several, for the answers to tasks that read at once may come in any order.
            part.ranges[wanted.prefix] = min(view.head.seq, part.ranges.get(wanted.prefix, view.head.seq))
            cells = view.ranges[0]
            for cell in cells:
                if cell.expires_us is not None:
                    part.found.setdefault(cell.key, cell)
            # Those of earlier pages as well, for another task may have staged something meanwhile.
            kept = [cell for cell in (*kept, *cells) if cell.key not in part.puts and cell.key not in part.deletes]
            goes_on = may_go_on(cells, limit, wanted.bytes_max)
            if not goes_on or len(kept) >= wanted.limit or (kept and wanted.bytes_max is not None):
                break
            after = cells[-1].key  # so much of the page was hidden that it was not enough
        kept = part.with_staged(kept, wanted, last=cells[-1].key if goes_on else None)
        return tuple(kept[: wanted.limit]), view.head, goes_on or len(kept) > wanted.limit

    async def head(self, scope: str, *, tracked: bool = True) -> Head:
        """The head of one scope; when tracked, the commit fails if anything at all is written to the scope before."""
        part = self.part(scope)
        if part.head is None:
            found = (await self.peek((Read(scope),)))[0].head
            self.part(scope).see(found)
        head = part.head
        assert head is not None
        if tracked and not any(isinstance(check, HeadAt) for check in part.checks):
            part.checks.append(HeadAt(head.seq))
        return head

    async def look_for(self, scope: str) -> None:
        """Raise NotFound unless the scope exists, as this unit sees it."""
        if not self.part(scope).made:
            await self.head(scope, tracked=False)

    # --- writing ----------------------------------------------------------------------------------

    def put(
        self,
        scope: str,
        key: str,
        value: bytes,
        *,
        ttl_us: int | None = None,
        expires_us: int | None = None,
        entries: tuple[Entry, ...] = (),
    ) -> None:
        """Stage one cell, to live for `ttl_us` from the commit on, or to `expires_us`, if given.

        Raises TooLarge for too large a value.
        """
        part = self._staging(scope, key, value, entries)
        if part.deletes:
            part.deletes.pop(key, None)
        part.puts[key] = Put(key, value, expires_us, entries)
        if ttl_us is not None:
            part.ttls_us[key] = ttl_us
        elif part.ttls_us:
            part.ttls_us.pop(key, None)

    def append(self, scope: str, prefix: str, value: bytes, *, entries: tuple[Entry, ...] = ()) -> None:
        """Stage one stamped cell. Raises TooLarge at once if the value is over the limit."""
        part = self._staging(scope, prefix, value, entries)
        part.appends.append(Append(prefix, value, None, entries))

    def delete(self, scope: str, key: str) -> None:
        """Stage the removal of one cell, there or not."""
        part = self._staging(scope, key)
        part.puts.pop(key, None)
        part.ttls_us.pop(key, None)
        part.deletes[key] = None

    def drop(self, scope: str) -> None:
        """Stage the end of a scope: what else was staged for it is forgotten, but not its conditions.

        Of a scope that this very unit made, nothing is left to be written.
        """
        self._staging(scope, scope).end()

    def touch(self, scope: str, *, least_us: int = 0) -> None:
        """Let the commit renew what keeps the scope alive, though it writes nothing there: to `least_us` at least."""
        part = self.part(scope)
        part.touched, part.least_us = True, max(part.least_us, least_us)

    def savepoint(self, scope: str) -> Callable[[], None]:
        """What takes back all that is staged for the scope from now on, but for its end."""
        return (self._parts.get(scope) or self._new_part(scope)).savepoint()

    def require(self, scope: str, check: Check) -> None:
        """Add a condition that no read implies."""
        self.part(scope).checks.append(check)

    def require_version(self, scope: str, key: str, if_version: int | None) -> None:
        """Let the commit fail if the cell was written after `if_version` (0: if it exists). None asks for nothing.

        Raises InvalidValue for what cannot be a version.
        """
        check_version(if_version)
        if if_version is not None:
            self.require(scope, Unchanged(key, if_version) if if_version else Absent(key))

    def note(
        self, scope: str, kind: str, op: str, key: str | None = None, value: bytes | None = None, namespace: str = ""
    ) -> None:
        """Add one line to the body of the scope's log record, what followers of the stream will see: with its value or
        without, as `values` says."""
        self.tell(scope, told(line(kind, op, key, value, namespace), self.values))

    def tell(self, scope: str, line: Line) -> None:
        """Add a line just as it is."""
        part = self._parts.get(scope)
        if part is not None and (part.drop or not part.gone):
            self._bytes += 3 * KEY_BYTES_MAX + len(line.value)
            part.lines.append(line)

    def _staging(self, scope: str, key: str, value: bytes = b"", entries: tuple[Entry, ...] = ()) -> Part:
        """The part of a scope that gets one more operation.

        `guard` is not asked again: it was at the touch that let the handle stage, or at the read that this rests on.
        """
        if len(value) > self._limits.value_bytes_max:
            self._refuse(key, value)
        self.operations += 1
        self._bytes += len(value) + KEY_BYTES_MAX + 4 * KEY_BYTES_MAX * len(entries)
        part = self._parts.get(scope)
        if part is None or part.gone or not self._open:
            return self.part(scope)
        return part

    def _refuse(self, key: str, value: bytes) -> None:
        limit = self._limits.value_bytes_max
        message = f"the value of {key!r} has {len(value)} bytes; the limit is {limit} (value_bytes_max)"
        raise TooLarge(message, what="value", key=key, size=len(value), limit=limit)

    # --- the end ----------------------------------------------------------------------------------

    def commit(self) -> Awaitable[Committed | Conflict]:
        """Send everything as one commit; the unit is used up, whatever comes of it.

        A unit that only read is checked too: it commits if all it saw was true together. One that touched nothing
        commits without asking the store.
        """
        if not self._open:
            raise Closed(f"this {self.called} has ended")
        self._open = False
        parts = [part for part in self._parts.values() if part.matters]
        if not parts:
            return nothing()
        for part in parts:
            if part.kept is not None:
                room = self._limits.operations_max - self.operations
                return commit_kept(self, parts, self._keeper, self._send, room=room)  # type: ignore[arg-type]
        now_us = self.now_us
        return self._send([part.to_commit(now_us) for part in parts], now_us)

    def _send(self, scopes: Sequence[ScopeCommit], now_us: int) -> Awaitable[Committed | Conflict]:
        durable = self.durable or any(part.body or part.drop for part in scopes)  # see `beginning.is_firm`
        commit = Commit(tuple(scopes), now_us, self.cause, durable=durable)
        if self.operations > self._limits.operations_max or self._bytes > self._limits.commit_bytes_max:
            check_commit(commit, self._limits)
        return self._writer.commit(commit, missed=self.missed)

    def reopen(self) -> None:
        """Let a unit that was refused be staged and sent once more: all that it read must hold still."""
        self._open = True

    def discard(self) -> None:
        """End the unit without a commit, and forget what it read."""
        self._open = False
        self._parts.clear()
