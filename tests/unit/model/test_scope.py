"""Scopes by their public names."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.errors import InvalidId
from holdfast.model.scope import KINDS, Scope


def test_each_kind_has_its_maker_and_its_text_form() -> None:
    scopes = [Scope.session("a"), Scope.user("a"), Scope.agent("a"), Scope.global_("a"), Scope.run("a")]
    assert [scope.kind for scope in scopes] == list(KINDS)
    assert [str(scope) for scope in scopes] == ["session/a", "user/a", "agent/a", "global/a", "run/a"]


@pytest.mark.parametrize("id", ["a", "a/b", "/", "%2F", "ü", "x" * 256])
def test_the_text_form_is_read_back(id: str) -> None:
    assert Scope.parse(str(Scope.user(id))) == Scope.user(id)


@pytest.mark.parametrize("text", ["", "user", "user/", "/ada", "nope/x", "User/ada", None, 3, b"user/ada"])
def test_any_other_text_names_no_scope(text: Any) -> None:
    with pytest.raises(InvalidId, match="names no scope"):
        Scope.parse(text)


def test_scopes_are_equal_by_what_they_name_and_can_be_keys() -> None:
    assert {Scope.user("ada"): 1}[Scope.user("ada")] == 1
    assert Scope.user("ada") != Scope.agent("ada")
