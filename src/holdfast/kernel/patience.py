"""Asking again while the store is out of reach, for what does no harm when asked twice.

The pauses double and are jittered by half, so that many callers spread out when the store comes back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from holdfast.errors import Unavailable
from holdfast.kernel.contract import Clock, Ids

T = TypeVar("T")

TRIES = 5
"""How often one call is sent at most."""

PAUSE_S = 0.02
"""The pause before the second try; it doubles with each further one."""


def pause_s(turn: int, ids: Ids) -> float:
    """The pause before try `turn` + 2."""
    return PAUSE_S * 2.0**turn * (0.5 + ids.random())


async def again(call: Callable[[], Awaitable[T]], *, clock: Clock, ids: Ids) -> T:
    """Repeat a call that met Unavailable once already, until it is answered; the last try's Unavailable is raised."""
    for turn in range(TRIES - 2):
        await clock.sleep(pause_s(turn, ids))
        try:
            return await call()
        except Unavailable:
            continue
    await clock.sleep(pause_s(TRIES - 2, ids))
    return await call()
