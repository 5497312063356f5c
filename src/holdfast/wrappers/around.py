"""A kernel around another: every verb goes through `call`, and by default straight to the kernel inside.

What wraps a kernel changes what it must and inherits the rest; space and traits are those of the kernel inside.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal, TypeVar

from holdfast.kernel.commit import (
    Commit,
    CommitId,
    Committed,
    Found,
    Moved,
    Outcome,
    Read,
    Record,
    Retention,
    Rewrite,
    Stored,
    Swept,
    View,
)
from holdfast.kernel.contract import Kernel

T = TypeVar("T")

Verb = Literal[
    "read",
    "commit",
    "log",
    "moved",
    "find",
    "scopes",
    "signal",
    "sweep",
    "ended",
    "purge",
    "stored",
    "rewrite",
    "scrub",
    "outcome",
    "stats",
    "clock_us",
]
"""The verbs that wait for the store; `mark`, `watch`, `listen` and `close` never fail for its sake."""


class Around(Kernel):
    """A kernel that hands everything to the one inside."""

    def __init__(self, inside: Kernel) -> None:
        self.inside = inside
        self.space = inside.space
        self.traits = inside.traits

    async def call(self, verb: Verb, send: Callable[[], Awaitable[T]]) -> T:
        """One call of one verb; `send` makes the call inside, and may be called again."""
        return await send()

    async def read(self, reads: Sequence[Read], *, now_us: int) -> list[View]:
        """See `Kernel.read`."""
        return await self.call("read", lambda: self.inside.read(reads, now_us=now_us))

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """See `Kernel.commit`."""
        return await self.call("commit", lambda: self.inside.commit(commits))

    async def log(
        self, scope: str, *, after: int = 0, limit: int = 1000, reverse: bool = False, bytes_max: int | None = None
    ) -> tuple[Record, ...]:
        """See `Kernel.log`."""
        return await self.call(
            "log", lambda: self.inside.log(scope, after=after, limit=limit, reverse=reverse, bytes_max=bytes_max)
        )

    async def moved(self, after: str | None = None, *, limit: int = 1000) -> Moved:
        """See `Kernel.moved`."""
        return await self.call("moved", lambda: self.inside.moved(after, limit=limit))

    def mark(self) -> int | None:
        """See `Kernel.mark`."""
        return self.inside.mark()

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
        return await self.call(
            "find",
            lambda: self.inside.find(
                index, value, now_us=now_us, lo=lo, hi=hi, after=after, limit=limit, reverse=reverse
            ),
        )

    async def scopes(self, *, after: str = "", limit: int = 1000) -> tuple[str, ...]:
        """See `Kernel.scopes`."""
        return await self.call("scopes", lambda: self.inside.scopes(after=after, limit=limit))

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        """See `Kernel.watch`."""
        return self.inside.watch(wake)

    async def signal(self, scope: str, payload: bytes) -> None:
        """See `Kernel.signal`."""
        await self.call("signal", lambda: self.inside.signal(scope, payload))

    def listen(self, hear: Callable[[str, bytes], None]) -> Callable[[], None]:
        """See `Kernel.listen`."""
        return self.inside.listen(hear)

    async def sweep(self, *, now_us: int, retention: Retention, budget: int = 10_000) -> Swept:
        """See `Kernel.sweep`."""
        return await self.call("sweep", lambda: self.inside.sweep(now_us=now_us, retention=retention, budget=budget))

    async def ended(self, *, after: str = "", limit: int = 1000) -> tuple[str, ...]:
        """See `Kernel.ended`."""
        return await self.call("ended", lambda: self.inside.ended(after=after, limit=limit))

    async def purge(self, scope: str, *, budget: int = 10_000) -> Swept:
        """See `Kernel.purge`."""
        return await self.call("purge", lambda: self.inside.purge(scope, budget=budget))

    async def stored(
        self, scope: str, *, after: str | None = None, limit: int = 1000, bytes_max: int | None = None
    ) -> tuple[Stored, ...]:
        """See `Kernel.stored`."""
        return await self.call(
            "stored", lambda: self.inside.stored(scope, after=after, limit=limit, bytes_max=bytes_max)
        )

    async def rewrite(self, scope: str, *, cells: Sequence[Rewrite] = (), records: Sequence[Record] = ()) -> int:
        """See `Kernel.rewrite`."""
        return await self.call("rewrite", lambda: self.inside.rewrite(scope, cells=cells, records=records))

    async def scrub(self) -> bool:
        """See `Kernel.scrub`."""
        return await self.call("scrub", self.inside.scrub)

    async def outcome(self, scope: str, commit_id: CommitId) -> Committed | None:
        """See `Kernel.outcome`."""
        return await self.call("outcome", lambda: self.inside.outcome(scope, commit_id))

    async def stats(self) -> Mapping[str, int | float | str]:
        """See `Kernel.stats`."""
        return await self.call("stats", self.inside.stats)

    async def clock_us(self) -> int | None:
        """See `Kernel.clock_us`."""
        return await self.call("clock_us", self.inside.clock_us)

    async def close(self) -> None:
        """See `Kernel.close`."""
        await self.inside.close()


def backend_name(kernel: Kernel) -> str:
    """The backend's name, whatever is around it: that of its folder, or of its class where it is somebody else's."""
    while isinstance(kernel, Around):
        kernel = kernel.inside
    home = type(kernel).__module__.split(".")
    return home[2] if home[:2] == ["holdfast", "backends"] else type(kernel).__name__
