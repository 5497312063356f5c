"""A process that was stopped (by a signal, a debugger, a suspended machine) costs the others one wait."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from holdfast.backends.sqlite import SqliteKernel
from holdfast.backends.sqlite.turns import PATIENCE_S, Turns
from holdfast.errors import StoreLocked
from tests.unit.backends.sqlite.drafts import Lane, applied, start, value_of

Begin = Callable[[str, Path], "subprocess.Popen[str]"]

IN_THE_ROOM = """
import os, signal, sys
from pathlib import Path
from holdfast.backends.sqlite.turns import Turns

turns = Turns(Path(sys.argv[1]))
turns.enter()
os.kill(os.getpid(), signal.SIGSTOP)
turns.leave()
turns.enter()
print("in again", flush=True)
while turns.waiting() is None:  # nobody waits yet
    pass
print("leaving", flush=True)
turns.leave()
sys.stdin.readline()
"""

ON_THE_BENCH = """
import os, signal, sys
from pathlib import Path
from holdfast.backends.sqlite.turns import Turns

turns = Turns(Path(sys.argv[1]))
print("ready", flush=True)
turns.enter()
turns.leave()
sys.stdin.readline()
"""

IN_A_COMMIT = """
import asyncio, os, signal, sys
from holdfast.backends.sqlite import SqliteKernel
from tests.unit.backends.sqlite.drafts import Lane, applied

begun = 0

def stop(name):
    global begun
    begun += name == "batch.begun"
    if name == "batch.begun" and begun == 2:
        os.kill(os.getpid(), signal.SIGSTOP)

async def main(path):
    kernel = await SqliteKernel.open(path, failpoint=stop)
    lane = Lane("stopped")
    await applied(kernel, lane.put("s/1", "k", b"before"))
    await applied(kernel, lane.put("s/1", "k", b"after"))
    await kernel.close()

asyncio.run(main(sys.argv[1]))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Starts children, and leaves none behind that a failed test has stopped."""
    children: list[subprocess.Popen[str]] = []

    def begin(script: str, path: Path) -> subprocess.Popen[str]:
        children.append(start(script, path))
        return children[-1]

    yield begin
    for child in children:
        if child.poll() is None:
            child.kill()
            child.communicate()


@pytest.fixture
def turns(path: Path) -> Iterator[Turns]:
    turns = Turns(path)
    yield turns
    turns.close()


def wait_until_stopped(child: subprocess.Popen[str]) -> None:
    _, status = os.waitpid(child.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status), status


def let_go_on(child: subprocess.Popen[str]) -> None:
    os.kill(child.pid, signal.SIGCONT)


def line_of(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def end(child: subprocess.Popen[str]) -> None:
    _, errors = child.communicate("\n", timeout=30)
    assert child.returncode == 0, errors


async def test_a_process_stopped_in_its_turn_is_waited_for_once(begin: Begin, path: Path) -> None:
    """Ten commits, and of the ten waits of a second that they would take, one."""
    kernel = await SqliteKernel.open(path)
    child = begin(IN_THE_ROOM, path)
    wait_until_stopped(child)
    lane = Lane()
    begun = time.monotonic()
    for n in range(10):
        await applied(kernel, lane.put("s/1", "k", b"%d" % n))
    assert time.monotonic() - begun < 5 * PATIENCE_S
    let_go_on(child)
    assert line_of(child) == "in again"
    await applied(kernel, lane.put("s/1", "k", b"last"))  # which sits on the bench, so the child leaves
    assert line_of(child) == "leaving"
    end(child)
    await kernel.close()


def test_once_it_goes_on_it_is_waited_for_again(begin: Begin, path: Path, turns: Turns) -> None:
    """Fairness returns: the others do not overtake it in its next turn."""
    child = begin(IN_THE_ROOM, path)
    wait_until_stopped(child)
    turns.enter()  # in vain
    turns.leave()
    assert turns.holder() == child.pid
    let_go_on(child)
    assert child.stdout is not None
    assert line_of(child) == "in again"
    turns.enter()
    said, _, _ = select.select([child.stdout], [], [], 0)
    assert said, "entered while the other was in the room"
    turns.leave()
    end(child)


def test_a_process_stopped_on_the_bench_is_waited_for_once(begin: Begin, path: Path, turns: Turns) -> None:
    """Whoever comes next goes past it, and still waits for the room."""
    turns.enter()
    child = begin(ON_THE_BENCH, path)
    assert line_of(child) == "ready"
    while turns.waiting() != child.pid:
        pass
    os.kill(child.pid, signal.SIGSTOP)
    wait_until_stopped(child)
    turns.leave()
    begun = time.monotonic()
    for _ in range(10):
        turns.enter()
        turns.leave()
    assert time.monotonic() - begun < 5 * PATIENCE_S
    let_go_on(child)
    end(child)
    assert turns.waiting() is None


async def test_a_process_stopped_in_a_commit_is_named_to_everybody_who_waits(begin: Begin, path: Path) -> None:
    """Nothing can be done while it holds SQLite's lock, but it is said; nothing is lost, and afterwards all goes on."""
    kernel = await SqliteKernel.open(path, busy_timeout_s=0.05)
    child = begin(IN_A_COMMIT, path)
    wait_until_stopped(child)
    lanes = [Lane(f"w{n}") for n in range(5)]
    sent = [kernel.commit([lane.put("s/2", lane.writer, b"v")]) for lane in lanes]
    answers = await asyncio.gather(*sent, return_exceptions=True)
    assert [type(answer) for answer in answers] == [StoreLocked] * 5
    for answer in answers:
        assert isinstance(answer, StoreLocked)
        assert answer.process == child.pid
        assert f"kill -CONT {child.pid}" in answer.remedy
    assert await value_of(kernel, "s/1", "k") == b"before"
    with pytest.raises(StoreLocked):
        await SqliteKernel.open(path, space="another", busy_timeout_s=0.05)
    let_go_on(child)
    end(child)
    for lane in lanes:
        await applied(kernel, lane.put("s/2", lane.writer, b"v"))
    assert await value_of(kernel, "s/1", "k") == b"after"
    assert [record.seq for record in await kernel.log("s/2")] == [1, 2, 3, 4, 5]
    await kernel.close()


async def test_a_lock_held_by_a_program_that_takes_no_turns_names_nobody(begin: Begin, path: Path) -> None:
    kernel = await SqliteKernel.open(path, busy_timeout_s=0.05)
    child = begin(FOREIGN, path)
    assert line_of(child) == "held"
    with pytest.raises(StoreLocked, match="another process") as refusal:
        await kernel.commit([Lane().put("s/1", "k", b"v")])
    assert "process" not in refusal.value.facts
    assert "stopped process" in refusal.value.remedy
    end(child)
    await applied(kernel, Lane().put("s/1", "k", b"v"))
    await kernel.close()


FOREIGN = """
import apsw, sys
connection = apsw.Connection(sys.argv[1])
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
connection.execute("ROLLBACK")
"""
