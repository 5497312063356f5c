"""A cache around a kernel: heads and cells are read from memory where that is as good as reading them.

Exact, where the kernel has a mark. What is remembered is as of a mark; as long as the mark has not moved since, nobody
committed or swept anything, in any process. Once it has, `moved` tells from the last position on which scopes are at a
later seq than is remembered of them, and only those are forgotten. Every step errs on the side of asking:

    the mark is asked for before `moved`       what is committed in between moves it again
    a read during which moves were learned     is not remembered: its scope may have been told as moved meanwhile
    a commit's own writes are added            where their seq is the next one, so that nothing came between; and then
                                               no mark is known, so that several scopes are never of two moments
    what cannot be answered whole              is read whole

So it needs to be told of nothing: commits of other processes, cancelled and indeterminate ones and those that land late
move the mark like any other. (Tried: telling one's own commits from those of others by counting both. Two counters
cannot be read at one moment.)

Bounded, where it has none: what was read is answered again for at most `ttl_s`, by a clock that only grows; one's own
commits and rewrites are seen at once, and a conflict makes what is remembered of its scopes forgotten. Never with one
of the keys in `fresh`, or in an area that is named there ("step/"), and never over several scopes, which would not be
one cut.

Ranges are never remembered.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Literal

from holdfast.errors import Compacted, HoldfastError
from holdfast.kernel.commit import Commit, Moved, Outcome, Read, Record, Retention, Rewrite, Swept, View
from holdfast.kernel.contract import Clock, Kernel
from holdfast.wrappers.around import Around
from holdfast.wrappers.kept import Kept

MOVES_MAX = 256
"""So many moves of others are followed at once; if there are more, everything is forgotten."""


class Caching(Around):
    """What both kinds have in common: a lock, what is kept, and figures."""

    kind: Literal["exact", "bounded"]

    def __init__(self, inside: Kernel, *, entries_max: int, bytes_max: int) -> None:
        super().__init__(inside)
        self.hits = self.misses = 0
        self._lock = threading.Lock()
        self._kept = Kept(entries_max=entries_max, bytes_max=bytes_max)

    def figures(self) -> Mapping[str, int]:
        """Reads answered from memory and not, since the opening; cells and bytes kept now."""
        return {"hits": self.hits, "misses": self.misses, "entries": self._kept.entries, "bytes": self._kept.bytes}

    async def sweep(self, *, now_us: int, retention: Retention, budget: int = 10_000) -> Swept:
        """See `Kernel.sweep`."""
        try:
            return await super().sweep(now_us=now_us, retention=retention, budget=budget)
        finally:
            self._forget()

    async def purge(self, scope: str, *, budget: int = 10_000) -> Swept:
        """See `Kernel.purge`. Heads that are remembered may reach further back than the log by now."""
        try:
            return await super().purge(scope, budget=budget)
        finally:
            self._forget()

    async def close(self) -> None:
        """See `Kernel.close`."""
        self._forget()
        await super().close()

    def _forget(self) -> None:
        with self._lock:
            self._kept.clear()


class Exact(Caching):
    """Answers that are those of the kernel inside, to the very commit."""

    kind = "exact"

    def __init__(self, inside: Kernel, *, entries_max: int, bytes_max: int) -> None:
        super().__init__(inside, entries_max=entries_max, bytes_max=bytes_max)
        self._mark: int | None = None
        self._position: str | None = None
        self._sweeps = 0
        self._learned = 0  # how often it was learned that something moved

    async def read(self, reads: Sequence[Read], *, now_us: int) -> list[View]:
        """See `Kernel.read`."""
        for _ in range(2):
            with self._lock:
                mark = self._mark
                views = self._kept.answer(reads, now_us)
            if views is None:
                break
            if mark is not None and mark == self.inside.mark():
                self.hits += 1
                return views
            if not await self._catch_up():
                break
        return await self._fetch(reads, now_us)

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """See `Kernel.commit`."""
        outcomes = await self.inside.commit(commits)
        with self._lock:
            self._mark = None
            self._kept.wrote(commits, outcomes)
        return outcomes

    async def _fetch(self, reads: Sequence[Read], now_us: int) -> list[View]:
        self.misses += 1
        if self._position is None:
            await self._catch_up()
        learned = self._learned
        views = await self.inside.read(reads, now_us=now_us)
        with self._lock:
            if self._position is not None and self._learned == learned:
                self._kept.learn(reads, views, now_us)
        return views

    async def _catch_up(self) -> bool:
        """Forget what others changed; False if that could not be learned, or somebody else learned it meanwhile."""
        with self._lock:
            learned, position = self._learned, self._position
        mark = self.inside.mark()
        try:
            moved, told = await self._moved_since(position)
        except HoldfastError:
            return False  # what reads will meet it too, and tell
        with self._lock:
            if self._learned != learned:
                return False
            swept = not told or moved.sweeps != self._sweeps
            if swept:
                self._kept.clear()
            for scope, seq in moved.scopes:
                self._kept.outdated(scope, seq)
            self._learned += swept or moved.position != position
            self._mark, self._position, self._sweeps = mark, moved.position, moved.sweeps
        return True

    async def _moved_since(self, position: str | None) -> tuple[Moved, bool]:
        """What moved since, or if that is not known or too much, where it is now."""
        if position is not None:
            try:
                moved = await self.inside.moved(position, limit=MOVES_MAX)
            except Compacted:
                pass
            else:
                if not moved.more:
                    return moved, True
        return await self.inside.moved(), False


class Bounded(Caching):
    """Answers that are at most `ttl_s` old."""

    kind = "bounded"

    def __init__(
        self,
        inside: Kernel,
        *,
        clock: Clock,
        ttl_s: float,
        fresh: frozenset[str],
        entries_max: int,
        bytes_max: int,
    ) -> None:
        super().__init__(inside, entries_max=entries_max, bytes_max=bytes_max)
        self._clock = clock
        self._ttl_s = ttl_s
        self._fresh = fresh
        self._commits = 0  # begun and ended

    async def read(self, reads: Sequence[Read], *, now_us: int) -> list[View]:
        """See `Kernel.read`."""
        begun_s = self._clock.monotonic_s()
        with self._lock:
            commits = self._commits
            if len(reads) == 1 and not any(map(self._is_fresh, reads[0].keys)):
                views = self._kept.answer(reads, now_us, since_s=begun_s - self._ttl_s)
                if views is not None:
                    self.hits += 1
                    return views
        self.misses += 1
        views = await self.inside.read(reads, now_us=now_us)
        with self._lock:
            if self._commits == commits:
                self._kept.learn(reads, views, now_us, since_s=begun_s)
        return views

    def _is_fresh(self, key: str) -> bool:
        return key in self._fresh or key[: key.find("/") + 1] in self._fresh

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """See `Kernel.commit`. What was read while one was under way is not remembered."""
        outcomes: Sequence[Outcome] = ()
        with self._lock:
            self._commits += 1
        try:
            outcomes = await self.inside.commit(commits)
            return outcomes
        finally:
            with self._lock:
                self._commits += 1
                if outcomes:
                    self._kept.wrote(commits, outcomes)
                else:  # it may have been applied, or may yet
                    for commit in commits:
                        for part in commit.scopes:
                            self._kept.forget(part.scope)

    async def rewrite(self, scope: str, *, cells: Sequence[Rewrite] = (), records: Sequence[Record] = ()) -> int:
        """See `Kernel.rewrite`. Seen at once like one's own commits."""
        with self._lock:
            self._commits += 1
        try:
            return await super().rewrite(scope, cells=cells, records=records)
        finally:
            with self._lock:
                self._commits += 1
                self._kept.forget(scope)
