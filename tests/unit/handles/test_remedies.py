"""Messages and remedies of errors: they fit the case, and are plain English."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast import Budget, Holdfast, NotFound, Scope
from holdfast.errors import STORABLE, Closed, InvalidValue, TypeMismatch


@pytest.mark.parametrize("bad", [{"limit": 0}, {"status": "x"}, {"cursor": "x"}, {"order": "x"}])
async def test_only_what_is_stored_is_told_of_json(hold: Holdfast, bad: dict[str, Any]) -> None:
    """A remedy speaks of what was asked, and of the types that can be stored only where a value was to be."""
    with pytest.raises(InvalidValue) as refused:
        await hold.sessions.list(**bad)
    assert "JSON" not in refused.value.remedy
    with pytest.raises(InvalidValue, match="is an object") as unstored:
        await hold.state(Scope.user("ada")).set("a", object())
    assert unstored.value.remedy == STORABLE


async def test_what_is_not_there_is_not_said_to_be_of_a_handle(hold: Holdfast) -> None:
    """Whoever names a session has no handle that could be old."""
    with pytest.raises(NotFound) as missing:
        await hold.state(Scope.session("gone")).get("a")
    assert str(missing.value) == "session/gone does not exist (any more)"


async def test_a_mutation_with_the_wrong_function_or_type_says_what_to_give(hold: Holdfast) -> None:
    """The remedy is about the argument, not about what is stored."""
    state = hold.state(Scope.user("ada"))
    await state.set("n", 1)

    async def later(value: Any) -> Any:
        return value

    with pytest.raises(TypeMismatch) as mistaken:
        await state.mutate("n", later)
    assert "transact" in mistaken.value.remedy
    with pytest.raises(TypeMismatch, match="did you mean default='int'") as quoted:
        await state.get("n", "int")  # type: ignore[call-overload]
    assert "Give a type itself" in quoted.value.remedy
    with pytest.raises(TypeMismatch, match="holds an int, not a mapping"):
        await state.merge("n", {"a": 1})


def test_a_budget_shows_what_it_says() -> None:
    """What a budget leaves out is left out."""
    assert repr(Budget(iterations=3, tokens=None)) == "Budget(iterations=3, tokens=None)"


async def test_a_closed_store_lets_nobody_act() -> None:
    """Closed at once, and not with the first commit inside."""
    hold = await Holdfast.open("memory://")
    await hold.close()
    with pytest.raises(Closed), hold.acting(by="ada"):
        pass
