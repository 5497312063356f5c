"""A kernel that keeps nothing readable but names, numbers, times and orders: see `sealed` for how bytes are kept.

The keys never reach the kernel inside, which sees frames like any other bytes. The values of index entries are keyed
hashes, and `find` hashes what it is asked for. While a store that was plain is being encrypted, an entry may still be
under its plain value: then `find` looks for both, so often that what it answers was true at one moment.

Limits are lowered by what sealing adds: `frame.SEALED_BYTES_MAX` for a value or payload, and for a commit a KiB for
each of its writes, which covers a dozen index entries.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from msgspec.structs import replace

from holdfast.errors import Corrupt, WrongKey
from holdfast.kernel.commit import Found, Moved, Read
from holdfast.kernel.contract import Clock, Ids, Kernel
from holdfast.kernel.frame import NONCE_BYTES, SEALED_BYTES_MAX
from holdfast.kernel.limits import KIB, check_signal
from holdfast.kernel.writer import Writer
from holdfast.model.keyring import KeyRing, Rekeyed
from holdfast.wrappers.framing import Compresses, Framing, everything, lowered
from holdfast.wrappers.rekeying import Rekeying
from holdfast.wrappers.ring import SCOPE, Ring, index_key_of, unlocked, without_ring
from holdfast.wrappers.seal import Place, Seal
from holdfast.wrappers.sealed import Entropy, SealedFrames


class Sealing(Framing):
    """The kernel inside, encrypted. Made by `open`."""

    encrypts = True

    def __init__(self, writer: Writer, seal: Seal, ring: Ring, *, entropy: Entropy, compresses: Compresses) -> None:
        inside = writer.kernel
        traits = lowered(inside.traits, by=SEALED_BYTES_MAX, each=KIB)
        traits = replace(
            traits,
            payload_bytes_max=inside.traits.payload_bytes_max - SEALED_BYTES_MAX,
            signal_bytes_max=inside.traits.signal_bytes_max - SEALED_BYTES_MAX,
        )
        self._sealed = SealedFrames(seal, index_key_of(ring, seal), traits, compresses=compresses, entropy=entropy)
        super().__init__(inside, self._sealed)
        self.traits = traits
        self._writer = writer
        self._seal = seal
        self._entropy = entropy
        self._plain = ring.plain

    @classmethod
    async def open(
        cls,
        inside: Kernel,
        keys: KeyRing,
        *,
        clock: Clock,
        ids: Ids,
        entropy: Entropy,
        compresses: Compresses = everything,
    ) -> Sealing:
        """Encrypt what is kept in this kernel from now on. `entropy` gives random bytes that are fit for keys.

        Raises WrongKey if the ring lacks a key that the store needs, or has another one under its id; if the ring is
        strict and the store holds what is not encrypted.
        """
        writer = Writer(inside, clock=clock, ids=ids)
        seal = Seal(keys, inside.space)
        ring = await unlocked(writer, seal, entropy)
        return cls(writer, seal, ring, entropy=entropy, compresses=compresses)

    async def rekey(self, progress: Callable[[Rekeyed], None] | None = None) -> Rekeyed:
        """Encrypt everything under the active key; see `Holdfast.rekey`."""
        rekeying = Rekeying(self._writer, self._seal, self._sealed, entropy=self._entropy, progress=progress)
        rekeyed = await rekeying.run()
        self._plain = False
        return rekeyed

    async def moved(self, after: str | None = None, *, limit: int = 1000) -> Moved:
        """See `Kernel.moved`. Without the scope of the ring."""
        moved = await super().moved(after, limit=limit)
        if not any(scope == SCOPE for scope, _ in moved.scopes):
            return moved
        firsts = {scope: seq for scope, seq in moved.firsts.items() if scope != SCOPE}
        return replace(moved, scopes=tuple([one for one in moved.scopes if one[0] != SCOPE]), firsts=firsts)

    async def scopes(self, *, after: str = "", limit: int = 1000) -> tuple[str, ...]:
        """See `Kernel.scopes`. Without that of the ring."""
        names = await super().scopes(after=after, limit=limit)
        if SCOPE not in names:
            return names
        others = tuple([name for name in names if name != SCOPE])
        return others if len(names) < limit else others + await super().scopes(after=names[-1], limit=1)

    async def find(
        self,
        index: str,
        value: str,
        *,
        now_us: int,
        lo: str | None = None,
        hi: str | None = None,
        after: tuple[str, str, str] | None = None,
        limit: int = 1000,
        reverse: bool = False,
    ) -> tuple[Found, ...]:
        """See `Kernel.find`."""
        inside = super().find

        def look(value: str) -> Awaitable[tuple[Found, ...]]:
            return inside(index, value, now_us=now_us, lo=lo, hi=hi, after=after, limit=limit, reverse=reverse)

        if not self._plain:
            return await look(self._sealed.hash(index, value))
        plain = await look(value)
        while True:
            found = await look(self._sealed.hash(index, value))
            if (again := await look(value)) == plain:
                break
            plain = again
        both = {one.cursor: one for one in (*plain, *found)}
        return tuple(sorted(both.values(), key=lambda one: one.cursor, reverse=reverse)[:limit])

    async def signal(self, scope: str, payload: bytes) -> None:
        """See `Kernel.signal`."""
        check_signal(scope, payload, self.traits)
        sealed = self._seal.close(Place(scope, "signal"), payload, nonce=self._entropy(NONCE_BYTES))
        await super().signal(scope, sealed)

    def listen(self, hear: Callable[[str, bytes], None]) -> Callable[[], None]:
        """See `Kernel.listen`. What is not sealed, or under a key that the ring lacks, is not heard."""

        def opened(scope: str, kept: bytes) -> None:
            try:
                payload = self._seal.open(Place(scope, "signal"), kept)
            except (Corrupt, WrongKey):
                return
            hear(scope, payload)

        return super().listen(opened)

    async def stats(self) -> Mapping[str, int | float | str]:
        """See `Kernel.stats`. Without what the ring takes of scopes, cells and records."""
        [view] = await self.inside.read([Read(SCOPE)], now_us=self._writer.clock.now_us())
        return without_ring(await super().stats(), view.head)

    async def close(self) -> None:
        """See `Kernel.close`."""
        await self._writer.close()
        await super().close()
