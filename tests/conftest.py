"""What holds for every test."""

import os
import sys
from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from hypothesis import settings

# Some machines are told not to keep bytecode. Several hundred processes are started here, and each would compile all
# anew, which is three quarters of what its start costs.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Several people and suites share a machine: how long one example takes says nothing.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")


@pytest.fixture(scope="session", autouse=True)
def blocking_calls_are_errors() -> Iterator[BlockBuster]:
    """A file, socket, sleep or contended `lock.acquire()` in holdfast on an event loop raises BlockingError.

    Short reads through apsw on the loop are deliberate and go unnoticed: apsw does not pass through the
    functions that are watched; nor does `with lock:`, which must never wait long on a loop. What
    a test itself does on its loop is not watched either. A place where
    blocking is right is named here, with `can_block_in` and the reason.
    """
    with blockbuster_ctx("holdfast") as watch:
        # The tracer of coverage guards its own data by a lock, in whatever thread and frame it is called.
        watch.functions["threading.Lock.acquire"].can_block_in("coverage/collector.py", "lock_data")
        # Where a store's files are is looked up as shortly as they are read, at most every 20 ms on a loop.
        watch.functions["os.stat"].can_block_in("sqlite/place.py", "lost")
        # Who listens is looked up before each signal; the folder is listed when somebody came or went.
        for name in ("os.stat", "os.listdir", "os.unlink"):
            watch.functions[name].can_block_in("sqlite/signals.py", {"_listeners", "_pass"})
        # Whoever begins to listen has its socket made then and there, or what is told at once would be missed.
        for name in ("os.mkdir", "os.rename"):
            watch.functions[name].can_block_in("sqlite/signals.py", "_bind")
        # While another thread forks, nobody may be inside SQLite; that thread stops the process anyway.
        watch.functions["time.sleep"].can_block_in("sqlite/gate.py", {"before_fork", "_give_way"})
        # The driver looks for files of passwords and certificates when it connects, on a loop that is nobody else's.
        for function in watch.functions.values():
            function.can_block_in("postgres/connections.py", "connect")
        yield watch
