"""Cursors: one spelling, anything else refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import InvalidValue
from holdfast.kernel.commit import CommitId, Record, stamp
from holdfast.kernel.cursor import Cursor, check_stamp, parse_cursor

WRITER = "9f3c21aa07d4e6b8"
numbers = st.integers(min_value=0, max_value=10**16 - 1)


@given(numbers.filter(bool), numbers, numbers, st.integers(0, 2**64 - 1), numbers)
def test_a_cursor_is_read_back_from_its_text(seq: int, place: int, epoch: int, writer: int, n: int) -> None:
    cursor = Cursor(seq, place, epoch, CommitId(f"{writer:016x}", n))
    assert parse_cursor(str(cursor)) == cursor


@pytest.mark.parametrize(
    "text",
    ["", "x", "now", "42", f"42.1.0.{WRITER}", f"42.1.0.{WRITER}.1.1", f"0.0.0.{WRITER}.1", f"-1.0.0.{WRITER}.1",
     f"+1.0.0.{WRITER}.1", f"01.0.0.{WRITER}.1", f" 1.0.0.{WRITER}.1", f"1.0.0.{WRITER}.1\n", f"1_0.0.0.{WRITER}.1",
     f"١.0.0.{WRITER}.1", f"1.0.0.{WRITER.upper()}.1", "1.0.0..1", f"{'9' * 17}.0.0.{WRITER}.1", "1." * 10**6,
     None, 3, b"1.0.0.0.0", [], object()],
    ids=lambda text: str(text)[:20],
)  # fmt: skip
def test_any_other_text_is_no_cursor_of_a_change(text: Any) -> None:
    with pytest.raises(InvalidValue, match="not a cursor of a change") as refused:
        parse_cursor(text)
    assert len(str(refused.value)) < 200


def test_a_cursor_names_only_the_very_record_it_was_taken_at() -> None:
    cursor = Cursor(3, 0, 1, CommitId(WRITER, 7))
    record = Record(3, 1, CommitId(WRITER, 7), 0, b"", (), b"")
    assert cursor.names(record)
    assert not cursor.names(Record(4, 1, CommitId(WRITER, 7), 0, b"", (), b""))
    assert not cursor.names(Record(3, 2, CommitId(WRITER, 7), 0, b"", (), b""))
    assert not cursor.names(Record(3, 1, CommitId(WRITER, 8), 0, b"", (), b""))
    assert not cursor.names(Record(3, 1, CommitId("0" * 16, 7), 0, b"", (), b""))


@pytest.mark.parametrize("text", [stamp(1, 0), stamp(10**16 - 1, 9999), "~0000"])
def test_a_stamp_is_the_cursor_of_a_message_or_event(text: str) -> None:
    assert check_stamp(text, "after") == text


@pytest.mark.parametrize("text", ["", "x", "1.0", "zzz", stamp(1, 0) + "0", "~", "~00000", None, 3, object()])
def test_any_other_text_is_no_stamp(text: Any) -> None:
    with pytest.raises(InvalidValue, match="not a cursor"):
        check_stamp(text, "after")
