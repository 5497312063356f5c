"""Stamps: the text that completes an appended key."""

from hypothesis import given
from hypothesis import strategies as st

from holdfast.kernel.commit import ORDINAL_DIGITS, SEQ_DIGITS, Found, ScopeCommit, stamp
from holdfast.kernel.limits import APPENDS_MAX, STAMP_BYTES

SEQS = st.integers(0, 2**53 - 1)
ORDINALS = st.integers(0, APPENDS_MAX - 1)


def test_a_stamp_shows_seq_and_ordinal_at_fixed_width() -> None:
    assert stamp(42, 0) == "0000000000000042.0000"
    assert stamp(2**53 - 1, 9999) == "9007199254740991.9999"


@given(SEQS, ORDINALS)
def test_every_stamp_has_the_length_that_limits_count_with(seq: int, ordinal: int) -> None:
    assert len(stamp(seq, ordinal)) == SEQ_DIGITS + 1 + ORDINAL_DIGITS == STAMP_BYTES


@given(SEQS, ORDINALS, SEQS, ORDINALS)
def test_stamps_sort_as_their_numbers_do(seq: int, ordinal: int, other_seq: int, other_ordinal: int) -> None:
    assert (stamp(seq, ordinal) < stamp(other_seq, other_ordinal)) == ((seq, ordinal) < (other_seq, other_ordinal))


def test_a_part_writes_if_anything_of_it_takes_a_seq() -> None:
    assert not ScopeCommit("a").writes
    assert all(
        part.writes
        for part in (ScopeCommit("a", deletes=("k",)), ScopeCommit("a", body=b"x"), ScopeCommit("a", drop=True))
    )


def test_the_cursor_of_an_entry_is_its_place_in_the_order() -> None:
    assert Found("o", "s", "k", b"p").cursor == ("o", "s", "k")
