"""What a typed value is made of, and whether it came back the same.

Two values are the same if they are made of the same parts, down to what is stored: the same types, texts, numbers and
bits. What a type says of itself is not asked: an `__eq__` that looks at ids only would hide a change, one that
raises or answers with an array would break the call, and an `__iter__` or `items` may show what is not stored. Only
types of Python, msgspec and pydantic that have no parts are compared by `==`, and that has to answer True.

What may differ: a dict or list of a subclass comes back as its contents, a member of an enumeration that is a text or
an integer as that, wherever they stand where no type is declared; an integer where a float is declared comes back as
the float of just that value, for so type checkers and defaults like `price: float = 0` have it; and of a pydantic
model all fields count as set.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import math
import sys
from collections import deque
from collections.abc import Iterable
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import msgspec

from holdfast.errors import articled, shown

_TRUSTED = sys.stdlib_module_names | {"msgspec", "pydantic", "pydantic_core"}
_SEQUENCES: tuple[type, ...] = (list, tuple, deque)
_SETS: tuple[type, ...] = (set, frozenset)

_CONTENTFUL = (dict, list, tuple, set, frozenset, deque, str, bytes, bytearray, int, float, complex, BaseException)

_LEAVES = frozenset({str, int, bool, bytes})
"""Types whose `==` says all, once both are of the type: looked at in place, for most parts are of these."""

_encode = msgspec.json.Encoder().encode


class Difference(NamedTuple):
    """The first part that would not come back as it is: where it stands, and what would become of it."""

    path: str
    what: str


def is_pydantic(kind: type) -> bool:
    """Whether it is a pydantic model."""
    return hasattr(kind, "__pydantic_validator__") and hasattr(kind, "model_dump")


def is_typed(kind: type) -> bool:
    """Whether a value of the type says of its parts what they are: a dataclass, Struct or pydantic model."""
    return hasattr(kind, "__struct_fields__") or hasattr(kind, "__dataclass_fields__") or is_pydantic(kind)


def holds_more(kind: type) -> bool:
    """Whether a typed value is a container, number, text or exception beside its fields, which JSON cannot hold, and
    which msgspec makes without that content: looking into such a one ends the process."""
    return is_typed(kind) and issubclass(kind, _CONTENTFUL) and not issubclass(kind, enum.Enum)


def beneath(path: str, name: object) -> str:
    """The path to the part of that name."""
    text = name if type(name) is str else shown(name)
    return f"{path}.{text}" if path else text


def parts(value: Any) -> Iterable[tuple[Any, Any]] | None:
    """The parts of a container or typed value with their names or places; None for what has none."""
    kind = type(value)
    if issubclass(kind, dict):
        return dict.items(value)
    for of in (*_SEQUENCES, *_SETS):
        if issubclass(kind, of):
            return enumerate(_items(value, of))
    return _attributes(value).items() if _has_attributes(kind) else None


def infinite(value: Any, path: str) -> Difference | None:
    """The first part that is no finite number, for which JSON has no form."""
    if type(value) is float and not math.isfinite(value):
        return Difference(path, f"is {value}, which JSON cannot hold")
    in_place = issubclass(type(value), _SEQUENCES)
    for name, part in parts(value) or ():
        if (found := infinite(part, f"{path}[{name}]" if in_place else beneath(path, name))) is not None:
            return found
    return None


def difference(value: Any, back: Any, path: str) -> Difference | None:
    """The first difference between a value and what came back, None if there is none."""
    if value is back:
        return None
    kind = type(value)
    if type(back) is not kind:
        if not _becomes(value, back):
            return Difference(
                path, f"is {articled(kind.__name__)}, which would come back as {articled(type(back).__name__)}"
            )
        if type(back) not in (dict, list):
            return None
    if issubclass(kind, dict):
        return _of_mappings(dict.items(value), dict.items(back), path)
    for of in _SEQUENCES:
        if issubclass(kind, of):
            return _of_sequences(_items(value, of), _items(back, of), path)
    for of in _SETS:
        if issubclass(kind, of):
            return _of_sets(_items(value, of), _items(back, of), path)
    if issubclass(kind, enum.Enum):
        return Difference(path, _lost(value))  # its members are not the same
    if _has_attributes(kind) or (kind.__module__.partition(".")[0] not in _TRUSTED and _attributes(value)):
        return _of_attributes(value, back, path)
    return None if _equal(value, back) else Difference(path, _lost(value))


def _becomes(value: Any, back: Any) -> bool:
    """Whether the one is stored as the other, which is of another type, by a rule that is told."""
    kind: type = type(value)
    other: Any = type(back)
    if other in (dict, list):
        return issubclass(kind, other) and not is_typed(kind)
    if other in (int, str) and issubclass(kind, enum.Enum) and issubclass(kind, other):
        return bool(other.__eq__(value, back))
    return kind is int and other is float and value == back  # exactly: Python compares the two without rounding


def _equal(value: Any, back: Any) -> bool:
    """Whether two values of one type that have no parts are the same."""
    kind = type(value)
    if kind is float:
        return bool(value.hex() == back.hex())  # -0.0 is not 0.0
    if kind is Decimal:
        return bool(value.as_tuple() == back.as_tuple())  # 1.0 is not 1.00, and NaN is NaN
    if kind is dt.datetime or kind is dt.time:
        return _same_time(value, back)
    if kind is msgspec.Raw:
        return bytes(value) == bytes(back)
    return (value == back) is True


def _same_time(value: Any, back: Any) -> bool:
    if value.replace(tzinfo=None) != back.replace(tzinfo=None):
        return False
    if value.tzinfo is None or back.tzinfo is None:
        return value.tzinfo is back.tzinfo and value.fold == back.fold
    return value.utcoffset() == back.utcoffset() and value.tzinfo.utcoffset(None) is not None


def _lost(value: Any) -> str:
    if isinstance(value, (dt.datetime, dt.time)):
        if value.tzinfo is None:
            return "is a time whose fold would be lost"
        return "has a time zone of which only the offset at that time would come back; convert it to UTC"
    return f"would come back as another {type(value).__name__}"


def _items(value: Any, of: Any) -> list[Any]:
    """What a sequence or set holds, whatever its own class has to say about it."""
    return list(of.__iter__(value))


# --- parts -------------------------------------------------------------------------------------------


def _of_mappings(items: Iterable[Any], others: Iterable[Any], path: str) -> Difference | None:
    before, after = list(items), list(others)
    if len(before) != len(after):
        return Difference(path, f"has {len(before)} keys, of which {len(after)} would come back")
    for (key, part), (other_key, other) in zip(before, after, strict=True):
        if difference(key, other_key, path) is not None:
            return Difference(path, f"has the key {shown(key)}, which would come back as {shown(other_key)}")
        if (found := difference(part, other, beneath(path, key))) is not None:
            return found
    return None


def _of_sequences(before: list[Any], after: list[Any], path: str) -> Difference | None:
    if len(before) != len(after):
        return Difference(path, f"has {len(before)} items, of which {len(after)} would come back")
    for place, (item, other) in enumerate(zip(before, after, strict=True)):
        if type(item) in _LEAVES and type(other) is type(item) and item == other:
            continue
        if (found := difference(item, other, f"{path}[{place}]")) is not None:
            return found
    return None


def _of_sets(before: list[Any], after: list[Any], path: str) -> Difference | None:
    """Members of sets have no order: they are compared in that of what is stored of them."""
    return _of_sequences(sorted(before, key=_stored), sorted(after, key=_stored), path)


def _stored(member: Any) -> bytes:
    try:
        return _encode(member)
    except (TypeError, NotImplementedError):  # a type that only pydantic knows
        return repr(member).encode("utf-8", "surrogatepass")


def _of_attributes(value: Any, back: Any, path: str) -> Difference | None:
    before, after = _attributes(value) | _private(value), _attributes(back) | _private(back)
    for name, part in before.items():
        if name not in after:
            return Difference(beneath(path, name), "would be lost")
        other = after[name]
        if type(part) in _LEAVES and type(other) is type(part) and part == other:
            continue
        if (found := difference(part, other, beneath(path, name))) is not None:
            return found
    new = [name for name in after if name not in before]
    return Difference(beneath(path, new[0]), "is not there, and would be when it comes back") if new else None


def _has_attributes(kind: type) -> bool:
    """Whether what is stored of a value of that type are its attributes."""
    return is_typed(kind) or hasattr(kind, "__attrs_attrs__")


def _attributes(value: Any) -> dict[str, Any]:
    """What an object holds under which name, be it a field or not, but for what it only computed from them."""
    kind: Any = type(value)
    found = {name: part for name, part in _namespace(value).items() if not _is_cached(kind, name)}
    if is_pydantic(kind):
        return found | (_held(value, "__pydantic_extra__") or {})
    for name in _names(kind):
        if name not in found and (part := _held(value, name, _NOTHING)) is not _NOTHING:
            found[name] = part
    return found


def _private(value: Any) -> dict[str, Any]:
    return (_held(value, "__pydantic_private__") or {}) if is_pydantic(type(value)) else {}


def _namespace(value: Any) -> dict[str, Any]:
    found = _held(value, "__dict__")
    return found if type(found) is dict else {}


@lru_cache(maxsize=1024)
def _names(kind: Any) -> tuple[str, ...]:
    """The fields of a type and the slots of its classes."""
    names: dict[str, None] = dict.fromkeys(getattr(kind, "__struct_fields__", ()))
    if hasattr(kind, "__dataclass_fields__"):
        names.update(dict.fromkeys(field.name for field in dataclasses.fields(kind)))
    for base in kind.__mro__:
        slots = base.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name.startswith("__") and not name.endswith("__"):
                names[f"_{base.__name__.lstrip('_')}{name}"] = None
            elif name not in ("__dict__", "__weakref__"):
                names[name] = None
    return tuple(names)


@lru_cache(maxsize=1024)
def _is_cached(kind: type, name: str) -> bool:
    for base in kind.__mro__:
        if name in base.__dict__:
            return isinstance(base.__dict__[name], cached_property)
    return False


_NOTHING = object()


def _held(value: Any, name: str, default: Any = None) -> Any:
    try:
        return object.__getattribute__(value, name)
    except AttributeError:
        return default
