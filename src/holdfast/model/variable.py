"""Variables: values with names, at levels of which the nearest wins."""

from __future__ import annotations

import json
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from holdfast.errors import InvalidValue, TypeMismatch, articled, shown

Level = Literal["node", "run", "workflow", "session", "user", "global"]

LEVELS: tuple[Level, ...] = ("node", "run", "workflow", "session", "user", "global")
"""Every level there is, the nearest first."""

VariableType = Literal["string", "number", "integer", "boolean", "object", "array"]

_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}

MASK = "•••"
"""What is shown in the place of a value that is not to be seen."""


class Variable(Struct, frozen=True):
    """A variable at one level.

    name        its name
    level       where it is set: "node", "run", "workflow", "session", "user" or "global"
    value       its value; "•••" of a secret, and of what comes from the environment, that is not revealed; None if that
                is not set there, or not allowed
    type        what its value must be, if that was said
    env         the variable of the environment that it comes from, if it does
    secret      whether it is one
    version     of the commit that set it; 0 inside the transaction that does
    run, node   the run and the node that it is of, at these levels
    workflow    the workflow that it is of, at that level
    """

    name: str
    level: Level
    value: Any
    type: VariableType | None = None
    env: str | None = None
    secret: bool = False
    version: int = 0
    run: str | None = None
    node: str | None = None
    workflow: str | None = None

    def __repr__(self) -> str:
        value = MASK if self.secret or self.env is not None else shown(self.value)
        return f"<Variable {self.name!r} {self.level} {value}>"

    __str__ = __repr__


class VariableRecord(Struct, frozen=True, omit_defaults=True):
    """A variable as the store keeps it: its value as it was encoded, or the name of a variable of the environment."""

    value: msgspec.Raw | UnsetType = UNSET
    type: VariableType | None = None
    env: str | None = None
    secret: bool = False


def checked_level(level: object) -> Level:
    """The level; raises InvalidValue for what is none."""
    if level not in LEVELS:
        raise InvalidValue(f"there is no level {shown(level)}; there are {', '.join(LEVELS)}", path="level")
    return level


def checked_type(type_: object) -> VariableType | None:
    """The type of a variable; raises InvalidValue for what is none."""
    if type_ is not None and not (isinstance(type_, str) and type_ in _KINDS):
        raise InvalidValue(f"there is no type {shown(type_)}; there are {', '.join(_KINDS)}", path="type")
    return type_  # type: ignore[return-value]


def check_value(name: str, value: Any, type_: VariableType | None, *, secret: bool) -> None:
    """Refuse a value that is not of the type (TypeMismatch); of a secret nothing is told."""
    if type_ is None or _is_of(value, type_):
        return
    what = "what was given" if secret else shown(value)
    raise TypeMismatch(
        f"the variable {shown(name)} takes {articled(type_)}, and {what} is none",
        remedy=f"Give it a value of type {type_}, or set it with another type.",
        name=name,
        type=type_,
    )


def _is_of(value: Any, type_: VariableType) -> bool:
    return isinstance(value, _KINDS[type_]) and (type_ == "boolean" or not isinstance(value, bool))


def from_environment(name: str, env: str, text: str, type_: VariableType | None) -> Any:
    """The value that a variable of the environment gives one of that type: text, or what its text says as JSON.

    Raises TypeMismatch, which tells nothing of the text.
    """
    wanted: VariableType = type_ or "string"
    try:
        value = text if wanted == "string" else json.loads(text, parse_constant=_no_constant)
        msgspec.json.encode(value)  # what no store could keep is none either: a lone surrogate, or what is too deep
    except (ValueError, TypeError, RecursionError, OverflowError):
        value = None
    if not _is_of(value, wanted):
        raise TypeMismatch(
            f"the variable {shown(name)} takes {articled(wanted)}, and {env} in the environment is none",
            remedy=f"Let {env} be the JSON of a value of type {wanted}; text as it is.",
            name=name,
            type=wanted,
            env=env,
        )
    return value


def _no_constant(text: str) -> Any:
    raise ValueError(text)
