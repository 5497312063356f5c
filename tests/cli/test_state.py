"""`holdfast state get|set|diff|history`, on every kind of scope."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast import ChangesConfig, Config, Holdfast, Scope
from tests.cli.program import environment, invoke


def put(store: str, *args: str, stdin: str | None = None) -> int:
    """Set a value; its version."""
    ended = invoke("-s", store, "state", "set", *args, stdin=stdin)
    assert ended.code == 0, ended.err
    version = ended.rows[0]["version"]
    assert isinstance(version, int)
    return version


def delete(store: str, scope: str, key: str) -> None:
    """Delete a value, as a program does."""

    async def work() -> None:
        async with Holdfast.open(f"sqlite:///{store}") as hold:
            await hold.state(Scope.parse(scope)).delete(key)

    asyncio.run(work())


def forget_all_but_the_last(store: str, count: int) -> None:
    """Trim every log, as a program does with a retention."""

    async def work() -> None:
        config = Config(changes=ChangesConfig(retention_age=None, retention_count=count))
        async with Holdfast.open(f"sqlite:///{store}", config=config) as hold:
            await hold.sweep()

    asyncio.run(work())


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


def test_what_comes_from_stdin_is_utf8_whatever_the_locale_says(store: str) -> None:
    def put_bytes(data: bytes) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "holdfast.cli", "-s", store, "state", "set", "user/x", "k", "-", "--text"]
        return subprocess.run(
            command, input=data, env=environment(LC_ALL="C", PYTHONUTF8="0"), capture_output=True, timeout=60
        )

    assert put_bytes("日本語".encode()).returncode == 0
    assert get(store, "user/x", "k") == "日本語"
    refused = put_bytes(b"caf\xe9")
    assert refused.returncode == 2
    assert b"no UTF-8 text" in refused.stderr
    assert get(store, "user/x", "k") == "日本語"


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


def test_diff_of_a_key_that_neither_version_has_says_so_after_telling_of_the_others(store: str) -> None:
    ended = invoke("-s", store, "state", "diff", "session/trip", "cart", "crat", "city")
    assert [row["key"] for row in ended.rows] == ["cart", "city"]
    assert ended.code == 3
    assert "error: neither version of session/trip has a key 'crat' [not_found]" in ended.err


def test_diff_of_a_key_that_did_not_change_or_is_gone_by_now_is_no_error(store: str) -> None:
    """It is there in both versions, or was; a key that came later, or went before, is in neither."""
    put(store, "user/x", "stays", "1")
    put(store, "user/x", "goes", "1")
    delete(store, "user/x", "goes")
    put(store, "user/x", "late", "1")
    diff = ["-s", store, "state", "diff", "user/x"]
    assert invoke(*diff, "stays", "--from", "1").code == 0
    assert invoke(*diff, "stays", "--from", "1").rows == []
    assert invoke(*diff, "goes", "--from", "2").rows[0]["change"] == "deleted"
    assert invoke(*diff, "goes", "--from", "2", "--to", "2").code == 0
    assert invoke(*diff, "goes", "--from", "3").code == 3
    assert invoke(*diff, "late", "--from", "1", "--to", "3").code == 3
    assert invoke(*diff, "--from", "4").code == 0


@pytest.mark.parametrize(("guess", "options"), [(["1", "2"], "--from 1 --to 2"), (["1"], "--from 1")])
def test_versions_that_were_given_as_arguments_lead_to_their_options(
    store: str, guess: list[str], options: str
) -> None:
    ended = invoke("-s", store, "state", "diff", "session/trip", *guess)
    assert (ended.code, ended.out) == (3, "")
    assert f"holdfast state diff session/trip {options}\n" in ended.err


def test_history_of_a_key_that_never_was_is_not_found_and_of_a_deleted_one_is_told(store: str) -> None:
    ended = invoke("-s", store, "state", "history", "session/trip", "crat")
    assert (ended.code, ended.out) == (3, "")
    assert "error: there never was 'crat' of session/trip [not_found]" in ended.err
    put(store, "user/x", "goes", "1")
    delete(store, "user/x", "goes")
    ended = invoke("-s", store, "state", "history", "user/x", "goes")
    assert (ended.code, [row["deleted"] for row in ended.rows]) == (0, [True, False])


def test_a_key_whose_past_the_log_no_longer_reaches_is_not_taken_for_a_mistake(store: str) -> None:
    """What is there now is a key, even if nothing of its past is known; what is nowhere is not."""
    put(store, "user/x", "old", "1")
    for n in range(3):
        put(store, "user/x", "new", str(n))
    forget_all_but_the_last(store, 2)
    assert invoke("-s", store, "state", "diff", "user/x", "old").code == 0
    assert invoke("-s", store, "state", "history", "user/x", "old").code == 0
    assert invoke("-s", store, "state", "diff", "user/x", "odl").code == 3
    ended = invoke("-s", store, "state", "history", "user/x", "odl")
    assert ended.code == 3
    assert "as far as the log reaches" in ended.err


def test_a_conflict_names_the_key_as_it_was_typed_and_the_version_to_go_on_from(store: str) -> None:
    def refused(*args: str) -> str:
        ended = invoke("-s", store, "state", "set", *args)
        assert (ended.code, ended.out) == (4, "")
        return ended.err

    put(store, "user/x", "k", "1", "-N", "prefs")
    version = put(store, "user/x", "k", "2", "-N", "prefs")
    said = refused("user/x", "k", "3", "-N", "prefs", "--if-version", "1")
    assert said == (
        f"error: 'k' of user/x in the namespace 'prefs' was written after version 1: it is at version {version} "
        f"[conflict]\n       Read it again with `holdfast state get` and repeat with --if-version {version}.\n"
    )
    assert "'k' of user/x in the namespace 'prefs' exists already, at version 2 [" in refused(
        "user/x", "k", "3", "-N", "prefs", "--if-version", "0"
    )
    assert "'gone' of user/x is not there any more [" in refused("user/x", "gone", "3", "--if-version", "1")


def test_a_scope_that_is_not_there_is_told_without_a_word_of_handles(store: str) -> None:
    for command in (["get"], ["diff"], ["history", "k"], ["set", "k", "1"]):
        ended = invoke("-s", store, "state", command[0], "session/nobody", *command[1:])
        assert ended.code == 3
        assert ended.err.startswith("error: session 'nobody' does not exist [not_found]\n")
