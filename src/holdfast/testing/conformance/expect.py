"""What a check says when a kernel breaks its word: statements that hold or raise `Broken` with what was found.

Not `assert`: the kit also runs outside pytest and under `python -O`.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")

SHOWN = 600
"""How many characters of a value a message shows."""


class Broken(AssertionError):
    """A kernel did not keep what a check proves."""


def same(found: object, expected: object, what: str) -> None:
    """`found` equals `expected`."""
    if found != expected:
        fail(f"{what}: expected {_shown(expected)}, found {_shown(found)}")


def holds(condition: object, what: str) -> None:
    """`what` is true."""
    if not condition:
        fail(what)


def a(kind: type[T], found: object, what: str) -> T:
    """`found` is of that class; returns it."""
    if not isinstance(found, kind):
        fail(f"{what}: expected {kind.__name__}, found {_shown(found)}")
    return found


async def raises(error: type[T], verb: Awaitable[Any], what: str) -> T:
    """Awaiting `verb` raises that error; returns it."""
    try:
        result = await verb
    except Exception as raised:
        if isinstance(raised, error):
            return raised
        fail(f"{what}: expected {error.__name__}, it raised {type(raised).__name__}: {raised}")
    fail(f"{what}: expected {error.__name__}, it returned {_shown(result)}")


def fail(message: str) -> NoReturn:
    """The kernel broke its word."""
    raise Broken(message)


def _shown(value: object) -> str:
    if isinstance(value, BaseException):
        return f"{type(value).__name__}({str(value)[:SHOWN]!r})"
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}… ({len(text)} characters)"
