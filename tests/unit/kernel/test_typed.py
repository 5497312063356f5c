"""Typed values come back the same in what is stored of them, or are refused with the path, whatever their types say."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import enum
import functools
import math
import pathlib
import uuid
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import InvalidValue, TypeMismatch
from holdfast.kernel.codec import decode, decode_as, encode
from tests.unit.kernel.test_codec import identical, plain


def refused(value: Any) -> str:
    """The path that the refusal names."""
    with pytest.raises(InvalidValue) as refusal:
        encode({"top": [value]})
    assert str(refusal.value).encode()
    path: str = refusal.value.path
    assert path.startswith("top[0]")
    return path.removeprefix("top[0]").removeprefix(".")


def back(value: Any) -> Any:
    """What comes back of a value that is stored."""
    return decode_as(encode(value), type(value))


# --- types that say something else of themselves ---------------------------------------------------------------------


class Array:
    """As of numpy: its truth cannot be told."""

    def __bool__(self) -> bool:
        raise ValueError("the truth value of an array is ambiguous")


class Equal:
    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


class Raising:
    def __eq__(self, other: object) -> bool:
        raise KeyError("no such thing")

    def __hash__(self) -> int:
        raise KeyError("no such thing")

    def __bool__(self) -> bool:
        raise KeyError("no such thing")


class Arrays:
    def __eq__(self, other: object) -> Any:
        return Array()

    def __hash__(self) -> int:
        return 0


class Unequal:
    def __eq__(self, other: object) -> bool:
        return False

    def __hash__(self) -> int:
        return 0


KINDS: list[Any] = []
for behaviour in (Equal, Raising, Arrays, Unequal):

    @dataclasses.dataclass(eq=False)
    class OfDataclass(behaviour):  # type: ignore[misc, valid-type]
        x: Any

    class OfStruct(behaviour, msgspec.Struct, eq=False):  # type: ignore[misc, valid-type, call-arg]
        x: Any

    class OfPydantic(behaviour, pydantic.BaseModel):  # type: ignore[misc, valid-type]
        x: Any

    KINDS += [
        pytest.param(kind, id=f"{kind.__name__} {behaviour.__name__}") for kind in (OfDataclass, OfStruct, OfPydantic)
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_type_says_of_equality_neither_hides_a_loss_nor_hinders_a_value_that_is_kept(kind: Any) -> None:
    for kept in (1, "x", None, [1, {"a": 1.5}], -0.0, True):
        assert identical(back(kind(x=kept)).x, kept)
        assert identical(decode(encode([kind(x=kept)])), [{"x": kept}])
    for lost in ((1, 2), {1}, b"x", math.nan, math.inf, [(1,)], {"k": {1: 2}}, 2**70, dt.date(2026, 1, 1), 1j):
        assert refused(kind(x=lost)).split(".")[0].split("[")[0] in ("", "x")


@pytest.mark.parametrize("kind", KINDS)
@given(
    value=st.recursive(
        plain | st.binary() | st.floats() | st.dates() | st.decimals() | st.sampled_from([Decimal("sNaN"), 1j]),
        lambda inner: (
            st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.sets(st.text())
        ),
        max_leaves=5,
    )
)
def test_whatever_stands_in_a_typed_value_comes_back_the_same_or_is_refused(kind: Any, value: Any) -> None:
    with contextlib.suppress(InvalidValue):
        assert identical(back(kind(x=value)).x, value)


# --- exactly the same ------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Numbers:
    whole: int = 0
    real: float = 0.0
    any: Any = None


def test_numbers_are_told_apart_by_type_and_sign() -> None:
    for value in (
        Numbers(1, 1.0, 1),
        Numbers(0, -0.0, -0.0),
        Numbers(any=True),
        Numbers(any=1.0),
        Numbers(real=5e-324),
    ):
        assert repr(back(value)) == repr(value)
    assert repr(back(Numbers(real=2**53))) == repr(Numbers(real=float(2**53))), "a float, of just that value"
    assert refused(Numbers(real=2**53 + 1)) == "real"
    assert refused(Numbers(whole=True)) == ""
    assert refused(Numbers(real=math.nan)) == "real"
    assert refused(Numbers(any=[1, {"a": math.inf}])) == "any[1].a"


@dataclasses.dataclass
class Money:
    amount: Decimal


@pytest.mark.parametrize("text", ["1.10", "1.1", "-0", "1E+5", "NaN", "sNaN", "-Infinity"])
def test_a_decimal_is_kept_to_its_last_digit(text: str) -> None:
    value = Money(Decimal(text))
    assert back(value).amount.as_tuple() == value.amount.as_tuple()


@dataclasses.dataclass
class At:
    at: dt.datetime | None = None
    time: dt.time | None = None


NOW = dt.datetime(2026, 10, 25, 2, 30, 1, 123456, tzinfo=dt.UTC).replace(tzinfo=None)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    "value",
    [
        At(NOW), At(NOW.replace(tzinfo=dt.UTC)), At(NOW.replace(tzinfo=ZoneInfo("UTC"))),
        At(NOW.replace(tzinfo=dt.timezone(dt.timedelta(hours=-9, minutes=-30)))),
        At(time=dt.time(1, 2, 3, 4)), At(time=dt.time(1, 2, tzinfo=dt.UTC)),
    ],
    ids=str,
)  # fmt: skip
def test_a_time_is_kept_with_its_offset(value: At) -> None:
    found = back(value)
    assert found == value
    for before, after in ((value.at, found.at), (value.time, found.time)):
        if before is not None:
            assert before.utcoffset() == after.utcoffset()


@pytest.mark.parametrize(
    "value",
    [
        At(NOW.replace(fold=1)), At(NOW.replace(tzinfo=BERLIN)), At(NOW.replace(tzinfo=BERLIN, fold=1)),
        At(NOW.replace(tzinfo=dt.timezone(dt.timedelta(seconds=3661)))),
        At(time=dt.time(1, fold=1)), At(time=dt.time(1, tzinfo=BERLIN)),
    ],
    ids=str,
)  # fmt: skip
def test_a_time_that_would_lose_its_fold_or_the_rules_of_its_zone_is_refused(value: At) -> None:
    assert refused(value) == ("at" if value.at else "time")


class Sub(uuid.UUID):
    pass


class Text(str):
    pass


class Number(int):
    pass


class Real(float):
    pass


class Moment(dt.datetime):
    pass


class Tags(set[Any]):
    pass


@dataclasses.dataclass
class Rich:
    id: uuid.UUID | None = None
    text: str = ""
    number: int = 0
    real: float = 0.0
    at: dt.datetime | None = None
    raw: bytes = b""
    pair: tuple[int, ...] = ()
    tags: set[str] = dataclasses.field(default_factory=set)
    any: Any = None


def test_a_subclass_that_would_come_back_as_its_base_is_refused() -> None:
    assert refused(Rich(id=Sub(int=1))) == "id"
    assert refused(Rich(raw=bytearray(b"x"))) == "raw"  # type: ignore[arg-type]
    assert refused(Rich(pair=[1])) == "pair"  # type: ignore[arg-type]
    assert refused(Rich(tags=frozenset("x"))) == "tags"  # type: ignore[arg-type]
    for value in (
        Rich(text=Text("x")), Rich(number=Number(1)), Rich(real=Real(1.0)), Rich(at=Moment(2026, 1, 1)),
        Rich(tags=Tags("x")),
    ):  # fmt: skip
        refused(value)
    whole = Rich(uuid.UUID(int=1), "x", 1, 1.5, NOW, b"\x00", (1, 2), {"a", "b", "c"}, [1])
    assert back(whole) == whole


# --- plain containers and texts with methods of their own ------------------------------------------------------------


class Sneaky(dict[Any, Any]):
    def items(self) -> Any:
        return [("shown", 1)]

    def __iter__(self) -> Iterator[Any]:
        return iter(["shown"])

    def __len__(self) -> int:
        return 1


class SneakyList(list[Any]):
    def __iter__(self) -> Iterator[Any]:
        return iter([1])

    def __len__(self) -> int:
        return 1


class Endless(list[Any]):
    def __iter__(self) -> Iterator[Any]:
        while True:
            yield 1


class Level(enum.IntEnum):
    HIGH = 3


class Color(enum.StrEnum):
    RED = "red"

    def __len__(self) -> int:
        return -5

    def encode(self, *_: Any) -> bytes:
        raise KeyError


class Odd(int, enum.Enum):
    """A member that equals 5 and has another value."""

    FIVE = 1

    def __new__(cls, value: int) -> Odd:
        made = int.__new__(cls, 5)
        made._value_ = "five"  # type: ignore[assignment]
        return made


def test_what_is_looked_at_is_what_is_stored_whatever_a_subclass_shows() -> None:
    assert decode(encode({"a": Sneaky(real=[1], other=2)})) == {"a": {"real": [1], "other": 2}}
    assert decode(encode([SneakyList([3, 4]), Endless([5])])) == [[3, 4], [5]]
    assert refused(Sneaky(real=math.nan)) == "real"
    assert refused(SneakyList([0, (1, 2)])) == "[1]"
    assert refused(Rich(any=Sneaky(real=(1,)))) == "any.real"
    assert refused(Rich(any=Endless([b""]))) == "any[0]"


def test_members_of_enumerations_are_kept_as_what_they_equal_in_values_and_in_keys() -> None:
    value = {Color.RED: [Color.RED, Level.HIGH, Odd.FIVE]}
    assert identical(decode(encode(value)), {"red": ["red", 3, 5]})
    assert back(Rich(any=[Level.HIGH, Color.RED])).any == [3, "red"]
    assert back(Rich(any=Odd.FIVE)).any == 5


def test_containers_of_python_are_kept_as_their_contents() -> None:
    for value in (OrderedDict(b=1, a=2), defaultdict(list, a=[1]), Counter("aab")):
        assert decode(encode(value)) == dict(value)
        assert back(Rich(any=value)).any == dict(value)


def test_a_text_of_a_subclass_is_refused_as_a_key_too() -> None:
    assert refused({Text("k"): 1}) == ""


class Alike(enum.StrEnum):
    """Equal to nothing, so that a dict may hold it beside the text it is."""

    A = "a"

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return 0


def test_two_keys_that_would_become_one_are_refused() -> None:
    assert refused({Alike.A: 1, "a": 2}) == ""


# --- dataclasses and Structs -----------------------------------------------------------------------------------------


@dataclasses.dataclass
class Base:
    a: int


@dataclasses.dataclass
class Derived(Base):
    b: int = 0
    shared: ClassVar[int] = 7


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Slotted:
    a: int
    b: list[int] = dataclasses.field(default_factory=list, compare=False, repr=False)


@dataclasses.dataclass
class Computed:
    a: int
    twice: int = dataclasses.field(init=False)
    fixed: int = dataclasses.field(init=False, default=3)

    def __post_init__(self) -> None:
        self.twice = 2 * self.a

    @functools.cached_property
    def thrice(self) -> int:
        return 3 * self.a


@dataclasses.dataclass
class WithInitVar:
    a: int
    seed: dataclasses.InitVar[int] = 0


@dataclasses.dataclass
class Holder:
    of: Base


class Extensible(msgspec.Struct, dict=True):  # type: ignore[call-arg]
    a: int = 0


class Sparse(msgspec.Struct, omit_defaults=True, rename="camel", tag=True, array_like=False):
    the_first: int = 0
    the_second: list[int] | msgspec.UnsetType = msgspec.UNSET


class Listed(msgspec.Struct, array_like=True):
    a: int
    b: Any = None


@dataclasses.dataclass
class Embedded:
    raw: msgspec.Raw


@pytest.mark.parametrize(
    "value",
    [Derived(1, 2), Slotted(a=1, b=[1]), Computed(2), Holder(Base(1)), Extensible(1), Sparse(), Sparse(1, [2]),
     Listed(1, {"a": 1}), Embedded(msgspec.Raw(b"[1, 2]"))],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_types_of_every_make_come_back_the_same(value: Any) -> None:
    found = back(value)
    assert isinstance(value, Embedded) or found == value
    assert encode(found) == encode(value)


def test_what_was_only_computed_from_the_rest_does_not_count() -> None:
    value = Computed(2)
    assert value.thrice == 6
    assert back(value) == value


def test_what_a_type_would_lose_is_refused_by_its_name() -> None:
    more = Derived(1)
    more.extra = 1  # type: ignore[attr-defined]
    assert refused(more) == "extra"
    changed = Computed(2)
    changed.fixed = 4
    assert back(changed) == changed
    changed.twice = 5
    assert refused(changed) == "twice"
    struct = Extensible(1)
    struct.extra = 1  # type: ignore[attr-defined]
    assert refused(struct) == "extra"
    assert refused(Holder(Derived(1, 2))) == "of"
    assert refused(Slotted(a=1, b=[1, (2,)])) == ""  # type: ignore[list-item]
    assert refused(Listed(1, {"a": (1,)})) == "b.a"
    assert refused(WithInitVar(1)) == ""
    assert refused(Embedded(msgspec.Raw(b"junk"))) == ""


# --- pydantic --------------------------------------------------------------------------------------------------------


class Renamed(pydantic.BaseModel):
    both: int = pydantic.Field(alias="twoNames")
    one: int = pydantic.Field(default=0, serialization_alias="there", validation_alias="here")


class Guarded(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    a: int = 0
    spent: float = 0
    hidden: int = pydantic.Field(default=3, exclude=True)
    _private: int = 4

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def twice(self) -> int:
        return 2 * self.a

    @functools.cached_property
    def thrice(self) -> int:
        return 3 * self.a


class Folder(pydantic.BaseModel):
    path: pathlib.Path = pathlib.Path("x")
    paths: set[pathlib.Path] = set()
    secret: pydantic.SecretStr | None = None
    base: Base | None = None
    model: Guarded | None = None


class Rooted(pydantic.RootModel[list[int]]):
    pass


class Lying:
    """A type of somebody's own, of which half is stored, and which is equal to all."""

    def __init__(self, kept: str, lost: int = 0) -> None:
        self.kept, self.lost = kept, lost

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, cls) else cls(value),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda value: value.kept),
        )


class Own(pydantic.BaseModel):
    of: Lying


def test_pydantic_models_come_back_the_same() -> None:
    guarded = Guarded(a=2, more={"b": [1]})  # type: ignore[call-arg]
    assert guarded.thrice == 6
    paths = {pathlib.Path(name) for name in "abc"}
    for value in (
        Renamed(twoNames=1), guarded, Folder(paths=paths, base=Base(1), model=Guarded()), Rooted([1, 2]),
        Own(of=Lying("x")),
    ):  # fmt: skip
        found = back(value)
        assert found.model_dump() == value.model_dump()
    assert type(back(Guarded()).spent) is float, "the default 0 is what the model dumps: 0.0"


def test_what_a_pydantic_model_would_lose_is_refused_by_its_name() -> None:
    hidden, private = Guarded(hidden=5), Guarded()
    private._private = 5
    assert refused(hidden) == "hidden"
    assert refused(private) == "_private"
    assert refused(Renamed(twoNames=1, here=5)) in ("", "one")
    assert refused(Folder(secret=pydantic.SecretStr("x"))) == "secret"
    assert refused(Folder(model=Guarded(more=(1, 2)))) == "model.more"  # type: ignore[call-arg]
    assert refused(Folder(base=Derived(1, 2))) == "base"
    assert refused(Own(of=Lying("x", 5))) == "of.lost"


def test_a_pydantic_model_that_holds_another_type_than_it_declares_is_refused_without_a_warning() -> None:
    loose = Guarded()
    loose.a = "3"  # type: ignore[assignment]
    assert refused(loose) == "a"
    refused(Folder.model_construct(path=3))  # type: ignore[arg-type]


# --- types that raise ------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class RaisingWhenMade:
    a: int

    def __post_init__(self) -> None:
        if self.a != 1:
            raise LookupError(self.a)


class RaisingWhenDumped(pydantic.BaseModel):
    a: int

    @pydantic.model_serializer
    def dump(self) -> dict[str, int]:
        raise RuntimeError("not to be dumped")


@dataclasses.dataclass(frozen=True)
class RaisingWhenHashed:
    a: int

    def __hash__(self) -> int:
        if self.a:
            raise AssertionError
        return 0


def test_whatever_the_code_of_a_type_raises_is_told_as_a_refusal() -> None:
    made = RaisingWhenMade(1)
    made.a = 2
    assert refused(made) == ""
    assert refused(RaisingWhenDumped(a=1)) == ""

    @dataclasses.dataclass
    class Several:
        of: set[RaisingWhenHashed]

    hashed = RaisingWhenHashed(0)
    several = Several({hashed})
    object.__setattr__(hashed, "a", 1)
    assert refused(several) == ""


class Fickle(pydantic.BaseModel):
    """Dumps something else every time."""

    a: int
    _times: ClassVar[int] = 0

    @pydantic.model_serializer
    def dump(self) -> dict[str, Any]:
        Fickle._times += 1
        return {"a": self.a, "times": Fickle._times}


def test_the_bytes_that_were_looked_at_are_those_that_are_stored() -> None:
    Fickle._times = 0
    assert decode(encode([Fickle(a=1)])) == [{"a": 1, "times": 1}]


@dataclasses.dataclass
class Table(dict):  # type: ignore[type-arg]
    x: int = 0


@dataclasses.dataclass
class Ordered(OrderedDict):  # type: ignore[type-arg]
    x: int = 0


@dataclasses.dataclass
class Count(int):
    x: int = 0


@dataclasses.dataclass
class Failure(Exception):
    x: int = 0


@dataclasses.dataclass
class Keeper:
    inner: Any


@pytest.mark.parametrize("value", [Table(x=5), Ordered(x=5), Count(7), Failure(3)], ids=repr)
def test_a_typed_value_that_holds_more_than_its_fields_is_refused(value: Any) -> None:
    """Only the fields would come back; and looking into what msgspec makes of such a type ends the process."""
    assert refused(value) == ""
    assert refused(Keeper([value])) == "inner.0"
    with pytest.raises(InvalidValue):
        encode({"a": value})
    with pytest.raises(TypeMismatch, match="only its fields"):
        decode_as(b'{"x":1}', type(value))
