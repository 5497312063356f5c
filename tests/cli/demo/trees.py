"""Folders for the demo to work through, and ways to look at what it left."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from holdfast import Holdfast
from holdfast.cli.demo import ledger as ledgers
from holdfast.cli.demo.ledger import Ledger

T = TypeVar("T")

SOURCE = "def count(words):\n    total = 0\n    for word in words:\n        total += 1\n    return total\n"


def plant(root: Path, *, files: int) -> Path:
    """A folder of small sources, in folders of ten."""
    root.mkdir(parents=True, exist_ok=True)
    for number in range(files):
        folder = root / f"part{number // 10:03d}"
        folder.mkdir(exist_ok=True)
        (folder / f"module{number:04d}.py").write_text(SOURCE * (1 + number % 7))
    return root


def look(store: Path, root: Path, work: Callable[[Holdfast, Ledger], Awaitable[T]]) -> T:
    """Look at, or tamper with, the demo of a folder in a store."""

    async def opened() -> T:
        async with Holdfast.open(f"sqlite:///{store}") as hold:
            ledger = await ledgers.find(hold, os.fsencode(os.path.abspath(root)))
            assert ledger is not None
            return await work(hold, ledger)

    return asyncio.run(opened())
