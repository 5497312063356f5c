"""Runtime state as it is handed out: what a write that was only taken in answers."""

from __future__ import annotations

from typing import Self


class Buffered(int):
    """The answer of a runtime write that is visible in this process and not committed yet.

    It is the number 0, as every version is that is not known yet; `pending` says how many writes of the session wait to
    be committed, this one included. What is pending is lost if the process dies.
    """

    pending: int

    def __new__(cls, pending: int) -> Self:
        """The answer with so many writes waiting."""
        made = super().__new__(cls, 0)
        made.pending = pending
        return made

    def __repr__(self) -> str:
        return f"Buffered(pending={self.pending})"
