"""What stands around a backend's kernel in an opened store, from the inside out.

    backend -> cache -> telemetry

What the cache answers is counted like what the store answers.
"""

from __future__ import annotations

from typing import NamedTuple

from holdfast.kernel.contract import Clock, Kernel
from holdfast.model.config import Config
from holdfast.model.duration import to_seconds
from holdfast.wrappers.caching import Bounded, Caching, Exact
from holdfast.wrappers.meter import Meters
from holdfast.wrappers.telemetry import Telemetry
from holdfast.wrappers.tracing import spans_for


class Stack(NamedTuple):
    """The outermost kernel, and those within that have something to say of themselves."""

    kernel: Kernel
    cache: Caching | None
    meters: Meters | None


def stacked(backend: Kernel, config: Config, *, clock: Clock, fresh: frozenset[str]) -> Stack:
    """The backend's kernel with everything around it that is configured. A bounded cache never answers for the cells
    and areas named `fresh`."""
    kernel: Kernel = backend
    cache = cache_around(kernel, config, clock=clock, fresh=fresh)
    kernel = kernel if cache is None else cache
    telemetry = config.telemetry
    spans = spans_for(backend) if telemetry.enabled and telemetry.opentelemetry else None
    meters = Meters(spans) if telemetry.enabled else None
    kernel = kernel if meters is None else Telemetry(kernel, meters)
    return Stack(kernel, cache, meters)


def cache_around(kernel: Kernel, config: Config, *, clock: Clock, fresh: frozenset[str]) -> Caching | None:
    """An exact cache where the kernel has a mark, else a bounded one if a ttl is configured, else none."""
    cache = config.cache
    if not cache.enabled:
        return None
    if kernel.traits.cache == "exact":
        return Exact(kernel, entries_max=cache.entries_max, bytes_max=cache.bytes_max)
    if cache.ttl is None:
        return None
    return Bounded(
        kernel,
        clock=clock,
        ttl_s=to_seconds(cache.ttl, "cache.ttl"),
        fresh=fresh,
        entries_max=cache.entries_max,
        bytes_max=cache.bytes_max,
    )
