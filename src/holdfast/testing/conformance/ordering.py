"""G3 and G4: one order, and the next integer for every commit that writes."""

from __future__ import annotations

from holdfast.kernel.commit import Absent, Append, Cell, Committed, Conflict, Head, Present, Put, ScopeCommit
from holdfast.testing.conformance import expect
from holdfast.testing.conformance.bench import Bench
from holdfast.testing.conformance.check import proves

A, B = "session/a", "session/b"


@proves("G4")
async def every_kind_of_write_takes_the_next_seq(bench: Bench) -> None:
    """A put, an append, a deletion (of something or of nothing), a body alone, a drop and the making after it each
    take the next integer; checks alone and conflicts take none."""
    parts = [
        ScopeCommit(A, "create", puts=(Put("k", b"1"),)),
        ScopeCommit(A, puts=(Put("k", b"1"),)),
        ScopeCommit(A, appends=(Append("l/", b""),)),
        ScopeCommit(A, deletes=("k",)),
        ScopeCommit(A, deletes=("never",)),
        ScopeCommit(A, body=b"x"),
        ScopeCommit(A, drop=True),
        ScopeCommit(A, "create", body=b"again"),
        ScopeCommit(A, drop=True, body=b"bye"),
        ScopeCommit(A, "must_not_exist", puts=(Put("k", b""),)),
    ]
    for seq, part in enumerate(parts, 1):
        expect.same(await bench.committed(part), {A: seq}, f"the seqs of {part!r}")
        expect.same(await bench.committed(ScopeCommit(A, "create", checks=(Absent("none"),))), {}, "seqs of a check")
        await bench.conflict(ScopeCommit(A, "create", checks=(Present("none"),), body=b"x"))
        expect.same((await bench.head(A)).seq, seq, "the head's seq")
    expect.same([record.seq for record in await bench.log(A)], list(range(1, len(parts) + 1)), "the seqs of the log")


@proves("G4")
async def a_cells_version_is_the_seq_that_wrote_it(bench: Bench) -> None:
    """Each cell carries the seq of its last write, on the second and every later write too; other cells keep theirs."""
    for turn in range(1, 6):
        await bench.put(A, {"each": str(turn).encode()}, *([Put(f"once{turn}", b"")]))
    versions = {cell.key: cell.version for cell in await bench.cells(A)}
    expect.same(versions, {"each": 5} | {f"once{turn}": turn for turn in range(1, 6)}, "the versions in a range")
    expect.same(await bench.cell(A, "each"), Cell("each", b"5", 5), "the cell by its key")
    await bench.delete(A, "each")
    await bench.put(A, {"each": b"again"})
    expect.same(await bench.cell(A, "each"), Cell("each", b"again", 7), "the cell written after its deletion")


@proves("G3", "G4")
async def a_batch_is_applied_in_the_order_given(bench: Bench) -> None:
    """The commits of one batch to one scope get rising seqs in the order given; the last write of a cell stays."""
    commits = [
        bench.build(ScopeCommit(A, "create", puts=(Put("k", str(i).encode()), Put(f"k{i}", b"")), body=str(i).encode()))
        for i in range(20)
    ]
    outcomes = await bench.batch(*commits)
    expect.same(outcomes, [Committed({A: i + 1}) for i in range(20)], "the outcomes")
    expect.same(await bench.cell(A, "k"), Cell("k", b"19", 20), "the cell that all of them wrote")
    log = await bench.log(A)
    expect.same([record.body for record in log], [str(i).encode() for i in range(20)], "the bodies, in order")
    expect.same([record.commit for record in log], [commit.id for commit in commits], "the ids, in order")


@proves("G3", "G4")
async def scopes_that_take_turns_in_a_batch_count_each_for_itself(bench: Bench) -> None:
    """Commits to several scopes mixed in one batch, and commits over several, give every scope its own sequence."""
    first, second = bench.together(2)
    batch = []
    for i in range(12):
        parts = [ScopeCommit(first, "create", body=b"x")] if i % 3 != 1 else []
        parts += [ScopeCommit(second, "create", body=b"x")] if i % 3 != 0 else []
        batch.append(bench.build(*parts))
    outcomes = await bench.batch(*batch)
    expected, seqs = [], {first: 0, second: 0}
    for commit in batch:
        for part in commit.scopes:
            seqs[part.scope] += 1
        expected.append(Committed({part.scope: seqs[part.scope] for part in commit.scopes}))
    expect.same(outcomes, expected, "the outcomes")


@proves("G3")
async def writes_deletions_and_writes_again_within_a_batch_end_as_ordered(bench: Bench) -> None:
    """Write, delete and write again of one cell in one batch leave exactly what the last one says, and no older value
    comes back, neither there nor after a drop."""
    put, delete = ScopeCommit(A, "create", puts=(Put("k", b"x"),)), ScopeCommit(A, deletes=("k",))
    for order, left in (
        ([put, delete], {}),
        ([put, delete, put], {"k": b"x"}),
        ([delete], {}),
        ([put, put, delete], {}),
    ):
        await bench.put(A, {"k": b"before"})
        await bench.batch(*(bench.build(part) for part in order))
        expect.same(await bench.values(A), left, "what is left")
    drop = ScopeCommit(A, drop=True)
    await bench.batch(*(bench.build(part) for part in (put, drop, put, ScopeCommit(A, puts=(Put("j", b"y"),)))))
    expect.same(await bench.values(A), {"k": b"x", "j": b"y"}, "what is left after a drop within the batch")
    await bench.batch(*(bench.build(part) for part in (put, drop)))
    expect.same(await bench.values(A), {}, "what is left after a drop at the end")


@proves("G2", "G3", "G7")
async def a_conflict_within_a_batch_leaves_the_order_of_the_rest(bench: Bench) -> None:
    """Commits that conflict in the middle of a batch take no seq; those behind them get the ones that follow."""
    good = ScopeCommit(A, "create", appends=(Append("l/", b"x"),))
    bad = ScopeCommit(A, "must_not_exist", puts=(Put("l/bad", b""),))
    outcomes = await bench.batch(*(bench.build(part) for part in (good, bad, good, bad, bad, good)))
    kinds = [outcome.seqs if isinstance(outcome, Committed) else type(outcome) for outcome in outcomes]
    expect.same(kinds, [{A: 1}, Conflict, {A: 2}, Conflict, Conflict, {A: 3}], "the outcomes")
    expect.same(len(await bench.cells(A)), 3, "cells written")


@proves("G3", "G4")
async def the_head_tells_of_the_last_commit(bench: Bench) -> None:
    """A head carries the seq, time and cause of the scope's last commit, whatever that commit did."""
    now_us = bench.now_us
    await bench.committed(ScopeCommit(A, "create", body=b"x"), cause=b"made", at_us=now_us)
    expect.same(await bench.head(A), Head(1, 0, True, 1, now_us, b"made"), "the head when made")
    await bench.committed(ScopeCommit(A, deletes=("k",)), cause=b"\x00late", at_us=now_us - 5)
    expect.same(await bench.head(A), Head(2, 0, True, 1, now_us - 5, b"\x00late"), "after a commit at an earlier time")
    await bench.committed(ScopeCommit(A, drop=True), cause=b"dropped", at_us=now_us + 1)
    expect.same(await bench.head(A), Head(3, 1, False, 1, now_us + 1, b"dropped"), "when dropped")
    await bench.committed(ScopeCommit(A, "create", body=b"x"), at_us=now_us + 2)
    expect.same(await bench.head(A), Head(4, 1, True, 1, now_us + 2, b""), "when made again")
    await bench.committed(ScopeCommit(B, "create", drop=True), at_us=now_us)
    expect.same(await bench.head(B), Head(1, 1, False, 1, now_us), "of a scope made and dropped by one commit")
