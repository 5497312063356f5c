"""A kernel behind a cache keeps every guarantee that the kernel keeps."""

from pathlib import Path

from holdfast.backends.memory import MemoryKernel, MemoryStore
from holdfast.backends.sqlite import SqliteKernel
from holdfast.kernel.contract import Kernel
from holdfast.testing import conformance_tests
from holdfast.testing.clock import ManualClock
from holdfast.testing.conformance import Open
from holdfast.wrappers.caching import Bounded, Exact


def memory(_path: Path) -> Open:
    store = MemoryStore()
    return lambda space: Exact(MemoryKernel(store, space=space), entries_max=30, bytes_max=100_000)


def sqlite(path: Path) -> Open:
    async def open_(space: str) -> Kernel:
        kernel = await SqliteKernel.open(path / "store.db", space=space, durability="process")
        return Exact(kernel, entries_max=10_000, bytes_max=10_000_000)

    return open_


def bounded(_path: Path) -> Open:
    """One opening alone: what another commits may go unseen for a while."""
    store, clock = MemoryStore(), ManualClock()

    return lambda space: Bounded(
        MemoryKernel(store, space=space),
        clock=clock,
        ttl_s=3600,
        fresh=frozenset({"alive"}),
        entries_max=10_000,
        bytes_max=10_000_000,
    )


test_a_cached_memory_conforms = conformance_tests(memory)
test_a_cached_sqlite_conforms = conformance_tests(sqlite)
test_a_bounded_cache_conforms_alone = conformance_tests(bounded, without={"second"})
