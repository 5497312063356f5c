"""Stores of Holdfast to measure on: sessions of twenty keys in a file that is made once and copied for each run."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.load import KEYS, key_name, session_name, value_of
from benchmarks.reference_sqlite import CHECKPOINT_PAGES
from holdfast import Holdfast, KeyRing
from holdfast.handles.session import Session

TASKS = 64
"""Tasks that fill a store: enough for full batches."""


class Template(AbstractContextManager["Template"]):
    """A closed store of `sessions` sessions with `keys` keys each, encrypted if a ring is given; removed at the
    end of the block."""

    def __init__(self, *, sessions: int, keys: int = KEYS, ring: KeyRing | None = None) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="holdfast-bench-"))
        self.path = self._folder / "template.db"
        self._copies = 0
        try:
            asyncio.run(self._build(sessions, keys, ring))
        except BaseException:
            shutil.rmtree(self._folder)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._folder)

    async def _build(self, sessions: int, keys: int, ring: KeyRing | None) -> None:
        async with Holdfast.open(relaxed(self.path), keys=ring) as hold:
            await fill(hold, range(sessions), keys=keys)

    def copy(self) -> Path:
        """A folder of its own with a copy of the store in it; whoever asked removes it."""
        self._copies += 1
        folder = self._folder / f"run-{self._copies}"
        folder.mkdir()
        shutil.copy(self.path, folder / "store.db")
        return folder / "store.db"


def durable(path: Path) -> str:
    """The URL of a file whose commits survive the end of the machine."""
    return f"sqlite:///{path}"


def relaxed(path: Path) -> str:
    """The same without a barrier for each commit: for filling."""
    return f"{durable(path)}?durability=process"


async def fill(hold: Holdfast, numbers: Iterable[int], *, keys: int = KEYS) -> None:
    """Create these sessions, each with `keys` keys of 100 bytes."""
    left = iter(numbers)

    async def task() -> None:
        for number in left:
            session = await hold.sessions.create(id=session_name(number))
            if keys:
                await session.state.update({key_name(k): value_of(k).decode() for k in range(keys)})

    await asyncio.gather(*(task() for _ in range(TASKS)))


async def handles(hold: Holdfast, numbers: Iterable[int]) -> dict[str, Session]:
    """The sessions of these numbers by name, as a server holds them."""
    found: dict[str, Session] = {}
    for name in map(session_name, numbers):
        session = await hold.sessions.get(name)
        assert session is not None
        found[name] = session
    return found


async def grow_log(path: Path, sessions: dict[str, Session]) -> None:
    """Write until the WAL has its working size, as in a long run: a file that still grows makes barriers slower."""
    wal = path.with_name(path.name + "-wal")
    everyone = list(sessions.values())
    written = 0
    while wal.stat().st_size < CHECKPOINT_PAGES * 4_120:
        puts = []
        for _ in range(256):
            written += 1
            session = everyone[written * 7_919 % len(everyone)]
            puts.append(session.state.set(key_name(written % KEYS), value_of(-written).decode()))
        await asyncio.gather(*puts)
