"""Nothing in holdfast blocks an event loop: every test runs under a watch, and the watch is awake."""

import threading
import time
import types
from pathlib import Path

import apsw
import pytest
from blockbuster import BlockingError

from tests.architecture.tree import SRC

PLANTED = """
def sleep(time):
    time.sleep(0)

def read(path):
    with open(path) as file:
        return file.read()

def wait_for(lock):
    lock.acquire(timeout=0.01)

def take(lock):
    lock.acquire()

def query(connection):
    return list(connection.execute("SELECT 1"))
"""


def as_if_in_holdfast() -> types.ModuleType:
    """Functions that block, compiled as if they stood in a module of holdfast."""
    module = types.ModuleType("planted")
    exec(compile(PLANTED, str(SRC / "planted.py"), "exec"), vars(module))
    return module


async def test_a_blocking_call_on_the_loop_is_an_error(tmp_path: Path) -> None:
    planted = as_if_in_holdfast()
    held = threading.Lock()
    held.acquire()
    path = tmp_path / "file.txt"
    path.write_text("kept")
    for blocking, argument in ((planted.sleep, time), (planted.read, path), (planted.wait_for, held)):
        with pytest.raises(BlockingError):
            blocking(argument)


async def test_a_free_lock_and_a_short_read_through_apsw_are_allowed_on_the_loop(tmp_path: Path) -> None:
    planted = as_if_in_holdfast()
    planted.take(threading.Lock())
    connection = apsw.Connection(str(tmp_path / "a.db"))
    assert planted.query(connection) == [(1,)]
    connection.close()


def test_off_the_loop_blocking_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("kept")
    assert as_if_in_holdfast().read(path) == "kept"
