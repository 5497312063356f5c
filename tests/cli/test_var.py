"""`holdfast var list|get|set|rm`."""

import asyncio
from base64 import b64encode
from pathlib import Path

import pytest

from holdfast import Holdfast
from tests.cli.program import invoke


def var(store: str, *args: str, stdin: str | None = None) -> list:
    ended = invoke("-s", store, "var", *args, stdin=stdin)
    assert ended.code == 0, ended.err
    return ended.rows


@pytest.mark.parametrize("scope", ["session/trip", "user/ada", "global/default", "run/r1"])
def test_a_variable_is_set_shown_and_removed(store: str, scope: str) -> None:
    [row] = var(store, "set", scope, "limits", '{"euros": 900}', "--type", "object")
    assert row["version"] >= 1
    assert var(store, "get", scope, "limits") == [{"euros": 900}]
    [told] = var(store, "list", scope)
    assert (told["name"], told["value"], told["type"]) == ("limits", {"euros": 900}, "object")
    assert var(store, "rm", scope, "limits") == [{"scope": scope, "removed": 1}]
    ended = invoke("-s", store, "var", "get", scope, "limits")
    assert ended.code == 3
    assert "'limits'" in ended.err


def test_the_nearest_level_is_shown_and_one_can_be_named(store: str) -> None:
    var(store, "set", "user/ada", "city", "--text", "Osaka")
    var(store, "set", "session/trip", "city", "-", "--text", stdin="Kyoto\n")
    var(store, "set", "session/trip", "city", "--text", "Nara", "--level", "run", "--run", "r1")
    assert var(store, "get", "session/trip", "city") == ["Kyoto"]
    assert var(store, "get", "session/trip", "city", "--run", "r1") == ["Nara"]
    levels = [row["level"] for row in var(store, "list", "session/trip", "--run", "r1")]
    assert levels == ["run", "session", "user"]
    assert invoke("-s", store, "var", "get", "session/trip", "city", "--raw").out == "Kyoto\n"


@pytest.mark.parametrize(
    ("of", "level"),
    [
        (("--run", "r1"), "run"),
        (("--run", "r1", "--node", "pay"), "node"),
        (("--workflow", "book"), "workflow"),
        (("--run", "r1", "--node", "pay", "--level", "run"), "run"),
    ],
)
def test_what_is_of_a_run_is_set_and_removed_there(store: str, of: tuple[str, ...], level: str) -> None:
    """`--run` names where the variable is: the session's own is left as it is."""
    if "--level" in of:
        assert invoke("-s", store, "var", "set", "session/trip", "n", "1", *of).code == 2
        of = of[:2]
    var(store, "set", "session/trip", "n", "0")
    var(store, "set", "session/trip", "n", "1", *of)
    assert var(store, "get", "session/trip", "n") == [0]
    assert var(store, "list", "session/trip", *of)[0]["level"] == level
    assert var(store, "rm", "session/trip", "n", *of)[0]["removed"] == 1
    assert var(store, "get", "session/trip", "n", *of) == [0]


def test_a_run_that_a_session_keeps_has_no_variables_of_its_own(store: str) -> None:
    """Nothing is looked for, or set, where nobody finds it: it says where they are."""

    async def work() -> None:
        async with Holdfast.open(f"sqlite:///{store}", background=False) as hold:
            trip = await hold.sessions.get("trip")
            assert trip is not None
            await trip.runs.start("book", id="r1")

    asyncio.run(work())
    for args in (("list", "run/r1"), ("set", "run/r1", "n", "1"), ("get", "run/r1", "n")):
        ended = invoke("-s", store, "var", *args)
        assert ended.code == 3
        assert "session/trip … --run r1" in ended.err
    ended = invoke("-s", store, "state", "get", "run/r1")
    assert (ended.code, ended.rows) == (0, [{}])
    assert "session/trip" in ended.err


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("set", "session/trip", "v", "{"), 2),
        (("set", "session/trip", "v"), 2),
        (("set", "session/trip", "v", "1", "--type", "string"), 2),
        (("set", "session/trip", "v", "1", "--secret"), 1),
        (("set", "session/trip", "v", "--env", "HOME"), 2),
        (("set", "session/trip", "v", "1", "--level", "run"), 2),
        (("set", "session/gone", "v", "1"), 3),
        (("rm", "session/trip", "v"), 3),
        (("list", "session/gone"), 3),
        (("list", "agent/helper"), 2),
        (("list", "user/ada", "--run", "r1"), 2),
        (("list", "run/r1", "--run", "r2"), 2),
        (("set", "session/trip", "v", "1", "--level", "session", "--run", "r1"), 2),
        (("set", "session/trip", "v", "1", "--run", "r1", "--workflow", "book"), 2),
        (("set", "session/trip", "v", "1", "--node", "n1"), 2),
    ],
)
def test_what_cannot_be_done_ends_with_its_code(store: str, args: tuple[str, ...], code: int) -> None:
    ended = invoke("-s", store, "var", *args)
    assert ended.code == code, ended.err
    assert ended.err


def test_a_secret_is_masked_unless_it_is_to_be_revealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_KEYS", "2026-11=" + b64encode(b"k" * 32).decode())
    store = str(tmp_path / "new.db")
    var(store, "set", "user/ada", "token", "--secret", "--text", "hidden")
    ended = invoke("-s", store, "var", "get", "user/ada", "token")
    assert (ended.code, ended.out) == (5, "")
    assert "'token' is a secret [masked]" in ended.err
    assert "--reveal" in ended.err
    assert "hidden" not in invoke("-s", store, "var", "list", "user/ada").out
    assert var(store, "get", "user/ada", "token", "--reveal") == ["hidden"]


def test_what_comes_from_the_environment_is_shown_when_revealed_and_told_when_it_is_not_set(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value that is missing is not found (3), one that is masked is not allowed (5): neither passes for a value."""
    config = tmp_path / "c.toml"
    config.write_text('[variables]\nenvironment = ["API_KEY"]\n')
    monkeypatch.setenv("API_KEY", "k1")
    monkeypatch.setenv("HOLDFAST_CONFIG", str(config))
    var(store, "set", "user/ada", "key", "--env", "API_KEY")
    assert invoke("-s", store, "var", "get", "user/ada", "key").code == 5
    assert var(store, "get", "user/ada", "key", "--reveal") == ["k1"]
    monkeypatch.delenv("API_KEY")
    ended = invoke("-s", store, "var", "get", "user/ada", "key", "--reveal")
    assert ended.code == 3
    assert "API_KEY" in ended.err
