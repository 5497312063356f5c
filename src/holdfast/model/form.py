"""Forms: values that are to fit a JSON Schema.

The library that judges them is an extra, imported when a schema is first given. It fetches nothing: a schema that
refers to another document is refused.
"""

from __future__ import annotations

from typing import Any

from holdfast.errors import InvalidValue, MissingExtra, shown

MESSAGE_MAX = 300
"""Letters of what the library says that are shown at most."""


def check_schema(schema: Any) -> None:
    """Raise InvalidValue unless that is a JSON Schema, MissingExtra where none can be judged."""
    if not isinstance(schema, (dict, bool)):
        raise InvalidValue(f"a schema is a mapping, not {shown(schema)}", path="schema")
    jsonschema = _library()
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except jsonschema.exceptions.SchemaError as problem:
        raise InvalidValue(f"not a JSON Schema: {_told(problem.message)}", path=_path("schema", problem)) from None


def check_fits(schema: Any, value: Any) -> None:
    """Raise InvalidValue, naming the place, unless the value fits the schema."""
    jsonschema = _library()
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    judge = kind(schema, registry=Registry())
    try:
        problem = jsonschema.exceptions.best_match(judge.iter_errors(value))
    except Unresolvable as unknown:
        raise InvalidValue(f"the schema refers to what is not in it: {_told(str(unknown))}", path="schema") from None
    if problem is not None:
        raise InvalidValue(f"the value does not fit: {_told(problem.message)}", path=_path("value", problem))


def _library() -> Any:
    try:
        import jsonschema
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
