"""G16: sweeping shows in nothing but the reach of the log."""

from __future__ import annotations

from holdfast.errors import Compacted, Indeterminate
from holdfast.kernel.commit import (
    NO_HEAD,
    Append,
    Committed,
    Entry,
    Head,
    Put,
    Retention,
    ScopeCommit,
    Swept,
    Untouched,
)
from holdfast.testing.conformance import expect
from holdfast.testing.conformance.bench import Bench, same_picture
from holdfast.testing.conformance.check import proves

A, B, C = "session/a", "session/b", "session/c"
KEEP = Retention(tombstone_us=None)
FAR_US = 10**15


async def _rich(bench: Bench) -> int:
    """Scopes with living and expired cells, with and without entries, dropped once and twice; a time at which some of
    it has expired."""
    now_us = bench.now_us
    for scope in (A, B, C):
        puts = [
            Put(f"k{i}", str(i).encode(), now_us + 10 if i % 2 else None, (Entry("tag", "x", f"{i}"),))
            for i in range(8)
        ]
        await bench.put(scope, {"plain": b"1"}, Put("plain expired", b"2", now_us + 10), *puts)
        await bench.committed(ScopeCommit(scope, appends=(Append("l/", b"1"), Append("l/", b"2", now_us + 10))))
    await bench.drop(B)
    await bench.put(B, {}, Put("k0", b"again", now_us + 10, (Entry("tag", "x", "again"),)))
    await bench.drop(C)
    return now_us + 10


@proves("G16", "G12")
async def a_sweep_shows_in_no_verb(bench: Bench) -> None:
    """Sweeping expired cells and the remains of dropped epochs changes nothing that any verb shows: heads, cells,
    logs, entries, names and positions stay, and no seq is taken."""
    at_us = await _rich(bench)
    before = await bench.picture(A, B, C, now_us=at_us)
    for _ in range(2):
        await bench.sweep(now_us=at_us)
        same_picture(await bench.picture(A, B, C, now_us=at_us), before, "after the sweep")
    seqs = [(await bench.head(scope)).seq for scope in (A, B, C)]
    expect.same(seqs, [2, 4, 3], "the seqs")
    expect.same(await bench.put(A, {"k": b""}), 3, "the next seq")


@proves("G16", "G12")
async def what_is_still_to_be_seen_is_not_swept(bench: Bench) -> None:
    """A sweep a microsecond before cells expire removes none of them; at that microsecond it removes them all, and
    what does not expire stays for ever."""
    at_us = await _rich(bench)
    early = await bench.picture(A, B, C, now_us=at_us - 1)
    await bench.sweep(now_us=at_us - 1)
    same_picture(await bench.picture(A, B, C, now_us=at_us - 1), early, "after the sweep before the expiry")
    late = await bench.picture(A, B, C, now_us=FAR_US * 2)
    await bench.sweep(now_us=FAR_US * 2)
    same_picture(await bench.picture(A, B, C, now_us=FAR_US * 2), late, "after the sweep in the far future")
    expect.same(len(await bench.cells(A, now_us=FAR_US * 2)), 6, "cells without an expiry")


@proves("G16")
async def a_sweep_removes_what_nobody_sees_and_counts_it(bench: Bench) -> None:
    """Expired cells are really removed, each once, and counted; a second sweep finds nothing left to do."""
    at_us = bench.now_us + 10
    await bench.fill(A, [Put(f"k{i}", b"", at_us if i < 7 else None) for i in range(10)])
    expect.same(await bench.kernel.sweep(now_us=at_us, retention=KEEP), Swept(cells=7), "the first sweep")
    expect.same(await bench.kernel.sweep(now_us=at_us, retention=KEEP), Swept(), "the second sweep")


@proves("G16")
async def a_cell_rewritten_after_it_expired_is_not_swept(bench: Bench) -> None:
    """A cell that had expired, and was written again without an expiry or with a later one, survives the sweep, with
    its entries."""
    at_us = bench.now_us + 10
    entry = (Entry("tag", "x", "1"),)
    await bench.put(A, {}, Put("k", b"old", at_us, entry), Put("j", b"old", at_us, entry))
    new = (Put("k", b"new", None, entry), Put("j", b"new", at_us + 10, entry))
    await bench.committed(ScopeCommit(A, puts=new), at_us=at_us + 1)
    before = await bench.picture(A, now_us=at_us + 1)
    await bench.sweep(now_us=at_us + 1)
    same_picture(await bench.picture(A, now_us=at_us + 1), before, "after the sweep")


@proves("G16")
async def a_sweep_keeps_to_its_budget_and_says_if_there_is_more(bench: Bench) -> None:
    """One sweep removes at most `budget` rows; while there is more it says so, and sweeping on removes all of it, with
    every budget, without showing on the way."""
    for budget in (1, 2, 3, 7, 1000):
        scope = f"session/{budget}"
        at_us = bench.now_us + 10
        for number in range(4):
            await bench.put(scope, {"stays": b"1"}, *(Put(f"k{number}{i}", b"", at_us) for i in range(5)))
        before = await bench.values(scope, now_us=at_us)
        total = Swept()
        for _ in range(100):
            swept = await bench.kernel.sweep(
                now_us=at_us, retention=Retention(count=1, tombstone_us=None), budget=budget
            )
            done = swept.cells + swept.records + swept.scopes
            expect.holds(done <= budget, f"a sweep with a budget of {budget} removed {done} rows: {swept!r}")
            expect.holds(done or not swept.more, f"a sweep that says there is more has done something: {swept!r}")
            total = Swept(total.cells + swept.cells, total.records + swept.records, total.scopes + swept.scopes)
            expect.same(await bench.values(scope, now_us=at_us), before, "the cells amid the sweeps")
            if not swept.more:
                break
        expect.same(total, Swept(20, 3, 0), f"all that sweeps with a budget of {budget} removed")
        expect.same((await bench.head(scope)).floor, 4, "the floor")


@proves("G16", "G13")
async def the_log_is_trimmed_by_count(bench: Bench) -> None:
    """With a count the newest records stay, that many of each scope; the newest of all stays at a count of 0 too,
    whether the scope lives or is dropped."""
    for scope, length in ((A, 6), (B, 2), (C, 1)):
        for _ in range(length):
            await bench.put(scope, {"k": b""})
    await bench.drop(B)
    for count, floors in ((10, (1, 1, 1)), (3, (4, 1, 1)), (2, (5, 2, 1)), (0, (6, 3, 1))):
        await bench.sweep(now_us=bench.now_us + FAR_US, retention=Retention(count=count, tombstone_us=None))
        found = tuple([(await bench.head(scope)).floor for scope in (A, B, C)])
        expect.same(found, floors, f"the floors with {count} kept")
        for scope, floor in zip((A, B, C), floors, strict=True):
            expect.same((await bench.log(scope))[0].seq, floor, f"the oldest record of {scope} with {count} kept")


@proves("G16", "G13")
async def the_log_is_trimmed_by_age(bench: Bench) -> None:
    """With an age, records younger than it stay; one of exactly that age goes. A record stays if an older one is kept
    for its place: the log has no holes, also where the clock went back."""
    now_us = bench.now_us
    for at_us in (now_us, now_us + 10, now_us + 20, now_us + 30):
        await bench.committed(ScopeCommit(A, "create", body=b"x"), at_us=at_us)
    for at_us in (now_us, now_us + 30, now_us + 5, now_us + 30):
        await bench.committed(ScopeCommit(B, "create", body=b"x"), at_us=at_us)
    for at, floors in (
        (99, (1, 1)),
        (100, (2, 2)),
        (109, (2, 2)),
        (110, (3, 2)),
        (119, (3, 2)),
        (120, (4, 2)),
        (129, (4, 2)),
        (130, (4, 4)),
        (999, (4, 4)),
    ):
        await bench.sweep(now_us=now_us + at, retention=Retention(age_us=100, tombstone_us=None))
        found = ((await bench.head(A)).floor, (await bench.head(B)).floor)
        expect.same(found, floors, f"the floors after {at} µs, records kept for 100 µs")
        for scope, floor in ((A, floors[0]), (B, floors[1])):
            log = await bench.kernel.log(scope, after=floor - 1)
            expect.same([record.seq for record in log], list(range(floor, 5)), "the seqs of the log")


@proves("G16", "G13")
async def of_two_bounds_either_keeps_a_record(bench: Bench) -> None:
    """With both an age and a count a record stays while it is young enough or among the newest; without either, and
    whatever its age, it stays."""
    now_us = bench.now_us
    for at_us in range(now_us, now_us + 60, 10):
        await bench.committed(ScopeCommit(A, "create", body=b"x"), at_us=at_us)
    await bench.sweep(now_us=now_us + FAR_US, retention=Retention(tombstone_us=None))
    expect.same((await bench.head(A)).floor, 1, "the floor without bounds")
    for at, count, floor in ((110, 5, 2), (120, 1, 4), (131, 3, 4), (FAR_US, 2, 5)):
        await bench.sweep(now_us=now_us + at, retention=Retention(age_us=100, count=count, tombstone_us=None))
        expect.same((await bench.head(A)).floor, floor, f"the floor after {at} µs with 100 µs and {count} kept")


@proves("G16")
async def a_tombstone_stays_its_time_and_then_the_scope_never_was(bench: Bench) -> None:
    """A dropped scope keeps its head and log until its tombstone is as old as the retention says, to the microsecond;
    then nothing is left, and a new life starts at seq 1 and epoch 0. A scope that lives, or lives again, is kept."""
    now_us = bench.now_us
    for scope in (A, B, C):
        await bench.put(scope, {"k": b"1"}, Put("e", b"", entries=(Entry("tag", "x", "1"),)))
        await bench.drop(scope)
    await bench.put(B, {"k": b"again"})
    await bench.committed(ScopeCommit(C, "create", drop=True), at_us=now_us + 50)
    retention = Retention(tombstone_us=100)
    for at, gone in ((0, ()), (99, ()), (100, (A,)), (149, (A,)), (150, (A, C))):
        await bench.sweep(now_us=now_us + at, retention=retention)
        for scope, seq in ((A, 2), (B, 3), (C, 3)):
            head = await bench.head(scope)
            expect.same(head.seq, 0 if scope in gone else seq, f"the seq of {scope} after {at} µs")
    expect.same(await bench.head(A), NO_HEAD, "the head of a scope without a trace")
    expect.same(await bench.kernel.log(A), (), "its log")
    expect.same(await bench.kernel.scopes(), (B,), "the scopes")
    expect.same(await bench.values(B), {"k": b"again"}, "the cells of the one that lives again")
    expect.same(await bench.put(A, {"k": b"new"}), 1, "the first seq of a new life")
    expect.same(await bench.head(A), Head(1, 0, True, 1, now_us), "its head")
    expect.same(await bench.values(A), {"k": b"new"}, "its cells")
    expect.same(await bench.found("tag", "x"), (), "the entries")


@proves("G16")
async def a_sweep_between_commits_of_a_writer_changes_nothing_for_it(bench: Bench) -> None:
    """Sweeping everything that may go after each commit leaves a writer's checks, seqs and cells as without sweeps."""
    at_us = bench.now_us
    for turn in range(1, 9):
        puts = (Put("n", str(turn).encode()), Put(f"e{turn}", b"", at_us + turn))
        seqs = await bench.committed(ScopeCommit(A, "create", puts=puts), at_us=at_us + turn)
        expect.same(seqs, {A: turn}, "the seqs")
        everything = Retention(age_us=0, count=0, tombstone_us=0)
        await bench.sweep(now_us=at_us + turn, retention=everything)
        expect.same(await bench.values(A, now_us=at_us + turn), {"n": str(turn).encode()}, "the cells")
        if turn > 1:
            await expect.raises(Compacted, bench.kernel.log(A), "the whole log")


@proves("G16", "G6", needs=("reopen",))
async def what_was_swept_stays_swept(bench: Bench) -> None:
    """After reopening, what a sweep removed has not come back and what it left is there."""
    at_us = await _rich(bench)
    await bench.sweep(now_us=at_us, retention=Retention(count=1, tombstone_us=None))
    before = await bench.picture(A, B, C, now_us=at_us)
    floors = [(await bench.head(scope)).floor for scope in (A, B, C)]
    await bench.reopen()
    same_picture(await bench.picture(A, B, C, now_us=at_us), before, "after reopening")
    expect.same([(await bench.head(scope)).floor for scope in (A, B, C)], floors, "the floors")


@proves("G16", "G13", "G5", needs=("second",))
async def a_sweep_through_another_kernel_is_noticed(bench: Bench) -> None:
    """What a kernel remembers of a scope does not outlive a sweep by another: trimmed logs count as trimmed in its
    checks and repeats, and a scope whose last trace went begins anew."""
    other = await bench.second()
    commits = [bench.build(ScopeCommit(A, "create", puts=(Put("k", b""),))) for _ in range(5)]
    await bench.batch(*commits)
    await bench.put(B, {"k": b""})
    await bench.drop(B)
    head = await bench.head(B)
    await other.sweep(now_us=bench.now_us + 100, retention=Retention(count=1, tombstone_us=100))
    expect.same((await bench.head(A)).floor, 5, "the floor")
    conflict = await bench.conflict(ScopeCommit(A, checks=(Untouched("none", 3),), body=b"x"))
    expect.same(conflict.what, "untouched", "a condition that needs records which were trimmed")
    expect.a(Indeterminate, await bench.send(commits[0]), "a repeat of a commit that was trimmed")
    expect.same(await bench.send(commits[4]), Committed({A: 5}, replayed=True), "a repeat of the one that was kept")
    part = ScopeCommit(B, "create", epoch=head.epoch, body=b"x")
    expect.same((await bench.conflict(part)).found, NO_HEAD, "what a conflict finds of the scope that went")
    expect.same(await bench.put(B, {"k": b"new"}), 1, "the first seq of its new life")
    expect.same(await bench.head(B, kernel=other), Head(1, 0, True, 1, bench.now_us), "its head, to the other kernel")
