"""What `hold.stats()` returns: figures for people and dashboards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from msgspec import Struct

from holdfast.model.exposition import family, summary
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

    def prometheus(self, *, space: str = "default", process: bool = True) -> str:
        """These figures in Prometheus' text format, for the endpoint of a server; each sample names the space.

        Without `process` only what the space holds, nothing of what this process called and sent.
        """
        here = {"space": space}
        lines = [*_held(self, here), *(_done(self, here) if process else ())]
        return "".join(f"{line}\n" for line in lines)


_TOLD = {
    "file_bytes": "Bytes of the store's file.",
    "free_bytes": "Bytes within the store's file that are free.",
    "entries": "Index entries.",
    "schema": "Version of the store's schema.",
}


def _held(stats: Stats, here: dict[str, str]) -> Iterator[str]:
    """What the space holds."""
    yield from family("scopes", "Live scopes: sessions, users, agents, globals.", [(here, stats.scopes)])
    yield from family("records", "Records kept in the logs of all scopes.", [(here, stats.records)])
    yield from family("bytes", "Bytes of values and log records.", [(here, stats.bytes)])
    kinds = [({**here, "kind": kind}, figures) for kind, figures in stats.kinds.items()]
    yield from family("cells", "Values kept, by kind.", [(labels, one.count) for labels, one in kinds])
    yield from family(
        "value_bytes", "Bytes of the values kept, by kind.", [(labels, one.bytes) for labels, one in kinds]
    )
    texts = {}
    for name, figure in stats.store.items():
        if isinstance(figure, str):
            texts[name] = figure
        else:
            yield from family(name, _TOLD.get(name, f"The figure {name} of the store."), [(here, figure)])
    yield from family("info", "Always 1; what the store runs on stands in the labels.", [({**here, **texts}, 1)])


def _done(stats: Stats, here: dict[str, str]) -> Iterator[str]:
    """What this process called and sent since it opened the store."""
    yield from _calls("method", "public methods", stats.methods, here)
    yield from _calls("verb", "the kernel's verbs", stats.verbs, here)
    cache, writer, sweeper = stats.cache, stats.writer, stats.sweeper
    for name, told, count in (
        ("cache_hits_total", "Reads that the cache answered.", cache.hits),
        ("cache_misses_total", "Reads that the cache did not answer.", cache.misses),
        ("writer_commits_total", "Commits sent.", writer.commits),
        ("writer_batches_total", "Batches sent, each with one barrier.", writer.batches),
        ("sweeper_steps_total", "Steps the sweeper made.", sweeper.steps),
        ("sweeper_failures_total", "Steps the store did not let the sweeper make.", sweeper.failures),
    ):
        yield from family(name, told, [(here, count)], kind="counter")
    for name, told, count in (
        ("cache_entries", "Values in the cache.", cache.entries),
        ("cache_bytes", "Bytes in the cache.", cache.bytes),
        ("writer_batch_max", "Commits of the largest batch.", writer.batch_max),
        ("writer_waiting", "Commits in the queue.", writer.waiting),
        ("sweeper_running", "1 if there is a sweeper.", int(sweeper.running)),
        ("sweeper_failures_in_a_row", "Failures of the sweeper one after the other, up to now.", sweeper.in_a_row),
    ):
        yield from family(name, told, [(here, count)])


def _calls(noun: str, told: str, calls: Mapping[str, CallStats], here: dict[str, str]) -> Iterator[str]:
    by_name = [({**here, noun: name}, one) for name, one in calls.items()]
    yield from summary(
        f"{noun}_seconds",
        f"Seconds that calls of {told} took; quantiles since the opening.",
        [
            (
                labels,
                {"0.5": one.p50_us / 1e6, "0.95": one.p95_us / 1e6, "0.99": one.p99_us / 1e6},
                one.total_s,
                one.calls,
            )
            for labels, one in by_name
        ],
    )
    errors = [({**labels, "code": code}, count) for labels, one in by_name for code, count in one.errors.items()]
    yield from family(f"{noun}_errors_total", f"Calls of {told} that raised, by code.", errors, kind="counter")
