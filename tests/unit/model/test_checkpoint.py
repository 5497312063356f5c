"""The rules of checkpoints: which go when one is dropped, which messages stay hidden, what a restore writes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.model.checkpoint import (
    CheckpointRecord,
    Interval,
    Stand,
    difference,
    fate_of_question,
    hidden_after,
    newest,
    removable,
)


def line(base: str, shown: str) -> list[CheckpointRecord]:
    """The steps of one base: those that are a letter are shown, a dot was dropped."""
    return [CheckpointRecord(f"{base}{n}", 10 * n, 0, n, base, n, dropped=mark == ".") for n, mark in enumerate(shown)]


@pytest.mark.parametrize(
    ("shown", "goes"), [("x", ""), (".", "0"), (".x", ""), ("x.", "1"), ("x..x..", "45"), ("....", "0123"), ("", "")]
)
def test_a_dropped_one_goes_when_none_that_is_shown_rests_on_it(shown: str, goes: str) -> None:
    others = line("other", "x.x")
    assert [one.id for one in removable([*others, *line("b", shown)])] == [f"b{n}" for n in goes]


def test_the_newest_is_that_of_the_last_life_and_moment() -> None:
    one, two = line("b", "xx")
    assert newest([two, one]) is two
    assert newest([]) is None


INTERVALS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)).filter(lambda one: one[0] < one[1]), max_size=5)


def inside(intervals: list[Interval] | tuple[Interval, ...]) -> set[int]:
    return {seq for after, until in intervals for seq in range(after + 1, until + 1)}


@given(INTERVALS, st.none() | INTERVALS.filter(bool).map(lambda several: several[0]))
def test_hidden_are_those_of_then_and_those_that_came_since(then: list[Interval], more: Interval | None) -> None:
    hidden = hidden_after(then, more)
    assert inside(hidden) == inside(then) | (set() if more is None else inside([more]))
    assert all(one[1] < other[0] for one, other in pairwise(hidden))  # as few as can be


CELLS = st.dictionaries(st.sampled_from("abcdef"), st.binary(max_size=1))


@given(CELLS, CELLS)
def test_a_difference_makes_what_is_what_was(now: dict[str, bytes], then: dict[str, bytes]) -> None:
    wanted = difference(now, then)
    assert {key: value for key, value in now.items() if key not in wanted.deletes} | wanted.puts == then
    assert all(now.get(key) != value for key, value in wanted.puts.items())


@pytest.mark.parametrize(
    ("then", "now", "run_stays", "fate"),
    [
        ("absent", "open", True, "withdraw"), ("absent", "closed", True, "keep"), ("open", "open", True, "keep"),
        ("open", "closed", True, "keep"), ("closed", "absent", True, "put_back"), ("open", "absent", True, "keep"),
        ("absent", "closed", False, "withdraw"), ("absent", "open", False, "withdraw"),
    ],
)  # fmt: skip
def test_no_question_is_open_after_a_restore_that_was_not_before(
    then: Stand, now: Stand, run_stays: bool, fate: str
) -> None:
    assert fate_of_question(then, now, run_stays=run_stays) == fate
