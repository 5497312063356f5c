"""The end of a session, as its runs see it."""

import pytest

from holdfast.errors import Corrupt
from holdfast.model.end import End, decode, encode
from holdfast.model.status import SessionStatus


@pytest.mark.parametrize("left", ["nothing", "runs", "all"])
def test_an_end_comes_back_as_it_was_written(left: str) -> None:
    """When, how, and what is left to be done."""
    end = End(7, SessionStatus.CANCELLED, left)  # type: ignore[arg-type]
    assert decode(encode(end)) == end


def test_only_a_session_that_timed_out_may_go_on() -> None:
    """Every other end is for good."""
    ends = [SessionStatus.COMPLETED, SessionStatus.FAILED, SessionStatus.CANCELLED, SessionStatus.TIMED_OUT]
    assert [End(0, status).is_final for status in ends] == [True, True, True, False]


@pytest.mark.parametrize("raw", [b"", b"[]", b'[1,"gone"]', b'[1,"completed","x"]', b"\xff"])
def test_what_is_no_end_is_corrupt(raw: bytes) -> None:
    with pytest.raises(Corrupt):
        decode(raw)
