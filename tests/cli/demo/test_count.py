"""What is counted in one file, and what becomes of files that cannot be read."""

import hashlib
import os
import socket
from pathlib import Path

import pytest

from holdfast.cli.demo.count import FILE_BYTES_MAX, IDENTIFIERS, Count, Totals, count_bytes, count_file


def test_lines_words_identifiers_and_the_hash_of_what_was_read() -> None:
    data = b"def f(x):\n    return x + x1\n"
    assert count_bytes("f.py", data) == Count(
        "f.py",
        "text",
        len(data),
        hashlib.sha256(data).hexdigest(),
        lines=2,
        words=6,
        identifiers={"x": 2, "def": 1, "f": 1, "return": 1, "x1": 1},
    )


@pytest.mark.parametrize(
    ("data", "lines", "words"),
    [
        (b"", 0, 0),
        (b"\n", 1, 0),
        (b"a", 1, 1),
        (b"a\n", 1, 1),
        (b"a\nb", 2, 2),
        (b"a\r\nb\r\n", 2, 2),
        (b" \n \n", 2, 0),
    ],
)
def test_a_last_line_counts_with_and_without_its_end(data: bytes, lines: int, words: int) -> None:
    count = count_bytes("x", data)
    assert (count.outcome, count.lines, count.words) == ("text", lines, words)


def test_the_ten_most_used_identifiers_are_kept_and_of_equals_the_first_in_order() -> None:
    data = " ".join(f"{chr(97 + n)} " * (1 + n % 2) for n in range(26)).encode()
    identifiers = count_bytes("x", data).identifiers
    assert len(identifiers) == IDENTIFIERS
    assert list(identifiers.items()) == [(letter, 2) for letter in "bdfhjlnprt"]


def test_bytes_that_are_no_utf8_are_no_obstacle_and_letters_of_any_script_make_identifiers() -> None:
    count = count_bytes("x", b"\xff\xfe \xc3\xa9t\xc3\xa9 \xc3\xa9t\xc3\xa9 ok 9no")
    assert count.outcome == "text"
    assert count.identifiers == {"été": 2, "no": 1, "ok": 1}
    assert count.words == 5


def test_a_zero_byte_makes_a_file_binary_of_which_only_size_and_hash_count() -> None:
    count = count_bytes("x", b"MZ\0\n\nwords here")
    assert (count.outcome, count.bytes, count.lines, count.words, count.identifiers) == ("binary", 15, 0, 0, {})
    assert count.sha256


def test_one_endless_word_is_cut_into_identifiers_of_bounded_length() -> None:
    assert max(map(len, count_bytes("x", b"z" * 10_000).identifiers)) == 64


def test_a_file_at_the_limit_is_read_and_one_beyond_it_is_noted_with_its_size(tmp_path: Path) -> None:
    for name, size in (("at", FILE_BYTES_MAX), ("beyond", FILE_BYTES_MAX + 1)):
        with open(tmp_path / name, "wb") as file:
            file.truncate(size)
    root = os.fsencode(tmp_path)
    assert count_file(root, "at").outcome == "binary"
    assert count_file(root, "beyond") == Count("beyond", "too large", bytes=FILE_BYTES_MAX + 1)


def test_a_file_that_is_gone_is_vanished(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    root = os.fsencode(tmp_path)
    assert count_file(root, "gone") == Count("gone", "vanished")
    assert count_file(root, "file/below") == Count("file/below", "vanished")


def test_what_took_the_place_of_a_file_is_not_read_and_never_waited_for(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("x")
    (tmp_path / "link").symlink_to("target")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        here = os.getcwd()
        os.chdir(tmp_path)  # a socket's path is short
        listening.bind("socket")
        os.chdir(here)
        for name in ("link", "folder", "pipe", "socket"):
            count = count_file(os.fsencode(tmp_path), name)
            assert (count.outcome, bool(count.reason)) == ("unreadable", True), name


def test_totals_add_up() -> None:
    totals = Totals()
    for data in (b"a b\n", b"\0\0", b"c"):
        totals = totals.plus(count_bytes("x", data))
    assert totals == Totals(files=3, text=2, bytes=7, lines=2, words=3)
    assert totals.plus(Count("gone", "vanished")) == Totals(files=4, text=2, bytes=7, lines=2, words=3)
