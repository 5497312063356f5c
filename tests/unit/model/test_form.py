"""Forms: what fits a JSON Schema, and what is refused with its place."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.errors import InvalidValue
from holdfast.model.form import check_fits, check_schema

SEATS = {
    "type": "object",
    "properties": {"seats": {"type": "array", "items": {"type": "integer"}}},
    "required": ["seats"],
}


def test_what_fits_passes_and_what_does_not_is_named_with_its_place() -> None:
    """The path leads to the part that is wrong."""
    check_schema(SEATS)
    check_fits(SEATS, {"seats": [1, 2]})
    with pytest.raises(InvalidValue, match="'two' is not of type 'integer'") as problem:
        check_fits(SEATS, {"seats": [1, "two"]})
    assert problem.value.path == "value.seats.1"
    with pytest.raises(InvalidValue, match="required") as problem:
        check_fits(SEATS, {})
    assert problem.value.path == "value"


@pytest.mark.parametrize("schema", [None, [], "seats", {"type": "seat"}, {"properties": []}])
def test_what_is_no_schema_is_refused(schema: Any) -> None:
    """When it is given, and not when somebody answers."""
    with pytest.raises(InvalidValue) as problem:
        check_schema(schema)
    assert problem.value.path.startswith("schema")


def test_a_schema_fetches_nothing() -> None:
    """What refers to another document is refused, whatever stands there."""
    with pytest.raises(InvalidValue, match="refers to what is not in it"):
        check_fits({"$ref": "http://127.0.0.1:9/schema.json"}, 1)
    check_fits({"$defs": {"n": {"type": "integer"}}, "$ref": "#/$defs/n"}, 1)


def test_what_is_told_of_a_long_value_is_short() -> None:
    """An error message is bounded, whatever the value is."""
    with pytest.raises(InvalidValue) as problem:
        check_fits({"type": "integer"}, "x" * 100_000)
    assert len(str(problem.value)) < 400


SLOW = "^(a|aa|b?a)+$"


@pytest.mark.parametrize("schema", [{"pattern": SLOW}, {"patternProperties": {SLOW: True}}])
def test_a_pattern_that_takes_for_ever_is_given_up(schema: Any) -> None:
    """Whoever answers chooses the letters; the process that judges them goes on with other work."""
    letters = "a" * 40 + "b"
    with pytest.raises(InvalidValue, match="takes too long"):
        check_fits(schema, {letters: 1} if "patternProperties" in schema else letters)


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"unevaluatedProperties": False, "patternProperties": {SLOW: True}}, "not both"),
        ({"unevaluatedProperties": False, "allOf": [{"patternProperties": {SLOW: True}}]}, "not both"),
        ({"allOf": [{"$ref": "#/$defs/p"}], "$defs": {"p": {"patternProperties": {SLOW: True}}},
          "items": {"unevaluatedProperties": {"type": "integer"}}}, "not both"),
        ({"items": {"$schema": "https://json-schema.org/draft/2020-12/schema", "pattern": SLOW}}, "at the top"),
    ],
)  # fmt: skip
def test_a_schema_is_refused_of_which_patterns_would_be_matched_without_a_bound(schema: Any, problem: str) -> None:
    """When it is given: an answer to it could hold up the process. Each of them alone may be there."""
    with pytest.raises(InvalidValue, match=problem):
        check_schema(schema)
    check_schema({"unevaluatedProperties": False, "properties": {"$schema": {"type": "string"}}})
    check_schema({"$schema": "https://json-schema.org/draft/2020-12/schema", "patternProperties": {SLOW: True}})


def test_patterns_mean_what_they_do_in_any_json_schema() -> None:
    """The engine is another one, the judgement is the same."""
    schema = {
        "properties": {"id": {"pattern": "^[a-z]+$"}},
        "patternProperties": {"^n": {"type": "integer"}},
        "additionalProperties": False,
    }
    check_schema(schema)
    check_fits(schema, {"id": "ab", "n1": 2})
    for value, problem in (
        ({"id": "AB"}, "does not match"),
        ({"n1": "two"}, "not of type 'integer'"),
        ({"other": 1}, "'other' is not one of its properties"),
    ):
        with pytest.raises(InvalidValue, match=problem):
            check_fits(schema, value)
    check_fits({"additionalProperties": {"type": "integer"}}, {"a": 1})
    with pytest.raises(InvalidValue) as refused:
        check_fits({"additionalProperties": {"type": "integer"}}, {"a": "one"})
    assert refused.value.path == "value.a"


def test_what_nests_without_an_end_is_refused_in_words() -> None:
    """A schema that is its own definition, and one that names no draft."""
    with pytest.raises(InvalidValue, match="without an end"):
        check_fits({"$ref": "#"}, 1)
    with pytest.raises(InvalidValue, match=r"\$schema is a text"):
        check_schema({"$schema": 5})
    with pytest.raises(InvalidValue, match="cannot be read"):
        check_fits({"pattern": "("}, "a")


def test_many_elements_are_told_apart_in_no_time() -> None:
    """One pass, where each beside each would take minutes; what is equal in JSON is the same."""
    schema = {"uniqueItems": True}
    check_fits(schema, [{"seat": n, "row": [n]} for n in range(4_000)])
    check_fits(schema, [1, True, "1", [1], None, 0, False, 1e300])
    for twice in ([1, 1.0], [{"a": 1, "b": 2}, {"b": 2, "a": 1}], [[1], [1.0]]):
        with pytest.raises(InvalidValue, match="twice"):
            check_fits(schema, twice)
