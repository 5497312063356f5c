"""Causes as records keep them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.model.cause import NO_CAUSE, Cause, decode_cause, encode_cause

names = st.none() | st.text(st.characters(exclude_categories=("Cs",)))


def test_no_cause_takes_no_bytes() -> None:
    assert encode_cause(NO_CAUSE) == b""
    assert encode_cause(Cause()) == b""
    assert decode_cause(b"") == NO_CAUSE


@given(names, names)
def test_a_cause_comes_back_as_it_was(by: str | None, trace_id: str | None) -> None:
    cause = Cause(by, trace_id)
    assert decode_cause(encode_cause(cause)) == cause
