"""Several processes on one file, stale memory between them, and locks that others hold."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from holdfast.backends.sqlite import SqliteKernel
from holdfast.errors import StoreLocked
from holdfast.kernel.commit import Committed, Conflict, Put, Read, Retention, ScopeCommit, Unchanged
from tests.unit.backends.sqlite.drafts import NOW_US, Lane, applied, finished, sent, start, value_of

COUNTER = """
import asyncio, sys
from holdfast.backends.sqlite import SqliteKernel
from holdfast.kernel.commit import Absent, Committed, Put, Read, ScopeCommit, Unchanged
from tests.unit.backends.sqlite.drafts import NOW_US, Lane, sent

async def add(kernel, lane, times):
    for _ in range(times):
        while True:
            cell = (await kernel.read([Read("s/counter", ("n",))], now_us=NOW_US))[0].cells.get("n")
            check = Absent("n") if cell is None else Unchanged("n", cell.version)
            value = b"%d" % (1 + int(cell.value if cell else 0))
            part = ScopeCommit("s/counter", "create", checks=(check,), puts=(Put("n", value),))
            if isinstance(await sent(kernel, lane.commit(part)), Committed):
                break

async def main(path, writer, times):
    kernel = await SqliteKernel.open(path)
    lane = Lane(writer)
    await asyncio.gather(*(add(kernel, lane, int(times)) for _ in range(4)))
    await kernel.close()

asyncio.run(main(*sys.argv[1:]))
"""

HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "r+")
fcntl.lockf(file, fcntl.LOCK_EX, 2)  # room and bench
print("held", flush=True)
sys.stdin.readline()
"""


async def test_processes_count_together_without_losing_one(tmp_path: Path) -> None:
    """G2, G3, G4: every increment of three processes is there, and the log has no gap."""
    path = tmp_path / "store.db"
    children = [start(COUNTER, path, f"writer{n}", 15) for n in range(3)]
    for child in children:
        finished(child)
    kernel = await SqliteKernel.open(path)
    assert await value_of(kernel, "s/counter", "n") == b"180"
    records = await kernel.log("s/counter")
    assert [record.seq for record in records] == list(range(1, 181))
    assert {record.commit.writer for record in records} == {"writer0", "writer1", "writer2"}
    await kernel.close()


async def test_what_one_store_acknowledged_the_other_reads_at_once(tmp_path: Path) -> None:
    """G6: no reader is behind, whatever it remembers."""
    path = tmp_path / "store.db"
    here, there = [await SqliteKernel.open(path) for _ in range(2)]
    lanes = Lane("here"), Lane("there")
    position = (await here.moved()).position
    for n in range(20):
        await applied(here, lanes[0].put("s/1", "k", b"%d" % n))
        assert await value_of(there, "s/1", "k") == b"%d" % n
        assert await applied(there, lanes[1].put("s/1", "other", b"%d" % n)) == {"s/1": 2 * n + 2}
    assert dict((await here.moved(position)).scopes) == {"s/1": 40}
    await here.close()
    await there.close()


async def test_a_scope_that_another_store_dropped_or_revived_is_not_remembered(tmp_path: Path) -> None:
    """G11: remembered heads follow what others wrote, or are forgotten."""
    path = tmp_path / "store.db"
    here, there = [await SqliteKernel.open(path) for _ in range(2)]
    lanes = Lane("here"), Lane("there")
    await applied(here, lanes[0].put("s/1", "k", b"v"))
    await applied(there, lanes[1].commit(ScopeCommit("s/1", drop=True)))
    blind = ScopeCommit("s/1", puts=(Put("k", b"late"),))
    conflict = await sent(here, lanes[0].commit(blind))
    assert isinstance(conflict, Conflict)
    assert (conflict.what, conflict.head.seq, conflict.head.live) == ("need", 2, False)
    await applied(there, lanes[1].put("s/1", "new", b"v"))
    assert await applied(here, lanes[0].commit(blind)) == {"s/1": 4}
    assert await value_of(here, "s/1", "new") == b"v"
    await here.close()
    await there.close()


async def test_a_scope_that_another_store_forgot_is_not_remembered(tmp_path: Path) -> None:
    """G13, G16: after the last trace is swept elsewhere, the scope is as if it never was here too."""
    path = tmp_path / "store.db"
    here, there = [await SqliteKernel.open(path) for _ in range(2)]
    lane = Lane()
    await applied(here, lane.put("s/1", "k", b"v"))
    await applied(here, lane.commit(ScopeCommit("s/1", drop=True)))
    swept = await there.sweep(now_us=NOW_US, retention=Retention(tombstone_us=0))
    assert swept.scopes == 1
    assert (await here.read([Read("s/1")], now_us=NOW_US))[0].head.seq == 0
    assert await applied(here, lane.put("s/1", "k", b"new")) == {"s/1": 1}
    assert [record.seq for record in await there.log("s/1")] == [1]
    await here.close()
    await there.close()


async def test_positions_do_not_repeat_when_the_last_record_is_swept(tmp_path: Path) -> None:
    """G14: what commits after a forgotten scope is reported from every position taken before."""
    path = tmp_path / "store.db"
    kernel = await SqliteKernel.open(path)
    lane = Lane()
    await applied(kernel, lane.put("s/1", "k", b"v"))
    await applied(kernel, lane.commit(ScopeCommit("s/1", drop=True)))
    position = (await kernel.moved()).position
    await kernel.sweep(now_us=NOW_US, retention=Retention(tombstone_us=0))
    assert (await kernel.moved()).position == position
    await kernel.close()
    kernel = await SqliteKernel.open(path)
    await applied(kernel, lane.put("s/2", "k", b"v"))
    assert dict((await kernel.moved(position)).scopes) == {"s/2": 1}
    await kernel.close()


async def test_a_head_that_is_stale_unnoticed_is_refused_by_the_file_and_decided_again(tmp_path: Path) -> None:
    """G4: should a foreign commit go unnoticed, it shows as a violated index, and nothing is lost."""
    path = tmp_path / "store.db"
    here, there = [await SqliteKernel.open(path) for _ in range(2)]
    lanes = Lane("here"), Lane("there")
    await applied(here, lanes[0].put("s/1", "k", b"1"))
    await applied(there, lanes[1].put("s/1", "k", b"2"))

    def pretend(writer: object) -> None:
        heads = writer.heads  # type: ignore[attr-defined]
        heads._connection.execute("SELECT count(*) FROM log").fetchall()
        heads._version = heads._connection.data_version()
        heads.tip += 1

    await here._store.act(pretend)
    unchanged = ScopeCommit("s/1", checks=(Unchanged("k", 1),), puts=(Put("k", b"lost update"),))
    outcomes = await here.commit([lanes[0].put("s/1", "k", b"3"), lanes[0].commit(unchanged)])
    assert isinstance(outcomes[0], Committed)
    assert outcomes[0].seqs == {"s/1": 3}
    assert isinstance(outcomes[1], Conflict)
    assert [record.seq for record in await there.log("s/1")] == [1, 2, 3]
    await here.close()
    await there.close()


async def test_a_lock_held_too_long_is_store_locked_and_nothing_was_applied(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    kernel = await SqliteKernel.open(path, busy_timeout_s=0.05)
    lane = Lane()
    holder = apsw.Connection(str(path))
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreLocked):
        await kernel.commit([lane.put("s/1", "k", b"v"), lane.put("s/2", "k", b"v")])
    assert await kernel.scopes() == ()
    holder.execute("ROLLBACK")
    holder.close()
    assert await applied(kernel, lane.put("s/1", "k", b"v")) == {"s/1": 1}
    await kernel.close()


async def test_a_process_that_stops_in_its_turn_holds_nobody_up_for_good(tmp_path: Path) -> None:
    """The turns of the side file are fairness, not safety: who waits too long goes on without."""
    path = tmp_path / "store.db"
    kernel = await SqliteKernel.open(path)
    child = start(HOLDER, f"{path}-lock")
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    assert await applied(kernel, Lane().put("s/1", "k", b"v")) == {"s/1": 1}
    child.communicate("\n", timeout=30)
    await kernel.close()
