"""A process that ends at any place in a batch loses nothing it acknowledged and leaves no half of anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.backends.sqlite import SqliteKernel
from holdfast.kernel.commit import Range, Read
from tests.unit.backends.sqlite.drafts import NOW_US, start

VICTIM = """
import asyncio, os, signal, sys
from holdfast.backends.sqlite import SqliteKernel
from holdfast.kernel.commit import Append, Put, ScopeCommit
from tests.unit.backends.sqlite.drafts import Lane, applied

async def main(path, place, after):
    left = int(after)
    def failpoint(name):
        nonlocal left
        if name == place:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
    kernel = await SqliteKernel.open(path, failpoint=failpoint)
    lane = Lane(place + after)
    for n in range(100_000):
        cell, message = Put("n", b"%d" % n), Append("m/", bytes(20_000))
        parts = [ScopeCommit(scope, "create", puts=(cell,), appends=(message,)) for scope in "ab"]
        await applied(kernel, lane.commit(*parts))
        print(n, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("place", "after"),
    [("batch.begun", 3), ("batch.decided", 7), ("batch.written", 5), ("batch.committed", 6), ("checkpoint.begun", 0)],
)
async def test_a_killed_process_loses_nothing_acknowledged(tmp_path: Path, place: str, after: int) -> None:
    """G1, G4, G6: both scopes of every commit or neither, all that was acknowledged, at most one commit more."""
    path = tmp_path / "store.db"
    child = start(VICTIM, path, place, after)
    out, _ = child.communicate(timeout=60)
    acknowledged = len(out.splitlines())
    assert child.returncode == -9
    kernel = await SqliteKernel.open(path)
    reads = [Read(scope, ("n",), (Range("m/", 10_000),)) for scope in "ab"]
    one, two = await kernel.read(reads, now_us=NOW_US)
    assert one.head.seq == two.head.seq == len(one.ranges[0]) == len(two.ranges[0])
    assert one.head.seq in (acknowledged, acknowledged + 1)
    if acknowledged:
        assert one.cells["n"].value == two.cells["n"].value == b"%d" % (one.head.seq - 1)
    assert [record.seq for record in await kernel.log("a")] == list(range(1, one.head.seq + 1))
    await kernel.close()
