"""JSON Patch: whatever two values there are, the patch of them makes the one the other."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.model.patch import PatchOperation, patch_of, same

FINITE = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("a/~é", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab/~", max_size=2), inner, max_size=4),
    max_leaves=12,
)


def applied(value: Any, patch: tuple[PatchOperation, ...]) -> Any:
    """The value after a patch, step by step, as RFC 6902 says; of lists no place is ever named."""
    value = msgspec.json.decode(msgspec.json.encode(value))
    for step in patch:
        if not step.path:
            value = step.value
            continue
        *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in step.path[1:].split("/")]
        place = value
        for part in parents:
            place = place[part]
        assert (last in place) is (step.op != "add")
        if step.op == "remove":
            del place[last]
        else:
            place[last] = step.value
    return value


@given(VALUES, VALUES)
def test_a_patch_makes_the_one_value_the_other(before: Any, after: Any) -> None:
    patch = patch_of(before, after)
    assert same(applied(before, patch), after)
    assert bool(patch) is not same(before, after)


@pytest.mark.parametrize(("one", "other"), [(1, True), (1, 1.0), (0.0, -0.0), ([1], [1.0]), ("1", 1), (None, 0)])
def test_what_is_not_written_alike_differs(one: Any, other: Any) -> None:
    assert not same(one, other)
    assert patch_of({"k": one}, {"k": other}) == (PatchOperation("replace", "/k", other),)


def test_a_step_is_json_as_the_standard_has_it() -> None:
    patch = patch_of({"a": 1, "b": {"c/d": 1, "e~f": 2}}, {"b": {"c/d": None}, "g": 0})
    assert msgspec.json.decode(msgspec.json.encode(patch)) == [
        {"op": "remove", "path": "/a"},
        {"op": "replace", "path": "/b/c~1d", "value": None},
        {"op": "remove", "path": "/b/e~0f"},
        {"op": "add", "path": "/g", "value": 0},
    ]
