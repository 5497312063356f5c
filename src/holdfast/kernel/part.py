"""What a unit of work knows of, and wants from, one scope: reads to be checked, writes to be sent.

Whether the scope exists is read and written like anything else in it:

    the unit                          the commit's condition
    was asked to write to it          it exists (or may be made by writing)
    was asked to make it              it does not exist
    only read it, and found it        it exists, in the epoch that was found
    looked for it in vain             it does not exist
    made it and ended it again        it does not exist; nothing is written

A scope that a cell keeps alive (`keeping`) exists as long as the cell does: of such a one the conditions say so too.
What was asked for and does not hold is NotFound or AlreadyExists; what was only read and does not hold any more is a
Conflict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from msgspec.structs import replace

from holdfast.errors import AlreadyExists, NotFound, Unsupported
from holdfast.kernel.commit import (
    Absent,
    Append,
    Cell,
    Check,
    Head,
    HeadAt,
    Need,
    Present,
    Put,
    Range,
    ScopeCommit,
    Unchanged,
    Untouched,
)
from holdfast.kernel.cursor import STAGED
from holdfast.kernel.keeping import Renewal
from holdfast.kernel.keys import KEY_BYTES_MAX
from holdfast.kernel.line import Line, encode_lines


class Part:
    """What a unit knows of, and wants from, one scope."""

    __slots__ = (
        "appends", "asked", "checks", "deletes", "drop", "epoch", "found", "head", "kept", "least_us", "life", "lines",
        "made", "need", "puts", "ranges", "scope", "touched", "ttls_us",
    )  # fmt: skip

    def __init__(self, scope: str, kept: str | None = None) -> None:
        self.scope = scope
        self.kept = kept  # the key of the cell that keeps it alive, if one does
        self.touched = False  # whether it is to be kept alive though nothing is written
        self.least_us = 0  # to when it is to be kept alive at least
        self.need: Need | None = None  # what the handles take the scope to be
        self.epoch: int | None = None  # the life of the scope that they are of, where they know it
        self.asked = False  # whether that is a condition of the commit by itself, and not only where it was read
        self.made = False  # made here, and not ended since
        self.life = 0  # how often it was ended here
        self.head: Head | None = None  # as first read
        self.found: dict[str, Cell | None] = {}
        self.ranges: dict[str, int] = {}
        self.checks: list[Check] = []
        self.puts: dict[str, Put] = {}
        self.ttls_us: dict[str, int] = {}  # how long each of these puts is to live, from the commit on
        self.appends: list[Append] = []
        self.deletes: dict[str, None] = {}
        self.lines: list[Line] = []
        self.drop = False

    # --- whether the scope exists -----------------------------------------------------------------

    def declare(self, need: Need, epoch: int | None) -> None:
        """Note what a handle takes the scope to be; a later one never asks for less. Raises as `see` does."""
        if self.need is None or (need == "must_exist" and self.need == "create"):
            self.need = need
        if self.epoch is None:
            self.epoch = epoch
        self._judge()

    def ask(self) -> None:
        """Make it a condition of the commit that the scope is as it was declared, unless it is made here."""
        self.asked = self.asked or not self.made

    def make(self) -> None:
        """Stage that the scope is made here.

        Raises AlreadyExists if it exists or something was staged for it, Unsupported if this very commit drops it.
        """
        if self.drop:
            raise Unsupported(
                f"{self.scope} is deleted by this transaction, which cannot make it again",
                remedy="Create it in a transaction after this one.",
                scope=self.scope,
            )
        head = self.head
        written = self.asked and self.need != "must_not_exist"
        if written and head is not None and not head.live:
            raise missing(self.scope)  # as the commit would say of what was staged for it
        if written or self.made or (head is not None and head.live):
            raise existing(self.scope)
        self.need = "must_not_exist"
        self.made = True
        self.asked = self.asked or head is None  # one that was looked for in vain is a read like any other

    def end(self) -> None:
        """Stage the end of the scope: what was staged for it is forgotten, but not its conditions."""
        self.drop = not self.made
        self.made = False
        self.life += 1
        self.puts.clear()
        self.ttls_us.clear()
        self.appends.clear()
        self.deletes.clear()
        self.lines.clear()

    @property
    def gone(self) -> bool:
        """Whether it was ended here, and not made again."""
        return self.drop or (self.need == "must_not_exist" and not self.made)

    def see(self, head: Head) -> None:
        """Note a head that was read.

        Raises NotFound for a scope that must exist and does not, or is not the one that the handles know; AlreadyExists
        for one that was to be made here.
        """
        if self.head is None:
            self.head = head
        self._judge()

    def _judge(self) -> None:
        head = self.head
        if head is None or self.need is None:
            return
        if self.need == "must_not_exist":
            if head.live:
                raise existing(self.scope)
        elif (self.need == "must_exist" and not head.live) or self.epoch not in (None, head.epoch):
            raise missing(self.scope)

    @property
    def known_epoch(self) -> int | None:
        """The epoch that was read or, where nothing was or it is asked for, the one that the handles know."""
        if self.head is None or (self.asked and self.epoch is not None):
            return self.epoch
        return self.head.epoch

    # --- the commit -------------------------------------------------------------------------------

    @property
    def matters(self) -> bool:
        """Whether the commit has to name the scope; a touch that came to nothing is none."""
        return self.asked or self.head is not None or self.writes or bool(self.checks)

    def to_commit(self, now_us: int, renewal: Renewal | None = None) -> ScopeCommit:
        """The part as the kernel takes it, committed at that time, with what renews the cell that keeps it alive."""
        checks: Sequence[Check]
        need, epoch, checks = self._conditions()
        if self.kept is not None:
            need, checks = self._kept(need, checks, renewal)
        puts = tuple([self._dated(put, now_us) for put in self.puts.values()] if self.ttls_us else self.puts.values())
        return ScopeCommit(
            self.scope,
            need,
            epoch,
            tuple(checks),
            puts if renewal is None else puts + renewal.puts,
            tuple(self.appends),
            tuple(self.deletes),
            encode_lines(self.lines),
            self.drop,
        )

    def _conditions(self) -> tuple[Need, int | None, list[Check]]:
        head = self.head
        if head is not None and not head.live and self.need != "create":
            if self.need == "must_not_exist" or not (self.asked or self.writes):
                return "must_not_exist", self.epoch if self.asked else None, self.checks
            # A write was staged before the scope was looked for in vain: missing still, or else it was made meanwhile.
            return "must_exist", None, [*self.checks, HeadAt(head.seq)]
        checks = self.checks
        if self.found or self.ranges:
            checks = checks + [
                Absent(key) if cell is None else Unchanged(key, cell.version) for key, cell in self.found.items()
            ]
            checks += [Untouched(prefix, since) for prefix, since in self.ranges.items()]
        return self.need or "must_exist", self.known_epoch, checks

    def _kept(self, need: Need, checks: Sequence[Check], renewal: Renewal | None) -> tuple[Need, Sequence[Check]]:
        """The conditions with those on the cell that keeps the scope alive."""
        key = self.kept
        assert key is not None
        if need == "must_not_exist":
            return (need, checks) if self.made else ("create", (Absent(key), *checks))
        if renewal is None or renewal.since is None:
            present = _only_present(key)
            return need, (*present, *checks) if checks else present
        return need, (Unchanged(key, renewal.since), *checks)

    @property
    def may_be_renewed(self) -> bool:
        """Whether what keeps the scope alive may be renewed by the commit of this part."""
        if self.kept is None or self.drop or self.need == "must_not_exist" or self.kept in self.puts:
            return False
        return self.touched or self.writes

    def _dated(self, put: Put, now_us: int) -> Put:
        ttl_us = self.ttls_us.get(put.key)
        return put if ttl_us is None else replace(put, expires_us=now_us + ttl_us)

    @property
    def writes(self) -> bool:
        """Whether anything is staged."""
        return bool(self.puts or self.appends or self.deletes or self.lines or self.drop)

    # --- what is staged ---------------------------------------------------------------------------

    @property
    def weight(self) -> tuple[int, int]:
        """Of what is staged: how many operations, and about how many bytes of keys, values and lines."""
        sizes = [len(put.value) for put in self.puts.values()] + [len(append.value) for append in self.appends]
        sizes += [len(line.value) + KEY_BYTES_MAX for line in self.lines]
        operations = len(self.puts) + len(self.appends) + len(self.deletes)
        return operations, sum(sizes) + operations * KEY_BYTES_MAX

    def carry(self, puts: Iterable[Put], lines: Iterable[Line]) -> None:
        """Stage these too, as if they had come before all that is staged: a key that is written anyway stays so."""
        for put in puts:
            if put.key not in self.deletes:
                self.puts.setdefault(put.key, put)
        self.lines[:0] = lines

    def savepoint(self) -> Callable[[], None]:
        """What takes back all that is staged from now on, a `make` included, but no `end`."""
        before = (self.need, self.asked, self.made, self.puts.copy(), self.ttls_us.copy(), self.deletes.copy())
        appends, lines, checks = len(self.appends), len(self.lines), len(self.checks)

        def undo() -> None:
            self.need, self.asked, self.made, self.puts, self.ttls_us, self.deletes = before
            del self.appends[appends:], self.lines[lines:], self.checks[checks:]

        return undo

    def staged(self, keys: Sequence[str]) -> dict[str, Cell | None]:
        """Those of the keys that are put or deleted here, None for a deleted one."""
        if not self.puts and not self.deletes:
            return {}
        staged: dict[str, Cell | None] = {}
        for key in keys:
            if (put := self.puts.get(key)) is not None:
                staged[key] = Cell(key, put.value, 0, put.expires_us)
            elif key in self.deletes:
                staged[key] = None
        return staged

    def staged_in(self, wanted: Range) -> list[Cell]:
        """The staged cells of a range, in no order; appends have provisional keys, after every stamped one."""
        prefix = wanted.prefix
        cells = [
            Cell(put.key, put.value, 0, put.expires_us) for put in self.puts.values() if put.key.startswith(prefix)
        ]
        cells += [
            Cell(f"{append.prefix}{STAGED}{place:04d}", append.value, 0, append.expires_us)
            for place, append in enumerate(self.appends)
            if append.prefix.startswith(prefix)
        ]
        after = wanted.after
        if after is None:
            return cells
        return [cell for cell in cells if (cell.key < after if wanted.reverse else cell.key > after)]

    def with_staged(self, kept: list[Cell], wanted: Range, *, last: str | None) -> list[Cell]:
        """Stored cells of a range with the staged ones among them. Where more may follow in the store, what is staged
        beyond the `last` one read belongs to a later page."""
        staged = self.staged_in(wanted)
        if last is not None:
            staged = [cell for cell in staged if (cell.key > last if wanted.reverse else cell.key < last)]
        return sorted(kept + staged, key=lambda cell: cell.key, reverse=wanted.reverse) if staged else kept

    def stored_after(self, wanted: Range) -> str | None:
        """Where the store has to start: a provisional key lies beyond all stored ones of its prefix."""
        after = wanted.after
        if after is not None and after.startswith(wanted.prefix + STAGED):
            return None if wanted.reverse else after
        return after

    def hidden_in(self, prefix: str) -> int:
        """How many stored cells with that prefix may be hidden by what is staged."""
        return sum(key.startswith(prefix) for key in self.deletes) + sum(key.startswith(prefix) for key in self.puts)


@lru_cache(maxsize=8)
def _only_present(key: str) -> tuple[Check, ...]:
    return (Present(key),)


def missing(scope: str) -> NotFound:
    """The error that says that a scope is not there, or no longer the one it was."""
    return NotFound(f"{scope} does not exist (any more)", scope=scope)


def existing(scope: str, *, remedy: str | None = None) -> AlreadyExists:
    """The error that says that a scope is there already."""
    return AlreadyExists(f"{scope} exists already", remedy=remedy, scope=scope)
