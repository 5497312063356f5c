"""Frames: the form of kept bytes that are not plain JSON. Its first byte tells what follows.

    { [ " - 0…9 t f n    nothing: plain JSON, as it is
    0x00                 bytes as they are, whose own first byte would be taken for one of these
    0x01                 a zstd frame, which says how long its content is
    0x02 … 0x04          sealed: [length of the key id] [key id] [12 bytes of nonce] [AES-256-GCM ciphertext and tag]
                         0x02 for one place, 0x03 for a place whose key was not complete yet, 0x04 for a commit

What is compressed is compressed before it is sealed, so the content of a sealed frame is plain or one of the first two.
The content of a compressed frame is bounded before it is made: 20 bytes can claim to hold a gigabyte.
"""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

from holdfast.errors import Corrupt

RAW, COMPRESSED = 0x00, 0x01
AT_KEY, AT_PREFIX, AT_COMMIT = 0x02, 0x03, 0x04

COMPRESSED_FROM = 4096
"""A shorter value is not compressed: it would save less than a page of the store, for some 8 µs each way."""

LEVEL = 3
NONCE_BYTES = 12
TAG_BYTES = 16
KEY_ID_BYTES_MAX = 24

FIRST_OF_PLAIN = 0x20
"""No JSON text begins with a byte below this one."""

SEALED_BYTES_MAX = 1 + 1 + 1 + KEY_ID_BYTES_MAX + NONCE_BYTES + TAG_BYTES
"""What sealing adds at most: to the frame the first byte, key id, nonce and tag, to the content one byte."""

_tools = threading.local()  # zstd's objects are not safe across threads


class Sealed(NamedTuple):
    """A sealed frame, taken apart."""

    kind: int
    key_id: str
    nonce: bytes
    ciphertext: bytes


def pack(raw: bytes, *, compress: bool) -> bytes:
    """The bytes as they are kept: compressed if that is wanted and saves an eighth at least, else as they are."""
    if compress and len(raw) >= COMPRESSED_FROM:
        content: bytes = _compressor().compress(raw)
        if len(content) < len(raw) - len(raw) // 8:
            return b"\x01" + content
    if raw and raw[0] < FIRST_OF_PLAIN:
        return b"\x00" + raw
    return raw


def unpack(kept: bytes, *, bytes_max: int) -> bytes:
    """The inverse of `pack`. Raises Corrupt for what it has not made, or has more content than `bytes_max`."""
    if not kept or kept[0] >= FIRST_OF_PLAIN:
        return kept
    if kept[0] == RAW:
        return kept[1:]
    if kept[0] != COMPRESSED:
        raise Corrupt(f"a value of format 0x{kept[0]:02x}, which this version cannot read here", format=kept[0])
    return _decompressed(kept[1:], bytes_max)


def is_sealed(kept: bytes) -> bool:
    """Whether these bytes claim to be a sealed frame."""
    return bool(kept) and AT_KEY <= kept[0] <= AT_COMMIT


def head_of_sealed(kind: int, key_id: str) -> bytes:
    """The beginning of a sealed frame; nonce and ciphertext follow."""
    name = key_id.encode()
    return bytes((kind, len(name))) + name


def parse_sealed(kept: bytes) -> Sealed:
    """Take a sealed frame apart. Raises Corrupt for one that is cut short or misshapen."""
    end = 2 + kept[1] if len(kept) > 1 else 0
    if not is_sealed(kept) or not 2 < end <= 2 + KEY_ID_BYTES_MAX or len(kept) < end + NONCE_BYTES + TAG_BYTES:
        raise Corrupt("an encrypted value that is cut short or misshapen", format=kept[0] if kept else None)
    name = kept[2:end]
    if not name.isascii():
        raise Corrupt("an encrypted value whose key id cannot be read", format=kept[0])
    return Sealed(kept[0], name.decode(), kept[end : end + NONCE_BYTES], kept[end + NONCE_BYTES :])


def _compressor() -> Any:
    found = getattr(_tools, "compressor", None)
    if found is None:
        import zstandard

        found = _tools.compressor = zstandard.ZstdCompressor(level=LEVEL)
    return found


def _decompressed(content: bytes, bytes_max: int) -> bytes:
    import zstandard

    found = getattr(_tools, "decompressor", None)
    if found is None:
        found = _tools.decompressor = zstandard.ZstdDecompressor()
    try:
        size = zstandard.frame_content_size(content)
        if not 0 <= size <= bytes_max:
            raise Corrupt(f"a compressed value that claims {size} bytes, more than {bytes_max}", size=size)
        raw: bytes = found.decompress(content, allow_extra_data=False)
    except (zstandard.ZstdError, MemoryError) as problem:
        raise Corrupt(f"a compressed value that cannot be read: {problem}") from problem
    return raw
