"""The dialect `mustache`, read and filled in by pystache.

    {{name}} {{trip.city}}  {{#items}}{{.}} {{/items}}  {{^items}}none{{/items}}

Texts are prompts and not HTML: nothing is escaped, in two braces or three. What the library would do beyond values is
kept from it: names are looked up here, by keys and indexes alone (its own context reads attributes and calls what can
be called), and partials and other delimiters are refused. A mark at the head of each section counts its rounds and its
text. The library's regular expression takes the cube of a mark's length where it is not closed, and the square of
blanks in a row: nothing of that sort gets to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pystache.defaults import DELIMITERS
from pystache.parser import ParsingError, _compile_template_re, parse
from pystache.renderengine import RenderEngine

from holdfast.dialects.dialect import (
    ABSENT,
    NESTED_MAX,
    Fuel,
    Missing,
    Path,
    as_text,
    check_marks,
    found,
    kept,
    places_of,
    refused,
)
from holdfast.errors import HoldfastError, TemplateError

BLANKS_MAX = 200
"""Blanks in a row, and a tenth of them in a mark."""

_BEYOND = re.compile(r"\{\{\s*[=>]")
_MARK = _compile_template_re(DELIMITERS)
_BLANKS = re.compile(rf"[ \t]{{{BLANKS_MAX + 1}}}")


class Mustache:
    """The dialect."""

    def compile(self, text: str) -> MustacheTemplate:
        """See `Dialect.compile`."""
        places = places_of(text, "{{")
        check_marks(text, blanks_max=BLANKS_MAX // 10)
        if _BEYOND.search(text) is not None:
            raise TemplateError("partials and other delimiters are not for templates of variables")
        if _BLANKS.search(text) is not None:
            raise TemplateError(f"the template has more than {BLANKS_MAX} blanks in a row")
        try:
            return MustacheTemplate(parse(text, raise_on_mismatch=True), _written(text), places)
        except ParsingError as problem:
            raise refused(problem) from problem


class MustacheTemplate:
    """See `Compiled`."""

    def __init__(self, parsed: Any, written: Iterator[str], places: int) -> None:
        self._parsed = parsed
        self._places = places
        tree = parsed._parse_tree
        self._single: Path | None = _path(tree[0].key) if len(tree) == 1 and _is_place(tree[0]) else None
        paths: dict[Path, None] = {}
        _prepare(tree, paths, written, depth=0)
        self.paths: Sequence[Path] = tuple(paths)
        """See `Compiled.paths`; of a name within a section the item may have it."""

    def render(self, values: Mapping[str, Any], missing: Missing) -> str:
        """See `Compiled.render`."""
        fuel = Fuel(self._places)
        try:
            text: str = self._parsed.render(_Engine(missing, fuel), _Stack(values))
        except HoldfastError:
            raise
        except Exception as problem:
            raise refused(problem) from problem
        return text

    def value(self, values: Mapping[str, Any], missing: Missing) -> Any:
        """See `Compiled.value`."""
        if self._single is None:
            return self.render(values, missing)
        value = found(dict(values), self._single)
        if value is not ABSENT:
            return value
        return None if missing == "empty" else self.render(values, missing)


class _Head:
    """What stands at the head of a section, and counts whenever it is entered."""

    def __init__(self, chars: int) -> None:
        self._chars = chars

    def render(self, engine: _Engine, _: object) -> str:
        engine.fuel.round()
        engine.fuel.text(self._chars)
        return ""


class _Place:
    """A place, and how it was written: the library's own nodes do not know."""

    def __init__(self, key: str, written: str) -> None:
        self._key = key
        self._written = written

    def render(self, engine: _Engine, context: _Stack) -> str:
        return engine.place(context, self._key, self._written)


def _is_place(node: object) -> bool:
    return type(node).__name__ in ("_EscapeNode", "_LiteralNode")


def _written(text: str) -> Iterator[str]:
    """The places of a template as they were written, in order, found by what the library finds them by."""
    for mark in _MARK.finditer(text):
        if mark["tag"] in ("", "&") or mark["raw"]:
            yield mark[0][len(mark["whitespace"]) :]


def _prepare(tree: list[Any], paths: dict[Path, None], written: Iterator[str], *, depth: int) -> None:
    """Note what the nodes name, put ours in the stead of places, and a head into each section. Raises TemplateError for
    too many in each other."""
    if depth > NESTED_MAX:
        raise TemplateError(f"more than {NESTED_MAX} sections are in each other")
    chars = sum(len(node) for node in tree if isinstance(node, str))
    for n, node in enumerate(tree):
        if (key := getattr(node, "key", ".")) != ".":
            paths[_path(key)] = None
        if _is_place(node):
            tree[n] = _Place(key, next(written))
        inner = getattr(node, "parsed", None) or getattr(node, "parsed_section", None)
        if inner is not None:
            _prepare(inner._parse_tree, paths, written, depth=depth + 1)
    tree.insert(0, _Head(chars))


def _path(key: str) -> Path:
    return tuple(key.split("."))


class _Stack:
    """What names are looked up in, the innermost last."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._items: list[Any] = [dict(values)]

    def push(self, item: Any) -> None:
        self._items.append(item)

    def pop(self) -> None:
        self._items.pop()

    def get(self, name: str) -> Any:
        if name == ".":
            return self._items[-1] if len(self._items) > 1 else ABSENT
        first, *rest = _path(name)
        for item in reversed(self._items):
            if type(item) is dict and first in item:
                return found(item[str(first)], tuple(rest))
        return ABSENT


class _Engine(RenderEngine):  # type: ignore[misc]
    """The library's engine, which asks here whatever it wants to know."""

    def __init__(self, missing: Missing, fuel: Fuel) -> None:
        super().__init__(literal=str, escape=str, resolve_context=_truth, resolve_partial=_no_partial, to_str=as_text)
        self._missing: Missing = missing
        self.fuel = fuel

    def place(self, context: _Stack, name: str, written: str) -> str:
        """The text of a place."""
        value = context.get(name)
        text = kept(name, self._missing, written=written) if value is ABSENT else as_text(value)
        self.fuel.text(len(text))
        return text

    def fetch_section_data(self, context: _Stack, name: str) -> list[Any]:
        """What a section is entered with, each in turn."""
        value = context.get(name)
        if value is ABSENT or not value:
            return []
        return value if type(value) is list else [value]


def _truth(context: _Stack, name: str) -> bool:
    value = context.get(name)
    return value is not ABSENT and bool(value)


def _no_partial(name: str) -> str:
    raise TemplateError("partials are not for templates of variables", partial=name)
