"""What `hold.stats()` returns: figures for people and dashboards."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from holdfast.model.sweep import SweeperStats


class CallStats(Struct, frozen=True, kw_only=True):
    """The calls of one name since the opening, in this process.

    calls       how many ended, however they did
    errors      how many raised, by the error's code ("cancelled"; the class's name for an error that is not Holdfast's)
    total_s     the time they took together
    p50_us, p95_us, p99_us
                so long half, 95 % and 99 % of them took at most; told by buckets, so up to 1.42 times too high
    max_us      the longest there was
    """

    calls: int
    errors: dict[str, int]
    total_s: float
    p50_us: float
    p95_us: float
    p99_us: float
    max_us: float


class CacheStats(Struct, frozen=True, kw_only=True):
    """The cache of this opening: what kind it is, reads it answered and did not, values and bytes it holds now."""

    kind: Literal["exact", "bounded", "off"] = "off"
    hits: int = 0
    misses: int = 0
    entries: int = 0
    bytes: int = 0

    @property
    def ratio(self) -> float:
        """The share of reads that it answered, from 0 to 1."""
        return self.hits / max(1, self.hits + self.misses)


class WriterStats(Struct, frozen=True, kw_only=True):
    """The writer of this opening: commits and batches sent, the largest batch, commits waiting now."""

    commits: int
    batches: int
    batch_max: int
    waiting: int

    @property
    def batch_mean(self) -> float:
        """Commits that shared one barrier, on average."""
        return self.commits / max(1, self.batches)


class KindStats(Struct, frozen=True, kw_only=True):
    """What there is of one kind: how many, and the bytes of their values."""

    count: int
    bytes: int


class Stats(Struct, frozen=True, kw_only=True):
    """Everything there is to count.

    methods     calls of public methods, by name ("state.get"), this process's since it opened the store
    verbs       calls of the kernel's verbs, by name ("read", "commit": one a batch); below the methods
    cache       see `CacheStats`
    writer      see `WriterStats`
    sweeper     see `SweeperStats`
    kinds       what the space holds, by kind ("state", "message", "session"…)
    scopes, cells, records, bytes
                what the space holds altogether: live scopes, values, log records, bytes of values and log
    store       the store's own figures: sizes, versions
    """

    methods: dict[str, CallStats]
    verbs: dict[str, CallStats]
    cache: CacheStats
    writer: WriterStats
    sweeper: SweeperStats = SweeperStats()
    kinds: dict[str, KindStats]
    scopes: int
    cells: int
    records: int
    bytes: int
    store: dict[str, int | float | str]
