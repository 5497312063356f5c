"""Variables by themselves: what the environment's text says, and what they show."""

import pytest

from holdfast.errors import TypeMismatch
from holdfast.model.variable import Variable, from_environment


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (None, "12", "12"),
        ("string", "12", "12"),
        ("integer", "12", 12),
        ("number", "1.5", 1.5),
        ("boolean", "true", True),
        ("object", '{"a": [1]}', {"a": [1]}),
        ("array", "[]", []),
    ],
)
def test_the_text_of_the_environment_is_read_as_the_type_says(kind, text, value) -> None:
    assert from_environment("v", "V", text, kind) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [("integer", "1.5"), ("integer", "true"), ("number", "NaN"), ("number", "Infinity"), ("boolean", "yes"),
     ("object", "[]"), ("array", "{"), ("array", ""), ("integer", "null")],
)  # fmt: skip
def test_text_that_says_something_else_is_refused_untold(kind, text) -> None:
    with pytest.raises(TypeMismatch) as caught:
        from_environment("v", "V", f"{text}", kind)
    assert not text or f"{text!r}" not in str(caught.value)


def test_what_is_not_to_be_seen_is_in_no_repr() -> None:
    for one in (Variable("v", "user", "hidden", secret=True), Variable("v", "user", "hidden", env="V")):
        assert "hidden" not in f"{one!r} {one}"
    assert "'seen'" in repr(Variable("v", "user", "seen"))
