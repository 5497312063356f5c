"""An encrypted kernel keeps every guarantee, over each backend."""

from pathlib import Path
from typing import Any

from holdfast import system
from holdfast.backends.memory import MemoryKernel, MemoryStore
from holdfast.backends.sqlite import SqliteKernel
from holdfast.model.keyring import KeyRing
from holdfast.testing import conformance_tests
from holdfast.testing.conformance import Open
from holdfast.wrappers.sealing import Sealing

RING = KeyRing({"2026-10": b"a" * 32, "2026-11": b"b" * 32}, active="2026-11")


async def sealed(kernel: Any) -> Sealing:
    source = {"clock": system.SystemClock(), "ids": system.SystemIds(), "entropy": system.random_bytes}
    return await Sealing.open(kernel, RING, **source)


def in_memory(_path: Path) -> Open:
    store = MemoryStore()
    return lambda space: sealed(MemoryKernel(store, space=space))


def in_a_file(path: Path) -> Open:
    async def opened(space: str) -> Sealing:
        return await sealed(await SqliteKernel.open(path / "store.db", space=space, durability="process"))

    return opened


test_sealed_memory_conforms = conformance_tests(in_memory)
test_sealed_sqlite_conforms = conformance_tests(in_a_file)
