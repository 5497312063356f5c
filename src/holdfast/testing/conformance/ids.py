"""G5: a commit id sent twice is applied once, and the first result is returned."""

from __future__ import annotations

import asyncio

from holdfast.errors import Unavailable
from holdfast.kernel.commit import (
    Absent,
    Append,
    CommitId,
    Committed,
    Conflict,
    Entry,
    HeadAt,
    Outcome,
    Put,
    ScopeCommit,
)
from holdfast.testing.conformance import expect
from holdfast.testing.conformance.bench import Bench, same_picture
from holdfast.testing.conformance.check import proves

A = "session/a"
RICH = ScopeCommit(
    A,
    "create",
    puts=(Put("k", b"1", entries=(Entry("tag", "x", "1"),)),),
    appends=(Append("l/", b"2"), Append("l/", b"3")),
    deletes=("d",),
    body=b"body",
)


def _unapplied(outcome: Outcome, what: str) -> None:
    error = expect.a(Unavailable, outcome, f"{what}: an id that is used up, of a commit never applied")
    expect.same(error.facts.get("burnt"), True, f"{what}: the fact `burnt`, by which a writer knows to take a new id")


@proves("G5")
async def a_commit_sent_twice_in_one_batch_is_applied_once(bench: Bench) -> None:
    """The second of two equal commits in a batch is answered with the seqs of the first and changes nothing."""
    commit = bench.build(RICH)
    outcomes = await bench.batch(commit, commit, commit)
    again = Committed({A: 1}, replayed=True)
    expect.same(outcomes, [Committed({A: 1}), again, again], "the outcomes")
    expect.same(len(await bench.log(A)), 1, "records")
    expect.same(len(await bench.cells(A, "l/")), 2, "cells appended")


@proves("G5")
async def a_commit_sent_again_is_answered_with_its_first_seqs(bench: Bench) -> None:
    """However many commits came between, a repeat is told the seq of the first time, not the present one, and the
    newer values stay."""
    first = bench.build(RICH)
    await bench.send(first)
    for turn in range(5):
        await bench.put(A, {"k": str(turn).encode()})
    before = await bench.picture(A)
    for _ in range(3):
        expect.same(await bench.send(first), Committed({A: 1}, replayed=True), "the outcome of the repeat")
    same_picture(await bench.picture(A), before, "after the repeats")


@proves("G5")
async def a_repeat_is_not_judged_again(bench: Bench) -> None:
    """A commit whose conditions no longer hold, because it was applied itself, is replayed and no conflict."""
    commits = [
        bench.build(ScopeCommit(A, "must_not_exist", puts=(Put("k", b""),))),
        bench.build(ScopeCommit(A, checks=(HeadAt(1), Absent("j")), puts=(Put("j", b""),))),
        bench.build(ScopeCommit(A, epoch=0, drop=True)),
    ]
    await bench.batch(*commits)
    outcomes = await bench.batch(*commits)
    expect.same(outcomes, [Committed({A: i + 1}, replayed=True) for i in range(3)], "the outcomes of the repeats")


@proves("G5", "G11")
async def a_repeat_outlives_the_drop_of_its_scope(bench: Bench) -> None:
    """After its scope was dropped, and after it was made again, a repeat is still known, brings nothing back and drops
    nothing a second time."""
    written = bench.build(RICH)
    dropped = bench.build(ScopeCommit(A, drop=True))
    await bench.batch(written, dropped)
    expect.same(await bench.send(written), Committed({A: 1}, replayed=True), "a repeat after the drop")
    expect.same(await bench.values(A), {}, "cells after the repeat")
    await bench.put(A, {"k": b"new"})
    for commit, seq in ((written, 1), (dropped, 2)):
        expect.same(await bench.send(commit), Committed({A: seq}, replayed=True), "a repeat in the next epoch")
    expect.same(await bench.values(A), {"k": b"new"}, "cells after all repeats")
    expect.same((await bench.head(A)).seq, 3, "the seq after all repeats")


@proves("G5")
async def an_id_whose_commit_was_not_applied_is_used_up(bench: Bench) -> None:
    """A commit that conflicted is not applied when it is sent again, even if its conditions hold by then: its id is
    used up and the answer says that it surely was not applied. Under a new id it goes through."""
    part = ScopeCommit(A, puts=(Put("k", b"late"),))
    commit = bench.build(part)
    expect.a(Conflict, await bench.send(commit), "the first outcome")
    await bench.put(A, {"k": b"1"})
    _unapplied(await bench.send(commit), "sent again")
    expect.same(await bench.values(A), {"k": b"1"}, "the cells after the repeat")
    expect.same(await bench.committed(part), {A: 2}, "the seqs under a new id")


@proves("G5")
async def an_id_below_the_lanes_last_is_not_applied_late(bench: Bench) -> None:
    """An id that was never sent, but lies below one that was, is used up: a commit held up on the way cannot land
    behind a later one. Ids may leave gaps, and lanes do not touch each other."""
    lane = bench.lane().writer
    for n in (1, 5, 100):
        commit = bench.build(ScopeCommit(A, "create", puts=(Put(str(n), b""),)), id=CommitId(lane, n))
        expect.a(Committed, await bench.send(commit), f"the outcome of n={n}")
    for n in (4, 2, 99):
        late = bench.build(ScopeCommit(A, puts=(Put("late", b""),)), id=CommitId(lane, n))
        _unapplied(await bench.send(late), f"n={n} after 100")
    expect.same(sorted(await bench.values(A)), ["1", "100", "5"], "the cells")
    other = bench.build(ScopeCommit(A, puts=(Put("other", b""),)), id=CommitId(bench.lane().writer, 2))
    expect.same(await bench.send(other), Committed({A: 4}), "a low n of another writer")


@proves("G5")
async def one_number_of_two_writers_is_two_commits(bench: Bench) -> None:
    """Commits of two writers with the same n are two commits: each is applied, each repeat finds its own."""
    one, two = (bench.build(ScopeCommit(A, "create", body=b"x"), id=bench.lane().next()) for _ in range(2))
    expect.same(await bench.batch(one, two), [Committed({A: 1}), Committed({A: 2})], "the outcomes")
    again = [Committed({A: 2}, replayed=True), Committed({A: 1}, replayed=True)]
    expect.same(await bench.batch(two, one), again, "the outcomes of the repeats")


@proves("G5")
async def the_largest_number_is_kept_exactly(bench: Bench) -> None:
    """Commit numbers up to 2**53 - 1 are told apart to the last digit."""
    lane = bench.lane().writer
    commits = [bench.build(ScopeCommit(A, "create", body=b"x"), id=CommitId(lane, n)) for n in (2**53 - 2, 2**53 - 1)]
    expect.same(await bench.batch(*commits), [Committed({A: 1}), Committed({A: 2})], "the outcomes")
    again = [Committed({A: 1}, replayed=True), Committed({A: 2}, replayed=True)]
    expect.same(await bench.batch(*commits), again, "the outcomes of the repeats")
    expect.same([record.commit for record in await bench.log(A)], [commit.id for commit in commits], "ids in the log")


@proves("G5", "G1")
async def a_repeat_over_several_scopes_returns_all_their_seqs(bench: Bench) -> None:
    """A repeat over several scopes returns the first seqs of every scope written, and of none that was only checked."""
    first, second, guard = bench.together(3)
    for scope, commits in ((first, 3), (guard, 2)):
        for _ in range(commits):
            await bench.put(scope, {"k": b""})
    commit = bench.build(
        ScopeCommit(guard, checks=(HeadAt(2),)),
        ScopeCommit(second, "create", body=b"x"),
        ScopeCommit(first, drop=True),
    )
    expect.same(await bench.send(commit), Committed({second: 1, first: 4}), "the outcome")
    await bench.put(guard, {"k": b"2"})
    await bench.put(second, {"k": b"2"})
    expect.same(await bench.send(commit), Committed({second: 1, first: 4}, replayed=True), "the repeat's outcome")


@proves("G5", "G7")
async def repeats_and_news_in_one_batch_each_get_their_own(bench: Bench) -> None:
    """A batch of repeats, used-up ids, conflicts and new commits answers each as if it had come alone, in order."""
    old = bench.build(RICH)
    lost = bench.build(ScopeCommit("session/none", body=b"x"))
    await bench.batch(old, lost)
    outcomes = await bench.batch(
        bench.build(ScopeCommit(A, body=b"x")),
        old,
        bench.build(ScopeCommit(A, checks=(HeadAt(9),), body=b"x")),
        lost,
        bench.build(ScopeCommit(A, checks=(HeadAt(2),), body=b"x")),
        old,
    )
    again = Committed({A: 1}, replayed=True)
    expect.same([outcomes[i] for i in (0, 1, 4, 5)], [Committed({A: 2}), again, Committed({A: 3}), again], "outcomes")
    expect.a(Conflict, outcomes[2], "the outcome of the commit that conflicts")
    _unapplied(outcomes[3], "within a batch")


async def _send_at_once(bench: Bench, *, kernels: int) -> None:
    opened = [bench.kernel] + [await bench.second() for _ in range(kernels - 1)]
    commit = bench.build(RICH)
    answers = await asyncio.gather(*(opened[i % kernels].commit([commit]) for i in range(12)))
    outcomes = [expect.a(Committed, answer[0], "an outcome") for answer in answers]
    expect.same({outcome.seqs[A] for outcome in outcomes}, {1}, "the seqs answered")
    expect.same(sum(not outcome.replayed for outcome in outcomes), 1, "how often it was the first time")
    expect.same((await bench.head(A)).seq, 1, "the seq")


@proves("G5")
async def a_commit_sent_by_many_at_once_is_applied_once(bench: Bench) -> None:
    """One commit sent by many tasks at the same time is applied once, and all learn the same seq."""
    await _send_at_once(bench, kernels=1)


@proves("G5", needs=("second",))
async def a_commit_sent_through_two_kernels_at_once_is_applied_once(bench: Bench) -> None:
    """The same through two kernels on one space."""
    await _send_at_once(bench, kernels=2)


@proves("G5", needs=("second",))
async def another_kernel_knows_what_was_applied(bench: Bench) -> None:
    """A repeat through another kernel on the same space is known there, and so is an id that is used up."""
    other = await bench.second()
    applied, lost = bench.build(RICH), bench.build(ScopeCommit("session/none", body=b"x"))
    await bench.batch(applied, lost)
    outcomes = await other.commit([applied, lost])
    expect.same(outcomes[0], Committed({A: 1}, replayed=True), "the outcome of the repeat")
    _unapplied(outcomes[1], "through another kernel")


@proves("G5", "G6", needs=("reopen",))
async def what_was_applied_is_known_after_reopening(bench: Bench) -> None:
    """After closing and opening again a repeat is known, and so is an id that is used up."""
    applied, lost = bench.build(RICH), bench.build(ScopeCommit("session/none", body=b"x"))
    await bench.batch(applied, lost)
    await bench.reopen()
    outcomes = await bench.batch(applied, lost)
    expect.same(outcomes[0], Committed({A: 1}, replayed=True), "the outcome of the repeat")
    _unapplied(outcomes[1], "after reopening")
    expect.same(await bench.committed(ScopeCommit(A, body=b"next")), {A: 2}, "the seqs of the next commit")
