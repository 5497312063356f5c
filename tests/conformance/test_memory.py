"""The memory backend keeps every guarantee."""

from pathlib import Path

from holdfast.backends.memory import MemoryKernel, MemoryStore
from holdfast.testing import conformance_tests
from holdfast.testing.conformance import Open


def opener(_path: Path) -> Open:
    store = MemoryStore()
    return lambda space: MemoryKernel(store, space=space)


test_memory_conforms = conformance_tests(opener)
