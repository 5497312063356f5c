"""The memory backend: the executable specification of the kernel. No threads, no clock, nothing survives."""

from holdfast.backends.memory.kernel import MemoryKernel
from holdfast.backends.memory.store import MemoryStore

__all__ = ["MemoryKernel", "MemoryStore"]
