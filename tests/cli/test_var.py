"""`holdfast var list|get|set|rm`."""

from base64 import b64encode
from pathlib import Path

import pytest

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
    ("args", "code"),
    [
        (("set", "session/trip", "v", "{"), 2),
        (("set", "session/trip", "v"), 2),
        (("set", "session/trip", "v", "1", "--type", "string"), 1),
        (("set", "session/trip", "v", "1", "--secret"), 1),
        (("set", "session/trip", "v", "--env", "HOME"), 2),
        (("set", "session/trip", "v", "1", "--level", "run"), 2),
        (("set", "session/gone", "v", "1"), 3),
        (("rm", "session/trip", "v"), 3),
        (("list", "session/gone"), 3),
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
    assert var(store, "get", "user/ada", "token") == ["•••"]
    assert "hidden" not in invoke("-s", store, "var", "list", "user/ada").out
    assert var(store, "get", "user/ada", "token", "--reveal") == ["hidden"]
