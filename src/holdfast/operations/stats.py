"""Putting the figures of a store together: those it counts itself, and those of this process."""

from __future__ import annotations

from collections.abc import Mapping

from holdfast.model.stats import CacheStats, CallStats, KindStats, Stats, WriterStats
from holdfast.model.sweep import SweeperStats
from holdfast.wrappers.caching import Caching
from holdfast.wrappers.meter import Meter, Meters

COUNTS = ("scopes", "cells", "records", "bytes")


def cache_stats(cache: Caching | None) -> CacheStats:
    """The figures of the cache, or that there is none."""
    return CacheStats() if cache is None else CacheStats(kind=cache.kind, **cache.figures())


def put_together(
    figures: Mapping[str, int | float | str],
    *,
    writer: Mapping[str, int],
    sweeper: SweeperStats,
    cache: Caching | None,
    meters: Meters | None,
) -> Stats:
    """Sort out what `Kernel.stats` says, and add what this process counted."""
    kinds = {
        name.removeprefix("cells/"): KindStats(count=int(count), bytes=int(figures[f"bytes/{name[6:]}"]))
        for name, count in figures.items()
        if name.startswith("cells/")
    }
    meters = meters or Meters()
    return Stats(
        methods=_read(meters.methods),
        verbs=_read(meters.verbs),
        cache=cache_stats(cache),
        writer=WriterStats(**writer),
        sweeper=sweeper,
        kinds=kinds,
        **{name: int(figures[name]) for name in COUNTS},
        store={name: figure for name, figure in figures.items() if "/" not in name and name not in COUNTS},
    )


def _read(meters: Mapping[str, Meter]) -> dict[str, CallStats]:
    return {name: meter.read() for name, meter in sorted(meters.items())}
