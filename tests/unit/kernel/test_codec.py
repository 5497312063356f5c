"""Values to bytes and back: exactly, or refused with the path to what would change."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import enum
import math
import struct
import uuid
from collections import OrderedDict, namedtuple
from decimal import Decimal
from typing import Any, Generic, TypedDict, TypeVar

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import Corrupt, InvalidValue, TooLarge, TypeMismatch
from holdfast.kernel.codec import decode, decode_as, encode
from holdfast.kernel.limits import DEPTH_MAX, VALUE_BYTES_MAX

T = TypeVar("T")
NOW = dt.datetime(2026, 11, 21, 1, 2, 3, 456789, tzinfo=dt.UTC)

texts = st.text(st.characters(exclude_categories=("Cs",)))
scalars = (
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**63), max_value=2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
plain = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=30)


def identical(one: Any, other: Any) -> bool:
    """Equal in type and to the last bit, all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(identical(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(identical, one, other))
    if isinstance(one, float):
        return struct.pack("d", one) == struct.pack("d", other)
    return bool(one == other)


@given(plain)
def test_what_is_accepted_comes_back_the_same_in_type_and_to_the_last_bit(value: Any) -> None:
    assert identical(decode(encode(value)), value)


@pytest.mark.parametrize(
    "value",
    ["\x00", "a\x00b", "\U0010ffff", "\u2028", -(2**63), 2**64 - 1, 2**53 + 1, -0.0, 5e-324, 1.7976931348623157e308,
     0.1 + 0.2, 1e16, 1.0, True, None, "", [], {}, {"": 0}, {"\x00": "\x00"}, [[], {}], {"a": {"b": [1, "x", None]}}],
)  # fmt: skip
def test_edges_come_back_the_same(value: Any) -> None:
    assert identical(decode(encode(value)), value)
    assert identical(decode(encode([value] * 20)), [value] * 20)


@given(st.lists(st.integers(), min_size=12) | st.lists(st.floats(), min_size=12) | st.lists(st.text(), min_size=12))
def test_long_lists_of_one_kind_are_refused_or_come_back_the_same(value: list[Any]) -> None:
    with contextlib.suppress(InvalidValue):
        assert identical(decode(encode(value)), value)


class Plain(enum.Enum):
    ONE = 1


Pair = namedtuple("Pair", "left right")


class Text(str):
    pass


class Number(int):
    pass


@pytest.mark.parametrize(
    "part",
    [math.nan, math.inf, -math.inf, {1}, frozenset({1}), (1, 2), Pair(1, 2), b"x", bytearray(b"x"), memoryview(b"x"),
     NOW, NOW.date(), dt.timedelta(1), uuid.UUID(int=7), Decimal("1.5"), 2**64, -(2**63) - 1, 2**100, 10**5000,
     1j, object(), len, int, ..., range(3), Plain.ONE, Text("x"), Number(3), (x for x in ()), "\ud800", "a\udfffb",
     Exception("x")],
    ids=lambda part: type(part).__name__,
)  # fmt: skip
def test_what_would_change_silently_is_refused_with_the_path_to_it(part: Any) -> None:
    with pytest.raises(InvalidValue) as alone:
        encode(part)
    assert alone.value.path == ""
    with pytest.raises(InvalidValue) as inside:
        encode({"a": [0, {"b": part}]})
    assert inside.value.path == "a[1].b"
    with pytest.raises(InvalidValue) as among:
        encode([1.0, "x", *range(20), part])
    assert among.value.path == "[22]"


@pytest.mark.parametrize("key", [1, True, None, 1.5, (1,), b"x", NOW])
def test_a_key_that_is_not_text_is_refused(key: Any) -> None:
    with pytest.raises(InvalidValue, match="not text") as refused:
        encode({"a": [{key: 1}]})
    assert refused.value.path == "a[0]"


def test_two_keys_that_would_become_one_are_refused() -> None:
    with pytest.raises(InvalidValue):
        encode({1: "a", "1": "b"})


def test_a_lone_surrogate_in_a_key_is_refused_with_an_error_that_can_be_printed() -> None:
    with pytest.raises(InvalidValue) as refused:
        encode({"a": {"\ud800": 1}})
    assert refused.value.path == r"a.\ud800"
    assert str(refused.value).encode()


def test_a_subclass_that_equals_its_plain_form_is_kept_as_that() -> None:
    class Level(enum.IntEnum):
        HIGH = 3

    assert identical(decode(encode(OrderedDict(a=Level.HIGH))), {"a": 3})


# --- depth, size, time -----------------------------------------------------------------------------------------------


def nested(depth: int, *, leaf: Any = None, of: type = list) -> Any:
    """`depth` containers in each other."""
    value: Any = of() if leaf is None else leaf
    for _ in range(depth - (leaf is None)):
        value = [value] if of is list else {"a": value}
    return value


@pytest.mark.parametrize("of", [list, dict])
@pytest.mark.parametrize("leaf", [None, 1, "x"])
def test_the_deepest_value_is_stored_and_one_deeper_refused(of: type, leaf: Any) -> None:
    deepest = nested(DEPTH_MAX, leaf=leaf, of=of)
    assert decode(encode(deepest)) == deepest
    with pytest.raises(InvalidValue, match="deeper than 64"):
        encode(nested(DEPTH_MAX + 1, leaf=leaf, of=of))


def test_depth_counts_inside_typed_values_too() -> None:
    @dataclasses.dataclass
    class Box:
        content: Any

    deepest = Box(nested(DEPTH_MAX - 1))
    assert decode(encode(deepest)) == {"content": deepest.content}
    with pytest.raises(InvalidValue, match="deeper than 64"):
        encode(Box(nested(DEPTH_MAX)))
    with pytest.raises(InvalidValue, match="deeper than 64"):
        encode([Box(nested(DEPTH_MAX - 1))])


def test_a_cycle_is_refused_with_its_path() -> None:
    loop: list[Any] = [0]
    loop.append({"again": loop})
    with pytest.raises(InvalidValue, match="contains itself") as refused:
        encode(loop)
    assert refused.value.path == "[1].again"


def test_a_typed_value_that_contains_itself_is_refused() -> None:
    @dataclasses.dataclass
    class Node:
        after: Any = None

    node = Node()
    node.after = [node]
    with pytest.raises(InvalidValue, match="contains itself"):
        encode(node)


def test_the_same_part_may_stand_in_two_places() -> None:
    part = {"a": 1}
    assert decode(encode([part, part])) == [part, part]


def test_the_largest_value_is_stored_and_one_byte_more_refused() -> None:
    for largest in ("x" * (VALUE_BYTES_MAX - 2), [0] * (VALUE_BYTES_MAX // 2 - 2) + [10]):
        assert len(encode(largest)) == VALUE_BYTES_MAX
    for larger in ("x" * (VALUE_BYTES_MAX - 1), [0] * (VALUE_BYTES_MAX // 2 - 2) + [100]):
        with pytest.raises(TooLarge) as refused:
            encode(larger, what="cart")
        assert (refused.value.limit, refused.value.key) == (VALUE_BYTES_MAX, "cart")
    assert encode("é" * 4, bytes_max=10)
    with pytest.raises(TooLarge):
        encode("é" * 4, bytes_max=9)


def doubled(depth: int, leaf: Any) -> Any:
    for _ in range(depth):
        leaf = [leaf, leaf]
    return leaf


@dataclasses.dataclass
class Held:
    content: Any


class HeldByPydantic(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    content: Any


@pytest.mark.parametrize(
    "absurd",
    [
        doubled(50, 1),
        doubled(60, {}),
        Held(doubled(40, 1)),
        {"a": Held(doubled(40, 1.5))},
        HeldByPydantic(content=1, more=doubled(40, "x")),
        ["x" * 100_000] * 100_000,
        {str(n): ["y" * 100_000] * 1000 for n in range(1000)},
        [0] * 5_000_000,
    ],
    ids=["lists", "dicts", "typed", "typed inside", "pydantic", "texts", "texts in dicts", "long"],
)
def test_a_value_that_is_small_in_memory_and_endless_as_text_is_refused_in_bounded_time(absurd: Any) -> None:
    with pytest.raises(TooLarge):
        encode(absurd)  # or the whole run ends by its own time limit: two to the fortieth parts are not looked at


# --- typed values ----------------------------------------------------------------------------------------------------


class Fare(msgspec.Struct):
    price: Decimal
    at: dt.datetime
    id: uuid.UUID
    digest: bytes
    seats: tuple[int, ...] = ()
    tags: set[str] = set()


@dataclasses.dataclass
class Stop:
    name: str
    after: dt.timedelta
    fare: Fare | None = None


class Trip(pydantic.BaseModel):
    name: str
    at: dt.datetime
    price: Decimal
    id: uuid.UUID
    stops: set[str] = set()


class StrictTrip(Trip):
    model_config = pydantic.ConfigDict(strict=True)


class Aliased(pydantic.BaseModel):
    inner: int = pydantic.Field(alias="outer")


FARE = Fare(Decimal("900.10"), NOW, uuid.UUID(int=9), b"\x00\xff", (1, 2), {"a"})
TRIP = {"name": "Kyoto", "at": NOW, "price": Decimal("1.10"), "id": uuid.UUID(int=3), "stops": {"a", "b"}}


@pytest.mark.parametrize(
    "value",
    [
        FARE,
        Stop("KIX", dt.timedelta(hours=1, microseconds=1), FARE),
        Trip(**TRIP),
        StrictTrip(**TRIP),
        Aliased(outer=3),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_typed_value_comes_back_equal_through_its_type(value: Any) -> None:
    assert decode_as(encode(value), type(value)) == value
    assert decode_as(encode([value]), list[type(value)]) == [value]  # type: ignore[misc]
    assert decode_as(encode({"k": value}), dict[str, type(value)]) == {"k": value}  # type: ignore[misc]


def test_a_typed_value_that_would_not_come_back_equal_is_refused_naming_the_field() -> None:
    @dataclasses.dataclass
    class Loose:
        good: int
        bad: Any

    with pytest.raises(InvalidValue, match="bad") as refused:
        encode({"a": [Loose(1, {1, 2})]})
    assert refused.value.path == "a[0].bad"
    for bad in (math.nan, (1, 2), b"x", 2**100, {1: 2}):
        with pytest.raises(InvalidValue):
            encode(Loose(1, bad))


def test_a_typed_value_whose_fields_do_not_hold_what_they_declare_is_refused() -> None:
    @dataclasses.dataclass
    class Typed:
        count: int

    with pytest.raises(InvalidValue, match="Typed"):
        encode(Typed("three"))  # type: ignore[arg-type]


def test_a_struct_without_an_equality_of_its_own_is_compared_by_its_parts() -> None:
    class Opaque(msgspec.Struct, eq=False):
        a: Any

    assert decode_as(encode(Opaque(1)), Opaque).a == 1
    with pytest.raises(InvalidValue):
        encode(Opaque((1, 2)))


def test_a_type_whose_annotations_cannot_be_resolved_is_refused_clearly() -> None:
    @dataclasses.dataclass
    class Broken:
        a: Nowhere  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(InvalidValue):
        encode(Broken(1))
    with pytest.raises(TypeMismatch):
        decode_as(b"{}", Broken)


class Prefs(TypedDict):
    language: str


class Boxed(msgspec.Struct, Generic[T]):
    content: T


@pytest.mark.parametrize(
    ("raw", "kind", "value"),
    [
        (b"3", int, 3),
        (b"3", float, 3.0),
        (b"3", int | str, 3),
        (b"null", int | None, None),
        (b'["a"]', list[str], ["a"]),
        (b"[1,2]", tuple[int, int], (1, 2)),
        (b"[1,2]", set[int], {1, 2}),
        (b'{"language":"en"}', Prefs, {"language": "en"}),
        (b'{"content":[1]}', Boxed[list[int]], Boxed([1])),
        (b'"2026-11-21T01:02:03.456789Z"', dt.datetime, NOW),
        (b"3", Any, 3),
        (b'"00000000-0000-0000-0000-000000000007"', uuid.UUID, uuid.UUID(int=7)),
    ],
)
def test_stored_values_are_read_as_builtins_unions_generics_and_typed_dicts(raw: bytes, kind: Any, value: Any) -> None:
    assert decode_as(raw, kind) == value


@pytest.mark.parametrize(
    ("raw", "kind"),
    [(b'"a"', int), (b"true", int), (b"1.5", int), (b"[1]", list[str]), (b"null", int), (b"{}", Prefs), (b"{}", Trip),
     (b"{}", Fare), (b"[]", dict[str, int]), (b'"x"', Trip)],
)  # fmt: skip
def test_a_value_of_another_type_is_a_mismatch(raw: bytes, kind: Any) -> None:
    with pytest.raises(TypeMismatch, match="stored value is not") as mismatch:
        decode_as(raw, kind)
    assert mismatch.value.type is kind


@pytest.mark.parametrize("kind", [3, "int", object(), object, len, type, complex, [int], {}, list["Nowhere"]])  # noqa: F821
def test_what_is_no_type_is_refused_clearly(kind: Any) -> None:
    with pytest.raises(TypeMismatch, match="not a type that can be read"):
        decode_as(b"3", kind)


@pytest.mark.parametrize(
    "raw", [b"", b"\x01\x02", b"\x1f", b"{", b"nul", b"\xff", b'"a', b"[1,]", b'"\x80"', b'{"\xed\xa0\x80":1}']
)
def test_bytes_that_no_encode_has_written_are_corrupt(raw: bytes) -> None:
    for read in (decode, lambda raw: decode_as(raw, Any)):
        with pytest.raises(Corrupt):
            read(raw)


@given(st.binary(max_size=40))
def test_any_bytes_are_a_value_or_corrupt(raw: bytes) -> None:
    with contextlib.suppress(Corrupt):
        assert identical(decode(encode(decode(raw))), decode(raw))
