"""The lines of a log record's body: what one commit did to one scope, change by change."""

from __future__ import annotations

from msgspec import Raw, Struct, json

NULL = Raw(b"null")


class Line(Struct, frozen=True, array_like=True, gc=False):
    """One change as the body of a log record keeps it: [kind, op, key, value, namespace]."""

    kind: str
    op: str
    key: str | None = None
    value: Raw = NULL
    namespace: str = ""


_lines_decoder = json.Decoder(list[Line])
_encode = json.Encoder().encode


def line(kind: str, op: str, key: str | None, value: bytes | None, namespace: str) -> Line:
    """One line; `value` is JSON text, None for what has no value."""
    return Line(kind, op, key, NULL if value is None else Raw(value), namespace)


def encode_lines(lines: list[Line]) -> bytes:
    """The body of a log record."""
    return _encode(lines) if lines else b""


def decode_lines(body: bytes) -> list[Line]:
    """The changes in the body of a log record."""
    return _lines_decoder.decode(body) if body else []
