"""The check that a commit keeps the limits before anything is sent."""

from typing import Any

import pytest
from msgspec.structs import replace

from holdfast.errors import HoldfastError, InvalidValue, TooLarge, Unsupported
from holdfast.kernel.commit import Append, Commit, Entry, Put, Range, ScopeCommit
from holdfast.kernel.keys import bucket
from holdfast.kernel.limits import (
    APPENDS_MAX,
    COMMIT_BYTES_MAX,
    OPERATIONS_MAX,
    PAGE_MAX,
    VALUE_BYTES_MAX,
    Traits,
    check_commit,
    check_limit,
    check_range,
)

SMALL = Traits(value_bytes_max=10, operations_max=3, commit_bytes_max=30)
A = "session/a"


def refusal(*parts: ScopeCommit, traits: Traits = SMALL) -> HoldfastError | None:
    try:
        check_commit(Commit(parts, 0), traits)
    except HoldfastError as error:
        return error
    return None


def facts(error: HoldfastError | None) -> tuple[object, ...]:
    assert isinstance(error, TooLarge)
    return error.what, error.size, error.limit


def test_a_value_is_taken_at_its_limit_and_refused_beyond() -> None:
    for part in (ScopeCommit(A, puts=(Put("k", bytes(10)),)), ScopeCommit(A, appends=(Append("", b""),))):
        assert refusal(part) is None
    assert facts(refusal(ScopeCommit(A, puts=(Put("k", bytes(11)),)))) == ("value", 11, 10)
    assert facts(refusal(ScopeCommit(A, appends=(Append("k", bytes(11)),)))) == ("value", 11, 10)


def test_puts_appends_deletes_and_drops_count_over_all_scopes() -> None:
    three = (
        ScopeCommit("a", puts=(Put("k", b""),)),
        ScopeCommit("b", deletes=("k",)),
        ScopeCommit("c", drop=True),
    )
    assert refusal(*three) is None
    assert facts(refusal(*three, ScopeCommit("d", drop=True))) == ("operations", 4, 3)
    wide = Traits(operations_max=3)
    assert facts(refusal(ScopeCommit(A, appends=(Append("", b""),) * 4), traits=wide)) == ("operations", 4, 3)


def test_scopes_only_checked_and_bodies_are_no_operations() -> None:
    parts = [ScopeCommit(f"s/{number}", body=b"x") for number in range(20)]
    assert refusal(*parts) is None


def test_keys_values_stamps_entries_and_bodies_weigh() -> None:
    entry = Entry("ix", "val", "ord", b"pay")
    exact = ScopeCommit(A, puts=(Put("key", b"value", entries=(entry,)),), deletes=("del",), body=bytes(8))
    assert refusal(exact) is None
    assert facts(refusal(replace(exact, body=bytes(9)))) == ("commit", 31, 30)
    assert facts(refusal(ScopeCommit(A, appends=(Append("k", bytes(9)),)))) == ("commit", 31, 30)


def test_weights_of_several_scopes_add_up() -> None:
    assert refusal(ScopeCommit("a", body=bytes(15)), ScopeCommit("b", body=bytes(15))) is None
    assert facts(refusal(ScopeCommit("a", body=bytes(15)), ScopeCommit("b", body=bytes(16)))) == ("commit", 31, 30)


@pytest.mark.parametrize("fits", ["k" * 1024, "é" * 512, "\U0001f600" * 256])
def test_keys_are_measured_in_bytes_of_utf8(fits: str) -> None:
    wide = Traits()
    parts = {
        "put": lambda key: ScopeCommit(A, puts=(Put(key, b""),)),
        "delete": lambda key: ScopeCommit(A, deletes=(key,)),
        "scope": lambda key: ScopeCommit(key, body=b"x"),
        "index": lambda key: ScopeCommit(A, puts=(Put("k", b"", entries=(Entry(key, "", ""),)),)),
        "index value": lambda key: ScopeCommit(A, puts=(Put("k", b"", entries=(Entry("", key, ""),)),)),
        "order": lambda key: ScopeCommit(A, puts=(Put("k", b"", entries=(Entry("", "", key),)),)),
    }
    for what, part in parts.items():
        assert refusal(part(fits), traits=wide) is None, what
        assert facts(refusal(part(fits + "k"), traits=wide)) == ("key", 1025, 1024), what


def test_a_prefix_leaves_room_for_its_stamp() -> None:
    wide = Traits()
    assert refusal(ScopeCommit(A, appends=(Append("p" * 1003, b""),)), traits=wide) is None
    assert facts(refusal(ScopeCommit(A, appends=(Append("p" * 1004, b""),)), traits=wide)) == ("key", 1025, 1024)


def test_a_payload_has_256_bytes_at_most() -> None:
    def part(size: int) -> ScopeCommit:
        return ScopeCommit(A, puts=(Put("k", b"", entries=(Entry("i", "v", "o", bytes(size)),)),))

    assert refusal(part(256), traits=Traits()) is None
    assert facts(refusal(part(257), traits=Traits())) == ("payload", 257, 256)


def test_a_commit_appends_no_more_than_a_stamp_can_count() -> None:
    wide = Traits(operations_max=10**6)
    assert refusal(ScopeCommit(A, appends=(Append("", b""),) * APPENDS_MAX), traits=wide) is None
    error = refusal(ScopeCommit(A, appends=(Append("", b""),) * (APPENDS_MAX + 1)), traits=wide)
    assert facts(error) == ("appends", 10_001, 10_000)


@pytest.mark.parametrize(
    "parts",
    [
        (),
        (ScopeCommit(A, body=b"x"), ScopeCommit(A, body=b"y")),
        (ScopeCommit(A, puts=(Put("k", b""), Put("k", b""))),),
        (ScopeCommit(A, puts=(Put("k", b""),), deletes=("k",)),),
        (ScopeCommit(A, deletes=("k", "k")),),
        (ScopeCommit(A, puts=(Put("k", b""),), drop=True),),
        (ScopeCommit(A, appends=(Append("", b""),), drop=True),),
        (ScopeCommit(A, deletes=("k",), drop=True),),
        (ScopeCommit(A, puts=(Put("k", b"", entries=(Entry("i", "v", "o"), Entry("i", "v", "o", b"p"))),)),),
        (ScopeCommit(A, puts=(Put("\ud800", b""),)),),
        (ScopeCommit(A, deletes=("a\udfff",)),),
        (ScopeCommit("\ud800", body=b"x"),),
        (ScopeCommit(A, puts=(Put("k", b"", entries=(Entry("i", "\ud800", "o"),)),)),),
    ],
)
def test_what_contradicts_itself_or_is_no_text_is_refused(parts: tuple[ScopeCommit, ...]) -> None:
    assert isinstance(refusal(*parts, traits=Traits()), InvalidValue)


def test_two_appends_under_one_prefix_and_two_entries_that_differ_are_allowed() -> None:
    entries = (Entry("i", "v", "1"), Entry("i", "v", "2"), Entry("i", "w", "1"), Entry("j", "v", "1"))
    part = ScopeCommit(A, puts=(Put("k", b"", entries=entries),), appends=(Append("l", b""), Append("l", b"")))
    assert refusal(part, traits=Traits()) is None


def test_a_drop_may_have_checks_a_body_and_an_epoch() -> None:
    assert refusal(ScopeCommit(A, epoch=1, body=b"x", drop=True)) is None


def test_a_bucket_span_takes_the_scopes_of_one_bucket() -> None:
    names = [f"s/{number}" for number in range(500)]
    same = [name for name in names if bucket(name) == bucket(names[0])][:3]
    other = next(name for name in names if bucket(name) != bucket(names[0]))
    narrow = Traits(span="bucket")
    assert refusal(*(ScopeCommit(name) for name in same), traits=narrow) is None
    error = refusal(*(ScopeCommit(name) for name in (*same, other)), traits=narrow)
    assert isinstance(error, Unsupported)
    assert error.scopes == [*same, other]
    assert refusal(*(ScopeCommit(name) for name in (*same, other)), traits=Traits()) is None


def test_the_default_limits_fit_the_weakest_backend() -> None:
    assert (VALUE_BYTES_MAX, OPERATIONS_MAX, COMMIT_BYTES_MAX) == (262_144, 90, 3_145_728)
    assert refusal(ScopeCommit(A, puts=(Put("k", bytes(VALUE_BYTES_MAX)),)), traits=Traits()) is None


@pytest.mark.parametrize("limit", [1, 2, PAGE_MAX])
def test_an_answer_of_one_to_a_page_is_allowed(limit: int) -> None:
    check_limit(limit)
    check_range(Range("", limit))


@pytest.mark.parametrize("limit", [0, -1, PAGE_MAX + 1, True, 1.0, "1"])
def test_an_answer_of_nothing_or_more_than_a_page_is_refused(limit: Any) -> None:
    for refused in (lambda: check_limit(limit), lambda: check_range(Range("", limit))):
        with pytest.raises(InvalidValue, match="limit must be a whole number from 1 to 10000"):
            refused()
