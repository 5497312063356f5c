"""Exceptions out of signal handlers: they may strike a read at any step, and the store goes on."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import FrameType
from typing import Any

import apsw
import pytest

from holdfast.backends.sqlite import SqliteKernel
from holdfast.errors import Diverged
from holdfast.kernel.commit import Range, Read
from tests.unit.backends.sqlite.drafts import NOW_US, Lane, applied, value_of

READING = ("readers.py", "read.py", "log.py")
STEPS_MAX = 2_000


class Interrupted(Exception):
    """What a signal handler of somebody else's raises."""


class Striking:
    """Raises Interrupted at the n-th place where Python may run a signal handler in the reading modules.

    That is at the begin of a function and after a call of one written in C.
    """

    def __init__(self, step: int) -> None:
        self.left = step

    def __enter__(self) -> None:
        sys.setprofile(self)

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        folder, _, name = frame.f_code.co_filename.replace("\\", "/").rpartition("/")
        if event in ("call", "c_return") and name in READING and folder.endswith("backends/sqlite"):
            self.left -= 1
            if self.left == 0:
                raise Interrupted


READS: dict[str, Callable[[SqliteKernel], Awaitable[object]]] = {
    "point": lambda kernel: value_of(kernel, "s/1", "k"),
    "range": lambda kernel: kernel.read([Read("s/1", ("k",), (Range("", 10),)), Read("s/2", ("k",))], now_us=NOW_US),
    "log": lambda kernel: kernel.log("s/1", after=10**6, limit=10),
}


@pytest.mark.parametrize("kind", READS)
async def test_a_read_interrupted_at_any_step_holds_no_snapshot(tmp_path: Path, kind: str) -> None:
    """G6, G8: the next read sees the newest commit, and the log can be begun anew, wherever the exception struck."""
    path = tmp_path / "store.db"
    kernel = await SqliteKernel.open(path, durability="process")
    outside = apsw.Connection(str(path))
    lane = Lane()
    await applied(kernel, lane.put("s/1", "k", b"0"))
    await value_of(kernel, "s/1", "k")
    for step in range(1, STEPS_MAX):
        struck = False
        with Striking(step):
            try:
                await READS[kind](kernel)
            except Interrupted:
                struck = True
            except Diverged:  # the log's: the cursor is beyond its end
                pass
        await applied(kernel, lane.put("s/1", "k", b"%d" % step))
        outside.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)  # busy, if a snapshot is held
        assert await value_of(kernel, "s/1", "k") == b"%d" % step
        view = (await kernel.read([Read("s/1", ("k", "other"))], now_us=NOW_US))[0]
        assert view.cells["k"].value == b"%d" % step
        if not struck:
            break
    assert 8 < step < STEPS_MAX - 1
    outside.close()
    await kernel.close()
