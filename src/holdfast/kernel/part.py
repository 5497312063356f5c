"""What a unit of work knows of, and wants from, one scope: reads to be checked, writes to be sent."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.kernel.commit import (
    Absent,
    Append,
    Cell,
    Check,
    Head,
    Need,
    Put,
    Range,
    ScopeCommit,
    Unchanged,
    Untouched,
)
from holdfast.kernel.cursor import STAGED
from holdfast.kernel.line import Line, encode_lines


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

    @property
    def writes(self) -> bool:
        """Whether anything is staged."""
        return bool(self.puts or self.appends or self.deletes or self.lines or self.drop)

    def see(self, head: Head) -> None:
        """Note a head that was read; the first one's epoch becomes a condition."""
        if self.head is None:
            self.head = head
            if self.epoch is None:
                self.epoch = head.epoch

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

    def hidden_in(self, prefix: str) -> int:
        """How many stored cells with that prefix may be hidden by what is staged."""
        return sum(key.startswith(prefix) for key in self.deletes) + sum(key.startswith(prefix) for key in self.puts)
