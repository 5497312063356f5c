"""`holdfast conform`: the kit on a live store."""

import base64
from pathlib import Path
from typing import Any

import apsw
import pytest

from holdfast import opening
from holdfast.backends.memory import MemoryKernel
from holdfast.cli import conform as command
from holdfast.kernel.commit import Found
from holdfast.kernel.contract import Kernel
from holdfast.opening import Address
from holdfast.testing import GUARANTEES, Report, Subject
from holdfast.wrappers.sealing import Sealing
from tests.cli.program import invoke
from tests.servers import postgres, schema

NUMBERS = [guarantee.number for guarantee in GUARANTEES]


def test_memory_keeps_every_guarantee() -> None:
    ended = invoke("conform", "memory://")
    assert (ended.code, [row["guarantee"] for row in ended.rows]) == (0, NUMBERS)
    assert {row["result"] for row in ended.rows} == {"kept"}


def test_a_sqlite_file_in_use_keeps_every_guarantee_and_is_left_as_it_was(store: str) -> None:
    before = invoke("-s", store, "session", "show", "trip").out
    figures = invoke("-s", store, "stats").rows[0]
    ended = invoke("conform", store)
    assert ended.code == 0, ended.err
    assert {row["result"] for row in ended.rows} == {"kept"}
    assert invoke("-s", store, "session", "show", "trip").out == before
    after = invoke("-s", store, "stats").rows[0]
    assert [after[name] for name in ("scopes", "cells", "records", "bytes")] == [
        figures[name] for name in ("scopes", "cells", "records", "bytes")
    ]


def test_a_postgres_schema_keeps_it_too() -> None:
    ended = invoke("conform", postgres().url(schema=schema()), "--only", "ids.one_number_of_two_writers_is_two_commits")
    assert ended.code == 0, ended.err
    assert "1 of 1 checks passed" in ended.err
    assert "could not be emptied" not in ended.err


def test_the_store_is_named_as_for_every_other_command(store: str) -> None:
    """By -s before the command or HOLDFAST_URL; as an argument it goes before the latter, and two are refused."""
    check = ("--only", "ids.one_number_of_two_writers_is_two_commits")
    assert invoke("-s", store, "conform", *check).code == 0
    assert invoke("conform", *check).code == 2
    assert invoke("conform", *check, url=store).code == 0
    assert invoke("conform", store, *check, url="nope://").code == 0
    two = invoke("-s", store, "conform", "memory://", *check)
    assert (two.code, "two stores are named" in two.err) == (2, True)


def test_with_keys_it_is_proved_encrypted_and_leaves_nothing_of_them(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = scopes(store)
    monkeypatch.setenv("HOLDFAST_KEYS", f"k={base64.b64encode(b'k' * 32).decode()}")
    seen: list[type] = []
    run_kit = command.run_kit

    async def watched(subject: Subject, **options: Any) -> Report:
        kernel = await subject.open("seen")
        seen.append(type(kernel))
        await kernel.close()
        return await run_kit(subject, **options)

    monkeypatch.setattr(command, "run_kit", watched)
    ended = invoke("-s", store, "conform", "--only", "stamps", "--only", "spaces")
    assert (ended.code, seen) == (0, [Sealing]), ended.err
    assert scopes(store) == before


def scopes(store: str) -> list[str]:
    """The names of all scopes in all spaces of a file."""
    connection = apsw.Connection(store)
    try:
        return sorted(str(name) for (name,) in connection.execute("SELECT name FROM scopes"))
    finally:
        connection.close()


def test_a_file_that_was_not_there_is_gone_afterwards(tmp_path: Path) -> None:
    ended = invoke("conform", str(tmp_path / "new.db"), "--only", "G1")
    assert ended.code == 0, ended.err
    assert [(row["guarantee"], row["result"]) for row in ended.rows] == [("G1", "kept")]
    assert list(tmp_path.iterdir()) == []


class Forgetful(MemoryKernel):
    """A kernel that finds nothing in its indexes."""

    async def find(self, index: str, value: str, **_: object) -> tuple[Found, ...]:  # type: ignore[override]
        """Nothing."""
        return ()


def test_a_kernel_that_breaks_a_guarantee_is_told_and_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    async def open_forgetful(address: Address, space: str) -> Kernel:
        return Forgetful(space=space)

    monkeypatch.setitem(opening._OPENERS, "forgetful", open_forgetful)
    ended = invoke("conform", "forgetful://", "--seed", "7")
    assert ended.code == 1
    results = {row["guarantee"]: row["result"] for row in ended.rows}
    assert results["G15"] == "FAILED"
    assert "kept" in results.values()
    assert "failed: indexes." in ended.err
    assert "seed 7" in ended.err


def test_a_store_that_cannot_be_opened_is_one_error_and_no_report(tmp_path: Path) -> None:
    """Where nothing was tried nothing is FAILED: the error says why, and the exit code what kind it is."""
    ended = invoke("conform", f"postgresql:///x?host={tmp_path}")
    assert (ended.code, ended.out) == (6, "")
    assert ended.err.count("error:") == 1
    notes = tmp_path / "notes.db"
    notes.write_text("milk and bread\n" * 100)
    ended = invoke("conform", str(notes))
    assert (ended.code != 0, ended.out) == (True, "")
    assert ended.err.count("error:") == 1
    assert notes.read_text() == "milk and bread\n" * 100
