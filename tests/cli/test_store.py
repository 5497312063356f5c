"""Which store a command works on: one that is there, of a kind that is kept, in a space that has something in it."""

import asyncio
from pathlib import Path

import pytest

from holdfast.backends.postgres.connections import connect
from tests.cli.program import invoke
from tests.servers import postgres, schema, settings


def test_without_a_store_it_says_how_to_name_one() -> None:
    ended = invoke("session", "list")
    assert (ended.code, ended.out) == (2, "")
    assert "--store" in ended.err
    assert "HOLDFAST_URL" in ended.err


@pytest.mark.parametrize(
    "args", [["session", "list"], ["stats"], ["doctor"], ["state", "get", "user/a"], ["state", "diff", "user/a"]]
)
def test_a_command_that_reads_makes_no_store(tmp_path: Path, args: list[str]) -> None:
    ended = invoke("-s", str(tmp_path / "typo.db"), *args)
    assert ended.code == 3
    assert "typo.db" in ended.err
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "empty.db").touch()
    ended = invoke("-s", str(tmp_path / "empty.db"), *args)
    assert (ended.code, ended.out) == (3, "")
    assert "empty.db is an empty file [not_found]" in ended.err
    assert [(path.name, path.stat().st_size) for path in tmp_path.iterdir()] == [("empty.db", 0)]


@pytest.mark.parametrize(
    "args", [["state", "set", "user/a", "k", "1"], ["session", "list"], ["session", "rm", "trip"], ["sweep"], ["rekey"]]
)
def test_a_store_in_memory_is_refused_by_a_command_that_would_keep_nothing(args: list[str]) -> None:
    """Whoever is told that a value was stored finds it again."""
    ended = invoke("-s", "memory://", *args)
    assert (ended.code, ended.out) == (2, "")
    assert "a store in memory ends with this command [invalid_value]" in ended.err
    assert "-s app.db" in ended.err


def test_a_space_without_anything_in_it_is_told_of_as_its_name_may_be_mistyped(store: str) -> None:
    """By what reads it, and by what is the first to write in it; nobody is told of one that is in use."""
    assert "there is nothing in the space 'typo'" in invoke("-s", store, "--space", "typo", "session", "list").err
    write = ("-s", store, "--space", "typo", "state", "set", "user/a", "k", "1")
    assert [invoke(*write).err for _ in range(2)] == ["the space 'typo' is new\n", ""]
    assert invoke("-s", store, "--space", "typo", "state", "get", "user/a").err == ""


def test_a_new_store_is_written_without_a_word_about_its_space(tmp_path: Path) -> None:
    assert invoke("-s", str(tmp_path / "new.db"), "state", "set", "user/a", "k", "1").err == ""


def test_a_command_that_reads_makes_no_schema_and_says_where_none_is() -> None:
    """A database without the store is like a file that is missing: exit code 3, a remedy, and nothing is made."""
    url = postgres().url(schema=f"{schema()}_typo", password="secret")
    for args in (["session", "list"], ["state", "get", "user/a"], ["doctor"], ["sweep"]):
        ended = invoke("-s", url, *args)
        assert (ended.code, ended.out) == (3, ""), args
        assert f"schema={schema()}_typo" in ended.err
        assert "[not_found]" in ended.err
        assert "?schema=NAME" in ended.err
        assert "secret" not in ended.err
    assert asyncio.run(_schemas(f"{schema()}_typo")) == 0


async def _schemas(name: str) -> int:
    connection = await connect(settings(), "a test", None)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname = $1", name))
    finally:
        connection.terminate()


@pytest.mark.parametrize("args", [["session", "list"], ["state", "set", "user/a", "k", "1"]])
def test_a_socket_that_is_not_there_is_named_with_what_to_do(tmp_path: Path, args: list[str]) -> None:
    """The system's own word for it tells no path."""
    ended = invoke("-s", f"postgresql://ada:secret@/db?host={tmp_path}&port=5433", *args)
    assert (ended.code, ended.out) == (6, "")
    assert f"{tmp_path}/.s.PGSQL.5433" in ended.err
    assert "host= in the URL names the folder of its socket" in ended.err
    assert "secret" not in ended.err


@pytest.mark.parametrize("url", ["postgres://x", "sqlite://rel.db", "sqlite:///", "sqlite:///a.db?speed=1"])
def test_an_address_that_is_not_understood_is_wrong_usage(url: str) -> None:
    ended = invoke("-s", url, "state", "set", "user/a", "k", "1")
    assert ended.code == 2
    assert "invalid_value" in ended.err
    assert "A store is named by the path of a file" in ended.err


@pytest.mark.parametrize("place", [".", "/dev/null", "x" * 300])
@pytest.mark.parametrize(
    "args",
    [
        ["session", "list"],
        ["session", "tail", "trip"],
        ["state", "set", "user/a", "k", "1"],
        ["stats"],
        ["doctor"],
        ["demo"],
    ],
)
def test_a_store_that_is_no_file_is_wrong_usage_and_nobody_is_told_of_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, args: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = invoke("-s", place, *args)
    assert ended.code == 2
    said = ended.out + ended.err
    assert "invalid_value" in said
    assert "backup" not in said
    assert list(tmp_path.iterdir()) == []
