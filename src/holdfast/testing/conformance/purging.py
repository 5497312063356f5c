"""G23: purging leaves of ended lives the last drop and nothing else, and shows in nothing but the reach of the log."""

from __future__ import annotations

import asyncio

from holdfast.errors import Compacted, Indeterminate
from holdfast.kernel.commit import (
    NO_HEAD,
    Append,
    Committed,
    Entry,
    HeadAt,
    Put,
    Record,
    Retention,
    ScopeCommit,
    Swept,
)
from holdfast.testing.conformance import expect
from holdfast.testing.conformance.bench import Bench, meanwhile, same_picture
from holdfast.testing.conformance.check import proves

A, B, C = "session/a", "session/b", "session/c"
KEEP = Retention(tombstone_us=None)


async def _live(bench: Bench, scope: str) -> int:
    """A life of five commits that is not over, with all that a scope may have; its last seq."""
    entries = (Entry("tag", "x", "1", b"payload"), Entry("tag", "y", "2"))
    puts = (Put("k", b"value", entries=entries), Put("long", bytes(9_000)), Put("soon", b"s", bench.now_us + 1_000))
    appends = (Append("l/", b"one", entries=(Entry("tag", "x", "3"),)), Append("l/", b"two"))
    await bench.committed(ScopeCommit(scope, "create", puts=puts, appends=appends, body=b"body"), cause=b"cause")
    for turn in range(3):
        await bench.committed(ScopeCommit(scope, puts=(Put("k", b"%d" % turn),), body=b"b"), cause=b"c")
    return await bench.delete(scope, "long")


async def _end(bench: Bench, scope: str) -> int:
    """A life that is over; the seq of its drop."""
    await _live(bench, scope)
    return (await bench.committed(ScopeCommit(scope, body=b"the end", drop=True), cause=b"why"))[scope]


async def _purge(bench: Bench, scope: str, *, budget: int = 10_000) -> Swept:
    """Purge until nothing is left; all that was removed."""
    cells = records = 0
    for _ in range(1_000):
        step = await bench.kernel.purge(scope, budget=budget)
        expect.holds(step.cells + step.records <= budget, f"a budget of {budget} is kept: {step!r}")
        expect.same(step.scopes, 0, "the scopes that are gone")
        cells, records = cells + step.cells, records + step.records
        if not step.more:
            return Swept(cells, records)
        expect.holds(step.cells + step.records, f"a purge that says there is more has done something: {step!r}")
    return expect.fail("purging never comes to an end")


@proves("G23", "G13")
async def an_ended_life_leaves_the_record_of_its_drop_alone(bench: Bench) -> None:
    """Of a dropped scope that is purged the record of the drop is left, as it was; every other record is gone, which
    the log says, and a sweep finds nothing of its cells."""
    await bench.put(B, {"k": b"lives"})
    last = await _end(bench, A)
    head, log = await bench.head(A), await bench.log(A)
    removed = await _purge(bench, A)
    expect.same(removed.records, last - 1, "the records removed")
    expect.same(await bench.kernel.sweep(now_us=bench.now_us, retention=KEEP), Swept(), "what a sweep still finds")
    expect.same((await bench.head(A)).floor, last, "the floor")
    expect.same((head.seq, head.epoch, head.cause), (last, 1, b"why"), "the head of before")
    expect.same(await bench.log(A), log[-1:], "the log")
    expect.same(await bench.kernel.log(A, after=last - 1), log[-1:], "the log of one who was as far")
    expect.same(await bench.kernel.log(A, reverse=True), log[-1:], "the log backwards")
    for after in range(last - 1):
        await expect.raises(Compacted, bench.kernel.log(A, after=after), f"the log after {after}")
    expect.same((await bench.kernel.stats())["records"], 2, "the records of the space")


@proves("G23")
async def nothing_else_shows(bench: Bench) -> None:
    """The present life of a scope that had others, and every other scope, are in all verbs what they were; nothing has
    moved; a scope that never ended and one that never was leave nothing to purge."""
    await _end(bench, A)
    last = await _end(bench, A)
    await _live(bench, A)
    await _live(bench, B)
    await _end(bench, C)
    position, before = await bench.position(), await bench.picture(A, B, C)
    log = before.pop(f"log of {A}")
    for scope in (B, "session/none"):
        expect.same(await bench.kernel.purge(scope), Swept(), f"what is purged of {scope}")
    await _purge(bench, A)
    after = await bench.picture(A, B, C)
    expect.same(after.pop(f"log of {A}"), log[last - 1 :], "the log from the last drop on")  # type: ignore[index]
    same_picture(after, before, "after the purge")
    expect.same(await bench.moves(position), {}, "what moved")
    expect.same((await bench.moves(""))[A], last + 5, "the seq that is told from the beginning")


@proves("G23", "G11", "G4")
async def numbers_go_on_and_late_writes_are_recognised(bench: Bench) -> None:
    """A purged scope is still one that was dropped: blind writes and writes of an earlier epoch conflict, and a new
    life goes on with the next seq, with nothing in it."""
    last = await _end(bench, A)
    head = await bench.head(A)
    await _purge(bench, A)
    conflict = await bench.conflict(ScopeCommit(A, puts=(Put("k", b"late"),)))
    expect.same((conflict.what, conflict.head.seq, conflict.head.epoch), ("need", last, 1), "a blind write")
    late = ScopeCommit(A, "create", epoch=0, puts=(Put("k", b"late"),))
    expect.same((await bench.conflict(late)).what, "epoch", "a write of the epoch before")
    now = await bench.head(A)
    expect.same((now.seq, now.epoch, now.at_us), (head.seq, head.epoch, head.at_us), "the head")
    expect.same(await bench.put(A, {"j": b"new"}), last + 1, "the seq of a new life")
    expect.same(await bench.values(A), {"j": b"new"}, "its cells")
    expect.same(await bench.found("tag", "x"), (), "the entries")
    await _purge(bench, A)
    expect.same(await bench.values(A), {"j": b"new"}, "its cells after another purge")


@proves("G23", "G5")
async def a_commit_of_an_ended_life_cannot_be_settled_any_more(bench: Bench) -> None:
    """Sent again, and asked for by its id, it is Indeterminate, never a second application; the drop is still known."""
    first = bench.build(ScopeCommit(A, "create", puts=(Put("k", b""),)))
    await bench.send(first)
    await bench.put(A, {"k": b"2"})
    drop = bench.build(ScopeCommit(A, drop=True))
    await bench.send(drop)
    await _purge(bench, A)
    expect.a(Indeterminate, await bench.send(first), "a repeat of a commit that was purged")
    await expect.raises(Indeterminate, bench.kernel.outcome(A, first.id), "its outcome")
    expect.same(await bench.send(drop), Committed({A: 3}, replayed=True), "a repeat of the drop")
    expect.same(await bench.kernel.outcome(A, drop.id), Committed({A: 3}, replayed=True), "its outcome")
    expect.same((await bench.head(A)).seq, 3, "the seq")


@proves("G23", "G16")
async def a_purge_keeps_to_its_budget_and_leaves_no_gap(bench: Bench) -> None:
    """One purge removes at most `budget` rows and says whether there is more; after each the log is contiguous; a purge
    where nothing is left does nothing."""
    for budget in (1, 2, 5, 1_000):
        scope = f"session/{budget}"
        last = await _end(bench, scope)
        log: tuple[Record, ...] = ()
        for _ in range(100):
            step = await bench.kernel.purge(scope, budget=budget)
            expect.holds(step.cells + step.records <= budget, f"a budget of {budget} is kept: {step!r}")
            log = await bench.log(scope)
            expect.same([one.seq for one in log], list(range(log[0].seq, last + 1)), "the seqs of the log")
            if not step.more:
                break
            expect.holds(step.cells + step.records, f"a purge that says there is more has done something: {step!r}")
        expect.same(len(log), 1, "the records left")
        expect.same(await bench.kernel.purge(scope), Swept(), "a purge of what was purged")


@proves("G23", "G15")
async def who_was_dropped_is_named(bench: Bench) -> None:
    """`ended` names every scope that was ever dropped, in order and page by page, whether it lives again or was purged;
    none that never was, and none of whose tombstone nothing is left."""
    expect.same(await bench.kernel.ended(), (), "of a space where nothing was")
    names = [f"session/{number}" for number in range(9)]
    for name in names:
        await bench.put(name, {"k": b""})
    for name in names[1:7]:
        await bench.drop(name)
    for name in names[2:4]:
        await bench.put(name, {"k": b"again"})
    await _purge(bench, names[2])
    await _purge(bench, names[5])
    expect.same(await bench.kernel.ended(), tuple(names[1:7]), "those that were dropped")
    expect.same(await bench.kernel.ended(limit=2), tuple(names[1:3]), "the first two")
    expect.same(await bench.kernel.ended(after=names[2], limit=2), tuple(names[3:5]), "the next two")
    expect.same(await bench.kernel.ended(after=names[6]), (), "those after the last")
    await bench.sweep(now_us=bench.now_us + 100, retention=Retention(tombstone_us=100))
    expect.same(await bench.kernel.ended(), tuple(names[2:4]), "once the tombstones are gone")
    expect.same(await bench.head(names[5]), NO_HEAD, "one that was purged before")


@proves("G23", "G6", needs=("second",))
async def a_purge_through_another_kernel_is_noticed(bench: Bench) -> None:
    """What a kernel remembers of a scope does not outlive a purge by another: its reads and conflicts know of it."""
    other = await bench.second()
    last = await _end(bench, A)
    await bench.put(A, {"k": b"again"})
    expect.same((await bench.conflict(ScopeCommit(A, checks=(HeadAt(1),), body=b"x"))).head.floor, 1, "the floor")
    await other.purge(A)
    expect.same((await bench.head(A)).floor, last, "the floor that a read shows")
    conflict = await bench.conflict(ScopeCommit(A, checks=(HeadAt(1),), body=b"x"))
    expect.same(conflict.head.floor, last, "the floor that a conflict finds")


@proves("G23", "G6", needs=("reopen",))
async def what_was_purged_stays_so(bench: Bench) -> None:
    """After reopening, nothing of it has come back."""
    last = await _end(bench, A)
    await _purge(bench, A)
    before = await bench.picture(A)
    await bench.reopen()
    same_picture(await bench.picture(A), before, "after reopening")
    if bench.traits.durability != "none":
        expect.same((await bench.head(A)).floor, last, "the floor")


@proves("G23", "G4", needs=("second",))
async def it_runs_beside_who_makes_the_scope_anew(bench: Bench) -> None:
    """While lives come and go, purges by others take nothing of a present one, and every seq is taken once."""
    other = await bench.second()
    done = asyncio.Event()

    async def purging() -> None:
        while not done.is_set():
            await other.purge(A, budget=3)
            await asyncio.sleep(0)

    seq = 0
    async with meanwhile(purging(), purging()):
        try:
            for life in range(8):
                for turn in range(4):
                    expect.same(await bench.put(A, {f"k{turn}": b"%d" % life}), seq := seq + 1, "the seq")
                expect.same(await bench.values(A), {f"k{turn}": b"%d" % life for turn in range(4)}, "the cells")
                records = await bench.kernel.log(A, reverse=True, limit=4)
                expect.same([one.seq for one in records], [seq, seq - 1, seq - 2, seq - 3], "the seqs of the log")
                expect.same(await bench.drop(A), seq := seq + 1, "the seq of the drop")
        finally:
            done.set()
    await _purge(bench, A)
    expect.same([one.seq for one in await bench.log(A)], [seq], "the log once all is purged")
