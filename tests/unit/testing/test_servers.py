"""The servers of the kit: what starting them leaves behind."""

import threading
import time
from pathlib import Path

from holdfast.testing.servers.postgres import PostgresServer, alone
from tests.servers import postgres


def test_a_shared_server_leaves_no_lock_beside_its_folder() -> None:
    folder = postgres().folder
    assert [path for path in folder.parent.glob(f"{folder.name}*") if path != folder] == []


def test_one_is_in_at_a_time_though_the_file_goes_with_each(tmp_path: Path) -> None:
    """Those who wait for a file that is removed find the next one: nobody is in beside another, and none is left."""
    path, inside, crowds = tmp_path / "a.lock", [0], []

    def visit() -> None:
        for _ in range(30):
            with alone(path):
                inside[0] += 1
                crowds.append(inside[0])
                time.sleep(0)
                inside[0] -= 1

    visitors = [threading.Thread(target=visit) for _ in range(4)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join()
    assert crowds == [1] * 120
    assert list(tmp_path.iterdir()) == []


def test_a_server_may_be_left_twice_and_a_block_leaves_it() -> None:
    """Leaving is safe to repeat, as in a finally after a block; who holds it besides keeps it."""
    shared = postgres()
    held = PostgresServer.held(shared.folder)
    assert held is not None
    with held as server:
        assert server.socket.exists()
    server.stop()
    server.release()
    assert shared.socket.exists()
