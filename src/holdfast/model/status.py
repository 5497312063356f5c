"""Statuses: where a session is in its life, the moves between them, and the words that others use for them.

    open            ended                                         being removed

    initializing    failed, cancelled                             cleanup
      ↓ active      completed, failed, cancelled, timed_out       cleanup
      ↕ paused      completed, failed, cancelled, timed_out       cleanup

From each status of a line to each to the right of it, and from timed_out back to active with a raised budget.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from holdfast.errors import InvalidTransition, InvalidValue, shown


class SessionStatus(StrEnum):
    """Where a session is in its life.

    `SessionStatus(word)` understands the words of other systems too, `"running"` say. Raises InvalidValue, naming all,
    for any other.
    """

    INITIALIZING = "initializing"
    ACTIVE = "active"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    CLEANUP = "cleanup"

    @property
    def is_open(self) -> bool:
        """Whether work on the session may go on, now or later: it is initializing, active or paused."""
        return self in OPEN

    @classmethod
    def _missing_(cls, value: object) -> SessionStatus:
        if isinstance(value, str) and value in OUTSIDE:
            return OUTSIDE[value]
        known = ", ".join(cls)
        raise InvalidValue(
            f"{shown(value)} is no status; there are {known}; understood are {', '.join(OUTSIDE)}", path="status"
        )


_STARTING, _ACTIVE, _PAUSED = SessionStatus.INITIALIZING, SessionStatus.ACTIVE, SessionStatus.PAUSED
_COMPLETED, _FAILED, _CANCELLED = SessionStatus.COMPLETED, SessionStatus.FAILED, SessionStatus.CANCELLED
_TIMED_OUT, _CLEANUP = SessionStatus.TIMED_OUT, SessionStatus.CLEANUP

OPEN = frozenset((_STARTING, _ACTIVE, _PAUSED))
"""The statuses of a session that has not ended."""

MOVES: Mapping[SessionStatus, tuple[SessionStatus, ...]] = {
    _STARTING: (_ACTIVE, _FAILED, _CANCELLED, _CLEANUP),
    _ACTIVE: (_PAUSED, _COMPLETED, _FAILED, _CANCELLED, _TIMED_OUT, _CLEANUP),
    _PAUSED: (_ACTIVE, _COMPLETED, _FAILED, _CANCELLED, _TIMED_OUT, _CLEANUP),
    _COMPLETED: (_CLEANUP,),
    _FAILED: (_CLEANUP,),
    _CANCELLED: (_CLEANUP,),
    _TIMED_OUT: (_ACTIVE, _CLEANUP),  # active only with a raised budget
    _CLEANUP: (),
}
"""Where a session may go from each status: all there is."""

OUTSIDE: Mapping[str, SessionStatus] = {
    "connecting": _STARTING,
    "pending": _STARTING,
    "connected": _ACTIVE,
    "in_progress": _ACTIVE,
    "running": _ACTIVE,
    "rate_limited": _PAUSED,
    "disconnected": _FAILED,
    "error": _FAILED,
    "skipped": _CANCELLED,
    "timeout": _TIMED_OUT,
}
"""What other systems' words for a status mean here."""


def allowed(status: SessionStatus, *, budget_raised: bool = False) -> tuple[SessionStatus, ...]:
    """Where a session may go from that status; back from timed_out only once its budget was raised."""
    moves = MOVES[status]
    return moves if budget_raised or status is not _TIMED_OUT else tuple([to for to in moves if to is not _ACTIVE])


def check_move(status: SessionStatus, to: SessionStatus, *, budget_raised: bool = False) -> None:
    """Raise InvalidTransition, naming the allowed ones, unless a session may go from that status to the other."""
    moves = allowed(status, budget_raised=budget_raised)
    if to in moves:
        return
    if status is _TIMED_OUT and to is _ACTIVE:
        remedy = "Raise the budget that it used up: `s.resume(budget=…)` does that and makes it active again."
    elif moves:
        remedy = "Refresh the session to see where it is, and make one of the moves that the message names."
    else:
        remedy = "Create a new session: this one is being removed."
    raise InvalidTransition(
        f"a session that is {status} cannot become {to}; it may become {', '.join(moves) or 'nothing else'}",
        remedy=remedy,
        status=status,
        to=to,
        allowed=moves,
    )


def check_may_use(status: SessionStatus) -> None:
    """Raise InvalidTransition unless a session of that status may use a budget, now or once it goes on."""
    if status.is_open or _ACTIVE in MOVES[status]:
        return
    raise InvalidTransition(
        f"a session that is {status} uses no budget any more: it cannot become {_ACTIVE}",
        remedy="Create a new session with that budget; of this one metadata and tags may be changed.",
        status=status,
        to=_ACTIVE,
        allowed=MOVES[status],
    )
