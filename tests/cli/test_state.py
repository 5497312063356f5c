"""`holdfast state get|set|diff|history`, on every kind of scope."""

from pathlib import Path

import pytest

from tests.cli.program import invoke


def put(store: str, *args: str, stdin: str | None = None) -> int:
    """Set a value; its version."""
    ended = invoke("-s", store, "state", "set", *args, stdin=stdin)
    assert ended.code == 0, ended.err
    version = ended.rows[0]["version"]
    assert isinstance(version, int)
    return version


def get(store: str, *args: str) -> object:
    """What `state get` prints."""
    return invoke("-s", store, "state", "get", *args).rows[0]


@pytest.mark.parametrize("scope", ["session/trip", "user/ada", "agent/helper", "global/flags", "run/r-1", "user/a/b"])
def test_every_kind_of_scope_is_set_and_got(store: str, scope: str) -> None:
    first = put(store, scope, "k", '{"a": [1, null]}')
    assert get(store, scope, "k") == {"a": [1, None]}
    assert put(store, scope, "k", "2", "--if-version", str(first)) == first + 1


def test_the_first_write_makes_the_store(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    assert put(str(path), "user/ada", "k", "1") == 1
    assert get(str(path), "user/ada") == {"k": 1}


@pytest.mark.parametrize(
    ("given", "stored"),
    [("null", None), ("0", 0), ("-0.0", -0.0), ('"é\\u0000"', "é\0"), ("9223372036854775807", 2**63 - 1), ("[]", [])],
)
def test_values_are_json(store: str, given: str, stored: object) -> None:
    put(store, "user/ada", "k", "--", given)
    assert get(store, "user/ada", "k") == stored


def test_text_is_taken_as_it_stands_and_given_back_without_quotes(store: str) -> None:
    put(store, "user/ada", "k", "--text", 'say "hi"')
    assert get(store, "user/ada", "k") == 'say "hi"'
    assert invoke("-s", store, "state", "get", "user/ada", "k", "--raw").out == 'say "hi"\n'


def test_a_value_may_come_from_stdin(store: str) -> None:
    put(store, "user/ada", "k", "-", stdin='{"from": "stdin"}\n')
    assert get(store, "user/ada", "k") == {"from": "stdin"}


def test_a_stored_null_is_found_and_an_absent_key_is_not(store: str) -> None:
    put(store, "user/ada", "k", "null")
    assert get(store, "user/ada", "k") is None
    assert invoke("-s", store, "state", "get", "user/ada", "other").code == 3


def test_a_value_over_the_limit_is_refused_and_nothing_is_stored(store: str) -> None:
    ended = invoke("-s", store, "state", "set", "user/big", "k", "-", "--text", stdin="x" * 300_000)
    assert ended.code == 2
    assert "[too_large]" in ended.err
    assert get(store, "user/big") == {}


def test_namespaces_are_apart(store: str) -> None:
    assert get(store, "user/ada", "--namespace", "prefs") == {"name": "Ada"}
    assert get(store, "user/ada") == {}
    put(store, "user/ada", "name", '"Eve"', "-N", "other")
    assert get(store, "user/ada", "name", "-N", "prefs") == "Ada"


def test_all_of_a_scope_is_one_object_or_a_table_of_keys(store: str) -> None:
    assert get(store, "session/trip") == {"cart": ["milk", "eggs"], "city": "Kyoto"}
    table = invoke("-s", store, "state", "get", "session/trip", "-o", "table").out.splitlines()
    assert table[0].split() == ["key", "value"]
    assert table[1].split() == ["cart", "milk,", "eggs"]


def test_history_tells_earlier_values_newest_first_with_who_and_when(store: str) -> None:
    rows = invoke("-s", store, "state", "history", "session/trip", "cart").rows
    assert [(row["version"], row["value"], row["by"], row["deleted"]) for row in rows] == [
        (3, ["milk", "eggs"], "ada", False),
        (2, ["milk"], "ada", False),
    ]


def test_history_that_is_cut_short_says_so(store: str) -> None:
    ended = invoke("-s", store, "state", "history", "session/trip", "cart", "--limit", "1")
    assert len(ended.rows) == 1
    assert "--limit" in ended.err


def test_diff_tells_what_changed_between_two_versions(store: str) -> None:
    put(store, "session/trip", "new", "1")
    rows = invoke("-s", store, "state", "diff", "session/trip", "--from", "2").rows
    assert [(row["key"], row["change"], row["before"], row["after"]) for row in rows] == [
        ("cart", "changed", ["milk"], ["milk", "eggs"]),
        ("new", "added", None, 1),
    ]
    assert invoke("-s", store, "state", "diff", "session/trip", "--from", "2", "--to", "2").rows == []
    assert [row["key"] for row in invoke("-s", store, "state", "diff", "session/trip", "city", "new").rows] == [
        "city",
        "new",
    ]


def test_diff_names_the_versions_it_compared(store: str) -> None:
    ended = invoke("-s", store, "state", "diff", "user/ada", "-N", "prefs")
    assert [row["key"] for row in ended.rows] == ["name"]
    assert "user/ada: version 0 compared with version 1" in ended.err
