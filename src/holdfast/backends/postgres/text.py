"""Text as it is kept: the bytes of its UTF-8, which sort by code point and hold U+0000 too."""

from __future__ import annotations

from holdfast.errors import InvalidValue


def raw(text: str) -> bytes:
    """The bytes that are kept for a text. Raises InvalidValue where it has no UTF-8 form."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InvalidValue(f"text with a lone surrogate: {text[:80]!r}", path=text[:80]) from error
