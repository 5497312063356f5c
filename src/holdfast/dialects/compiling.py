"""Templates that were read, kept for the next time; and which syntax is read by what."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from holdfast.dialects.dialect import Compiled, Dialect, checked
from holdfast.dialects.simple import Simple
from holdfast.errors import InvalidValue, MissingExtra, shown

KEPT_MAX = 256
"""Templates that are kept, those that were used last."""


def compiled(syntax: str, text: object) -> Compiled:
    """A template of that syntax, read at most once while it is in use.

    Raises InvalidValue for another syntax or what is no text, TooLarge and TemplateError for what is no template,
    MissingExtra for a syntax whose library is not installed.
    """
    if not isinstance(syntax, str) or syntax not in _DIALECTS:
        raise InvalidValue(f"there is no syntax {shown(syntax)}; there are {', '.join(_DIALECTS)}", path="syntax")
    return _compiled(syntax, checked(text))


@lru_cache(maxsize=KEPT_MAX)
def _compiled(syntax: str, text: str) -> Compiled:
    return _dialect(syntax).compile(text)


@lru_cache(maxsize=8)
def _dialect(syntax: str) -> Dialect:
    try:
        return _DIALECTS[syntax]()
    except ImportError as missing:
        raise MissingExtra(
            f"templates of the syntax {syntax} need a library that is not installed",
            remedy='Install it: pip install "holdfast[templates]"',
            extra="templates",
        ) from missing


def _mustache() -> Dialect:
    from holdfast.dialects.mustache import Mustache

    return Mustache()


def _handlebars() -> Dialect:
    from holdfast.dialects.handlebars import Handlebars

    return Handlebars()


def _jinja() -> Dialect:
    from holdfast.dialects.jinja import Jinja

    return Jinja()


_DIALECTS: dict[str, Callable[[], Dialect]] = {
    "simple": Simple,
    "mustache": _mustache,
    "handlebars": _handlebars,
    "jinja": _jinja,
}
