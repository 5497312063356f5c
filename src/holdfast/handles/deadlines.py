"""Until when sessions live, as far as this process knows: what makes them scopes that a cell keeps alive.

What is read of a session brings its deadline along, so a write knows whether it is to be moved without asking. Only a
write to a session of which nothing was read yet reads first, once.

Of one life the higher version is the newer. Of two lives of one id that need not be: numbers begin anew once nothing is
left of the first, and the clock of who created the second may be behind. So lives are told apart by whose they are and
when they were created, and what was read last counts: if that was the older one, its version is too low to renew by.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from holdfast.kernel.commit import Cell, Put
from holdfast.kernel.keeping import Renewal
from holdfast.services import session
from holdfast.services.session import Living

KNOWN_MAX = 50_000
"""Of how many sessions the deadlines are remembered."""


class _Known(NamedTuple):
    version: int
    expires_us: int | None
    raw: bytes
    living: Living
    active_us: int | None = None
    """When it was last told that the session is active; None: not by this process."""


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
        if known is not None and cell.version == known.version and cell.value == known.raw:
            return
        living, active_us = session.decode_living(cell), None
        if known is not None:
            same = living.created_us == known.living.created_us and living.user == known.living.user
            if same and cell.version <= known.version:
                return
            active_us = known.active_us if same else None
        self._remember(scope, _Known(cell.version, cell.expires_us, cell.value, living, active_us))

    def wrote(self, scope: str, puts: Sequence[Put], version: int) -> None:
        """See `Keeper.wrote`."""
        active_us = None
        for put in puts:
            if put.key == session.ALIVE:
                self.learn(scope, Cell(put.key, put.value, version, put.expires_us))
            elif put.key == session.ACTIVE:
                active_us = int(put.entries[0].order)
        known = self._known.get(scope)
        if active_us is not None and known is not None:
            self._known[scope] = known._replace(active_us=active_us)

    def renewal(self, scope: str, now_us: int, least_us: int = 0, *, writes: bool = False) -> Renewal | None:
        """See `Keeper.renewal`: the deadline where it is to move and, with a write, when the session was active."""
        known = self._known.get(scope)
        if known is None:
            return None
        puts: tuple[Put, ...] = ()
        if known.expires_us is not None:
            expires_us = max(known.living.deadline.moved(now_us, known.expires_us) or 0, least_us)
            if expires_us > known.expires_us:
                puts = session.renewed(known.living, expires_us)
        if writes and (known.active_us is None or abs(now_us - known.active_us) >= session.ACTIVE_US):
            puts += (session.active_of(known.living, now_us),)
        return Renewal(puts, known.version) if puts else None

    def are_to_move(self, scope: str, now_us: int, least_us: int = 0) -> bool:
        """Whether an access now prolongs the life of the session by so much that it matters, or it would not last to
        `least_us`."""
        return self.renewal(scope, now_us, least_us) is not None

    def are_ahead(self, scope: str, now_us: int) -> bool:
        """Whether this process knows the session, and that it lives unless somebody else has ended it."""
        known = self._known.get(scope)
        return known is not None and (known.expires_us is None or now_us < known.expires_us)

    def expires_us(self, scope: str, created_us: int, otherwise: int | None) -> int | None:
        """When the session that was created then expires, as far as this process knows, or what somebody saw who knows
        nothing newer."""
        known = self._known.get(scope)
        return otherwise if known is None or known.living.created_us != created_us else known.expires_us

    def _remember(self, scope: str, known: _Known) -> None:
        if len(self._known) >= KNOWN_MAX:
            with suppress(StopIteration, RuntimeError):  # another thread forgot it first
                self._known.pop(next(iter(self._known)), None)
        self._known[scope] = known
