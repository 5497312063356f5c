"""Any kernel behind the weakest traits that a backend may declare, so that nobody builds on more.

One commit covers one bucket; the limits are those of the smallest backend; a read of several scopes is one cut of
each, not of all; `moved` repeats itself and keeps no order; answers come late, replies get lost and hints never come.
Whatever works here works on every backend that passes the kit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random

from msgspec.structs import replace

from holdfast.errors import HoldfastError
from holdfast.kernel.commit import Commit, Moved, Outcome, Read, Record, Rewrite, View
from holdfast.kernel.contract import Clock, Kernel
from holdfast.kernel.limits import KIB, MIB, Traits, check_commit, check_rewrites
from holdfast.wrappers.around import Around
from holdfast.wrappers.faults import Chances, Faults, Plan

WEAKEST = Traits(
    durability="none",
    span="bucket",
    cache="bounded",
    value_bytes_max=380 * KIB,
    operations_max=98,
    commit_bytes_max=39 * MIB // 10,
    poll_s=1.0,
)
"""The least of everything, but for durability, which is that of the kernel inside."""


def weakest(inside: Kernel, *, clock: Clock, random: Random, plan: Plan | None = None) -> Kernel:
    """`inside` behind the weakest traits and a line that loses 2 % of requests and replies and half of the hints.

    Latency, up to 20 ms each way, is waited for by `clock`. `random` decides over what is left open; another `plan`
    replaces the faults.
    """
    chances = Chances(
        random,
        unavailable=0.02,
        request_lost=0.02,
        reply_lost=0.02,
        hint_lost=0.5,
        hint_doubled=0.2,
        delay_s_max=0.02,
    )
    return Faults(Weakened(inside, random=random), plan=plan or chances, clock=clock)


class Weakened(Around):
    """The kernel inside, promising no more than `WEAKEST`; without faults."""

    def __init__(self, inside: Kernel, *, random: Random) -> None:
        super().__init__(inside)
        self.traits = replace(WEAKEST, durability=inside.traits.durability)
        self._random = random

    async def read(self, reads: Sequence[Read], *, now_us: int) -> list[View]:
        """See `Kernel.read`. Each scope by itself, in no particular order, while others go on."""
        views: dict[int, View] = {}
        if not reads:
            return await super().read(reads, now_us=now_us)
        for place in self._random.sample(range(len(reads)), len(reads)):
            [views[place]] = await super().read([reads[place]], now_us=now_us)
            await asyncio.sleep(0)
        return [views[place] for place in range(len(reads))]

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """See `Kernel.commit`. What is beyond the traits is not sent."""
        refusals = [self._refusal(commit) for commit in commits]
        sent = [commit for commit, refusal in zip(commits, refusals, strict=True) if refusal is None]
        outcomes = iter(await super().commit(sent))
        return [next(outcomes) if refusal is None else refusal for refusal in refusals]

    def mark(self) -> int | None:
        """See `Kernel.mark`. Not to be known."""
        self.inside.mark()  # raises Closed
        return None

    def _refusal(self, commit: Commit) -> HoldfastError | None:
        try:
            check_commit(commit, self.traits)
        except HoldfastError as refusal:
            return refusal
        return None

    async def rewrite(self, scope: str, *, cells: Sequence[Rewrite] = (), records: Sequence[Record] = ()) -> int:
        """See `Kernel.rewrite`. What is beyond the traits is refused."""
        check_rewrites(cells, self.traits)
        return await super().rewrite(scope, cells=cells, records=records)

    async def moved(self, after: str | None = None, *, limit: int = 1000) -> Moved:
        """See `Kernel.moved`. In any order, and some of it twice where the limit has room."""
        moved = await super().moved(after, limit=limit)
        scopes = list(moved.scopes)
        room = min(limit - len(scopes), len(scopes))
        scopes += self._random.sample(scopes, self._random.randint(0, room)) if room > 0 else []
        self._random.shuffle(scopes)
        return replace(moved, scopes=tuple(scopes))
