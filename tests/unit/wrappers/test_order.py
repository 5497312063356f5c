"""The order of the kernels around a kernel: frames next to the backend, the cache outside of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from holdfast import Holdfast, KeyRing
from holdfast.backends.memory import MemoryKernel
from holdfast.kernel.commit import Read, View
from holdfast.wrappers.around import Around
from holdfast.wrappers.framing import Framing
from holdfast.wrappers.sealing import Sealing
from tests.unit.wrappers.rings import seal

RING = KeyRing({"2026-11": b"k" * 32}, active="2026-11")


def around(kernel: object) -> list[type]:
    """The kernels from the outermost to the backend."""
    found = [type(kernel)]
    while isinstance(kernel, Around):
        kernel = kernel.inside
        found.append(type(kernel))
    return found


class Counting(Around):
    """Counts the reads that reach it."""

    reads = 0

    async def read(self, reads: Sequence[Read], *, now_us: int) -> list[View]:
        self.reads += 1
        return await super().read(reads, now_us=now_us)


async def test_what_is_cached_was_opened_once() -> None:
    """A hit costs no decryption, for what is remembered is plain and in memory alone."""
    counting = Counting(MemoryKernel())
    async with Holdfast.over(await seal(counting)) as hold:
        s = await hold.sessions.create()
        await s.state.set("k", 1)
        await s.state.get("k")
        before = counting.reads
        assert [await s.state.get("k") for _ in range(5)] == [1] * 5
        assert counting.reads == before


async def test_frames_stand_next_to_the_backend(tmp_path: Path) -> None:
    for keys, frames in ((RING, Sealing), (None, Framing)):
        async with Holdfast.open(f"sqlite:///{tmp_path}/{frames.__name__}.db", keys=keys) as hold:
            kinds = around(hold._store.kernel)
            assert kinds.index(frames) == len(kinds) - 2
