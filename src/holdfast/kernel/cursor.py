"""Cursors: places from which to read on, as opaque text.

A change's cursor is a place in one scope's log:

    seq . place . epoch . writer . n        42.1.0.9f3c21aa07d4e6b8.1733

It names the last change delivered: the record at `seq`, and within it the change at `place`. Commit id and epoch let
a resume prove that the record there is the one that was delivered, and not another that took its place after
history was lost. The cursor of a message or event is the stamp in its key.

A cursor has one spelling. Any other text is refused, for what is almost one would silently mean another place.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from holdfast.errors import InvalidValue, shown
from holdfast.kernel.commit import ORDINAL_DIGITS, SEQ_DIGITS, CommitId, Record

STAGED = "~"
"""The stamp of an append that is not committed yet is this and its ordinal, which sorts after every other."""

_NUMBER = rf"(0|[1-9][0-9]{{0,{SEQ_DIGITS - 1}}})"
_CURSOR = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}\.([0-9a-f]{{16}})\.{_NUMBER}")
_STAMP = re.compile(rf"[0-9]{{{SEQ_DIGITS}}}\.[0-9]{{{ORDINAL_DIGITS}}}|{STAGED}[0-9]{{{ORDINAL_DIGITS}}}")


_ONES_OWN = "Pass a cursor as it was handed out, with a page, a change, a message or an event, or leave it out."


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


def parse_cursor(text: str, what: str = "cursor") -> Cursor:
    """The cursor of a change that was written as `text`; raises InvalidValue, naming `what`, for anything else."""
    match = _CURSOR.fullmatch(text) if isinstance(text, str) else None
    if match is None or match[1] == "0":
        raise InvalidValue(f"{shown(text)} is not a cursor of a change", remedy=_ONES_OWN, path=what)
    seq, place, epoch, writer, n = match.groups()
    return Cursor(int(seq), int(place), int(epoch), CommitId(writer, int(n)))


def check_stamp(text: str, what: str) -> str:
    """The text if it can be the stamp of a message or event; raises InvalidValue, naming `what`, if not."""
    if not isinstance(text, str) or _STAMP.fullmatch(text) is None:
        raise InvalidValue(f"{what} is {shown(text)}, which is not a cursor", remedy=_ONES_OWN, path=what)
    return text
