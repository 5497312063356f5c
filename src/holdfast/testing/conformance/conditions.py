"""G2: every condition of a commit is judged, before any write, against what earlier commits left."""

from __future__ import annotations

from holdfast.kernel.commit import (
    Absent,
    Append,
    Cell,
    Check,
    Committed,
    Conflict,
    Head,
    HeadAt,
    Present,
    Put,
    ScopeCommit,
    Unchanged,
    Untouched,
)
from holdfast.testing.conformance import expect
from holdfast.testing.conformance.bench import Bench
from holdfast.testing.conformance.check import proves

A = "session/a"
FAR = 2**53 - 1
"""The largest seq there can be."""


async def _given(bench: Bench) -> Head:
    """At seq 4: `one` and the empty `nil` are of version 1, `two` of version 4 (first 2), `gone` deleted at 3."""
    await bench.put(A, {"one": b"1", "gone": b"g", "nil": b""})
    await bench.put(A, {"two": b"2"})
    await bench.delete(A, "gone")
    await bench.put(A, {"two": b"2b"})
    return await bench.head(A)


def _holding() -> list[Check]:
    return [
        *(Absent("none"), Absent("gone"), Absent("on"), Absent("one/"), Absent("ONE")),
        *(Present("one"), Present("two"), Present("nil"), Unchanged("nil", 1)),
        *(Unchanged("one", 1), Unchanged("one", 2), Unchanged("two", 4), Unchanged("two", FAR)),
        *(Untouched("one", 1), Untouched("", 4), Untouched("z", 0), Untouched("gone", 3), Untouched("", FAR)),
        *(Untouched("twoo", 0), Untouched("two/", 0), HeadAt(4)),
    ]


def _failing(head: Head) -> list[tuple[Check, Conflict]]:
    one, two = Cell("one", b"1", 1), Cell("two", b"2b", 4)

    def conflict(what: str, key: str | None, expected: int | None, found: Cell | Head | None) -> Conflict:
        return Conflict(A, what, key, expected, found, head)  # type: ignore[arg-type]

    return [
        (Absent("one"), conflict("absent", "one", None, one)),
        (Absent("two"), conflict("absent", "two", None, two)),
        (Absent("nil"), conflict("absent", "nil", None, Cell("nil", b"", 1))),
        (Present("none"), conflict("present", "none", None, None)),
        (Present("gone"), conflict("present", "gone", None, None)),
        (Unchanged("one", 0), conflict("unchanged", "one", 0, one)),
        (Unchanged("two", 3), conflict("unchanged", "two", 3, two)),
        (Unchanged("two", 2), conflict("unchanged", "two", 2, two)),
        (Unchanged("none", 4), conflict("unchanged", "none", 4, None)),
        (Unchanged("gone", FAR), conflict("unchanged", "gone", FAR, None)),
        (Untouched("one", 0), conflict("untouched", "one", 0, head)),
        (Untouched("o", 0), conflict("untouched", "o", 0, head)),
        (Untouched("two", 3), conflict("untouched", "two", 3, head)),
        (Untouched("", 3), conflict("untouched", "", 3, head)),
        (Untouched("gone", 2), conflict("untouched", "gone", 2, head)),
        (HeadAt(3), conflict("headat", None, 3, head)),
        (HeadAt(5), conflict("headat", None, 5, head)),
        (HeadAt(0), conflict("headat", None, 0, head)),
    ]


@proves("G2")
async def every_kind_of_check_holds_where_it_should(bench: Bench) -> None:
    """Each kind of check lets a commit through where it is true, at the last value for which it is true."""
    await _given(bench)
    for check in _holding():
        outcome = await bench.commit(ScopeCommit(A, checks=(check,)))
        expect.same(outcome, Committed({}), f"a commit that only checks {check!r}")
    await bench.committed(ScopeCommit(A, checks=tuple(_holding()), body=b"all at once"))


@proves("G2")
async def every_kind_of_check_fails_where_it_should_and_says_what_it_found(bench: Bench) -> None:
    """Each kind of check stops a commit where it is false, at the first value for which it is false; the conflict
    names the condition, what was expected and what was found."""
    head = await _given(bench)
    for check, conflict in _failing(head):
        outcome = await bench.commit(ScopeCommit(A, checks=(check,), puts=(Put("new", b""),)))
        expect.same(outcome, conflict, f"a commit with {check!r}")
    expect.same(await bench.head(A), head, "the head after nothing but conflicts")


@proves("G2")
async def each_of_many_checks_counts(bench: Bench) -> None:
    """A commit with many checks of which a single one fails conflicts, wherever that one stands."""
    head = await _given(bench)
    holding = tuple(_holding())
    for place in (0, 1, len(holding) // 2, len(holding)):
        for check, conflict in _failing(head)[::4]:
            checks = (*holding[:place], check, *holding[place:])
            outcome = await bench.commit(ScopeCommit(A, checks=checks, body=b"x"))
            expect.same(outcome, conflict, f"{check!r} as check {place} of {len(checks)}")


@proves("G2")
async def the_first_condition_that_fails_is_the_conflict(bench: Bench) -> None:
    """Scopes are judged in the order given; within one: need, then epoch, then the checks in their order."""
    first, second = bench.together(2)
    await bench.put(first, {"k": b"1"})
    await bench.put(second, {"k": b"2"})
    wrong = (HeadAt(9), Absent("k"))
    cases: list[tuple[ScopeCommit, ScopeCommit, str, str]] = [
        (ScopeCommit(first, "must_not_exist", 9, wrong), ScopeCommit(second, epoch=9), first, "need"),
        (ScopeCommit(first, epoch=9, checks=wrong), ScopeCommit(second, "must_not_exist"), first, "epoch"),
        (ScopeCommit(first, checks=wrong), ScopeCommit(second, checks=wrong), first, "headat"),
        (ScopeCommit(first, checks=wrong[::-1]), ScopeCommit(second, epoch=9), first, "absent"),
        (ScopeCommit(first), ScopeCommit(second, checks=wrong), second, "headat"),
        (ScopeCommit(second, checks=wrong[::-1]), ScopeCommit(first, checks=wrong), second, "absent"),
    ]
    for one, two, scope, what in cases:
        conflict = await bench.conflict(one, two)
        expect.same((conflict.scope, conflict.what), (scope, what), f"the conflict of {one!r} with {two!r}")


@proves("G2")
async def conditions_are_judged_before_the_commits_own_writes(bench: Bench) -> None:
    """A commit's conditions look at what was there before it, never at what it writes itself."""
    await bench.put(A, {"k": b"1", "d": b"1"})
    seqs = await bench.committed(
        ScopeCommit(
            A,
            checks=(
                *(Absent("new"), Unchanged("k", 1), Present("d"), HeadAt(1)),
                *(Untouched("new", 1), Untouched("k", 1), Untouched("l/", 0)),
            ),
            puts=(Put("new", b""), Put("k", b"2")),
            appends=(Append("l/", b""),),
            deletes=("d",),
        )
    )
    expect.same(seqs, {A: 2}, "the seqs")
    conflict = await bench.conflict(ScopeCommit(A, checks=(Present("later"),), puts=(Put("later", b""),)))
    expect.same(conflict.what, "present", "a commit that needs what it writes itself")
    conflict = await bench.conflict(ScopeCommit("session/b", puts=(Put("k", b""),)))
    expect.same(conflict.what, "need", "a commit that needs the scope it would make")


@proves("G2", "G3")
async def later_commits_of_a_batch_are_judged_by_what_earlier_ones_left(bench: Bench) -> None:
    """Within one batch every commit sees all that the earlier ones wrote: cells, deletions, heads, prefixes, drops."""
    made = bench.build(ScopeCommit(A, "must_not_exist", puts=(Put("k", b"1"), Put("d", b"1"))))
    batch = [
        (made, {A: 1}),
        (bench.build(ScopeCommit(A, "must_not_exist", body=b"x")), "need"),
        (bench.build(ScopeCommit(A, checks=(Absent("k"),), body=b"x")), "absent"),
        (bench.build(ScopeCommit(A, checks=(Unchanged("k", 1), HeadAt(1)), puts=(Put("k", b"2"),))), {A: 2}),
        (bench.build(ScopeCommit(A, checks=(Unchanged("k", 1),), puts=(Put("k", b"lost"),))), "unchanged"),
        (bench.build(ScopeCommit(A, checks=(HeadAt(1),), body=b"x")), "headat"),
        (bench.build(ScopeCommit(A, checks=(Untouched("k", 1),), body=b"x")), "untouched"),
        (bench.build(ScopeCommit(A, checks=(Untouched("k", 2), Present("d")), deletes=("d",))), {A: 3}),
        (bench.build(ScopeCommit(A, checks=(Present("d"),), body=b"x")), "present"),
        (bench.build(ScopeCommit(A, checks=(Absent("d"),), appends=(Append("l/", b"x"),))), {A: 4}),
        (bench.build(ScopeCommit(A, checks=(Untouched("l/", 3),), body=b"x")), "untouched"),
        (bench.build(ScopeCommit(A, epoch=0, drop=True)), {A: 5}),
        (bench.build(ScopeCommit(A, puts=(Put("k", b"back"),))), "need"),
        (bench.build(ScopeCommit(A, "create", epoch=0, body=b"x")), "epoch"),
        (bench.build(ScopeCommit(A, "create", epoch=1, checks=(Absent("k"),), puts=(Put("k", b"3"),))), {A: 6}),
    ]
    outcomes = await bench.batch(*(commit for commit, _ in batch))
    found = [
        outcome.seqs if isinstance(outcome, Committed) else getattr(outcome, "what", outcome) for outcome in outcomes
    ]
    expect.same(found, [expected for _, expected in batch], "the outcomes of the batch")
    expect.same(await bench.values(A), {"k": b"3"}, "what is left")


@proves("G2", "G4")
async def a_scope_that_is_only_checked_guards_and_stays_as_it_is(bench: Bench) -> None:
    """A scope named only for its conditions takes no seq and no record, and yet decides over the whole commit."""
    guard, written = bench.together(2)
    await bench.put(guard, {"k": b"1"})
    head = await bench.head(guard)
    seqs = await bench.committed(
        ScopeCommit(guard, checks=(Unchanged("k", 1),)), ScopeCommit(written, "create", body=b"1")
    )
    expect.same(seqs, {written: 1}, "the seqs")
    expect.same(await bench.head(guard), head, "the head of the scope only checked")
    await bench.put(guard, {"k": b"2"})
    conflict = await bench.conflict(ScopeCommit(guard, checks=(Unchanged("k", 1),)), ScopeCommit(written, body=b"2"))
    expect.same((conflict.scope, conflict.what), (guard, "unchanged"), "the conflict")
    expect.same((await bench.head(written)).seq, 1, "the seq of the scope that was not written")
    expect.same(len(await bench.log(guard)), 2, "records of the scope only checked")


@proves("G2")
async def checks_work_on_a_scope_that_never_was(bench: Bench) -> None:
    """Conditions on a scope that never was see nothing there, at seq 0, and do not make it."""
    nothing = (Absent("k"), Untouched("", 0), Untouched("k", 5), HeadAt(0))
    expect.same(await bench.commit(ScopeCommit(A, "must_not_exist", 0, nothing)), Committed({}), "checks that hold")
    expect.same(await bench.commit(ScopeCommit(A, "create", 0, nothing)), Committed({}), "checks that hold")
    for check in (Present("k"), Unchanged("k", 0), HeadAt(1)):
        conflict = await bench.conflict(ScopeCommit(A, "create", checks=(check,), body=b"x"))
        expect.same(
            (conflict.found, conflict.head),
            (conflict.head if isinstance(check, HeadAt) else None, Head()),
            f"{check!r}",
        )
    expect.same(await bench.kernel.scopes(), (), "the scopes there are")
    expect.same(await bench.head(A), Head(), "the head")
