"""The lines of a log record's body: what one commit did to one scope, change by change.

    ["state", "set", "cart", ["milk"], ""]      a line with its value
    ["state", "set", "cart", null, "", true]    a bare one: of what was written only the key was kept

Each line says by itself which of both it is, so that one log may hold both.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Raw, Struct, json

NULL = Raw(b"null")

Values = Literal["inline", "keys"]
"""Whether what is written is told with its value, or by its key only."""


class Line(Struct, frozen=True, array_like=True, gc=False):
    """One change as the body of a log record keeps it: [kind, op, key, value, namespace]."""

    kind: str
    op: str
    key: str | None = None
    value: Raw = NULL
    namespace: str = ""


class Read(Line, frozen=True, array_like=True, gc=False):
    """A line as it is read: `bare` where something was written under its key, and not kept here."""

    bare: bool = False


_lines_decoder = json.Decoder(list[Read])
_encode = json.Encoder().encode


def line(kind: str, op: str, key: str | None, value: bytes | None, namespace: str) -> Line:
    """One line; `value` is JSON text, None for what has no value."""
    return Line(kind, op, key, NULL if value is None else Raw(value), namespace)


def told(line: Line, values: Values) -> Line:
    """A line as a record tells it that tells `values` so; one that never had a value stays as it is."""
    if values == "inline" or line.value is NULL:
        return line
    return Read(line.kind, line.op, line.key, NULL, line.namespace, bare=True)


def encode_lines(lines: list[Line]) -> bytes:
    """The body of a log record."""
    return _encode(lines) if lines else b""


def decode_lines(body: bytes) -> list[Read]:
    """The changes in the body of a log record."""
    return _lines_decoder.decode(body) if body else []
