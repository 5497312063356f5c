"""Values to bytes and back, without changing anything silently.

    stored bytes    first byte
    plain JSON      one of  { [ " - 0…9 t f n
    frame           0x01…0x1F, reserved for compression and encryption; none is written yet

msgspec is fast, but by itself it turns NaN into null, int keys into text, sets and tuples into lists and bytes
into base64 without a word. So a value is accepted only if decode(encode(v)) == v. A value made of JSON types must
come back as it is; a typed one (dataclass, msgspec Struct, pydantic model) must come back through its own type.
What fails is searched for the first offender, so that the error names the path to it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

from holdfast.errors import Corrupt, InvalidValue, TooLarge, TypeMismatch
from holdfast.kernel.limits import DEPTH_MAX

_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1  # what msgspec writes exactly
_FRAME_BYTES = frozenset(range(0x20))


def _is_pydantic(kind: type) -> bool:
    return hasattr(kind, "__pydantic_validator__") and hasattr(kind, "model_dump")


def _encode_foreign(value: Any) -> Any:
    if _is_pydantic(type(value)):
        return value.model_dump(mode="json")
    raise NotImplementedError(f"a {type(value).__name__} has no JSON form")


def _decode_foreign(kind: type, value: Any) -> Any:
    if _is_pydantic(kind):
        try:
            return kind.model_validate(value)  # type: ignore[attr-defined]
        except ValueError as problem:
            raise msgspec.ValidationError(str(problem)) from problem
    raise NotImplementedError(f"no value can be read as {kind!r}")


_encoder = msgspec.json.Encoder(enc_hook=_encode_foreign)
_decode_plain = msgspec.json.Decoder().decode


@lru_cache(maxsize=1024)
def _decoder(kind: Any) -> Callable[[bytes], Any]:
    return msgspec.json.Decoder(kind, dec_hook=_decode_foreign).decode


def encode(value: Any) -> bytes:
    """The bytes of a value. Raises InvalidValue (with `path`) for what would not come back as it is.

    A NaN or infinity, a set, tuple, bytes or other rich type outside a typed value, a key that is not text, an
    integer beyond 64 bits, a lone surrogate, a cycle, or nesting deeper than DEPTH_MAX are refused.
    """
    kind = type(value)
    try:
        if kind is int or kind is bool or value is None:
            return _encoder.encode(value)
        raw = _encoder.encode(value)
        if kind is str:
            return raw
        if _returns(value, kind, raw) and _is_shallow(raw):
            return raw
    except (RecursionError, ValueError, TypeError, OverflowError, NotImplementedError, msgspec.MsgspecError):
        pass
    _explain(value, "", 0, set())
    raw = _encoder.encode(value)  # nothing found amiss: typed values inside plain containers, each checked by itself
    return raw


def decode(raw: bytes) -> Any:
    """The value as JSON types. Raises Corrupt for bytes that no `encode` has written."""
    try:
        return _decode_plain(raw)
    except msgspec.DecodeError as problem:
        raise _unreadable(raw) from problem


def decode_as(raw: bytes, kind: Any) -> Any:
    """The value as `kind`: a builtin, dataclass, msgspec Struct, TypedDict, pydantic model, or a generic of these.

    Raises TypeMismatch if it is something else, Corrupt for bytes that no `encode` has written.
    """
    try:
        decoder = _decoder(kind)
    except TypeError as problem:
        raise TypeMismatch(f"{kind!r} is not a type that can be read: {problem}", type=kind) from problem
    try:
        return decoder(raw)
    except msgspec.ValidationError as problem:
        raise TypeMismatch(f"the stored value is not {_name(kind)}: {problem}", type=kind) from problem
    except msgspec.DecodeError as problem:
        raise _unreadable(raw) from problem
    except (TypeError, NotImplementedError) as problem:
        raise TypeMismatch(f"{kind!r} is not a type that can be read: {problem}", type=kind) from problem


def _name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind)


def _unreadable(raw: bytes) -> Corrupt:
    if raw and raw[0] in _FRAME_BYTES:
        return Corrupt(f"a value of format 0x{raw[0]:02x}, which this version cannot read", format=raw[0])
    return Corrupt(f"stored bytes that are not a value: {raw[:40]!r}")


def _is_typed(kind: type) -> bool:
    return hasattr(kind, "__struct_fields__") or hasattr(kind, "__dataclass_fields__") or _is_pydantic(kind)


def _returns(value: Any, kind: type, raw: bytes) -> bool:
    """Whether the value comes back equal, and where it is plain, of JSON types only."""
    if _is_typed(kind):
        return bool(_decoder(kind)(raw) == value)
    return bool(_decode_plain(raw) == value)


def _is_shallow(raw: bytes) -> bool:
    # Depth cannot exceed the number of opening brackets; most values are settled by counting.
    return raw.count(b"[") + raw.count(b"{") <= DEPTH_MAX or _depth(raw) <= DEPTH_MAX


def _depth(raw: bytes) -> int:
    def below(value: Any) -> int:
        if isinstance(value, dict):
            return 1 + max(map(below, value.values()), default=0)
        if isinstance(value, list):
            return 1 + max(map(below, value), default=0)
        return 0

    return below(_decode_plain(raw))


def _explain(value: Any, path: str, depth: int, above: set[int]) -> None:
    """Raise InvalidValue for the first part that cannot be stored exactly; return if there is none."""
    kind = type(value)
    where = path or "the value"
    if depth > DEPTH_MAX:
        raise InvalidValue(f"{where[:200]} is nested deeper than {DEPTH_MAX}", path=path)
    if value is None or kind is bool:
        return
    if isinstance(value, str):
        _explain_text(value, where, path)
    elif isinstance(value, int):
        if not _INT_MIN <= value <= _INT_MAX:
            raise InvalidValue(f"{where} is an integer beyond 64 bits", path=path)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidValue(f"{where} is {value}, which JSON cannot hold", path=path)
    elif _is_typed(kind):
        _explain_typed(value, where, path)
    elif isinstance(value, (dict, list)):
        if id(value) in above:
            raise InvalidValue(f"{where} contains itself", path=path)
        _explain_container(value, path, depth, above | {id(value)})
    else:
        raise InvalidValue(
            f"{where} is a {kind.__name__}, which plain JSON would change; keep it in a typed value", path=path
        )


def _explain_container(value: Any, path: str, depth: int, above: set[int]) -> None:
    if isinstance(value, list):
        for i, item in enumerate(value):
            _explain(item, f"{path}[{i}]", depth + 1, above)
        return
    for key, item in value.items():
        if not isinstance(key, str):
            raise InvalidValue(f"{path or 'the value'} has the key {key!r}, which is not text", path=path)
        inner = f"{path}.{key}" if path else key
        _explain_text(key, f"the key {key!r}", inner)
        _explain(item, inner, depth + 1, above)


def _explain_text(value: str, where: str, path: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError as problem:
        raise InvalidValue(f"{where.encode('utf-8', 'replace').decode()} has a lone surrogate", path=path) from problem


def _explain_typed(value: Any, where: str, path: str) -> None:
    kind: Any = type(value)
    try:
        back = _decoder(kind)(_encoder.encode(value))
    except RecursionError as problem:
        raise InvalidValue(f"{where} is nested too deep or contains itself", path=path) from problem
    except (ValueError, TypeError, OverflowError, NotImplementedError, msgspec.MsgspecError) as problem:
        raise InvalidValue(f"{where} ({kind.__name__}) cannot be stored: {problem}", path=path) from problem
    if back != value:
        raise InvalidValue(f"{where} ({kind.__name__}) would not come back equal{_differing(value, back)}", path=path)


def _differing(value: Any, back: Any) -> str:
    names: tuple[str, ...] = getattr(type(value), "__struct_fields__", ())
    if not names and dataclasses.is_dataclass(value):
        names = tuple(field.name for field in dataclasses.fields(value))
    wrong = [name for name in names if getattr(value, name) != getattr(back, name)]
    return f": see {', '.join(wrong)}" if wrong else ""


def check_size(raw: bytes, limit: int, what: str) -> bytes:
    """Return `raw` if it has at most `limit` bytes, else raise TooLarge saying `what` it is."""
    if len(raw) > limit:
        raise TooLarge(
            f"{what} has {len(raw)} bytes; the limit is {limit}", what="value", key=what, size=len(raw), limit=limit
        )
    return raw


def raw_value(raw: bytes) -> msgspec.Raw:
    """Encoded bytes as a part of a larger JSON text that is being encoded."""
    return msgspec.Raw(raw)
