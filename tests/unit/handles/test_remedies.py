"""Messages and remedies of errors: they fit the case, and are plain English."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest

from holdfast import Budget, Config, Holdfast, NotFound, Scope, sync
from holdfast.errors import STORABLE, Closed, InvalidValue, TypeMismatch, Unavailable, UseTransaction, WrongKey
from holdfast.model.keyring import KeyRing


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


def test_a_blocking_call_is_told_of_blocking_code() -> None:
    """A remedy on the blocking face can be pasted there."""
    with sync.Holdfast.open("memory://") as hold:
        s = hold.sessions.create()
        with s.transaction() as tx:
            tx.state.set("a", 1)
            with pytest.raises(UseTransaction) as past:
                s.state.set("a", 2)
    assert past.value.remedy == "Inside `with s.transaction() as tx`, write through `tx`."
    assert "async" not in "".join(past.value.__notes__)


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"state": {"compression": "x"}}, r"state.compression in .*: must be 'auto' or 'off', not 'x'$"),
        ({"state": {"temp_ttl": "x"}}, r"^state.temp_ttl in the argument \[state\]: must be"),
        ({"state": {"temp_tll": 1}}, "did you mean temp_ttl"),
        ({"budget": {"tokens": -1}}, r"^budget.tokens in the argument \[budget\]: must be"),
        ({"cache": {"enabled": "maybe"}}, "must be true or false, not 'maybe'"),
    ],
)
def test_a_setting_that_is_wrong_says_what_would_be_right(parts: dict[str, Any], told: str) -> None:
    """What may stand there, the place, and each name once."""
    with pytest.raises(InvalidValue) as refused:
        Config.load(environment={}, **parts)
    assert re.search(told, str(refused.value.args[0]))


BARE = base64.b64encode(bytes(range(32))).decode()


@pytest.mark.parametrize(
    ("text", "message", "remedy"),
    [
        (BARE, "not written id=BASE64", "Put an id and = before"),
        (f"a={BARE},a={BARE}", "names a key id twice", "an id of its own"),
        ("a=!!", "not base64", "Make a key"),
        ("", "no key is named", "Write id=BASE64"),
    ],
)
def test_keys_that_cannot_be_read_say_how_they_are_written(text: str, message: str, remedy: str) -> None:
    """Each way to write them wrong has a remedy of its own, and no message shows a key."""
    with pytest.raises(InvalidValue, match=message) as refused:
        KeyRing.parse(text)
    assert remedy in refused.value.remedy
    assert BARE[:16] not in str(refused.value)


async def test_a_rekey_without_keys_says_how_to_give_some(hold: Holdfast) -> None:
    """There are no key ids that it could speak of."""
    with pytest.raises(WrongKey) as refused:
        await hold.rekey()
    assert "strict=False" in refused.value.remedy


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://127.0.0.1:1/x?timeout=0.01", "127.0.0.1:1/x: Connect call failed ('127.0.0.1', 1)"),
        ("postgresql://127.0.0.1:1/x?sslmode=bogus", "127.0.0.1:1/x: `sslmode` parameter must be one of"),
        ("sqlite:////proc/x.db", "the folder /proc takes no files"),
    ],
)
async def test_a_store_that_cannot_be_reached_is_told_of_in_words(url: str, told: str) -> None:
    """No class of Python, no None, and no advice to wait for what will not change."""
    with pytest.raises((InvalidValue, Unavailable)) as refused:
        await Holdfast.open(url)
    assert told in str(refused.value.args[0])
    assert not re.search("None|Error|later", str(refused.value.args[0]))
    assert isinstance(refused.value, InvalidValue) or "later" in refused.value.remedy
