"""`holdfast conform`: the kit on a live store."""

from pathlib import Path

import pytest

from holdfast import opening
from holdfast.backends.memory import MemoryKernel
from holdfast.kernel.commit import Found
from holdfast.kernel.contract import Kernel
from holdfast.opening import Address
from holdfast.testing import GUARANTEES
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
