"""What becomes of a commit, decided purely."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.kernel.commit import (
    NO_HEAD,
    Absent,
    Append,
    Cell,
    Check,
    Commit,
    CommitId,
    Conflict,
    Entry,
    Head,
    HeadAt,
    Present,
    Put,
    ScopeCommit,
    Unchanged,
    Untouched,
    stamp,
)
from holdfast.kernel.evaluate import Plan, evaluate, is_visible

HEAD = Head(5, 2, True, 3, 900, b"before")
CELL = Cell("k", b"v", 4)
TOUCHED = {3: ("k", "x"), 4: ("k",), 5: ("p/1",)}


def judged(*parts: ScopeCommit, heads: dict[str, Head] | None = None) -> Conflict | list[Plan]:
    known = {"a": HEAD} if heads is None else heads

    def touched(scope: str, since: int) -> list[tuple[str, ...]] | None:
        return None if since + 1 < 3 else [keys for seq, keys in TOUCHED.items() if seq > since]

    return evaluate(
        Commit(parts, 1000, b"cause", CommitId("w", 7)),
        lambda scope: known.get(scope, NO_HEAD),
        lambda scope, key: CELL if (scope, key) == ("a", "k") else None,
        touched,
    )


def conflict(what: str, key: str | None, expected: object, found: object) -> Conflict:
    return Conflict("a", what, key, expected, found, HEAD)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "check",
    [
        *(Absent("j"), Present("k"), Unchanged("k", 4), Unchanged("k", 99), HeadAt(5)),
        *(Untouched("z", 2), Untouched("k", 4), Untouched("", 5), Untouched("", 99), Untouched("p/2", 2)),
    ],
)
def test_a_check_that_holds_lets_the_commit_through(check: Check) -> None:
    assert judged(ScopeCommit("a", checks=(check,))) == []


@pytest.mark.parametrize(
    ("check", "wanted"),
    [
        (Absent("k"), conflict("absent", "k", None, CELL)),
        (Present("j"), conflict("present", "j", None, None)),
        (Unchanged("k", 3), conflict("unchanged", "k", 3, CELL)),
        (Unchanged("j", 9), conflict("unchanged", "j", 9, None)),
        (HeadAt(4), conflict("headat", None, 4, HEAD)),
        (HeadAt(6), conflict("headat", None, 6, HEAD)),
        (Untouched("k", 3), conflict("untouched", "k", 3, HEAD)),
        (Untouched("p", 4), conflict("untouched", "p", 4, HEAD)),
        (Untouched("z", 1), conflict("untouched", "z", 1, HEAD)),  # trimmed
    ],
)
def test_a_check_that_fails_is_the_conflict(check: Check, wanted: Conflict) -> None:
    assert judged(ScopeCommit("a", checks=(check,), body=b"x")) == wanted


@pytest.mark.parametrize(
    ("need", "live", "met"),
    [
        ("must_exist", True, True),
        ("must_exist", False, False),
        ("must_not_exist", True, False),
        ("must_not_exist", False, True),
        ("create", True, True),
        ("create", False, True),
    ],
)
def test_need_is_judged_by_whether_the_scope_lives(need: str, live: bool, met: bool) -> None:
    head = Head(5, 2, live, 3)
    outcome = judged(ScopeCommit("a", need, body=b"x"), heads={"a": head})  # type: ignore[arg-type]
    assert isinstance(outcome, list) == met
    if not met:
        assert outcome == Conflict("a", "need", None, need, head, head)  # type: ignore[arg-type]


@pytest.mark.parametrize("live", [True, False])
def test_an_epoch_that_is_named_must_be_the_present_one_whether_the_scope_lives_or_not(live: bool) -> None:
    head = Head(5, 2, live, 3)
    assert isinstance(judged(ScopeCommit("a", "create", 2, body=b"x"), heads={"a": head}), list)
    for epoch in (0, 1, 3):
        outcome = judged(ScopeCommit("a", "create", epoch, body=b"x"), heads={"a": head})
        assert outcome == Conflict("a", "epoch", None, epoch, head, head)


def test_the_first_condition_that_fails_decides_in_the_order_need_epoch_checks_and_scope_by_scope() -> None:
    wrong = (HeadAt(9), Absent("k"))
    assert judged(ScopeCommit("a", "must_not_exist", 9, wrong), ScopeCommit("b")).what == "need"  # type: ignore[union-attr]
    assert judged(ScopeCommit("a", epoch=9, checks=wrong), ScopeCommit("b")).what == "epoch"  # type: ignore[union-attr]
    assert judged(ScopeCommit("a", checks=wrong), ScopeCommit("b")).what == "headat"  # type: ignore[union-attr]
    assert judged(ScopeCommit("b"), ScopeCommit("a", checks=wrong)).scope == "b"  # type: ignore[union-attr]


def test_a_plan_says_everything_that_is_to_be_written() -> None:
    entry = Entry("i", "v", "o", b"p")
    part = ScopeCommit(
        "a",
        puts=(Put("k", b"1", 5000, (entry,)),),
        appends=(Append("l/", b"2"), Append("m/", b"3", 6000)),
        deletes=("d",),
        body=b"body",
    )
    [plan] = judged(part)  # type: ignore[misc]
    keys = ("k", f"l/{stamp(6, 0)}", f"m/{stamp(6, 1)}")
    assert plan.head == Head(6, 2, True, 3, 1000, b"cause")
    assert plan.writes == (
        Put(keys[0], b"1", 5000, (entry,)),
        Put(keys[1], b"2", None, ()),
        Put(keys[2], b"3", 6000, ()),
    )
    assert plan.deletes == ("d",)
    record = plan.record
    assert (record.seq, record.epoch, record.commit, record.op) == (6, 2, ("w", 7), "write")
    assert (record.at_us, record.cause, record.body) == (1000, b"cause", b"body")
    assert record.touched == (*keys, "d")


def test_a_drop_ends_the_epoch_and_its_record_carries_the_one_that_ended() -> None:
    [plan] = judged(ScopeCommit("a", drop=True, body=b"bye"))  # type: ignore[misc]
    assert plan.head == Head(6, 3, False, 3, 1000, b"cause")
    assert (plan.record.epoch, plan.record.op, plan.record.touched, plan.record.body) == (2, "drop", (), b"bye")


def test_a_scope_made_anew_goes_on_in_seq_and_epoch() -> None:
    [plan] = judged(ScopeCommit("a", "create", body=b"x"), heads={"a": Head(9, 4, False, 2)})  # type: ignore[misc]
    assert plan.head == Head(10, 4, True, 2, 1000, b"cause")


def test_the_first_commit_of_a_scope_is_its_floor() -> None:
    [plan] = judged(ScopeCommit("new", "must_not_exist", body=b"x"))  # type: ignore[misc]
    assert plan.head == Head(1, 0, True, 1, 1000, b"cause")


def test_only_scopes_that_are_written_get_a_plan() -> None:
    plans = judged(ScopeCommit("a", checks=(HeadAt(5),)), ScopeCommit("b", "create", deletes=("k",)))
    assert isinstance(plans, list)
    assert [plan.scope for plan in plans] == ["b"]


def test_a_check_on_what_never_was_needs_no_log() -> None:
    def never(scope: str, since: int) -> list[tuple[str, ...]]:
        raise AssertionError("the log of a scope without records was asked")

    commit = Commit((ScopeCommit("a", "create", checks=(Untouched("", 0),), body=b"x"),), 0)
    assert isinstance(evaluate(commit, lambda scope: NO_HEAD, lambda scope, key: None, never), list)


CHECKS = st.one_of(
    st.builds(Absent, st.sampled_from("jk")),
    st.builds(Present, st.sampled_from("jk")),
    st.builds(Unchanged, st.sampled_from("jk"), st.integers(0, 7)),
    st.builds(Untouched, st.sampled_from(["", "k", "p/", "z"]), st.integers(0, 7)),
    st.builds(HeadAt, st.integers(3, 7)),
)

HOLDS: dict[type, Callable[..., bool]] = {
    Absent: lambda check: check.key != "k",
    Present: lambda check: check.key == "k",
    Unchanged: lambda check: check.key == "k" and check.since >= 4,
    HeadAt: lambda check: check.seq == 5,
    Untouched: lambda check: (
        check.since >= 5
        or (
            check.since >= 2
            and not any(
                key.startswith(check.prefix) for seq, keys in TOUCHED.items() if seq > check.since for key in keys
            )
        )
    ),
}


@given(st.lists(CHECKS, max_size=6))
def test_a_commit_goes_through_exactly_if_all_its_checks_hold_and_else_names_the_first(checks: list[Check]) -> None:
    outcome = judged(ScopeCommit("a", checks=tuple(checks), body=b"x"))
    failing = [check for check in checks if not HOLDS[type(check)](check)]
    assert isinstance(outcome, list) == (not failing)
    if isinstance(outcome, Conflict):
        first = failing[0]
        assert outcome.what == type(first).__name__.lower()
        assert outcome.key == getattr(first, "key", getattr(first, "prefix", None))


@given(st.integers(0, 2**53), st.integers(0, 2**53))
def test_a_cell_is_visible_until_just_before_it_expires(expires_us: int, now_us: int) -> None:
    assert is_visible(expires_us, now_us) == (now_us < expires_us)
    assert is_visible(None, now_us)
