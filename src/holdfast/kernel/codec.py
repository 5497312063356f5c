"""Values to bytes and back, without changing anything silently.

    stored bytes    first byte
    plain JSON      one of  { [ " - 0…9 t f n
    frame           0x01…0x1F, reserved for compression and encryption; none is written yet

msgspec is fast, but by itself it turns NaN into null, int keys into text, sets and tuples into lists, bytes into base64
and integers beyond 64 bits into floats without a word. So nothing is encoded before it was looked through: a value
made of JSON types alone comes back as it is, and that walk is as cheap as decoding what was encoded and comparing.
A typed value (dataclass, msgspec Struct, pydantic model) must come back equal through its own type.

The walk also bounds what an absurd value can cost: it ends at the first part nested too deep (a cycle is), and as soon
as the parts seen cannot fit in the bytes allowed (one list in a list twice, that in another twice, and so on forty
times, is small in memory and endless as text).
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from holdfast.errors import Corrupt, InvalidValue, TooLarge, TypeMismatch, shown
from holdfast.kernel.limits import DEPTH_MAX, VALUE_BYTES_MAX

INT_MIN, INT_MAX = -(2**63), 2**64 - 1
"""The integers that JSON readers here give back as they were."""

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError)
"""What decoding raises for bytes that no encoder has written; msgspec leaves text that is not UTF-8 to Python."""

_FRAME_BYTES = frozenset(range(0x20))
_PATH_MAX = 200
_MANY = 12  # items from which looking at all at once is quicker than at one after the other


class _NotPlain(Exception):
    """The value has a part that is not exactly a JSON type, or is nested too deep; `_explain` says what."""


def _is_pydantic(kind: type) -> bool:
    return hasattr(kind, "__pydantic_validator__") and hasattr(kind, "model_dump")


def _encode_foreign(value: Any) -> Any:
    if _is_pydantic(type(value)):
        return value.model_dump(mode="json", by_alias=True, round_trip=True)
    raise NotImplementedError(f"a {type(value).__name__} has no JSON form")


def _decode_foreign(kind: type, value: Any) -> Any:
    if _is_pydantic(kind):
        try:
            return kind.model_validate_json(_encoder.encode(value))  # type: ignore[attr-defined]
        except ValueError as problem:
            raise msgspec.ValidationError(str(problem)) from problem
    raise NotImplementedError(f"no value can be read as {kind!r}")


_encoder = msgspec.json.Encoder(enc_hook=_encode_foreign)
_decode_plain = msgspec.json.Decoder().decode


@lru_cache(maxsize=1024)
def _decoder(kind: Any) -> Callable[[bytes], Any]:
    return msgspec.json.Decoder(kind, dec_hook=_decode_foreign).decode


def encode(value: Any, *, bytes_max: int = VALUE_BYTES_MAX, what: str = "the value", key: str | None = None) -> bytes:
    """The bytes of a value. Raises InvalidValue (with `path`) for what would not come back as it is.

    A NaN or infinity, a set, tuple, bytes or other rich type outside a typed value, a key that is not text, an
    integer beyond 64 bits, a lone surrogate, a cycle, or more than DEPTH_MAX containers in each other are refused; and
    with TooLarge, naming `what` it is, and of which key, whatever has more than `bytes_max` bytes.
    """
    kind = type(value)
    try:
        if kind is dict:
            _look_through_dict(value, 1, bytes_max)
        elif kind is list:
            _look_through(value, 1, bytes_max)
        elif kind is not str or len(value) > bytes_max:
            _look_through((value,), 0, bytes_max)
        raw = _encoder.encode(value)
    except (_NotPlain, ValueError, TypeError):
        what = what if key is None else f"{what} of {shown(key)}"
        return check_size(_encode_typed(value, bytes_max, what), bytes_max, what)
    if len(raw) > bytes_max:
        check_size(raw, bytes_max, what if key is None else f"{what} of {shown(key)}")
    return raw


def _look_through(items: Collection[Any], depth: int, room: int) -> int:
    """Raise _NotPlain unless all is made of exactly JSON types; returns how many of `room` bytes may be left."""
    room -= len(items) + 2
    if depth > DEPTH_MAX or room < 0:
        raise _NotPlain
    if len(items) >= _MANY and (settled := _uniform(items)) is not None:
        room -= settled
        if room < 0:
            raise _NotPlain
        return room
    for item in items:
        kind = type(item)
        if kind is str:
            room -= len(item)
        elif kind is int:
            if not -0x8000_0000_0000_0000 <= item <= 0xFFFF_FFFF_FFFF_FFFF:
                raise _NotPlain
        elif kind is dict:
            room = _look_through_dict(item, depth + 1, room)
        elif kind is list:
            room = _look_through(item, depth + 1, room)
        elif kind is float:
            if item * 0.0 != 0.0:  # an infinity or NaN
                raise _NotPlain
        elif item is not None and kind is not bool:
            raise _NotPlain
    if room < 0:
        raise _NotPlain
    return room


def _uniform(items: Collection[Any]) -> int | None:
    """The bytes of many items beyond one each, if they are all texts or all numbers that are stored as they are."""
    kinds = {*map(type, items)}
    if kinds == {str}:
        return sum(map(len, items))
    if kinds == {int}:
        return 0 if min(items) >= INT_MIN and max(items) <= INT_MAX else None
    return 0 if kinds == {float} and math.isfinite(sum(items)) else None


def _look_through_dict(value: dict[Any, Any], depth: int, room: int) -> int:
    for key in value:
        if type(key) is not str:
            raise _NotPlain
        room -= len(key)
    return _look_through(value.values(), depth, room)


def _encode_typed(value: Any, bytes_max: int, what: str) -> bytes:
    """The bytes of a value with typed parts, or what is wrong with it."""
    room = _Room(bytes_max, what)
    _explain(value, "", 1, room)
    try:
        return _encoder.encode(value)
    except (ValueError, TypeError, OverflowError, NotImplementedError, msgspec.MsgspecError) as problem:
        raise InvalidValue(f"{what} cannot be stored: {_short(problem)}", path="") from problem


def decode(raw: bytes) -> Any:
    """The value as JSON types. Raises Corrupt for bytes that no `encode` has written."""
    try:
        return _decode_plain(raw)
    except UNREADABLE as problem:
        raise _unreadable(raw) from problem


def decode_as(raw: bytes, kind: Any) -> Any:
    """The value as `kind`: a builtin, dataclass, msgspec Struct, TypedDict, pydantic model, or a generic of these.

    Raises TypeMismatch if it is something else, Corrupt for bytes that no `encode` has written.
    """
    try:
        decoder = _decoder(kind)
    except (TypeError, NameError, RecursionError) as problem:
        raise _untypable(kind, problem) from problem
    try:
        return decoder(raw)
    except msgspec.ValidationError as problem:
        raise TypeMismatch(f"the stored value is not {_name(kind)}: {_short(problem)}", type=kind) from problem
    except UNREADABLE as problem:
        raise _unreadable(raw) from problem
    except (TypeError, NotImplementedError) as problem:
        raise _untypable(kind, problem) from problem


def _untypable(kind: Any, problem: Exception) -> TypeMismatch:
    return TypeMismatch(f"{_name(kind)} is not a type that can be read: {_short(problem)}", type=kind)


def _short(problem: Exception) -> str:
    return str(problem)[:_PATH_MAX]


def _name(kind: Any) -> str:
    if isinstance(kind, type):
        return kind.__name__
    return str(kind)[:_PATH_MAX] if hasattr(kind, "__args__") else shown(kind)


def _unreadable(raw: bytes) -> Corrupt:
    if raw and raw[0] in _FRAME_BYTES:
        return Corrupt(f"a value of format 0x{raw[0]:02x}, which this version cannot read", format=raw[0])
    return Corrupt(f"stored bytes that are not a value: {raw[:40]!r}")


# --- the slow look: typed values, and what is wrong ----------------------------------------------------


class _Room:
    """What is left of the bytes that a value may take, counting no part higher than it will be."""

    def __init__(self, limit: int, what: str) -> None:
        self.above: set[int] = set()  # the containers that the present part is in
        self._left = self._limit = limit
        self._what = what

    def take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise TooLarge(
                f"{self._what} has more than {self._limit} bytes",
                what="value",
                key=self._what,
                size=self._limit - self._left,  # at least: the rest was not counted
                limit=self._limit,
            )

    def enter(self, container: Any, path: str, depth: int) -> None:
        where = _where(path)
        if id(container) in self.above:
            raise InvalidValue(f"{where} contains itself", path=path)
        if depth > DEPTH_MAX:
            raise InvalidValue(f"{where} is nested deeper than {DEPTH_MAX}", path=path)
        self.above.add(id(container))

    def leave(self, container: Any) -> None:
        self.above.discard(id(container))


def _explain(value: Any, path: str, depth: int, room: _Room) -> None:
    """Raise InvalidValue for the first part that cannot be stored exactly; return if there is none."""
    kind = type(value)
    if value is None or kind is bool:
        room.take(4)
    elif isinstance(value, str) and _is_kept(kind):
        room.take(len(value))
        _explain_text(value, _where(path), path)
    elif isinstance(value, int) and _is_kept(kind):
        room.take(1)
        if not INT_MIN <= value <= INT_MAX:
            raise InvalidValue(f"{_where(path)} is an integer beyond 64 bits", path=path)
    elif kind is float:
        room.take(1)
        if not math.isfinite(value):
            raise InvalidValue(f"{_where(path)} is {value}, which JSON cannot hold", path=path)
    elif _is_typed(kind):
        _bound(value, path, depth, room)
        _explain_typed(value, path)
    elif isinstance(value, (dict, list)):
        room.enter(value, path, depth)
        _explain_container(value, path, depth + 1, room)
        room.leave(value)
    else:
        raise InvalidValue(
            f"{_where(path)} is a {kind.__name__}, which plain JSON would change; keep it in a typed value", path=path
        )


def _is_kept(kind: type) -> bool:
    """Whether a text or integer of this type is stored: a member of an enumeration is, as the value it equals."""
    return kind is str or kind is int or issubclass(kind, enum.Enum)


def _explain_container(value: dict[Any, Any] | list[Any], path: str, depth: int, room: _Room) -> None:
    room.take(2)
    if isinstance(value, list):
        for i, item in enumerate(value):
            _explain(item, f"{path}[{i}]", depth, room)
        return
    for key, item in value.items():
        if not isinstance(key, str):
            raise InvalidValue(f"{_where(path)} has the key {shown(key)}, which is not text", path=path)
        room.take(len(key))
        inner = f"{path}.{key}" if path else key
        _explain_text(key, f"the key {shown(key)}", inner)
        _explain(item, inner, depth, room)


def _explain_text(value: str, where: str, path: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError as problem:
        raise InvalidValue(f"{where} has a lone surrogate", path=ascii(path)[1:-1]) from problem


def _explain_typed(value: Any, path: str) -> None:
    kind: Any = type(value)
    where = _where(path)
    try:
        back = _decoder(kind)(_encoder.encode(value))
        same = bool(back == value)
    except (ValueError, TypeError, NameError, OverflowError, NotImplementedError, msgspec.MsgspecError) as problem:
        raise InvalidValue(f"{where} ({kind.__name__}) cannot be stored: {_short(problem)}", path=path) from problem
    if not same:
        raise InvalidValue(f"{where} ({kind.__name__}) would not come back equal{_differing(value, back)}", path=path)


def _bound(value: Any, path: str, depth: int, room: _Room) -> None:
    """Refuse a typed value, or a part of one, that is too deep, in itself, or too large, whatever it is made of."""
    if isinstance(value, (str, bytes, bytearray)):
        return room.take(len(value))
    room.take(1)
    if isinstance(value, int) and not INT_MIN <= value <= INT_MAX:
        raise InvalidValue(f"{_where(path)} has an integer beyond 64 bits", path=path)
    parts = _parts(value)
    if parts is None:
        return None
    room.enter(value, path, depth)
    for name, part in parts:
        _bound(part, f"{path}.{name}" if path else str(name), depth + 1, room)
    return room.leave(value)


def _parts(value: Any) -> Iterable[tuple[Any, Any]] | None:
    kind = type(value)
    if isinstance(value, dict):
        return value.items()
    if isinstance(value, (list, tuple, set, frozenset)):
        return enumerate(value)
    if _is_pydantic(kind):
        fields: dict[str, Any] = vars(value) | (value.__pydantic_extra__ or {})
        return fields.items()
    if _is_typed(kind):
        return [(name, getattr(value, name, None)) for name in _fields(kind)]
    return None


def _is_typed(kind: type) -> bool:
    return hasattr(kind, "__struct_fields__") or hasattr(kind, "__dataclass_fields__") or _is_pydantic(kind)


def _fields(kind: Any) -> tuple[str, ...]:
    if hasattr(kind, "__struct_fields__"):
        names: tuple[str, ...] = kind.__struct_fields__
        return names
    return tuple(kind.__dataclass_fields__)


def _differing(value: Any, back: Any) -> str:
    if _is_pydantic(type(value)):
        return ""
    wrong = [name for name in _fields(type(value)) if getattr(value, name, None) != getattr(back, name, None)]
    return f": see {', '.join(wrong)}" if wrong else ""


def _where(path: str) -> str:
    return shown(path, _PATH_MAX)[1:-1] if path else "the value"


def mapping(value: Any, what: str) -> Mapping[Any, Any]:
    """The value if it is a mapping; raises InvalidValue, naming `what`, for anything else."""
    if not isinstance(value, Mapping):
        raise InvalidValue(f"{what} must be a mapping, not {shown(value)}", path=what)
    return value


def copied_mapping(value: Any, what: str, *, bytes_max: int) -> dict[str, Any]:
    """A copy of a mapping as it will come back. Raises InvalidValue or TooLarge, naming `what` it is."""
    raw = encode({what: dict(mapping(value, what))}, bytes_max=bytes_max, what=what)
    copied: dict[str, Any] = decode(raw)[what]
    return copied


def check_size(raw: bytes, limit: int, what: str) -> bytes:
    """Return `raw` if it has at most `limit` bytes, else raise TooLarge saying `what` it is."""
    if len(raw) > limit:
        raise TooLarge(
            f"{what} has {len(raw)} bytes; the limit is {limit}", what="value", key=what, size=len(raw), limit=limit
        )
    return raw
