"""Frames: whatever is kept comes back, and what was not made here is refused and never trusted."""

from __future__ import annotations

import threading
from random import Random

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import Corrupt
from holdfast.kernel import frame
from holdfast.kernel.frame import COMPRESSED_FROM, Sealed, head_of_sealed, is_sealed, pack, parse_sealed, unpack

MOST = 1 << 20


def sealed_frame(sealed: Sealed) -> bytes:
    return head_of_sealed(sealed.kind, sealed.key_id) + sealed.nonce + sealed.ciphertext


@given(st.binary(max_size=300), st.booleans())
def test_whatever_is_packed_comes_back(raw: bytes, compress: bool) -> None:
    """G18."""
    assert unpack(pack(raw, compress=compress), bytes_max=MOST) == raw
    big = raw * (2 * COMPRESSED_FROM // max(1, len(raw)))
    assert unpack(pack(big, compress=compress), bytes_max=MOST) == big


@given(st.sampled_from([b"{", b"[", b'"', b"-", b"0", b"9", b"t", b"f", b"n"]), st.binary(max_size=100))
def test_plain_json_is_kept_as_it_is(first: bytes, rest: bytes) -> None:
    assert pack(first + rest, compress=True) == first + rest


def test_what_is_compressed_is_long_and_becomes_shorter_by_an_eighth() -> None:
    text = b'{"text": "the same again"}' * 1000
    assert pack(text[: COMPRESSED_FROM - 1], compress=True) == text[: COMPRESSED_FROM - 1]
    assert pack(text[:COMPRESSED_FROM], compress=True)[0] == frame.COMPRESSED
    assert len(pack(text, compress=True)) < len(text) // 8
    assert pack(text, compress=False) == text
    noise = b'"' + Random(1).randbytes(8 * COMPRESSED_FROM)
    assert pack(noise, compress=True) == noise


def test_content_beyond_the_bound_is_refused_before_it_is_made() -> None:
    """Thirty bytes may claim a gigabyte."""
    bomb = b"\x01" + zstandard.ZstdCompressor().compress(bytes(1 << 26))
    with pytest.raises(Corrupt, match="claims"):
        unpack(bomb, bytes_max=MOST)
    boast = pack(bytes(MOST), compress=True)
    assert unpack(boast, bytes_max=MOST) == bytes(MOST)
    with pytest.raises(Corrupt):
        unpack(boast, bytes_max=MOST - 1)


@given(st.binary(max_size=200))
def test_bytes_that_no_pack_made_are_read_as_they_are_or_refused(kept: bytes) -> None:
    try:
        raw = unpack(kept, bytes_max=MOST)
    except Corrupt:
        return
    assert raw == kept or kept[:1] in (b"\x00", b"\x01")


@given(st.data())
def test_a_compressed_value_that_is_cut_or_flipped_is_refused_or_stays_within_the_bound(data: st.DataObject) -> None:
    kept = pack(b'{"text": "the same again"}' * 400, compress=True)
    place = data.draw(st.integers(1, len(kept) - 1))
    flipped = kept[:place] + bytes((kept[place] ^ data.draw(st.integers(1, 255)),)) + kept[place + 1 :]
    for broken in (kept[:place], flipped):
        try:
            assert len(unpack(broken, bytes_max=MOST)) <= MOST
        except Corrupt:
            continue


@given(st.sampled_from([2, 3, 4]), st.from_regex(r"[A-Za-z0-9._-]{1,24}", fullmatch=True), st.binary(max_size=99))
def test_a_sealed_frame_is_taken_apart_as_it_was_made(kind: int, key_id: str, content: bytes) -> None:
    sealed = Sealed(kind, key_id, bytes(range(12)), content + bytes(16))
    assert is_sealed(sealed_frame(sealed))
    assert parse_sealed(sealed_frame(sealed)) == sealed


@given(st.binary(max_size=80))
def test_what_is_no_sealed_frame_is_refused(kept: bytes) -> None:
    try:
        sealed = parse_sealed(kept)
    except Corrupt:
        return
    assert sealed_frame(sealed) == kept


def test_threads_compress_at_once() -> None:
    """zstd's objects belong to one thread each."""
    text = b'{"text": "the same again"}' * 1000
    wrong: list[int] = []

    def work(number: int) -> None:
        mine = text + str(number).encode()
        if any(unpack(pack(mine, compress=True), bytes_max=MOST) != mine for _ in range(50)):
            wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
