"""Specifications of nodes: judged where they are written, not when a node fails."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.errors import InvalidValue
from holdfast.model.node_spec import Ask, NodeSpec, ask


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"timeout": -1}, "timeout"),
        ({"timeout": "soon"}, "timeout"),
        ({"join": "some"}, "join"),
        ({"join": 0}, "join"),
        ({"retry": 3}, "retry"),
        ({"optional": 1}, "optional"),
        ({"on_failure": "ask"}, "on_failure"),
    ],
)
def test_a_specification_that_means_nothing_is_not_made(given: dict[str, Any], path: str) -> None:
    """It is refused where it is written, with the field that is wrong."""
    with pytest.raises(InvalidValue) as refused:
        NodeSpec(**given)
    assert refused.value.path == path


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"prompt": 5}, "prompt"),
        ({"timeout": 0}, "timeout"),
        ({"on_timeout": "bogus"}, "on_timeout"),
        ({"assignees": "bo"}, "assignees"),
        ({"assignees": [1]}, "assignees"),
        ({"assignees": [""]}, "assignees"),
        ({"assignees": [f"u{number}" for number in range(33)]}, "assignees"),
    ],
)
def test_a_question_that_cannot_be_asked_is_not_made(given: dict[str, Any], path: str) -> None:
    """By whichever name it is made: else the node could never fail."""
    for make in (ask, Ask):
        with pytest.raises(InvalidValue) as refused:
            make(**given)
        assert refused.value.path == path
    assert ask(assignees=[f"u{number}" for number in range(32)]).assignees[31] == "u31"
