"""What a dialect of text templates owes, and the limits that all of them keep.

A template is text with places for values. It is compiled once and filled in as often as need be, in a single pass: what
a value says is never read as a template. A template reaches nothing but the values that it is given, by the keys of
mappings and the indexes of lists: never an attribute, a function, a file or another template.

    {{ trip.days[0] }}      ("trip", "days", 0)         a path: the first part names a variable, or a node of a run
    {{ $vars.city }}        ("$vars", "city")           or one of the namespaces

Whoever fills it in looks at `paths` first, and hands in what they begin with and no more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

from holdfast.errors import InvalidValue, MissingVariable, TemplateError, TooLarge, shown

Missing = Literal["keep", "error", "empty"]
"""What stands where a value is missing: the place as it was written, an error, or nothing."""

MISSING_CHOICES: tuple[Missing, ...] = ("keep", "error", "empty")

Path = tuple[str | int, ...]
"""The steps to a value."""

TEMPLATE_CHARS_MAX = 65_536
"""Characters of a template."""

OUTPUT_CHARS_MAX = 1_048_576
"""Characters of what a template comes to."""

PLACES_MAX = 1_000
"""Places and other marks in a template."""

STEPS_MAX = 32
"""Steps of one path."""

ROUNDS_MAX = 10_000
"""Rounds that all loops of a template take together, where a dialect has loops; fewer of one with many places."""

WORK_MAX = 500_000
"""Rounds times places of a template."""

LOOKS_MAX = 1_000_000
"""Parts of values that the filters and comparisons of one rendering look at, together; four characters are one."""

MARK_CHARS_MAX = 256
"""Characters of one mark in braces, but for comments."""

NESTED_MAX = 30
"""Blocks of a template within each other."""

FLOW, VARS, SESSION = "$flow", "$vars", "$session"
"""The namespaces: `$flow.state` is the session's state, `$vars` the variables, `$session` the session's record."""

OF_SESSION = ("id", "user", "app", "agent", "mode", "channel", "task", "status", "tags", "metadata")
"""Fields of a session's record that a template may use."""


class Absent:
    """What is found where nothing is."""


ABSENT = Absent()


class Compiled(Protocol):
    """A template that was read."""

    @property
    def paths(self) -> Sequence[Path]:
        """What it needs, each once, in the order of its first place; it may need less than it names."""
        ...

    def render(self, values: Mapping[str, Any], missing: Missing) -> str:
        """The text, with these values in their places.

        Raises MissingVariable for a missing one where that is an error, TemplateError for what cannot be done with a
        value or takes too long, TooLarge for too long a text.
        """
        ...

    def value(self, values: Mapping[str, Any], missing: Missing) -> Any:
        """Of a template that is one place and nothing else, the value there as it is; of any other the text."""
        ...


class Dialect(Protocol):
    """A syntax of templates."""

    def compile(self, text: str) -> Compiled:
        """Read a template that `checked` let through. Raises TemplateError, saying what is wrong and where."""
        ...


def checked(text: object) -> str:
    """The text of a template; raises InvalidValue for what is no text, TooLarge for too much of it."""
    if not isinstance(text, str):
        raise InvalidValue(f"a template is text, not {shown(text)}", path="template")
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise InvalidValue("a template has half of a surrogate pair in it, which is no text", path="template")
    if len(text) > TEMPLATE_CHARS_MAX:
        raise TooLarge(
            f"the template has {len(text):,} characters; the limit is {TEMPLATE_CHARS_MAX:,}",
            what="template",
            size=len(text),
            limit=TEMPLATE_CHARS_MAX,
        )
    return str(text)


def checked_missing(missing: object) -> Missing:
    """What is to stand for what is missing; raises InvalidValue."""
    if missing not in MISSING_CHOICES:
        raise InvalidValue(f'missing must be "keep", "error" or "empty", not {shown(missing)}', path="missing")
    return missing


def found(values: Any, path: Path) -> Any:
    """The value at the end of a path; ABSENT if there is none. Of mappings the keys count, of lists the indexes."""
    for step in path:
        kind = type(values)
        if kind is dict:
            values = values.get(step if type(step) is str else str(step), ABSENT)
        elif kind is list:
            index = step if type(step) is int else _index(step)
            if index is None or not -len(values) <= index < len(values):
                return ABSENT
            values = values[index]
        else:
            return ABSENT
    return values


def _index(step: str | int) -> int | None:
    text = str(step)
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


_json = msgspec.json.Encoder().encode


def as_text(value: Any) -> str:
    """How a value stands in a text: text as it is, anything else as JSON."""
    return value if type(value) is str else _json(value).decode()


def named(path: Path) -> str:
    """A path as it is written: `trip.days[0]`."""
    text = ""
    for step in path:
        if type(step) is int:
            text += f"[{step}]"
        elif str(step).replace("_", "").replace("-", "").replace("$", "").isalnum():
            text += f".{step}" if text else str(step)
        else:
            text += f"[{_json(step).decode()}]"
    return text


def absent(name: str) -> MissingVariable:
    """The error that says that a value is missing."""
    remedy = None
    if name.startswith(f"{SESSION}."):
        remedy = f"Of a session a template sees {', '.join(OF_SESSION)}, where they are set."
    return MissingVariable(f"the template needs {shown(name)}, which is not set", remedy=remedy, name=name)


def mistaken(problem: str, text: str, place: int) -> TemplateError:
    """The error that says what is wrong with a template, and where."""
    line = text.count("\n", 0, place) + 1
    column = place - text.rfind("\n", 0, place)
    return TemplateError(f"line {line}, column {column}: {problem}", line=line, column=column)


def too_long() -> TooLarge:
    """The error that says that a template comes to too much text."""
    return TooLarge(
        f"the template comes to more than {OUTPUT_CHARS_MAX:,} characters",
        what="output",
        size=OUTPUT_CHARS_MAX + 1,
        limit=OUTPUT_CHARS_MAX,
    )


class Fuel:
    """What is left of the rounds and characters that one rendering may take, and of what it may look at."""

    __slots__ = ("_chars", "_looks", "_most", "_rounds", "_sizes")

    def __init__(self, places: int) -> None:
        self._most = self._rounds = min(ROUNDS_MAX, WORK_MAX // max(places, 1))
        self._chars = OUTPUT_CHARS_MAX
        self._looks = LOOKS_MAX
        self._sizes: dict[int, tuple[Any, int]] = {}

    def round(self, count: int = 1) -> None:
        """Take rounds of a loop; raises TemplateError."""
        self._rounds -= count
        if self._rounds < 0:
            raise TemplateError(f"the loops of the template take more than {self._most:,} rounds", rounds=self._most)

    def text(self, chars: int) -> None:
        """Take characters; raises TooLarge."""
        self._chars -= chars
        if self._chars < 0:
            raise too_long()

    def look(self, value: Any) -> None:
        """Take what it costs to go through a value whole; raises TemplateError."""
        self._looks -= self._size(value)
        if self._looks < 0:
            raise TemplateError(f"the template looks at more than {LOOKS_MAX:,} parts of values", looks=LOOKS_MAX)

    def _size(self, value: Any) -> int:
        kind = type(value)
        if kind is str:
            return 1 + len(value) // 4
        if kind not in (list, dict, tuple):
            return len(value) if kind is range else 1
        known = self._sizes.get(id(value))
        if known is not None:
            return known[1]
        parts = value.values() if kind is dict else value
        size = 1 + len(value) + sum(self._size(part) for part in parts)
        self._sizes[id(value)] = (value, size)  # kept with it, so that its id stands for nothing else
        return size


def places_of(text: str, *openings: str) -> int:
    """How many places and other marks a template has; raises TemplateError for too many."""
    places = sum(map(text.count, openings))
    if places > PLACES_MAX:
        raise TemplateError(f"the template has more than {PLACES_MAX:,} places", places=places)
    return places


def check_marks(text: str, *, blanks_max: int = MARK_CHARS_MAX) -> None:
    """Refuse marks in braces that are not closed, are long, or have others or many blanks in a row in them
    (TemplateError): libraries read such by what takes the square of their length, or the cube."""
    place = text.find("{{")
    while place >= 0:
        closing = "}}}" if text.startswith("{{{", place) else "}}"
        end = text.find(closing, place)
        if end < 0:
            raise mistaken(f"what is opened here is not closed by {closing}", text, place)
        mark = text[place + len(closing) : end]
        if not mark.strip("#^/&! \t\r\n"):
            raise mistaken("an empty mark", text, place)
        if not mark.startswith("!") and (len(mark) > MARK_CHARS_MAX or "{{" in mark):
            raise mistaken(f"a mark of more than {MARK_CHARS_MAX} characters, or with another in it", text, place)
        if blanks_max < MARK_CHARS_MAX and re.search(rf"\s{{{blanks_max + 1}}}", mark) is not None:
            raise mistaken(f"a mark with more than {blanks_max} blanks in a row", text, place)
        place = text.find("{{", end)


def refused(problem: Exception) -> TemplateError:
    """The error that says what a library has against a template."""
    return TemplateError(f"the template cannot be used: {str(problem)[:200] or type(problem).__name__}")


def kept(path: str, missing: Missing, *, written: str | None = None) -> str:
    """What stands for a missing value: its place as it was `written`, or plain where the dialect does not know that."""
    if missing == "error":
        raise absent(path)
    if missing == "empty":
        return ""
    return "{{" + path + "}}" if written is None else written
