"""Claims: who holds a session exclusively, and who waits for it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Busy = Literal["queue", "reject", "supersede"]
"""What to do about a session that somebody else holds: wait in the order of arrival, raise `Busy` at once, or take it
away from them."""

WAYS: tuple[Busy, ...] = ("queue", "reject", "supersede")


TTL_MIN_S = 0.1
"""A shorter ttl is refused: a commit alone may take as long, and then who lives is taken for gone."""


class ClaimRecord(Struct, frozen=True, omit_defaults=True):
    """Who holds a session, as its `claim` cell says. The version of the cell is the fencing token.

    `holder` is the scope in which the holder's process beats; it is taken for gone when that stood still for `ttl_us`.
    `request` is that of a turn. It `supersedes` if somebody else held the session, dead or alive.
    """

    holder: str
    at_us: int
    ttl_us: int
    worker: str | None = None
    request: str | None = None
    supersedes: bool = False


class Ticket(Struct, frozen=True, omit_defaults=True):
    """Who waits for a session. Tickets are served in the order of their keys."""

    holder: str
    at_us: int
    ttl_us: int
    worker: str | None = None
