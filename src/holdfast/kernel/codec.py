"""Values to bytes and back, without changing anything silently.

    stored bytes    first byte
    plain JSON      one of  { [ " - 0…9 t f n
    frame           0x01…0x1F, reserved for compression and encryption; none is written yet

msgspec is fast, but by itself it turns NaN into null, int keys into text, sets and tuples into lists, bytes into base64
and integers beyond 64 bits into floats without a word. So nothing is encoded before it was looked through: a value
made of JSON types alone comes back as it is, and that walk is as cheap as decoding what was encoded and comparing.
A typed value (dataclass, msgspec Struct, pydantic model) must come back the same through its own type, as `typed`
compares it; the very bytes that were looked at are stored.

The walk also bounds what an absurd value can cost: it ends at the first part nested too deep (a cycle is), and as soon
as the parts seen cannot fit in the bytes allowed (one list in a list twice, that in another twice, and so on forty
times, is small in memory and endless as text).
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any

import msgspec

from holdfast.errors import Corrupt, InvalidValue, TooLarge, TypeMismatch, articled, shown, unstorable
from holdfast.kernel.limits import DEPTH_MAX, VALUE_BYTES_MAX
from holdfast.kernel.typed import beneath, difference, holds_more, infinite, is_pydantic, is_typed, parts

INT_MIN, INT_MAX = -(2**63), 2**64 - 1
"""The integers that JSON readers here give back as they were."""

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError)
"""What decoding raises for bytes that no encoder has written; msgspec leaves text that is not UTF-8 to Python."""

_FRAME_BYTES = frozenset(range(0x20))
_PATH_MAX = 200
_MANY = 12  # items from which looking at all at once is quicker than at one after the other


class _NotPlain(Exception):
    """The value has a part that is not exactly a JSON type, or is nested too deep; `_exact` says what."""


def _encode_foreign(value: Any) -> Any:
    if is_pydantic(type(value)):
        return value.model_dump(mode="json", by_alias=True, round_trip=True, warnings=False)
    raise NotImplementedError(f"{articled(type(value).__name__)} has no JSON form")


def _decode_foreign(kind: type, value: Any) -> Any:
    if is_pydantic(kind):
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


def encode(
    value: Any,
    *,
    bytes_max: int = VALUE_BYTES_MAX,
    what: str = "the value",
    key: str | None = None,
    path: str = "",
) -> bytes:
    """The bytes of a value. Raises InvalidValue, whose path begins with `path`, for what would not come back as it is.

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
        return check_size(_encode_typed(value, bytes_max, what, path), bytes_max, what)
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


def _encode_typed(value: Any, bytes_max: int, what: str, path: str) -> bytes:
    """The bytes of a value with typed parts, or what is wrong with it."""
    exact = _exact(value, path, 1, _Room(bytes_max, what))
    try:
        return _encoder.encode(exact)
    except (ValueError, TypeError, msgspec.MsgspecError) as problem:
        raise unstorable(f"{what} cannot be stored: {_short(problem)}", path) from problem


def encode_entries(values: Any, *, bytes_max: int, entries_max: int) -> dict[str, bytes]:
    """The bytes of every value of a mapping, by its key, where the path of what is refused begins.

    Raises InvalidValue for what is no mapping; TooLarge, before anything is encoded, for more than a commit may write.
    """
    given = [*islice(mapping(values, "values").items(), entries_max + 1)]  # which ends, also where they do not
    if len(given) > entries_max:
        message = f"more than {entries_max} writes in one commit (operations_max)"
        raise TooLarge(message, what="operations", size=len(given), limit=entries_max)
    return {
        key: encode(value, bytes_max=bytes_max, key=key, path=key if isinstance(key, str) else "")
        for key, value in given
    }


def decode(raw: bytes) -> Any:
    """The value as JSON types. Raises Corrupt for bytes that no `encode` has written."""
    try:
        return _decode_plain(raw)
    except UNREADABLE as problem:
        raise _unreadable(raw) from problem


def decode_as(raw: bytes, kind: Any, *, key: str | None = None) -> Any:
    """The value as `kind`: a builtin, dataclass, msgspec Struct, TypedDict, pydantic model, or a generic of these.

    Raises TypeMismatch, naming the `key` it is of, if it is something else; Corrupt for what no `encode` has written.
    """
    decoder = check_type(kind)
    try:
        return decoder(raw)
    except msgspec.ValidationError as problem:
        of = "" if key is None else f" of {shown(key)}"
        message = f"the stored value{of} is not {_name(kind)}: {_short(problem)}"
        raise TypeMismatch(message, type=kind, key=key) from problem
    except UNREADABLE as problem:
        raise _unreadable(raw) from problem
    except (TypeError, NotImplementedError) as problem:
        raise _untypable(kind, problem) from problem


def check_type(kind: Any) -> Callable[[bytes], Any]:
    """What decodes values of the type. Raises TypeMismatch for what is none that can be read."""
    try:
        if isinstance(kind, type) and holds_more(kind):
            raise TypeError("only its fields could be filled")
        return _decoder(kind)
    except (TypeError, NameError, RecursionError) as problem:
        raise _untypable(kind, problem) from problem


def _untypable(kind: Any, problem: Exception) -> TypeMismatch:
    remedy = "Give a type itself: int, list[str], a dataclass. What to return for a key that is not there is `default`."
    given = isinstance(kind, (bool, int, float, str))
    why = f"; did you mean default={shown(kind)}?" if given else f": {_short(problem)}"
    return TypeMismatch(f"{_name(kind)} is not a type that can be read{why}", remedy=remedy, type=kind)


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
            raise unstorable(f"{where} contains itself", path)
        if depth > DEPTH_MAX:
            raise unstorable(f"{where} is nested deeper than {DEPTH_MAX}", path)
        self.above.add(id(container))

    def leave(self, container: Any) -> None:
        self.above.discard(id(container))


def _exact(value: Any, path: str, depth: int, room: _Room) -> Any:
    """The same in JSON types, with the JSON of typed values in it. Raises InvalidValue for the first part that cannot
    be stored exactly. Methods of subclasses are not called: they may show something else than what is stored."""
    kind = type(value)
    if value is None or kind is bool:
        room.take(4)
        return value
    if issubclass(kind, str) and _is_kept(kind):
        room.take(str.__len__(value))
        return _exact_text(value, _where(path), path)
    if issubclass(kind, int) and _is_kept(kind):
        room.take(1)
        number = int.__int__(value)
        if not INT_MIN <= number <= INT_MAX:
            raise unstorable(f"{_where(path)} is an integer beyond 64 bits", path)
        return number
    if kind is float:
        room.take(1)
        if not math.isfinite(value):
            raise unstorable(f"{_where(path)} is {value}, which JSON cannot hold", path)
        return value
    if is_typed(kind):
        _bound(value, path, depth, room)
        return _exact_typed(value, path)
    if issubclass(kind, (dict, list)):
        room.enter(value, path, depth)
        room.take(2)
        exact = (_exact_list if issubclass(kind, list) else _exact_dict)(value, path, depth + 1, room)
        room.leave(value)
        return exact
    of = articled(kind.__name__)
    raise unstorable(f"{_where(path)} is {of}, which plain JSON would change; keep it in a typed value", path)


def _is_kept(kind: type) -> bool:
    """Whether a text or integer of this type is stored: a member of an enumeration is, as the value it equals."""
    return kind is str or kind is int or issubclass(kind, enum.Enum)


def _exact_list(value: list[Any], path: str, depth: int, room: _Room) -> list[Any]:
    return [_exact(item, f"{path}[{i}]", depth, room) for i, item in enumerate(list.__iter__(value))]


def _exact_dict(value: dict[Any, Any], path: str, depth: int, room: _Room) -> dict[str, Any]:
    exact: dict[str, Any] = {}
    for key, item in dict.items(value):
        if not (issubclass(type(key), str) and _is_kept(type(key))):
            raise unstorable(f"{_where(path)} has the key {shown(key)}, which is not text", path)
        text = str.__str__(key)
        room.take(len(text))
        inner = beneath(path, text)
        if text in exact:
            raise unstorable(f"{_where(path)} has two keys that would both be {shown(text)}", path)
        exact[_exact_text(key, f"the key {shown(text)}", inner)] = _exact(item, inner, depth, room)
    return exact


def _exact_text(value: str, where: str, path: str) -> str:
    try:
        str.encode(value)
    except UnicodeEncodeError as problem:
        raise unstorable(f"{where} has a lone surrogate", ascii(path)[1:-1]) from problem
    return str.__str__(value)


def _exact_typed(value: Any, path: str) -> msgspec.Raw:
    kind: Any = type(value)
    try:
        raw = _encoder.encode(value)
        changed = difference(value, _decoder(kind)(raw), path)
    except Exception as problem:  # whatever the code of the type raises: it does not come back
        if (found := infinite(value, path)) is not None:
            raise unstorable(f"{_where(found.path)} {found.what}", found.path) from problem
        raise unstorable(f"{_where(path)} ({kind.__name__}) cannot be stored: {_short(problem)}", path) from problem
    if changed is not None:
        changed = infinite(value, path) or changed
        raise unstorable(f"{_where(changed.path)} {changed.what} (in {articled(kind.__name__)})", changed.path)
    return msgspec.Raw(raw)


def _bound(value: Any, path: str, depth: int, room: _Room) -> None:
    """Refuse a typed value, or a part of one, that is too deep, in itself, or too large, whatever it is made of."""
    kind = type(value)
    if holds_more(kind):
        raise unstorable(f"{_where(path)} is {articled(kind.__name__)}, of which only the fields would come back", path)
    for of in (str, bytes, bytearray):
        if issubclass(kind, of):
            return room.take(of.__len__(value))
    room.take(1)
    if issubclass(kind, int) and not INT_MIN <= int.__int__(value) <= INT_MAX:
        raise unstorable(f"{_where(path)} has an integer beyond 64 bits", path)
    inner = parts(value)
    if inner is None:
        return None
    room.enter(value, path, depth)
    for name, part in inner:
        of = type(part)
        if of is str:
            room.take(len(part))
        elif of is float or of is bool or (of is int and INT_MIN <= part <= INT_MAX):
            room.take(1)
        else:
            _bound(part, beneath(path, name), depth + 1, room)
    return room.leave(value)


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
