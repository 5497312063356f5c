"""G22: signals on SQLite cross processes beside the store, and nothing about them can harm it."""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from holdfast.backends.sqlite import SqliteKernel
from holdfast.backends.sqlite import signals as signals_module

SENDER = """
import asyncio, sys
from holdfast.backends.sqlite import SqliteKernel

async def main():
    kernel = await SqliteKernel.open(sys.argv[1])
    for number in range(300):
        await kernel.signal("session/a", b"%d" % number)
    await kernel.close()

asyncio.run(main())
"""


ANSWERING = """
import asyncio, sys
from holdfast.backends.sqlite import SqliteKernel

async def main():
    kernel = await SqliteKernel.open(sys.argv[1])
    print("ready", flush=True)
    for line in sys.stdin:
        await kernel.signal("session/a", line.strip().encode())
    await kernel.close()

asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary folder of the test's own, short enough for the path of a socket."""
    with tempfile.TemporaryDirectory(prefix="hf", dir="/tmp" if os.path.isdir("/tmp") else None) as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", None)
        yield Path(folder)


class Heard:
    """What one listener heard, and a way to wait for the next."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()

    def __call__(self, scope: str, payload: bytes) -> None:
        self.payloads.append(payload)
        self._loop.call_soon_threadsafe(self._news.set)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not holds():
                await self._news.wait()
                self._news.clear()


async def listening(kernel: SqliteKernel, folder: Path) -> Heard:
    """A listener whose socket is there."""
    heard = Heard()
    kernel.listen(heard)
    async with asyncio.timeout(30):
        while not list(folder.glob("holdfast-*/*/*")):
            await asyncio.to_thread(time.sleep, 0.001)
    return heard


async def test_the_first_signal_of_another_process_after_listening_began_is_heard(tmp_path: Path) -> None:
    """G22: also by who comes while others listen, though the other process knows those."""
    kernel = await SqliteKernel.open(tmp_path / "store.db")
    command = [sys.executable, "-c", ANSWERING, str(tmp_path / "store.db")]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    await process.stdout.readline()
    late = [await SqliteKernel.open(tmp_path / "store.db") for _ in range(10)]
    for number, listener in enumerate([*late, *[kernel] * 30]):
        heard = Heard()
        end = listener.listen(heard)
        process.stdin.write(b"%d\n" % number)
        await heard.until(lambda heard=heard: bool(heard.payloads))  # type: ignore[misc]
        assert heard.payloads == [b"%d" % number]
        if listener is kernel:
            end()
    process.stdin.close()
    await process.wait()
    for listener in (*late, kernel):
        await listener.close()


async def test_a_socket_that_is_being_made_is_not_taken_for_a_dead_one(tmp_path: Path, temporary_folder: Path) -> None:
    """G22: it has its name only once it hears, so that nobody who sends meanwhile removes it."""
    kernel = await SqliteKernel.open(tmp_path / "store.db")
    await listening(kernel, temporary_folder)
    [path] = temporary_folder.glob("holdfast-*/*/*")
    half = path.with_name(signals_module.MAKING + "123456789abcdef")
    half.touch()
    await kernel.signal("session/a", b"1")
    assert half.exists()
    half.unlink()
    await kernel.close()


async def test_a_burst_from_another_process_is_heard_whole_by_who_keeps_up(
    tmp_path: Path, temporary_folder: Path
) -> None:
    """G22: more than a socket's queue holds; nothing of it is written anywhere."""
    kernel = await SqliteKernel.open(tmp_path / "store.db")
    heard = await listening(kernel, temporary_folder)
    command = [sys.executable, "-c", SENDER, str(tmp_path / "store.db")]
    await asyncio.to_thread(subprocess.run, command, check=True, timeout=60)
    await heard.until(lambda: b"299" in heard.payloads)
    assert heard.payloads == [b"%d" % number for number in range(300)]
    assert (await kernel.stats())["records"] == 0
    await kernel.close()


async def test_a_listener_that_stands_still_holds_nobody_up_for_long(tmp_path: Path, temporary_folder: Path) -> None:
    """G22: it is passed over for a while, what is sent to it meanwhile is lost, and nothing piles up."""
    kernel = await SqliteKernel.open(tmp_path / "store.db")
    heard = await listening(kernel, temporary_folder)
    [path] = temporary_folder.glob("holdfast-*/*/*")
    still = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    still.bind(str(path.with_name("0123456789abcdef")))
    began = time.monotonic()
    for number in range(1000):
        await kernel.signal("session/a", b"%d" % number)
    assert time.monotonic() - began < 5
    assert heard.payloads == [b"%d" % number for number in range(1000)]
    still.close()
    await kernel.close()


async def test_a_socket_that_a_killed_process_left_is_removed(tmp_path: Path, temporary_folder: Path) -> None:
    """G22: who sends meets it, and takes it away."""
    kernel = await SqliteKernel.open(tmp_path / "store.db")
    heard = await listening(kernel, temporary_folder)
    [path] = temporary_folder.glob("holdfast-*/*/*")
    left = path.with_name("0123456789abcdef")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as killed:
        killed.bind(str(left))
    assert left.exists()
    await kernel.signal("session/a", b"1")
    assert not left.exists()
    assert heard.payloads == [b"1"]
    await kernel.close()


async def test_nobody_listens_nothing_is_there(tmp_path: Path, temporary_folder: Path) -> None:
    """No thread, no socket and no folder before the first listener, and none after the last."""
    kernel = await SqliteKernel.open(tmp_path / "store.db")
    await kernel.signal("session/a", b"1")
    assert list(temporary_folder.iterdir()) == []
    await listening(kernel, temporary_folder)
    await kernel.close()
    assert not list(temporary_folder.glob("holdfast-*/*"))
    assert not [thread for thread in threading.enumerate() if thread.name == "holdfast-sqlite-signals"]


@pytest.mark.parametrize("obstacle", ["a file", "open to others"])
async def test_without_a_private_folder_signals_stay_in_the_opening_and_the_store_works(
    tmp_path: Path, temporary_folder: Path, obstacle: str
) -> None:
    """A folder that others may write to is not used, and no call fails for it; `stats` tells."""
    folder = temporary_folder / f"holdfast-{os.getuid()}"
    if obstacle == "a file":
        folder.write_text("in the way")
    else:
        folder.mkdir(mode=0o777)
        folder.chmod(0o777)
    kernel = await SqliteKernel.open(tmp_path / "store.db")
    heard = Heard()
    kernel.listen(heard)
    await kernel.signal("session/a", b"1")
    assert heard.payloads == [b"1"]
    assert (await kernel.stats())["signals"] == "this process"
    await kernel.close()


async def test_what_is_no_signal_is_passed_over(tmp_path: Path, temporary_folder: Path) -> None:
    """Datagrams of any bytes, and parts without a beginning, are not heard, and the next signal is."""
    kernel = await SqliteKernel.open(tmp_path / "store.db")
    other = await SqliteKernel.open(tmp_path / "store.db")
    heard = await listening(kernel, temporary_folder)
    [path] = temporary_folder.glob("holdfast-*/*/*")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        for datagram in (b"", b"x", bytes(40), b"\xff" * 40, signals_module._PART.pack(b"s" * 8, 1, 1, 2) + b"tail"):
            stranger.sendto(datagram, str(path))
    await other.signal("session/a", b"1")
    await heard.until(lambda: bool(heard.payloads))
    assert heard.payloads == [b"1"]
    await other.close()
    await kernel.close()
