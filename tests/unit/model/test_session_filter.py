"""Which sessions pass a filter: by names, and by times that are exclusive at both ends."""

from __future__ import annotations

import pytest

from holdfast.model.session import SessionRecord
from holdfast.model.session_filter import SessionFilter, Span
from holdfast.model.status import SessionStatus

RECORD = SessionRecord("s", SessionStatus.ACTIVE, 10, 20, user="ada", tags=("vip", "eu"))


@pytest.mark.parametrize(
    ("after_us", "before_us", "inside"),
    [(None, None, [9, 10, 11]), (9, 11, [10]), (10, None, [11]), (None, 10, [9]), (10, 11, [])],
)
def test_a_span_excludes_both_ends(after_us: int | None, before_us: int | None, inside: list[int]) -> None:
    span = Span(after_us, before_us)
    assert [at_us for at_us in (9, 10, 11) if at_us in span] == inside
    assert span.is_open == (after_us is before_us is None)


@pytest.mark.parametrize(
    ("wanted", "passes"),
    [
        (SessionFilter(), True),
        (SessionFilter({"user": "ada", "tag": "eu", "status": "active"}), True),
        (SessionFilter({"user": "bo"}), False),
        (SessionFilter({"tag": "us"}), False),
        (SessionFilter({"mode": "a"}), False),
        (SessionFilter(created=Span(9, 11), updated=Span(19, 21)), True),
        (SessionFilter(created=Span(10)), False),
        (SessionFilter(updated=Span(None, 20)), False),
    ],
)
def test_a_session_passes_if_it_is_all_that_is_asked_for(wanted: SessionFilter, passes: bool) -> None:
    assert wanted.passes(RECORD) is passes
