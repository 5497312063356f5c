"""Encrypting everything that is kept under the active key, in place, beside whoever is writing.

    the index key is sealed anew, and the store said to be dirty
    what nobody can see any more is swept
    of every scope that ever moved, records and cells are rewritten, page by page
    what nobody can see by now is swept
    the store's files are scrubbed; the store needs no other key from here on

Every step may be the last one of this process: what is done needs no doing again, and is recognised by the key ids in
the frames. A scope that is written meanwhile moves, and is looked at again further on in the walk.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from msgspec.structs import replace

from holdfast.errors import Compacted, Diverged, Gone, Indeterminate, Unavailable
from holdfast.kernel.commit import Read, Record, Retention
from holdfast.kernel.frame import parse_sealed
from holdfast.kernel.limits import MIB
from holdfast.kernel.writer import Writer
from holdfast.model.keyring import Rekeyed
from holdfast.wrappers.ring import SCOPE, Ring, change_ring, rewrapped, without_ring
from holdfast.wrappers.seal import Seal
from holdfast.wrappers.sealed import Entropy, SealedFrames

PAGE = 200
PAGE_BYTES = 2 * MIB
SCOPES = 1_000

P = ParamSpec("P")
T = TypeVar("T")


class Rekeying:
    """One pass over everything. `writer` is one on the kernel in which the frames are."""

    def __init__(
        self,
        writer: Writer,
        seal: Seal,
        frames: SealedFrames,
        *,
        entropy: Entropy,
        progress: Callable[[Rekeyed], None] | None,
    ) -> None:
        self._writer = writer
        self._kernel = writer.kernel
        self._seal = seal
        self._frames = frames
        self._entropy = entropy
        self._progress = progress
        self._done = Rekeyed()
        self._reached: dict[str, int] = {}  # of each scope, up to which seq it was looked at

    async def run(self) -> Rekeyed:
        """Do it all; see `Holdfast.rekey`."""
        before = await self._begin()
        await self._sweep()
        await self._count()
        await self._walk()
        await self._sweep()
        needed = before.dirty or before.plain or bool(self._done.changed)
        scrubbed = await self._ask(self._kernel.scrub) if needed else True
        await change_ring(self._writer, lambda ring: self._ended(before, ring, dirty=not scrubbed))
        self._done = replace(self._done, scrubbed=scrubbed)
        return self._done

    async def _begin(self) -> Ring:
        """Say that the store is dirty; returns what it said before."""
        found: list[Ring] = []

        def begin(ring: Ring | None) -> Ring:
            assert ring is not None
            found.append(ring)
            return rewrapped(ring, self._seal, self._entropy)

        await change_ring(self._writer, begin)
        return found[-1]

    def _ended(self, before: Ring, ring: Ring | None, *, dirty: bool) -> Ring:
        """What the store says once all is done: another key that was brought meanwhile is still needed, and so is that
        of a rekey to another one that began later."""
        assert ring is not None
        active = self._seal.keys.active
        later = parse_sealed(ring.index_key).key_id
        ids = {id: check for id, check in ring.ids.items() if id == later or id not in before.ids}
        return replace(ring, ids=ids | {active: self._seal.check(active)}, plain=False, dirty=dirty)

    async def _sweep(self) -> None:
        nothing, clock = Retention(tombstone_us=None), self._writer.clock
        while (await self._ask(self._kernel.sweep, now_us=clock.now_us(), retention=nothing)).more:
            pass

    async def _count(self) -> None:
        [view] = await self._ask(self._kernel.read, [Read(SCOPE)], now_us=0)
        figures = without_ring(await self._ask(self._kernel.stats), view.head)
        total = sum(count for name in ("cells", "records") if isinstance(count := figures.get(name), int))
        self._done = replace(self._done, total=total)

    async def _walk(self) -> None:
        position, more = "", True
        while more:
            try:
                moved = await self._ask(self._kernel.moved, position, limit=SCOPES)
            except Compacted:  # a scope was forgotten: from the beginning, where what was reached is skipped
                position = ""
                continue
            for scope, seq in moved.scopes:
                if scope != SCOPE and seq > self._reached.get(scope, 0):
                    await self._renew_records(scope)
                    await self._renew_cells(scope)
            position, more = moved.position, moved.more

    async def _renew_records(self, scope: str) -> None:
        kernel, frames = self._kernel, self._frames
        while records := await self._records(scope):
            renewed = [new for one in records if (new := frames.renewed_record(scope, one)) is not None]
            changed = await self._ask(kernel.rewrite, scope, records=renewed) if renewed else 0
            self._reached[scope] = records[-1].seq
            self._tell(len(records), changed)

    async def _records(self, scope: str) -> tuple[Record, ...]:
        """The next records of a scope that were not looked at."""
        while True:
            after = self._reached.get(scope, 0)
            if not after:
                [view] = await self._ask(self._kernel.read, [Read(scope)], now_us=0)
                after = max(0, view.head.floor - 1)
            try:
                return await self._ask(self._kernel.log, scope, after=after, limit=PAGE, bytes_max=PAGE_BYTES)
            except Compacted:  # trimmed meanwhile: from where it begins now
                self._reached.pop(scope, None)
            except (Gone, Diverged):  # forgotten meanwhile, and perhaps made again, which will be a move of its own
                self._reached.pop(scope, None)
                return ()

    async def _renew_cells(self, scope: str) -> None:
        kernel, frames, after = self._kernel, self._frames, None
        while page := await self._ask(kernel.stored, scope, after=after, limit=PAGE, bytes_max=PAGE_BYTES):
            renewed = [new for one in page if (new := frames.renewed(scope, one)) is not None]
            changed = await self._ask(kernel.rewrite, scope, cells=renewed) if renewed else 0
            after = page[-1].cell.key
            self._tell(len(page), changed)

    def _tell(self, seen: int, changed: int) -> None:
        done = self._done
        self._done = replace(done, seen=done.seen + seen, changed=done.changed + changed)
        if self._progress is not None:
            self._progress(self._done)

    async def _ask(self, verb: Callable[P, Awaitable[T]], *args: P.args, **options: P.kwargs) -> T:
        """Call a verb, again while the store is out of reach: none of them does harm when it is repeated."""
        try:
            return await verb(*args, **options)
        except (Unavailable, Indeterminate):
            return await self._writer.again(lambda: verb(*args, **options))
