"""G6: the mark tells that something was committed or swept, so that what is kept from before is known to be old."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from holdfast.kernel.commit import CommitId, Put, Record, Retention, ScopeCommit
from holdfast.kernel.contract import Kernel
from holdfast.testing.conformance import expect
from holdfast.testing.conformance.bench import Bench
from holdfast.testing.conformance.check import proves

A, B = "session/a", "session/b"


class Marks:
    """The marks that kernels on one space have shown."""

    def __init__(self, *kernels: Kernel) -> None:
        self._seen: dict[Kernel, set[int]] = {kernel: set() for kernel in kernels}
        self.moved("the opening")

    def moved(self, what: str) -> None:
        """The mark of every kernel is a new one; or it is always None, and the traits say so."""
        for kernel, seen in self._seen.items():
            mark = kernel.mark()
            expect.same(mark is None, kernel.traits.cache == "bounded", "no mark, and a cache that is bounded")
            if mark is not None:
                expect.holds(mark not in seen, f"the mark moves with {what}; it is {mark} again")
                seen.add(mark)


async def _moves_with(bench: Bench, marks: Marks, kernel: Kernel, whose: str) -> None:
    lane = bench.lane()

    async def commit(part: ScopeCommit) -> None:
        await kernel.commit([bench.build(part, id=lane.next())])

    def sweep(now_us: int, **retention: int) -> Callable[[], Awaitable[object]]:
        return lambda: kernel.sweep(now_us=now_us, retention=Retention(**retention))

    now_us = bench.now_us
    steps: dict[str, Callable[[], Awaitable[object]]] = {
        "a commit that makes a scope": lambda: commit(ScopeCommit(A, "create", body=b"x")),
        "a put": lambda: commit(ScopeCommit(A, puts=(Put("k", b"1"), Put("soon", b"1", now_us + 5)))),
        "a put of the same": lambda: commit(ScopeCommit(A, puts=(Put("k", b"1"),))),
        "a delete": lambda: commit(ScopeCommit(A, deletes=("k",))),
        "another scope's commit": lambda: commit(ScopeCommit(B, "create", body=b"x")),
        "a sweep of an expired cell": sweep(now_us + 5),
        "a sweep of records": sweep(now_us, count=1),
        "a rewrite": lambda: kernel.rewrite(B, records=[Record(1, 0, CommitId(lane.writer, 5), 0, b"", (), b"y")]),
        "a drop": lambda: commit(ScopeCommit(A, drop=True)),
        "a sweep of a tombstone": sweep(now_us, tombstone_us=0),
    }
    for name, step in steps.items():
        await step()
        marks.moved(f"{name} {whose}")


@proves("G6")
async def the_mark_moves_with_every_commit_and_sweep(bench: Bench) -> None:
    """Once a commit is acknowledged or a sweep has removed something, the mark is none that was ever seen; where there
    is none, the traits say that a cache is bounded."""
    await _moves_with(bench, Marks(bench.kernel), bench.kernel, "of its own")


@proves("G6", needs=("second",))
async def the_mark_moves_with_what_another_opening_does(bench: Bench) -> None:
    """The same of the commits and sweeps of another opening of the space, for both of them."""
    other = await bench.second()
    await _moves_with(bench, Marks(bench.kernel, other), other, "of another opening")


@proves("G6")
async def a_sweep_is_told_beside_the_moves(bench: Bench) -> None:
    """Where there is a mark, `Moved.sweeps` is another number after a sweep that removed anything, whatever position it
    is asked for; so nobody holds to a floor, a tombstone or an expired cell that is gone."""
    if bench.kernel.mark() is None:
        return
    now_us = bench.now_us
    await bench.put(A, {"k": b"1"}, Put("soon", b"1", now_us + 5))
    await bench.put(A, {"k": b"2"})
    await bench.put(B, {"k": b"1"})
    begin, end = "", await bench.position()
    seen = {(await bench.kernel.moved(begin)).sweeps}
    for what, at_us, retention in (
        ("an expired cell", now_us + 5, Retention()),
        ("a record", now_us + 5, Retention(count=1)),
    ):
        await bench.kernel.sweep(now_us=at_us, retention=retention)
        told = {(await bench.kernel.moved(position)).sweeps for position in (None, begin, end)}
        expect.same(len(told), 1, f"how many numbers of sweeps are told after {what} was swept")
        expect.holds(not told & seen, f"the sweep of {what} is told; found {told!r} again")
        seen |= told
