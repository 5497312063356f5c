"""G7: a commit that conflicts or is refused changes nothing and hinders no other."""

from __future__ import annotations

from holdfast.errors import HoldfastError, InvalidValue, TooLarge
from holdfast.kernel.commit import NO_HEAD, Absent, Append, Commit, Committed, Entry, HeadAt, Put, ScopeCommit
from holdfast.kernel.limits import PAYLOAD_BYTES_MAX
from holdfast.testing.conformance import expect
from holdfast.testing.conformance.bench import Bench, same_picture
from holdfast.testing.conformance.check import proves

A, NEW = "session/a", "session/new"
RICH = ScopeCommit(
    A,
    puts=(Put("k", b"2", entries=(Entry("tag", "new", "2"),)), Put("other", b"x", entries=(Entry("tag", "x", "0"),))),
    appends=(Append("l/", b"x"),),
    deletes=("d",),
    body=b"body",
)


async def _given(bench: Bench) -> None:
    await bench.put(
        A, {"d": b"1"}, Put("k", b"1", entries=(Entry("tag", "x", "1", b"p"),)), Put("e", b"", bench.now_us + 9)
    )


def _conflicting(bench: Bench) -> list[Commit]:
    guards = (
        ScopeCommit(A, "must_not_exist"),
        ScopeCommit(A, epoch=1),
        ScopeCommit(A, checks=(HeadAt(0),)),
        ScopeCommit(A, checks=(Absent("k"),)),
    )
    rich = [
        bench.build(ScopeCommit(A, g.need, g.epoch, g.checks, RICH.puts, RICH.appends, RICH.deletes, RICH.body))
        for g in guards
    ]
    drops = [bench.build(ScopeCommit(A, g.need, g.epoch, g.checks, drop=True, body=b"x")) for g in guards]
    return [*rich, *drops, bench.build(ScopeCommit(NEW, puts=RICH.puts)), bench.build(ScopeCommit(NEW, drop=True))]


def refusals(bench: Bench) -> list[tuple[Commit, type[HoldfastError]]]:
    """Commits that are refused before they are sent, each with its error."""
    fat = Entry("tag", "x", "1", bytes(PAYLOAD_BYTES_MAX + 1))
    good = Put("k", b"lost")
    return [
        (bench.build(ScopeCommit(A, puts=(good, Put("fat", b"", entries=(fat,))))), TooLarge),
        (bench.build(ScopeCommit(A, puts=(good, Put("k" * 1025, b"")))), TooLarge),
        (bench.build(ScopeCommit(A, puts=(good, Put("big", bytes(bench.traits.value_bytes_max + 1))))), TooLarge),
        (bench.build(ScopeCommit(A, puts=(good, Put("k", b"twice")))), InvalidValue),
        (bench.build(ScopeCommit(A, puts=(good,), deletes=("k",))), InvalidValue),
        (bench.build(ScopeCommit(A, puts=(good,), deletes=("d", "d"))), InvalidValue),
        (bench.build(ScopeCommit(A, puts=(good,), drop=True)), InvalidValue),
        (bench.build(ScopeCommit(A, deletes=("k",), drop=True)), InvalidValue),
        (bench.build(ScopeCommit(A, appends=(Append("l/", b""),), drop=True)), InvalidValue),
        (bench.build(ScopeCommit(A, puts=(good,)), ScopeCommit(A, body=b"twice")), InvalidValue),
        (bench.build(ScopeCommit(A, puts=(good, Put("\ud800", b"")))), InvalidValue),
        (bench.build(ScopeCommit(A, puts=(good, Put("e", b"", entries=(Entry("t", "x", "\udfff"),))))), InvalidValue),
        (
            bench.build(
                ScopeCommit(A, puts=(Put("k", b"", entries=(Entry("t", "x", "1"), Entry("t", "x", "1", b"2"))),))
            ),
            InvalidValue,
        ),
        (bench.build(), InvalidValue),
    ]


@proves("G7")
async def a_conflict_leaves_everything_as_it_was(bench: Bench) -> None:
    """Whatever a commit that conflicts would have done, nothing any verb shows has changed, entries included, and the
    next commit takes the next seq."""
    await _given(bench)
    before = await bench.picture(A, NEW)
    for commit in _conflicting(bench):
        outcome = await bench.send(commit)
        expect.holds(not isinstance(outcome, Committed | HoldfastError), f"{commit!r} conflicts, found {outcome!r}")
        same_picture(await bench.picture(A, NEW), before, f"after the conflict of {commit.scopes!r}")
    expect.same(await bench.put(A, {"k": b"next"}), 2, "the next seq")


@proves("G7", "G19")
async def a_refusal_leaves_everything_as_it_was(bench: Bench) -> None:
    """A commit that is over a limit or contradicts itself is refused as its outcome, with the fitting error, and
    nothing any verb shows has changed."""
    await _given(bench)
    before = await bench.picture(A)
    for commit, error in refusals(bench):
        expect.a(error, await bench.send(commit), "the outcome of a commit that may not be sent")
        same_picture(await bench.picture(A), before, f"after {error.__name__}")
    expect.same(await bench.put(A, {"k": b"next"}), 2, "the next seq")


@proves("G7", "G3")
async def the_others_of_a_batch_go_through(bench: Bench) -> None:
    """Conflicts and refusals anywhere in a batch hinder none of the others, which are applied in order."""
    await _given(bench)
    bad = [commit for commit, _ in refusals(bench)] + _conflicting(bench)
    batch: list[Commit] = []
    for commit in bad:
        batch += [bench.build(ScopeCommit(A, appends=(Append("good/", b"x"),))), commit]
    # Ids rise along the lane in the order of the batch.
    for commit in batch:
        commit.id = bench.build().id
    outcomes = await bench.batch(*batch)
    expect.same(outcomes[::2], [Committed({A: seq + 2}) for seq in range(len(bad))], "the outcomes of the good ones")
    wrong = [outcome for outcome in outcomes[1::2] if isinstance(outcome, Committed)]
    expect.same(wrong, [], "bad ones that were committed")
    expect.same(len(await bench.cells(A, "good/")), len(bad), "the cells of the good ones")
    expect.same(await bench.values(A, "k"), {"k": b"1"}, "the cell the bad ones would have written")
    expect.same(await bench.kernel.scopes(), (A,), "the scopes there are")


@proves("G7")
async def a_scope_that_was_not_made_never_was(bench: Bench) -> None:
    """A conflict on a scope that never was leaves no head, no record, no move and no name; its first seq is 1."""
    position = await bench.position()
    await bench.conflict(ScopeCommit(NEW, "create", checks=(HeadAt(1),), puts=(Put("k", b""),)))
    await bench.conflict(ScopeCommit(NEW, body=b"x"))
    await bench.conflict(ScopeCommit(NEW, "create", epoch=1, body=b"x"))
    expect.same(await bench.head(NEW), NO_HEAD, "the head")
    expect.same(await bench.kernel.log(NEW), (), "the log")
    expect.same(await bench.kernel.scopes(), (), "the scopes")
    expect.same(await bench.moves(position), {}, "the moves")
    expect.same(await bench.put(NEW, {"k": b""}), 1, "the first seq")
