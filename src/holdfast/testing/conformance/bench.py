"""What a check works on: one fresh space of the kernel under test, a clock and ids of its own, and short ways to write.

A check never sees another's data: each has a space of its own, so the kit runs on a store that is in use.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from holdfast.errors import HoldfastError
from holdfast.hold import Holdfast
from holdfast.kernel.commit import (
    Append,
    Cell,
    Commit,
    CommitId,
    Committed,
    Conflict,
    Found,
    Head,
    Moved,
    Outcome,
    Put,
    Range,
    Read,
    Record,
    Retention,
    ScopeCommit,
    View,
)
from holdfast.kernel.contract import Kernel
from holdfast.kernel.keys import bucket
from holdfast.kernel.limits import PAGE_MAX, Traits
from holdfast.testing.clock import ManualClock, SeededIds, StillClock
from holdfast.testing.conformance import expect

Capability = Literal["second", "reopen"]
"""second: a space may be opened twice at a time and both see the same. reopen: what was committed outlives `close`."""

Open = Callable[[str], Kernel | Awaitable[Kernel]]
"""Opens a kernel on the space of that name, always of one and the same store."""


class Subject(Struct, frozen=True):
    """A kernel under test: how to open it, and what it does not claim to be capable of."""

    open: Open
    without: frozenset[Capability] = frozenset()


class Lane:
    """A writer's ids, in order."""

    def __init__(self, writer: str) -> None:
        self.writer = writer
        self.n = 0

    def next(self) -> CommitId:
        """The next id."""
        self.n += 1
        return CommitId(self.writer, self.n)


class Bench:
    """One check's space. `kernel` is open on it; `traits` are that kernel's."""

    def __init__(self, subject: Subject, *, seed: int) -> None:
        self.subject = subject
        self.clock = ManualClock()
        self.ids = SeededIds(seed)
        self.space = f"check-{self.ids.writer()}"
        self.indexes: set[tuple[str, str]] = set()
        self._lane = self.lane()
        self._opened: list[Kernel] = []
        self._holds: list[Holdfast] = []
        self.still = StillClock()
        self.spaces: set[str] = set()

    async def start(self) -> Bench:
        """Open the kernel."""
        self.kernel = await self.open(self.space)
        return self

    async def stop(self) -> None:
        """Close every kernel that was opened, and what stands on one first."""
        for hold in self._holds:
            await hold.close()
        for kernel in self._opened:
            await kernel.close()

    @property
    def traits(self) -> Traits:
        """What the kernel declares."""
        return self.kernel.traits

    @property
    def now_us(self) -> int:
        """The clock's time."""
        return self.clock.now_us()

    # --- kernels ----------------------------------------------------------------------------------

    async def second(self) -> Kernel:
        """A second kernel on the same space, while the first is open."""
        return await self.open(self.space)

    async def other_space(self, suffix: str = "-2") -> Kernel:
        """A kernel on another space of the same store, whose name starts with this one's."""
        return await self.open(self.space + suffix)

    async def reopen(self) -> Kernel:
        """Close the kernel and open its space again; that one becomes `kernel`."""
        await self.kernel.close()
        self.kernel = await self.open(self.space)
        return self.kernel

    async def hold(self, *, clock: StillClock | None = None) -> Holdfast:
        """The whole of Holdfast on the bench's kernel, or on a second one if it is taken: what another process has.

        Its time is `still`, or that of a clock of its own. Closed when the bench is.
        """
        kernel = self.kernel if not self._holds else await self.second()
        ids = SeededIds(self.pick(2**32))
        self._holds.append(Holdfast.over(kernel, clock=clock or self.still, ids=ids))
        return self._holds[-1]

    async def restart(self) -> None:
        """End every process, and reopen the kernel for those that come."""
        for hold in self._holds:
            await hold.close()
        self._holds.clear()
        await self.reopen()

    async def open(self, space: str) -> Kernel:
        """A kernel on that space, closed when the bench is."""
        opening = self.subject.open(space)
        kernel = await opening if inspect.isawaitable(opening) else opening
        self._opened.append(kernel)
        self.spaces.add(space)
        return kernel

    # --- names and ids ----------------------------------------------------------------------------

    def together(self, count: int, *, kind: str = "session") -> list[str]:
        """Names of that many scopes which one commit may cover by the kernel's span."""
        if self.traits.span == "store":
            return [f"{kind}/{number}" for number in range(count)]
        names: list[str] = []
        number = 0
        while len(names) < count:
            name = f"{kind}/{number}"
            if not names or bucket(name) == bucket(names[0]):
                names.append(name)
            number += 1
        return names

    def pick(self, count: int) -> int:
        """A number from 0 up to but not including `count`, by the bench's seed."""
        return int(self.ids.random() * count)

    def lane(self) -> Lane:
        """A new writer's lane, for a task of its own or for ids out of the ordinary."""
        return Lane(self.ids.writer())

    # --- writing ----------------------------------------------------------------------------------

    def build(
        self, *parts: ScopeCommit, cause: bytes = b"", at_us: int | None = None, id: CommitId | None = None
    ) -> Commit:
        """A commit of these parts, now, under the next id of the bench's own lane."""
        for part in parts:
            self.indexes.update((e.index, e.value) for put in part.puts for e in put.entries)
            self.indexes.update((e.index, e.value) for append in part.appends for e in append.entries)
        return Commit(parts, self.now_us if at_us is None else at_us, cause, self._lane.next() if id is None else id)

    async def commit(self, *parts: ScopeCommit, cause: bytes = b"", at_us: int | None = None) -> Outcome:
        """Commit these parts alone."""
        return await self.send(self.build(*parts, cause=cause, at_us=at_us))

    async def send(self, commit: Commit) -> Outcome:
        """Commit this one alone, as it is."""
        return (await self.batch(commit))[0]

    async def batch(self, *commits: Commit) -> list[Outcome]:
        """Commit these as one batch."""
        outcomes = await self.kernel.commit(commits)
        expect.same(len(outcomes), len(commits), "the number of outcomes")
        return outcomes

    async def committed(self, *parts: ScopeCommit, cause: bytes = b"", at_us: int | None = None) -> dict[str, int]:
        """Commit these parts, which must succeed for the first time; their seqs."""
        outcome = expect.a(Committed, await self.commit(*parts, cause=cause, at_us=at_us), "the outcome")
        expect.same(outcome.replayed, False, "replayed of a first time")
        return outcome.seqs

    async def conflict(self, *parts: ScopeCommit, at_us: int | None = None) -> Conflict:
        """Commit these parts, which must conflict."""
        return expect.a(Conflict, await self.commit(*parts, at_us=at_us), "the outcome")

    async def refused(self, error: type[HoldfastError], *parts: ScopeCommit, what: str) -> HoldfastError:
        """Commit these parts, which must be refused with that error as the outcome."""
        return expect.a(error, await self.commit(*parts), what)

    async def put(self, scope: str, values: Mapping[str, bytes] | None = None, /, *puts: Put) -> int:
        """Write cells to a scope, made when missing; the seq."""
        cells = [Put(key, value) for key, value in (values or {}).items()]
        return (await self.committed(ScopeCommit(scope, "create", puts=(*cells, *puts))))[scope]

    async def append(self, scope: str, prefix: str, *values: bytes) -> int:
        """Append cells to a scope, made when missing; the seq."""
        appends = tuple(Append(prefix, value) for value in values)
        return (await self.committed(ScopeCommit(scope, "create", appends=appends)))[scope]

    async def delete(self, scope: str, *keys: str) -> int:
        """Delete cells of a scope; the seq."""
        return (await self.committed(ScopeCommit(scope, deletes=keys)))[scope]

    async def drop(self, scope: str) -> int:
        """Drop a scope; the seq."""
        return (await self.committed(ScopeCommit(scope, drop=True)))[scope]

    async def fill(self, scope: str, puts: Iterable[Put]) -> int:
        """Write any number of cells in as many commits as the limits ask for; the last seq."""
        seq, waiting = 0, list(puts)
        most = min(self.traits.operations_max, 500)
        for start in range(0, len(waiting), most):
            seq = await self.put(scope, {}, *waiting[start : start + most])
        return seq

    # --- reading ----------------------------------------------------------------------------------

    async def view(
        self,
        scope: str,
        *keys: str,
        ranges: Sequence[Range] = (),
        now_us: int | None = None,
        kernel: Kernel | None = None,
    ) -> View:
        """One scope's view, now."""
        read = Read(scope, keys, tuple(ranges))
        now_us = self.now_us if now_us is None else now_us
        views = await (kernel or self.kernel).read([read], now_us=now_us)
        expect.same([view.scope for view in views], [scope], "the scopes answered")
        return views[0]

    async def head(self, scope: str, *, kernel: Kernel | None = None) -> Head:
        """A scope's head."""
        return (await self.view(scope, kernel=kernel)).head

    async def cell(self, scope: str, key: str, *, now_us: int | None = None) -> Cell | None:
        """One cell, or None."""
        return (await self.view(scope, key, now_us=now_us)).cells.get(key)

    async def cells(
        self, scope: str, prefix: str = "", *, now_us: int | None = None, kernel: Kernel | None = None
    ) -> tuple[Cell, ...]:
        """Every cell of a scope under a prefix."""
        view = await self.view(scope, ranges=[Range(prefix, PAGE_MAX)], now_us=now_us, kernel=kernel)
        return view.ranges[0]

    async def values(
        self, scope: str, prefix: str = "", *, now_us: int | None = None, kernel: Kernel | None = None
    ) -> dict[str, bytes]:
        """Every value of a scope under a prefix, by key."""
        return {cell.key: cell.value for cell in await self.cells(scope, prefix, now_us=now_us, kernel=kernel)}

    async def log(self, scope: str, *, kernel: Kernel | None = None) -> tuple[Record, ...]:
        """The whole log of a scope from its floor."""
        kernel = kernel or self.kernel
        floor = (await self.head(scope, kernel=kernel)).floor
        records = list(await kernel.log(scope, after=max(0, floor - 1)))
        while records and (more := await kernel.log(scope, after=records[-1].seq)):
            expect.same(more[0].seq, records[-1].seq + 1, f"the seq of the next page of the log of {scope}")
            records.extend(more)
        return tuple(records)

    async def found(
        self, index: str, value: str, *, now_us: int | None = None, kernel: Kernel | None = None
    ) -> tuple[Found, ...]:
        """Every entry under (index, value), in order."""
        now_us = self.now_us if now_us is None else now_us
        return await (kernel or self.kernel).find(index, value, now_us=now_us, limit=PAGE_MAX)

    async def moves(self, after: str, *, limit: int = 1000, kernel: Kernel | None = None) -> dict[str, int]:
        """Every scope reported from a position, page by page, with the highest seq reported."""
        reported: dict[str, int] = {}
        async for moved in self._pages_of_moves(after, limit, kernel or self.kernel):
            for scope, seq in moved.scopes:
                reported[scope] = max(seq, reported.get(scope, 0))
        return reported

    async def first_moves(self, after: str, *, limit: int = 1000) -> dict[str, int]:
        """The same with the least seq reported."""
        reported: dict[str, int] = {}
        async for moved in self._pages_of_moves(after, limit, self.kernel):
            for scope, seq in moved.since().items():
                reported[scope] = min(seq, reported.get(scope, seq))
        return reported

    async def _pages_of_moves(self, after: str, limit: int, kernel: Kernel) -> AsyncIterator[Moved]:
        for _ in range(10_000):
            moved = await kernel.moved(after, limit=limit)
            expect.holds(len(moved.scopes) <= limit, f"at most {limit} scopes are reported, found {len(moved.scopes)}")
            yield moved
            if not moved.more:
                return
            expect.holds(moved.position != after, "a page that was cut short moves the position on")
            after = moved.position
        expect.fail("following moved() never comes to an end")

    async def position(self) -> str:
        """The present position of `moved`."""
        moved = await self.kernel.moved()
        expect.same(moved.scopes, (), "the scopes reported from the present position")
        return moved.position

    async def sweep(self, *, retention: Retention | None = None, now_us: int | None = None) -> None:
        """Sweep until there is nothing left to sweep; by default without touching logs and tombstones."""
        wanted = retention or Retention(tombstone_us=None)
        for _ in range(10_000):
            swept = await self.kernel.sweep(now_us=self.now_us if now_us is None else now_us, retention=wanted)
            if not swept.more:
                return
        expect.fail("sweeping never comes to an end")

    async def picture(self, *scopes: str, now_us: int | None = None, kernel: Kernel | None = None) -> dict[str, object]:
        """All that the verbs show of the space and of these scopes; floors are left out, for sweeps may move them."""
        kernel = kernel or self.kernel
        shown: dict[str, object] = {"scopes": await kernel.scopes()}
        for scope in scopes:
            view = await self.view(scope, ranges=[Range("", PAGE_MAX)], now_us=now_us, kernel=kernel)
            shown[f"head of {scope}"] = replace(view.head, floor=0)
            shown[f"cells of {scope}"] = view.ranges[0]
            keys = tuple(cell.key for cell in view.ranges[0])
            point = await self.view(scope, *keys, now_us=now_us, kernel=kernel)
            shown[f"points of {scope}"] = point.cells
            shown[f"log of {scope}"] = await self.log(scope, kernel=kernel)
        for index, value in sorted(self.indexes):
            shown[f"entries of {index}={value}"] = await self.found(index, value, now_us=now_us, kernel=kernel)
        return shown


@asynccontextmanager
async def meanwhile(*work: Coroutine[Any, Any, object]) -> AsyncIterator[Callable[[], bool]]:
    """Run these while the block runs; yields what tells whether all are done. At its end they are waited for, and the
    first failure is raised; if the block fails they are cancelled."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        yield lambda: all(task.done() for task in tasks)
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def same_picture(after: Mapping[str, object], before: Mapping[str, object], what: str) -> None:
    """Two pictures show the same; names the first part that differs."""
    for part in {**before, **after}:
        expect.same(after.get(part, ()), before.get(part, ()), f"{what}: {part}")
