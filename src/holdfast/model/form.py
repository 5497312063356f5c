"""Forms: values that are to fit a JSON Schema.

The library that judges them is an extra, imported when a schema is first given. It fetches nothing: a schema that
refers to another document is refused. Patterns are matched by an engine that gives up after a while: there are some
that take for ever over thirty letters, and whoever answers chooses the letters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import msgspec

from holdfast.errors import InvalidValue, MissingExtra, shown

MESSAGE_MAX = 300
"""Letters of what the library says that are shown at most."""

PATTERN_SECONDS_MAX = 0.25
"""How long one pattern may be matched against one text."""


def check_schema(schema: Any) -> None:
    """Raise InvalidValue unless that is a JSON Schema, MissingExtra where none can be judged."""
    if not isinstance(schema, (dict, bool)):
        raise InvalidValue(f"a schema is a mapping, not {shown(schema)}", path="schema")
    jsonschema = _library()
    if isinstance(schema, dict) and not isinstance(schema.get("$schema", ""), str):
        raise InvalidValue(f"$schema is a text, not {shown(schema['$schema'])}", path="schema.$schema")
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(schema)
        _check_bounded(schema)
    except jsonschema.exceptions.SchemaError as problem:
        raise InvalidValue(f"not a JSON Schema: {_told(problem.message)}", path=_path("schema", problem)) from None
    except RecursionError:
        raise InvalidValue("the schema is nested too deeply", path="schema") from None


def _check_bounded(schema: Any) -> None:
    """Raise InvalidValue for a schema of which the library would match patterns by itself, without a bound: where it
    looks for what others have evaluated, however they are put together, and where a part is of another draft."""
    parts = list(_mappings(schema))
    if all(any(keyword in part for part in parts) for keyword in ("unevaluatedProperties", "patternProperties")):
        raise InvalidValue(
            "a schema has unevaluatedProperties or patternProperties, not both, in whatever parts",
            path="schema",
            remedy="Say what else there may be by `additionalProperties`, beside the `patternProperties`.",
        )
    if any(isinstance(part.get("$schema"), str) for part in parts if part is not schema):
        raise InvalidValue("$schema stands at the top of a schema, not within it", path="schema")


def _mappings(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _mappings(part)


def check_fits(schema: Any, value: Any) -> None:
    """Raise InvalidValue, naming the place, unless the value fits the schema."""
    jsonschema = _library()
    kind = _bounded(jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator))
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    judge = kind(schema, registry=Registry())
    try:
        problem = jsonschema.exceptions.best_match(judge.iter_errors(value))
    except Unresolvable as unknown:
        raise InvalidValue(f"the schema refers to what is not in it: {_told(str(unknown))}", path="schema") from None
    except RecursionError:
        raise InvalidValue("the schema refers to itself without an end, or the value is nested too deeply") from None
    if problem is not None:
        raise InvalidValue(f"the value does not fit: {_told(problem.message)}", path=_path("value", problem))


@cache
def _bounded(kind: Any) -> Any:
    """That judge, with each pattern given up that takes too long, and elements told apart in one pass instead of each
    from each."""
    from jsonschema.validators import extend

    def pattern(judge: Any, wanted: str, text: Any, schema: Any) -> Iterator[Any]:
        if judge.is_type(text, "string") and not _matches(wanted, text):
            yield _error(f"{text!r} does not match {wanted!r}")

    def of_patterns(judge: Any, wanted: dict[str, Any], value: Any, schema: Any) -> Iterator[Any]:
        if judge.is_type(value, "object"):
            for each, part in wanted.items():
                for name in value:
                    if _matches(each, name):
                        yield from judge.descend(value[name], part, path=name, schema_path=each)

    def others(judge: Any, wanted: Any, value: Any, schema: Any) -> Iterator[Any]:
        if not judge.is_type(value, "object"):
            return
        patterns = schema.get("patternProperties", {})
        for name in value:
            if name in schema.get("properties", {}) or any(_matches(each, name) for each in patterns):
                continue
            if wanted is False:
                yield _error(f"{name!r} is not one of its properties")
            else:
                yield from judge.descend(value[name], wanted, path=name)

    def unique(judge: Any, wanted: Any, value: Any, schema: Any) -> Iterator[Any]:
        if wanted and judge.is_type(value, "array") and len({_canonical(item) for item in value}) < len(value):
            yield _error(f"{value!r} has an element twice")

    own: dict[str, Callable[..., Iterator[Any]]] = {
        "pattern": pattern,
        "patternProperties": of_patterns,
        "additionalProperties": others,
        "uniqueItems": unique,
    }
    return extend(kind, own)


def _error(message: str) -> Any:
    from jsonschema.exceptions import ValidationError

    return ValidationError(message)


def _canonical(value: Any) -> bytes:
    """A text for each value, the same for those that are equal in JSON: 1 and 1.0 are, and members have no order."""
    return msgspec.json.encode(_whole(value), order="sorted")


def _whole(value: Any) -> Any:
    if type(value) is float and abs(value) < 2**53 and value.is_integer():
        return int(value)
    if type(value) is list:
        return [_whole(item) for item in value]
    return {name: _whole(part) for name, part in value.items()} if type(value) is dict else value


def _matches(pattern: str, text: str) -> bool:
    import regex

    try:
        return regex.search(pattern, text, timeout=PATTERN_SECONDS_MAX) is not None
    except TimeoutError:
        raise InvalidValue(f"matching the pattern {shown(pattern)} takes too long", path="value") from None
    except regex.error as problem:
        raise InvalidValue(f"the pattern {shown(pattern)} cannot be read: {problem}", path="schema") from None


def _library() -> Any:
    try:
        import jsonschema
        import regex  # noqa: F401
    except ImportError as missing:
        raise MissingExtra(
            "a form is judged by a library that is not installed",
            remedy='Install it: pip install "holdfast[forms]"',
            extra="forms",
        ) from missing
    return jsonschema


def _path(root: str, problem: Any) -> str:
    return ".".join([root, *map(str, problem.absolute_path)])


def _told(text: str) -> str:
    return text if len(text) <= MESSAGE_MAX else f"{text[:MESSAGE_MAX]}…"
