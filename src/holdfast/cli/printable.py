"""Text as it may reach a terminal: what is stored or typed may hold anything, and moves nobody's cursor."""

from __future__ import annotations


def printable(text: str, *, keep: str = "") -> str:
    """The text with every control character, lone surrogate and invisible mark written out."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in keep else _escape(char) for char in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode()
