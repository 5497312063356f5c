"""Deadlines: fixed, sliding or both, and by how much an access moves them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.model.deadline import MATTERS_US, NEVER, Deadline, deadline_of

times = st.integers(0, 10**12)
spans = st.none() | st.integers(1, 10**12)


@pytest.mark.parametrize(
    ("ttl_us", "sliding", "idle_us", "made"),
    [
        (None, False, None, NEVER),
        (None, True, None, NEVER),
        (50, False, None, Deadline(1_050, None)),
        (50, True, None, Deadline(None, 50)),
        (50, False, 20, Deadline(1_050, 20)),
        (50, True, 20, Deadline(None, 20)),
        (20, True, 50, Deadline(None, 20)),
        (None, False, 20, Deadline(None, 20)),
    ],
)
def test_a_session_ends_with_its_ttl_and_when_it_is_idle(
    ttl_us: int | None, sliding: bool, idle_us: int | None, made: Deadline
) -> None:
    assert deadline_of(ttl_us=ttl_us, sliding=sliding, idle_us=idle_us, now_us=1_000) == made


@given(fixed=spans, slide=spans, now_us=times)
def test_the_earlier_of_the_two_counts(fixed: int | None, slide: int | None, now_us: int) -> None:
    ends = [end for end in (fixed, None if slide is None else now_us + slide) if end is not None]
    assert Deadline(fixed, slide).at(now_us) == min(ends, default=None)


@given(fixed=spans, slide=st.integers(1, 10**12), began_us=times, now_us=times)
def test_an_access_moves_it_only_forward_never_beyond_the_fixed_end_and_only_when_it_matters(
    fixed: int | None, slide: int, began_us: int, now_us: int
) -> None:
    deadline = Deadline(fixed, slide)
    before = deadline.at(began_us)
    assert before is not None
    after = deadline.moved(now_us, before)
    if after is None:
        wanted = deadline.at(now_us)
        assert wanted is not None
        assert wanted - before <= min(MATTERS_US, slide // 16)
    else:
        assert after - before > min(MATTERS_US, slide // 16)
        assert fixed is None or after <= fixed


def test_a_fixed_deadline_and_none_are_never_moved_by_access() -> None:
    assert Deadline(1_000, None).moved(10**12, 1_000) is None
    assert NEVER.moved(10**12, None) is None


def test_extending_moves_the_fixed_end_and_leaves_the_slide() -> None:
    assert Deadline(1_000, 50).extended(2_000) == Deadline(2_000, 50, 1)
    assert Deadline(3_000, 50).extended(2_000) == Deadline(3_000, 50, 1)
    assert Deadline(None, 50).extended(2_000) == Deadline(None, 50, 1)
