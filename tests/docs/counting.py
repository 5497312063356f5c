"""A kernel around a kernel that counts: which verbs were called, and what they read and wrote."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

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


@dataclass
class Count:
    """What one feature cost."""

    verbs: list[str] = field(default_factory=list)
    scopes: int = 0  # named by reads and commits
    rows: int = 0  # cells, records, entries or names that came back
    checks: int = 0
    cells: int = 0  # written: puts and appends
    deletes: int = 0
    entries: int = 0
    value_bytes: int = 0  # of the cells written
    log_bytes: int = 0  # the bodies of the records written

    def row(self, name: str) -> str:
        """The row of the table of costs. A number that is 0 is left out."""
        verbs = ", ".join(
            verb if (times := self.verbs.count(verb)) == 1 else f"{times} {verb}" for verb in dict.fromkeys(self.verbs)
        )
        numbers = (
            len(self.verbs),
            self.scopes,
            self.rows,
            self.checks,
            self.cells,
            self.deletes,
            self.entries,
            self.value_bytes,
            self.log_bytes,
        )
        return " | ".join([f"| `{name}`", verbs, *(f"{number:,}" if number else "" for number in numbers)]) + " |"


class CountingKernel(Kernel):
    """Counts into `count`, which may be replaced at any time. Commits count one by one, however they were batched."""

    def __init__(self, inner: Kernel) -> None:
        self.space = inner.space
        self.traits = inner.traits
        self.count = Count()
        self._inner = inner

    async def read(self, reads: Sequence[Read], *, now_us: int) -> list[View]:
        views = await self._inner.read(reads, now_us=now_us)
        self.count.verbs.append("read")
        self.count.scopes += len(reads)
        self.count.rows += sum(len(view.cells) + sum(map(len, view.ranges)) for view in views)
        return views

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        for commit in commits:
            self._count(commit)
        return await self._inner.commit(commits)

    def _count(self, commit: Commit) -> None:
        count = self.count
        count.verbs.append("commit" if commit.durable else "commit without a barrier")
        for part in commit.scopes:
            count.scopes += 1
            count.checks += len(part.checks)
            count.deletes += len(part.deletes)
            count.log_bytes += len(part.body)
            for put in (*part.puts, *part.appends):
                count.cells += 1
                count.entries += len(put.entries)
                count.value_bytes += len(put.value)

    async def log(
        self, scope: str, *, after: int = 0, limit: int = 1000, reverse: bool = False, bytes_max: int | None = None
    ) -> tuple[Record, ...]:
        records = await self._inner.log(scope, after=after, limit=limit, reverse=reverse, bytes_max=bytes_max)
        self.count.verbs.append("log")
        self.count.rows += len(records)
        return records

    async def moved(self, after: str | None = None, *, limit: int = 1000) -> Moved:
        moved = await self._inner.moved(after, limit=limit)
        self.count.verbs.append("moved")
        self.count.rows += len(moved.scopes)
        return moved

    def mark(self) -> int | None:
        return self._inner.mark()

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
        found = await self._inner.find(
            index, value, now_us=now_us, lo=lo, hi=hi, after=after, limit=limit, reverse=reverse
        )
        self.count.verbs.append("find")
        self.count.rows += len(found)
        return found

    async def scopes(self, *, after: str = "", limit: int = 1000) -> tuple[str, ...]:
        names = await self._inner.scopes(after=after, limit=limit)
        self.count.verbs.append("scopes")
        self.count.rows += len(names)
        return names

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        return self._inner.watch(wake)

    async def signal(self, scope: str, payload: bytes) -> None:
        self.count.verbs.append("signal")
        await self._inner.signal(scope, payload)

    def listen(self, hear: Callable[[str, bytes], None]) -> Callable[[], None]:
        return self._inner.listen(hear)

    async def sweep(self, *, now_us: int, retention: Retention, budget: int = 10_000) -> Swept:
        self.count.verbs.append("sweep")
        return await self._inner.sweep(now_us=now_us, retention=retention, budget=budget)

    async def ended(self, *, after: str = "", limit: int = 1000) -> tuple[str, ...]:
        names = await self._inner.ended(after=after, limit=limit)
        self.count.verbs.append("ended")
        self.count.rows += len(names)
        return names

    async def purge(self, scope: str, *, budget: int = 10_000) -> Swept:
        self.count.verbs.append("purge")
        return await self._inner.purge(scope, budget=budget)

    async def stored(
        self, scope: str, *, after: str | None = None, limit: int = 1000, bytes_max: int | None = None
    ) -> tuple[Stored, ...]:
        stored = await self._inner.stored(scope, after=after, limit=limit, bytes_max=bytes_max)
        self.count.verbs.append("stored")
        self.count.rows += len(stored)
        return stored

    async def rewrite(self, scope: str, *, cells: Sequence[Rewrite] = (), records: Sequence[Record] = ()) -> int:
        self.count.verbs.append("rewrite")
        self.count.cells += len(cells)
        return await self._inner.rewrite(scope, cells=cells, records=records)

    async def scrub(self) -> bool:
        self.count.verbs.append("scrub")
        return await self._inner.scrub()

    async def outcome(self, scope: str, commit_id: CommitId) -> Committed | None:
        self.count.verbs.append("outcome")
        return await self._inner.outcome(scope, commit_id)

    async def stats(self) -> Mapping[str, int | float | str]:
        self.count.verbs.append("stats")
        return await self._inner.stats()

    async def close(self) -> None:
        await self._inner.close()
