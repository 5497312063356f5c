"""Names of scopes, cells and buckets."""

import unicodedata
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import InvalidId
from holdfast.kernel.keys import BUCKETS, NAME_BYTES_MAX, bucket, check_name, escaped, prefix_end, unescaped

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@pytest.mark.parametrize(
    "name",
    ["a", "ada@example.org", " ", "a b", "a/b%", "é", "ß", "日本語", "\U0001f600", "a" * 256, "é" * 128, "\u00a0"],
)
def test_a_name_that_may_be_one_is_returned_as_it_is(name: str) -> None:
    assert check_name(name, "session id") is name


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "is empty"),
        ("a" * 257, "has 257 bytes, more than 256"),
        ("é" * 129, "has 258 bytes, more than 256"),
        ("a\x00b", "has a control character"),
        ("a\nb", "has a control character"),
        ("\x7f", "has a control character"),
        ("é\x85", "has a control character"),
        ("e\u0301", "is not in Unicode normal form C"),
        ("\u212b", "is not in Unicode normal form C"),
        ("a\ud800", "has a lone surrogate"),
        ("\udfff", "has a lone surrogate"),
    ],
)
def test_a_name_that_may_not_be_one_is_refused_with_the_reason(name: str, problem: str) -> None:
    with pytest.raises(InvalidId) as caught:
        check_name(name, "user id")
    assert str(caught.value).startswith(f"user id {problem}")
    assert caught.value.what == "user id"


@pytest.mark.parametrize("thing", [None, 7, b"a", ["a"]])
def test_what_is_no_text_is_refused(thing: object) -> None:
    with pytest.raises(InvalidId, match="must be text"):
        check_name(thing, "key")  # type: ignore[arg-type]


def test_a_subclass_of_text_becomes_plain_text() -> None:
    class Name(str):
        __slots__ = ()

    checked = check_name(Name("a"), "key")
    assert checked == "a"
    assert type(checked) is str


@given(TEXT)
def test_accepted_is_exactly_what_the_rule_says(name: str) -> None:
    fits = (
        0 < len(name.encode()) <= NAME_BYTES_MAX
        and not any(unicodedata.category(char) == "Cc" for char in name)
        and unicodedata.normalize("NFC", name) == name
    )
    try:
        check_name(name, "key")
    except InvalidId:
        assert not fits
    else:
        assert fits


@given(TEXT)
def test_escaping_is_undone_exactly_and_leaves_no_slash(part: str) -> None:
    assert unescaped(escaped(part)) == part
    assert "/" not in escaped(part)


@given(TEXT, TEXT, TEXT, TEXT)
def test_escaped_parts_never_reach_into_anothers_range(one: str, two: str, three: str, four: str) -> None:
    same = (one, two) == (three, four)
    assert (f"{escaped(one)}/{two}" == f"{escaped(three)}/{four}") == same
    assert f"{escaped(one)}/{two}".startswith(f"{escaped(three)}/") == (one == three)


def test_escaped_of_what_was_escaped_is_another_name() -> None:
    assert escaped("a/b") == "a%2Fb"
    assert escaped("a%2Fb") == "a%252Fb"
    assert unescaped("a%252Fb") == "a%2Fb"


def test_a_bucket_is_the_same_in_every_process_and_all_are_used() -> None:
    assert bucket("session/1") == zlib.crc32(b"session/1") % 64
    assert {bucket(f"session/{number}") for number in range(2000)} == set(range(BUCKETS))


@pytest.mark.parametrize(
    ("prefix", "end"),
    [
        ("", None),
        ("a", "b"),
        ("a/", "a0"),
        ("\U0010ffff", None),
        ("a\U0010ffff", "b"),
        ("a\U0010ffff\U0010ffff", "b"),
        ("\U0010ffff\U0010ffff", None),
        ("\ud7ff", "\ue000"),
        ("a\ud7ff", "a\ue000"),
        ("\uffff", "\U00010000"),
        ("a\x00", "a\x01"),
    ],
)
def test_the_end_of_a_prefix_is_known_at_the_edges(prefix: str, end: str | None) -> None:
    assert prefix_end(prefix) == end


@given(TEXT, TEXT)
def test_a_text_starts_with_a_prefix_exactly_if_it_lies_between_it_and_its_end(prefix: str, text: str) -> None:
    for candidate in (text, prefix + text):
        end = prefix_end(prefix)
        between = prefix <= candidate and (end is None or candidate < end)
        assert candidate.startswith(prefix) == between


@given(TEXT, TEXT)
def test_code_point_order_is_the_order_of_utf8_bytes(one: str, two: str) -> None:
    assert (one < two) == (one.encode() < two.encode())
