"""What `hold.health()` returns."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Status = Literal["healthy", "degraded", "unhealthy"]

Cached = Literal["exact", "bounded", "off"]


class Health(Struct, frozen=True, kw_only=True):
    """How a store is, by a round trip to it.

    status      healthy: it reads and writes; degraded: it does, but see `details`; unhealthy: it does not
    version     Holdfast's
    store       the backend's name
    durability  what an acknowledged commit survives
    traits      everything else that the store declares of itself: what its backend does, less what frames take
    latency     seconds that a "read" and a "write" took, as far as they came
    skew        seconds by which this host's clock is ahead of the store's; None where they are one, as in a file
    cached      the kind of the cache: exact, bounded or off
    details     what is wrong, in sentences; empty when healthy
    """

    status: Status
    version: str
    store: str
    durability: str
    traits: dict[str, int | float | str]
    latency: dict[str, float]
    skew: float | None
    cached: Cached
    details: tuple[str, ...]
