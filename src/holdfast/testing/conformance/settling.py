"""G5: settling what became of a commit, and what is said when the evidence may be gone."""

from __future__ import annotations

from holdfast.errors import Indeterminate, Unavailable
from holdfast.kernel.commit import CommitId, Committed, HeadAt, Put, Retention, ScopeCommit
from holdfast.testing.conformance import expect
from holdfast.testing.conformance.bench import Bench
from holdfast.testing.conformance.check import proves

A = "session/a"
NEWEST = Retention(count=1, tombstone_us=None)


@proves("G5")
async def the_outcome_of_a_commit_can_be_asked_for(bench: Bench) -> None:
    """`outcome` finds an applied commit in each scope that it wrote, with that scope's seq, and answers None for one
    that was not applied, or not there."""
    first, second = bench.together(2)
    await bench.put(first, {"k": b""})
    applied = bench.build(ScopeCommit(first, body=b"x"), ScopeCommit(second, "create", body=b"x"))
    conflicting = bench.build(ScopeCommit(first, checks=(HeadAt(7),), body=b"x"))
    await bench.batch(applied, conflicting)
    await bench.put(first, {"k": b"2"})
    for scope, seq in ((first, 2), (second, 1)):
        outcome = await bench.kernel.outcome(scope, applied.id)
        expect.same(outcome, Committed({scope: seq}, replayed=True), f"the outcome in {scope}")
    expect.same(await bench.kernel.outcome(first, conflicting.id), None, "the outcome of one that conflicted")
    expect.same(await bench.kernel.outcome("session/none", applied.id), None, "the outcome in a scope that never was")
    stranger = CommitId(bench.lane().writer, 1)
    expect.same(await bench.kernel.outcome(first, stranger), None, "the outcome of one never sent")


@proves("G5", "G13")
async def the_outcome_outlives_the_drop_of_its_scope(bench: Bench) -> None:
    """`outcome` finds a commit after its scope was dropped and made again, and the drop itself."""
    written, dropped = bench.build(ScopeCommit(A, "create", body=b"x")), bench.build(ScopeCommit(A, drop=True))
    await bench.batch(written, dropped)
    for _ in range(2):
        for commit, seq in ((written, 1), (dropped, 2)):
            outcome = await bench.kernel.outcome(A, commit.id)
            expect.same(outcome, Committed({A: seq}, replayed=True), "the outcome")
        await bench.put(A, {"k": b"again"})


@proves("G5", "G13")
async def a_repeat_whose_evidence_is_trimmed_is_indeterminate(bench: Bench) -> None:
    """Once the log was trimmed past it a commit can no longer be told from one never applied: a repeat, and
    `outcome`, say Indeterminate, and it is not applied a second time. What the log still holds is still known."""
    trimmed = bench.build(ScopeCommit(A, "create", puts=(Put("k", b"1"),)))
    kept = bench.build(ScopeCommit(A, puts=(Put("k", b"2"),)))
    await bench.batch(trimmed, kept)
    await bench.sweep(retention=NEWEST)
    expect.same((await bench.head(A)).floor, 2, "the floor after the sweep")
    expect.same(await bench.send(kept), Committed({A: 2}, replayed=True), "a repeat of the record kept")
    expect.a(Indeterminate, await bench.send(trimmed), "a repeat of the record trimmed")
    await expect.raises(Indeterminate, bench.kernel.outcome(A, trimmed.id), "its outcome")
    expect.same(await bench.kernel.outcome(A, kept.id), Committed({A: 2}, replayed=True), "the other's outcome")
    expect.same(await bench.values(A), {"k": b"2"}, "the cells")
    expect.same((await bench.head(A)).seq, 2, "the seq")


@proves("G5", "G13")
async def evidence_partly_trimmed_is_never_taken_for_absence(bench: Bench) -> None:
    """A repeat over two scopes, of which one's log was trimmed, is never called unapplied and never applied again: it
    is Indeterminate, or Committed with no wrong seq. In either order of the scopes."""
    first, second = bench.together(2)
    for order in ((first, second), (second, first)):
        commit = bench.build(*(ScopeCommit(scope, "create", body=b"x") for scope in order))
        seqs = expect.a(Committed, await bench.send(commit), "the first outcome").seqs
        await bench.put(first, {"k": b"newer"})
        await bench.sweep(retention=NEWEST)
        outcome = await bench.send(commit)
        if isinstance(outcome, Committed):
            expect.holds(outcome.replayed and outcome.seqs.items() <= seqs.items(), f"not the first seqs: {outcome!r}")
        else:
            expect.a(Indeterminate, outcome, "the outcome of the repeat")
        expect.same((await bench.head(second)).seq, seqs[second], "the seq of the scope not trimmed")


@proves("G5")
async def a_scope_only_checked_holds_no_evidence(bench: Bench) -> None:
    """Whether the log of a scope that was only checked was trimmed does not matter to a repeat."""
    guard, written = bench.together(2)
    await bench.put(guard, {"k": b"1"})
    await bench.put(guard, {"k": b"2"})
    commit = bench.build(ScopeCommit(guard, checks=(HeadAt(2),)), ScopeCommit(written, "create", body=b"x"))
    await bench.send(commit)
    await bench.sweep(retention=NEWEST)
    expect.same(await bench.send(commit), Committed({written: 1}, replayed=True), "the outcome of the repeat")


@proves("G5")
async def an_untrimmed_log_proves_that_nothing_was_applied(bench: Bench) -> None:
    """With the whole log there, a used-up id that is not in it surely was not applied; a sweep that trims nothing
    changes nothing about that."""
    conflicting = bench.build(ScopeCommit(A, body=b"x"))
    await bench.send(conflicting)
    await bench.put(A, {"k": b"1"})
    await bench.sweep(retention=Retention(count=1))
    error = expect.a(Unavailable, await bench.send(conflicting), "the outcome of the repeat")
    expect.same(error.facts.get("burnt"), True, "the fact `burnt`")
    expect.same(await bench.kernel.outcome(A, conflicting.id), None, "its outcome")
