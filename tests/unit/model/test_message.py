"""Which messages were hidden, at which version."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.model.message import Hidden, Interval

STEPS = st.lists(st.tuples(st.integers(1, 5), st.lists(st.tuples(st.integers(0, 9), st.integers(10, 19)), max_size=2)))


@given(STEPS, st.integers(0, 3))
def test_each_version_keeps_what_was_hidden_then_as_far_as_it_is_known(
    steps: list[tuple[int, list[Interval]]], forgotten: int
) -> None:
    hidden, version = Hidden(), 0
    then: list[tuple[Interval, ...]] = [()]
    for pause, intervals in steps:
        version += pause
        hidden = hidden.changed(version, tuple(intervals))
        then += [then[-1]] * (version - len(then)) + [tuple(intervals)]
    assert hidden.now == then[-1]
    for _ in range(min(forgotten, len(hidden.steps) - 1)):
        hidden = hidden.shortened()
    for at in range(hidden.floor, len(then)):
        assert hidden.at(at) == then[at]
