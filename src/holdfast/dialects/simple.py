r"""The dialect `simple`: places with paths and filters, and nothing that could run.

    Fly to {{ city }} on {{ trip.days[0] | default("Monday") | upper }}, \{{ this stays }}

    place    "{{" path { "|" filter } "}}"          path     name { "." name | "." digits | "[" integer or text "]" }
    filter   name [ "(" literal ")" ]               literal  text in quotes, number, true, false, null

Directly before `{{` two backslashes are one, and one that is left over takes the `{{` for text; anywhere else a
backslash is what it is. Text is read from left to right once, and each character of a place by one match of `_TOKEN`:
the time grows with the length alone. Tried and rejected:
one regular expression substituted at each rendering, which is three times slower than joining what was split once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from holdfast.dialects.dialect import (
    ABSENT,
    OUTPUT_CHARS_MAX,
    PLACES_MAX,
    STEPS_MAX,
    Fuel,
    Missing,
    Path,
    absent,
    as_text,
    found,
    mistaken,
    named,
    too_long,
)
from holdfast.errors import TemplateError, shown

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<end>\}\})
      | (?P<name>[$\w][\w-]*)
      | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<mark>[.|()\[\]-])
    )""",
    re.VERBOSE,
)
_NUMBER = re.compile(r"-?\d{1,18}(?:\.\d{1,18})?(?![\w.])")
_OPENING = re.compile(r"(?<!\\)(\\*)\{\{")
_WORDS: Mapping[str, Any] = {"true": True, "false": False, "null": None}
_NONE = object()


class _Filter(NamedTuple):
    name: str
    argument: Any


class _Place(NamedTuple):
    """One place: the name its path begins with, the further steps, the filters, and how it was written."""

    root: str
    steps: Path
    filters: tuple[_Filter, ...]
    source: str


class Simple:
    """The dialect that needs no library."""

    def compile(self, text: str) -> SimpleTemplate:
        """See `Dialect.compile`."""
        parts: list[str | _Place] = []
        place, places = 0, 0
        literal = ""
        while (opening := _OPENING.search(text, place)) is not None:
            literal += text[place : opening.start()]
            pairs, escapes = divmod(len(opening.group(1)), 2)
            literal += "\\" * pairs
            place = opening.end()
            if escapes:
                literal += "{{"
                continue
            places += 1
            if places > PLACES_MAX:
                raise mistaken(f"there are more than {PLACES_MAX:,} places", text, opening.start())
            one, place = _Reader(text, place, opening.end() - 2).place()
            parts += [literal, one] if literal else [one]
            literal = ""
        literal += text[place:]
        return SimpleTemplate([*parts, literal] if literal else parts)


class SimpleTemplate:
    """See `Compiled`: the text between the places, and the places."""

    __slots__ = ("_filters", "_literal_chars", "_parts", "_places", "paths")

    def __init__(self, parts: list[str | _Place]) -> None:
        self._parts = [part if type(part) is str else "" for part in parts]
        self._places = [(n, *part) for n, part in enumerate(parts) if isinstance(part, _Place)]
        self._literal_chars = sum(map(len, self._parts))
        self._filters = any(place[3] for place in self._places)
        self.paths: tuple[Path, ...] = tuple(dict.fromkeys((root, *steps) for _, root, steps, _, _ in self._places))
        """See `Compiled.paths`."""

    def render(self, values: Mapping[str, Any], missing: Missing) -> str:
        """See `Compiled.render`."""
        parts = self._parts.copy()
        chars = self._literal_chars
        fuel = Fuel(1) if self._filters else None
        for n, root, steps, filters, source in self._places:
            value = values.get(root, ABSENT)
            if steps:
                value = found(value, steps)
            if fuel is not None and filters:
                value = _filtered(value, filters, fuel)
            if value is ABSENT:
                value = _instead(missing, root, steps, source)
            elif type(value) is not str:
                value = as_text(value)
            parts[n] = value
            chars += len(value)
            if chars > OUTPUT_CHARS_MAX:
                raise too_long()
        return "".join(parts)

    def value(self, values: Mapping[str, Any], missing: Missing) -> Any:
        """See `Compiled.value`. Missing and to be empty, that is None."""
        if len(self._parts) != 1 or not self._places:
            return self.render(values, missing)
        [(_, root, steps, filters, source)] = self._places
        value = _filtered(found(values.get(root, ABSENT), steps), filters, Fuel(1))
        if value is ABSENT:
            return None if missing == "empty" else _instead(missing, root, steps, source)
        return value


def _instead(missing: Missing, root: str, steps: Path, source: str) -> str:
    if missing == "keep":
        return source
    if missing == "empty":
        return ""
    raise absent(named((root, *steps)))


class _Reader:
    """Reads one place."""

    def __init__(self, text: str, after: int, start: int) -> None:
        self._text = text
        self._start = start
        self._next = after
        self._kind: str | None = None
        self._word = ""
        self._advance()

    def place(self) -> tuple[_Place, int]:
        """The place, and where the text goes on."""
        root = self._take("name", "a name")
        if root[0].isdecimal():
            raise self._wrong(f"{shown(root)} is no name")
        steps = self._steps()
        filters: list[_Filter] = []
        while self._word == "|" and self._kind == "mark":
            self._advance()
            filters.append(self._filter())
        if self._kind != "end":
            raise self._wrong(f"{shown(self._word)} is not understood here")
        return _Place(root, steps, tuple(filters), self._text[self._start : self._next]), self._next

    def _steps(self) -> Path:
        steps: list[str | int] = []
        while self._kind == "mark" and self._word in ".[":
            opened = self._word == "["
            self._advance()
            steps.append(self._index() if opened else self._take("name", "a name after the dot"))
            if len(steps) >= STEPS_MAX:
                raise self._wrong(f"a path has more than {STEPS_MAX} steps")
        return tuple(steps)

    def _index(self) -> str | int:
        step = self._literal()
        if type(step) not in (int, str):
            raise self._wrong("an index is a whole number or a text in quotes")
        if not (self._kind == "mark" and self._word == "]"):
            raise self._wrong('"]" is missing')
        self._advance()
        return step  # type: ignore[no-any-return]

    def _filter(self) -> _Filter:
        name = self._take("name", "the name of a filter")
        if name not in _FILTERS:
            raise self._wrong(f"there is no filter {shown(name)}; there are {', '.join(_FILTERS)}")
        argument: Any = _NONE
        if self._word == "(" and self._kind == "mark":
            self._advance()
            argument = self._literal()
            if not (self._kind == "mark" and self._word == ")"):
                raise self._wrong('")" is missing')
            self._advance()
        wanted, _ = _FILTERS[name]
        if wanted is None and argument is not _NONE:
            raise self._wrong(f"{name} takes no argument")
        if wanted is not None and not isinstance(argument, wanted):
            raise self._wrong(f"{name} needs an argument of another kind, in parentheses")
        return _Filter(name, argument)

    def _literal(self) -> Any:
        word, kind = self._word, self._kind
        if kind == "text":
            self._advance()
            return re.sub(r"(?s)\\(.)", r"\1", word[1:-1])
        if kind == "name" and word in _WORDS:
            self._advance()
            return _WORDS[word]
        begun = self._next - len(word)
        number = _NUMBER.match(self._text, begun) if kind in ("name", "mark") else None
        if number is None:
            raise self._wrong(f"{shown(word)} is no text in quotes, number, true, false or null")
        self._next = number.end()
        self._advance()
        return float(number.group()) if "." in number.group() else int(number.group())

    def _take(self, kind: str, what: str) -> str:
        if self._kind != kind:
            raise self._wrong(f"{what} is missing")
        word = self._word
        self._advance()
        return word

    def _advance(self) -> None:
        if self._kind == "end":
            return
        word = _TOKEN.match(self._text, self._next)
        if word is None:
            rest = self._text[self._next : self._next + 20]
            raise self._wrong(f"{shown(rest)} is not understood here" if rest.strip() else "it is not closed by }}")
        self._kind, self._next = word.lastgroup, word.end()
        self._word = word.group(word.lastgroup or 0)

    def _wrong(self, problem: str) -> TemplateError:
        return mistaken(f"in the place that begins here, {problem}", self._text, self._start)


# --- filters ----------------------------------------------------------------------------------------


def _filtered(value: Any, filters: tuple[_Filter, ...], fuel: Fuel) -> Any:
    for name, argument in filters:
        if name == "default":
            value = argument if value is ABSENT else value
        elif value is not ABSENT:
            fuel.look(value)
            value = _FILTERS[name][1](value, argument)
            if type(value) is str and len(value) > OUTPUT_CHARS_MAX:  # text grows by each `json`
                raise too_long()
    return value


def _of_text(change: Callable[[str], str], name: str) -> Callable[[Any, Any], Any]:
    def filter_(value: Any, _: Any) -> Any:
        if type(value) is not str:
            raise _unfit(name, "text", value)
        return change(value)

    return filter_


def _end_of(index: int, name: str) -> Callable[[Any, Any], Any]:
    def filter_(value: Any, _: Any) -> Any:
        if type(value) is not list:
            raise _unfit(name, "a list", value)
        return value[index] if value else ABSENT

    return filter_


def _length(value: Any, _: Any) -> int:
    if type(value) not in (str, list, dict):
        raise _unfit("length", "text, a list or an object", value)
    return len(value)


def _join(value: Any, between: str) -> str:
    if type(value) is not list:
        raise _unfit("join", "a list", value)
    texts, chars = [], 0
    for item in value:
        texts.append(as_text(item))
        chars += len(texts[-1]) + len(between)
        if chars > OUTPUT_CHARS_MAX:
            raise too_long()
    return between.join(texts)


def _round(value: Any, digits: int) -> Any:
    if type(value) not in (int, float):
        raise _unfit("round", "a number", value)
    return round(value, min(max(digits, 0), 18)) if digits else round(value)


def _as_json(value: Any, _: Any) -> str:
    text = as_text(value)
    return as_text([value])[1:-1] if type(value) is str else text


def _unfit(name: str, wanted: str, value: Any) -> TemplateError:
    return TemplateError(f"the filter {name} takes {wanted}, not {_kind(value)}", filter=name)


def _kind(value: Any) -> str:
    return {dict: "an object", list: "a list", bool: "a truth", str: "text"}.get(type(value), "that value")


_FILTERS: dict[str, tuple[Any, Callable[[Any, Any], Any]]] = {
    "default": ((str, int, float, bool, type(None)), lambda value, _: value),
    "upper": (None, _of_text(str.upper, "upper")),
    "lower": (None, _of_text(str.lower, "lower")),
    "trim": (None, _of_text(str.strip, "trim")),
    "length": (None, _length),
    "first": (None, _end_of(0, "first")),
    "last": (None, _end_of(-1, "last")),
    "join": (str, _join),
    "round": (int, _round),
    "json": (None, _as_json),
}
"""What each filter takes as its argument (None: nothing), and what it does."""
