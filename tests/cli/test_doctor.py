"""`holdfast doctor`: what it finds in a healthy store, and in one that is not."""

import asyncio
import os
from pathlib import Path
from typing import Any

import apsw
import pytest

from holdfast import Holdfast
from tests.cli.program import Ended, invoke
from tests.servers import postgres, schema


def examine(store: str) -> tuple[dict[tuple[str, str], dict[str, Any]], Ended]:
    """The findings by area and name."""
    ended = invoke("-s", store, "doctor")
    return {(row["area"], row["name"]): row for row in ended.rows}, ended


def problems(found: dict[tuple[str, str], dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in found.values() if row["verdict"] == "problem"]


def test_a_healthy_store_has_no_problem(store: str) -> None:
    found, ended = examine(store)
    assert ended.code == 0
    assert problems(found) == []
    assert "no problem found" in ended.err
    assert found["file", "integrity"]["value"] == "ok"
    assert found["file", "write lock"]["value"] == "free"
    assert found["file", "journal mode"]["value"] == "wal"
    assert found["file", "size"]["value"] == Path(store).stat().st_size
    assert found["store", "durability"]["value"] == "fsync"
    assert found["store", "health"]["value"] == "healthy"
    assert found["store", "cache"]["value"] == "exact"
    assert found["store", "read ms"]["value"] >= 0
    assert found["store", "write ms"]["value"] >= 0
    assert found["contents", "sessions"]["value"] == 2
    assert found["contents", "logs"]["value"] == "all read, without a gap"


@pytest.mark.parametrize("name", ["holdfast", "python", "apsw", "sqlite", "msgspec", "system"])
def test_it_tells_the_versions_of_what_it_runs_on(store: str, name: str) -> None:
    assert examine(store)[0]["environment", name]["value"]


def test_it_tells_the_limits_that_a_program_meets(store: str) -> None:
    """The same as `health` does: less than the backend's own by what frames take."""

    async def told() -> dict[str, int | float | str]:
        async with Holdfast.open(f"sqlite:///{store}") as hold:
            return (await hold.health()).traits

    found, _ = examine(store)
    traits = asyncio.run(told())
    assert {name: found["store", name.replace("_", " ")]["value"] for name in traits} == traits


def test_the_relaxed_mode_is_pointed_out(store: str) -> None:
    found, ended = examine(f"sqlite:///{store}?durability=process")
    assert ended.code == 0
    assert found["store", "durability"]["verdict"] == "note"
    assert "durability" in found["store", "durability"]["remedy"]


def test_a_server_that_is_not_there_is_a_problem_whose_remedy_is_not_this_command_again() -> None:
    found, ended = examine("postgresql://ada:secret@localhost:1/db")
    assert ended.code == 6
    [problem] = problems(found)
    assert "server runs" in problem["remedy"]
    assert "secret" not in ended.out + ended.err


def test_no_password_of_a_server_is_shown() -> None:
    """What it prints is what people send to each other."""
    url = postgres().url(schema=schema()).replace("postgres@", "postgres:secret@") + "&password=secret"
    invoke("-s", url, "state", "set", "user/ada", "seat", "1")
    found, ended = examine(url)
    assert ended.code == 0
    assert found["store", "url"]["value"].startswith("postgresql://…@/")
    assert "secret" not in ended.out + ended.err


def test_a_memory_store_has_no_file_and_is_as_durable_as_it_is() -> None:
    found, ended = examine("memory://")
    assert ended.code == 0
    assert found["store", "durability"]["value"] == "none"
    assert not any(area == "file" for area, _ in found)


def test_a_file_that_is_no_database_is_a_problem_with_a_remedy_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "junk.db"
    path.write_bytes(b"junk" * 4096)
    found, ended = examine(str(path))
    assert ended.code == 2  # as of every command that is given such a file
    assert [row["area"] for row in problems(found)] == ["file", "store"]
    assert all(row["remedy"] for row in problems(found))
    assert path.read_bytes() == b"junk" * 4096


def test_a_damaged_page_is_found(store: str) -> None:
    with open(store, "r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * 8192)
    found, ended = examine(store)
    assert ended.code == 1
    assert problems(found)


def test_a_gap_in_a_log_is_found(store: str) -> None:
    connection = apsw.Connection(store)
    connection.execute("DELETE FROM log WHERE id = (SELECT min(id) + 2 FROM log)")
    connection.close()
    found, ended = examine(store)
    assert ended.code == 1
    assert any("corrupt" in str(row["value"]) for row in problems(found))


def test_a_file_that_another_program_holds_is_found(store: str) -> None:
    connection = apsw.Connection(store)
    connection.execute("BEGIN IMMEDIATE")
    found, ended = examine(store)
    connection.execute("ROLLBACK")
    connection.close()
    assert ended.code == 1
    assert "held" in str(found["file", "write lock"]["value"])


def test_looking_leaves_the_contents_as_they_are(store: str) -> None:
    before = invoke("-s", store, "session", "show", "trip").out
    seq = invoke("-s", store, "state", "diff", "session/trip").err
    examine(store)
    assert invoke("-s", store, "session", "show", "trip").out == before
    assert invoke("-s", store, "state", "diff", "session/trip").err == seq
    assert os.path.exists(store)


def test_people_get_a_table_for_each_area(store: str) -> None:
    lines = invoke("-s", store, "doctor", "-o", "table").out.splitlines()
    assert [line for line in lines if line in ("environment", "file", "store", "contents")] == [
        "environment",
        "file",
        "store",
        "contents",
    ]
    assert lines[1].split() == ["name", "value", "verdict"]
