"""The configuration from outside: the environment's variables and a file, each setting with where it was read.

It knows no field by name: what a Struct of the configuration has can be set from both places, under one name. `load` is
the one thing that reads, when it is asked to; the rest is given what was read.

    state.temp_ttl      [state] temp_ttl = "15m"        HOLDFAST_STATE__TEMP_TTL=15m

Two underscores part the steps of a name, since one stands inside names: STATE_TEMP_TTL could be read in three ways.
"""

from __future__ import annotations

import difflib
import json
import os
import pathlib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Struct

from holdfast.errors import InvalidValue, shown

S = TypeVar("S", bound=Struct)

PREFIX = "HOLDFAST_"
NOT_SETTINGS = frozenset({"HOLDFAST_URL", "HOLDFAST_CONFIG", "HOLDFAST_KEYS", "HOLDFAST_KEY_ACTIVE"})
"""Variables of that prefix that set no field: where the store is, what keys it has, and the file
that the command line reads."""

NONE_WORDS = frozenset({"none", "null"})
"""How text says None, for a field that takes it: TOML has no word of its own."""


File = str | os.PathLike[str]
"""The path of a file."""

Environment = Mapping[str, str]
"""Variables with their values."""

Part = Mapping[str, Any]
"""Fields of one part of a configuration."""


class Setting(NamedTuple):
    """A value from outside, and where it stood, as an error says it."""

    value: Any
    source: str


Path = tuple[str, ...]
"""The steps of a setting's name."""


def load(default: S, path: File | None, environment: Environment | None, parts: Mapping[str, Part]) -> S:
    """The configuration that arguments, the environment (without one: the process's own) and a file set."""
    kind = type(default)
    found: dict[Path, Setting] = {}
    if path is not None:
        found |= from_file(kind, os.fspath(path), _text_of(path))
    found |= from_environment(kind, os.environ if environment is None else environment)
    found |= from_mapping(kind, parts)
    return built(default, found)


def _text_of(path: File) -> str:
    try:
        return pathlib.Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as problem:
        message = f"{os.fspath(path)} cannot be read: it is not UTF-8 text (byte {problem.start})"
        raise InvalidValue(message, remedy="Save the file as UTF-8.", path="path") from problem


def fields_of(kind: type[Struct], prefix: Path = ()) -> Iterator[tuple[Path, Any]]:
    """The name and type of every setting of a configuration, those of its parts included."""
    for field in msgspec.structs.fields(kind):
        path = (*prefix, field.name)
        part = part_of(field.type)
        if part is None:
            yield path, field.type
        else:
            yield from fields_of(part, path)


def members(type_: Any) -> tuple[Any, ...]:
    """The types that a field may have a value of."""
    return get_args(type_) if get_origin(type_) in (Union, UnionType) else (type_,)


def part_of(type_: Any) -> type[Struct] | None:
    """The Struct in a field's type, if it is a part with fields of its own."""
    for one in members(type_):
        if isinstance(one, type) and issubclass(one, Struct):
            return one
    return None


def from_environment(kind: type[Struct], environment: Mapping[str, str]) -> dict[Path, Setting]:
    """The settings in the variables HOLDFAST_<PART>__<FIELD>.

    Raises InvalidValue for one that looks like a setting and sets nothing. Others may be somebody else's: a cluster
    sets HOLDFAST_PORT and the like for a service of that name.
    """
    known = {PREFIX + "__".join(path).upper(): (path, type_) for path, type_ in fields_of(kind)}
    found = {}
    for name in sorted(environment):
        if not name.startswith(PREFIX) or name in NOT_SETTINGS:
            continue
        if name not in known:
            if "__" not in name and not _near(name, known):
                continue
            raise _unknown(f"the variable {name}", name, known)
        path, type_ = known[name]
        found[path] = Setting(_from_text(environment[name], type_, path, name), name)
    return found


def from_file(kind: type[Struct], name: str, content: str) -> dict[Path, Setting]:
    """The settings in the text of a .toml or .json file. Raises InvalidValue for what is none or sets nothing."""
    if not name.endswith((".toml", ".json")):
        raise InvalidValue(f"{shown(name)} is neither a .toml nor a .json file", path="path")
    import tomllib  # here: most programs have no such file

    try:
        tables = tomllib.loads(content) if name.endswith(".toml") else json.loads(content)
    except ValueError as problem:  # it says the line
        raise InvalidValue(f"{name} cannot be read: {problem}", path="path") from problem
    return dict(_from_table(tables, kind, (), name))


def from_mapping(kind: type[Struct], given: Mapping[str, Any]) -> dict[Path, Setting]:
    """The settings in arguments: a mapping for each part."""
    return dict(_from_table(given, kind, (), "the argument"))


def _from_table(table: Any, kind: type[Struct], prefix: Path, source: str) -> Iterator[tuple[Path, Setting]]:
    place = f"{source} [{'.'.join(prefix)}]" if prefix else source
    if not isinstance(table, Mapping):
        raise InvalidValue(f"{place} must be a table of settings, not {shown(table)}", path=".".join(prefix))
    types = {field.name: field.type for field in msgspec.structs.fields(kind)}
    for name, value in table.items():
        if name not in types:
            raise _unknown(f"{name!r} in {place}", name, types)
        path, part = (*prefix, name), part_of(types[name])
        if part is not None and not (value is None and NoneType in members(types[name])):
            yield from _from_table(value, part, path, source)
        elif isinstance(value, str):
            yield path, Setting(_from_text(value, types[name], path, place), place)
        else:
            yield path, Setting(_converted(value, types[name], path, place), place)


def _unknown(what: str, name: str, known: Mapping[str, object]) -> InvalidValue:
    if near := _near(name, known) or _similar(name, known):
        return InvalidValue(f"{what} is no setting; did you mean {' or '.join(near)}?", path=name)
    return InvalidValue(f"{what} is no setting; known are {', '.join(known)}", path=name)


def _near(name: str, known: Mapping[str, object]) -> list[str]:
    """The known names that are the same but for case and underscores."""
    return [one for one in known if one.upper().replace("_", "") == name.upper().replace("_", "")]


def _similar(name: str, known: Mapping[str, object]) -> list[str]:
    """The known names, three at most, that it may be a slip of."""
    plain = {one.upper().removeprefix(PREFIX): one for one in known}
    return [plain[one] for one in difflib.get_close_matches(name.upper().removeprefix(PREFIX), plain, cutoff=0.75)]


def _from_text(text: str, type_: Any, path: Path, source: str) -> Any:
    """What a piece of text says for a field: a number, a duration, a truth, or JSON for what has several values."""
    if text.lower() in NONE_WORDS and NoneType in members(type_):
        return None
    if timedelta in members(type_):
        return float(text) if text.replace(".", "", 1).isdecimal() else text
    if str in members(type_):
        return text
    try:
        return msgspec.convert(text, type_, strict=False)
    except msgspec.ValidationError as problem:
        if text[:1] not in ("[", "{"):
            raise _mistaken(path, source, _expected(text, type_) or str(problem)) from problem
    try:
        return msgspec.json.decode(text, type=type_)
    except msgspec.DecodeError as problem:
        raise _mistaken(path, source, _expected(text, type_) or str(problem)) from problem


def _converted(value: Any, type_: Any, path: Path, source: str) -> Any:
    given = members(type_)
    if str in given:  # what could be told from text is text here, and read by the configuration itself
        type_ = Union[tuple(one for one in given if one not in _AS_TEXT)]  # noqa: UP007
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError as problem:
        raise _mistaken(path, source, _expected(value, type_) or str(problem)) from problem


_AS_TEXT = (timedelta, Decimal, msgspec.UnsetType)


def _expected(value: Any, type_: Any) -> str:
    """What a field takes, in words; nothing for what has none."""
    for one in members(type_):
        if get_origin(one) is Literal:
            return f"must be {' or '.join(map(repr, get_args(one)))}, not {shown(value)}"
        if one in _WORDS:
            return f"must be {_WORDS[one]}, not {shown(value)}"
    return ""


_WORDS: Mapping[Any, str] = {bool: "true or false", int: "a whole number"}


def _mistaken(path: Path, source: str, problem: str) -> InvalidValue:
    name = ".".join(path)
    return InvalidValue(f"{name} in {source}: {problem}", path=name, source=source)


def built(default: S, settings: Mapping[Path, Setting]) -> S:
    """The configuration with these settings, else the default's. Raises InvalidValue, naming where it stood."""
    return _built(type(default), default, settings, ())


def _built(kind: type[S], default: S | None, settings: Mapping[Path, Setting], prefix: Path) -> S:
    values = {} if default is None else {name: getattr(default, name) for name in kind.__struct_fields__}
    for field in msgspec.structs.fields(kind):
        path, part = (*prefix, field.name), part_of(field.type)
        if path in settings:
            values[field.name] = settings[path].value
        elif part is not None and any(one[: len(path)] == path for one in settings):
            values[field.name] = _built(part, values.get(field.name), settings, path)
    try:
        return kind(**values)
    except InvalidValue as problem:
        named = str(problem.facts.get("path", ""))
        path = (*prefix, *named.split("."))
        if path not in settings:
            raise
        said = str(problem.args[0]).removeprefix(f"{named} ")
        raise _mistaken(path, settings[path].source, said) from problem
