"""Until when sessions live, as far as this process knows: what makes them scopes that a cell keeps alive.

What is read of a session brings its deadline along, so a write knows whether it is to be moved without asking. Only a
write to a session of which nothing was read yet reads first, once.
"""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

from holdfast.kernel.commit import Cell
from holdfast.kernel.keeping import Renewal
from holdfast.model.deadline import Deadline
from holdfast.services import session

KNOWN_MAX = 50_000
"""Of how many sessions the deadlines are remembered."""


class _Known(NamedTuple):
    version: int
    expires_us: int | None
    deadline: Deadline


class Deadlines:
    """Sessions as scopes that the cell `alive` keeps, and what this process knows of those cells. See `Keeper`."""

    def __init__(self) -> None:
        self.key = session.ALIVE
        self.prefix = session.PREFIX
        self._known: dict[str, _Known] = {}

    def knows(self, scope: str) -> bool:
        """See `Keeper.knows`."""
        return scope in self._known

    def learn(self, scope: str, cell: Cell | None) -> None:
        """See `Keeper.learn`."""
        if cell is None:
            self._known.pop(scope, None)
            return
        known = self._known.get(scope)
        if known is None or known.version < cell.version:
            self._remember(scope, _Known(cell.version, cell.expires_us, session.decode_deadline(cell)))

    def renewal(self, scope: str, now_us: int, least_us: int = 0) -> Renewal | None:
        """See `Keeper.renewal`."""
        known = self._known.get(scope)
        if known is None or known.expires_us is None:
            return None
        expires_us = max(known.deadline.moved(now_us, known.expires_us) or 0, least_us)
        if expires_us <= known.expires_us:
            return None
        return session.renewal(known.deadline, expires_us, known.version)

    def are_to_move(self, scope: str, now_us: int, least_us: int = 0) -> bool:
        """Whether an access now prolongs the life of the session by so much that it matters, or it would not last to
        `least_us`."""
        return self.renewal(scope, now_us, least_us) is not None

    def expires_us(self, scope: str, otherwise: int | None) -> int | None:
        """When the session expires, as far as this process knows, or what somebody saw who knows nothing newer."""
        known = self._known.get(scope)
        return otherwise if known is None else known.expires_us

    def _remember(self, scope: str, known: _Known) -> None:
        if len(self._known) >= KNOWN_MAX:
            with suppress(StopIteration, RuntimeError):  # another thread forgot it first
                self._known.pop(next(iter(self._known)), None)
        self._known[scope] = known
