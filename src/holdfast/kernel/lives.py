"""Lives: a scope that is dropped and made anew begins another life, and a life may be for a follower or not.

    epoch       0 0 0 0   1 1 1   2 2 …
    record      b . . d   b . d   b . …      b begins a life, d drops the scope
    for         ada       bob     ada

Whose a life is, the record says that it begins with: so a life that was over before anybody looked is told like any
other, and nothing is told of a life whose first record was not met, unless it is known by other means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from holdfast.kernel.commit import Head, Record


class Standing(Struct, frozen=True):
    """How a scope stands: its head, whether its present life is admitted, and the version of the cell that says so."""

    head: Head
    admitted: bool = False
    version: int = 0

    def may_hide_a_life(self, since: int) -> bool:
        """Whether a life may have begun at `since` or later and be over; what can be told without reading the log."""
        head = self.head
        if head.epoch == 0 or (head.epoch == 1 and since > 1):
            return False  # none is over, or only the first, which began at 1
        if head.live:
            return self.version >= since + 2  # two records at least came before the one that began the present life
        return head.seq > since


class Admission(Protocol):
    """Which lives are for a follower."""

    async def look(self, scopes: Sequence[str]) -> Mapping[str, Standing]:
        """How those of the scopes stand that may ever be for it; the others are left out."""
        ...

    def begins(self, record: Record) -> bool:
        """Whether the life that begins with this record is for it."""
        ...

    def refuses(self, record: Record) -> bool:
        """Whether this record, any one of a life, shows that the life is not for it."""
        ...


class Lives:
    """The lives of one scope as a follower meets them, record by record.

    `known` is the epoch of one that is for it in any case. Others are judged by the record they begin with, if that
    stands at `since` or later; `fresh` says that the first record to be met begins one.
    """

    __slots__ = ("_admission", "_epoch", "_fresh", "_known", "_since", "_wanted", "told")

    def __init__(self, admission: Admission, *, known: int | None, since: int, fresh: bool) -> None:
        self._admission = admission
        self._known = known
        self._since = since
        self._fresh = fresh
        self._epoch = -1  # of the last record met
        self._wanted = False
        self.told = False
        """Whether anything was for the follower so far."""

    def wants(self, record: Record) -> bool:
        """Whether this record, the next one of the log, is for the follower."""
        if record.epoch != self._epoch:
            self._epoch = record.epoch
            begins = self._fresh and record.seq >= self._since
            self._wanted = record.epoch == self._known or (begins and self._admission.begins(record))
        self._fresh = record.op == "drop"
        self.told = self.told or self._wanted
        return self._wanted

    def wants_live(self, epoch: int) -> bool:
        """Whether what is told live of that life is for the follower: it is, once it is known that the life is."""
        return epoch == self._known or (self._wanted and epoch == self._epoch and not self._fresh)

    @property
    def over(self) -> bool:
        """Whether no life that is for the follower goes on, or is known to come."""
        if self._known is not None and self._epoch < self._known:
            return False
        return not self._wanted or self._fresh
