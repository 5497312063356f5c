"""A cursor: the place in one scope's log from which a follower goes on, as opaque text.

    seq . place . epoch . writer . n        42.1.0.9f3c21aa07d4e6b8.1733

It names the last change delivered: the record at `seq`, and within it the change at `place`.
Commit id and epoch let a resume prove that the record there is the one that was delivered, and not another that
took its place after history was lost.
"""

from __future__ import annotations

from typing import NamedTuple

from holdfast.errors import InvalidValue
from holdfast.kernel.commit import CommitId, Record


class Cursor(NamedTuple):
    """A place in one scope's log."""

    seq: int
    place: int
    epoch: int
    commit: CommitId

    def __str__(self) -> str:
        return f"{self.seq}.{self.place}.{self.epoch}.{self.commit.writer}.{self.commit.n}"

    def names(self, record: Record) -> bool:
        """Whether that record is the one this cursor was taken at."""
        return record.seq == self.seq and record.epoch == self.epoch and record.commit == self.commit


def parse_cursor(text: str) -> Cursor:
    """The cursor that was written as `text`; raises InvalidValue for anything else."""
    try:
        seq, place, epoch, writer, n = text.split(".")
        return Cursor(int(seq), int(place), int(epoch), CommitId(writer, int(n)))
    except (ValueError, AttributeError, TypeError) as problem:
        raise InvalidValue(f"{text!r} is not a cursor of a change", path="cursor") from problem
