"""A checkpoint, a restore and a fork that are killed at any moment are there whole or not at all."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest

from holdfast import Holdfast, Session
from holdfast.backends.sqlite import SqliteKernel
from holdfast.handles.checkpointing import UNFINISHED_US
from holdfast.system import SystemClock
from holdfast.testing.clock import ManualClock
from tests.crash.nursery import Nursery, child

SIGKILLED = -9

THEN = {f"k{n:04}": n for n in range(1050)}
"""More than one commit of a fork takes."""

LARGE = {f"large{n:02}": f"{n:02}" * 50_000 for n in range(45)}
"""With these more than one commit of a checkpoint takes."""


async def fill(path: Path) -> str:
    """A session with a checkpoint, after which much was written; its id."""
    async with Holdfast.over(await SqliteKernel.open(path)) as hold:
        s = await hold.sessions.create(id="s")
        entries = [*THEN.items()]
        for first in range(0, len(entries), 70):
            await s.state.update(dict(entries[first : first + 70]))
        await s.messages.add("user", "hello")
        taken = await s.checkpoint(label="then")
        await s.state.update({"k0000": "changed", "new": 1})
        entries = [*LARGE.items()]
        for first in range(0, len(entries), 9):
            await s.state.update(dict(entries[first : first + 9]))
        await s.messages.add("user", "more")
        return taken.id


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    path = tmp_path_factory.mktemp("filled") / "store.db"
    return path, asyncio.run(fill(path))


async def shown(s: Session) -> tuple[dict[str, Any], list[str]]:
    return (await s.state.snapshot()).values, [m.content for m in await s.messages.list()]


OLD = (THEN, ["hello"])
NEW = ({**THEN, **LARGE, "k0000": "changed", "new": 1}, ["hello", "more"])


async def look(path: Path, what: str, id: str) -> bool:
    """See that it is whole or not there, and that a sweep leaves nothing of what is not; whether it is there."""
    later = ManualClock(SystemClock().now_us() + UNFINISHED_US + 1_000_000)
    async with Holdfast.over(await SqliteKernel.open(path), clock=later) as hold:
        s = await hold.sessions.get("s")
        assert s is not None
        labels = [one.label for one in await s.checkpoints()]
        fork = await hold.sessions.get("fork")
        await hold.sweep()
        kernel = hold._store.kernel
        assert await kernel.scopes() == (("session/s",) if fork is None else ("session/fork", "session/s"))
        keys = [stored.cell.key for stored in await kernel.stored("session/s", limit=10_000)]
        bases = {key.split("/")[1] for key in keys if key.startswith("checkpoint-part/")}
        assert not [key for key in keys if key.startswith("checkpoint-made/")]
        if what == "take":
            assert await shown(s) == NEW
            assert len(bases) == 1 + ("taken" in labels)
            if "taken" in labels:
                await s.state.set("k0001", "after")
                await s.restore((await s.checkpoints())[0].id)
                assert await shown(s) == NEW
            return "taken" in labels
        if what == "restore":
            restored = await shown(s) == OLD
            assert restored or await shown(s) == NEW
            if restored:  # what was there before can be had back
                assert labels[0] == "before restore"
                await s.restore((await s.checkpoints())[0].id)
                assert await shown(s) == NEW
            return restored
        assert await shown(s) == NEW
        assert fork is None or await shown(fork) == OLD
        return fork is not None


@pytest.mark.parametrize("what", ["take", "restore", "fork"])
@pytest.mark.parametrize("every", [9, pytest.param(1, marks=pytest.mark.soak)])
def test_what_is_killed_at_any_moment_is_there_whole_or_not_at_all(
    what: str, every: int, filled: tuple[Path, str], tmp_path: Path
) -> None:
    """G1, over as many commits as it takes: a sweep removes the rest."""
    source, id = filled
    ends: list[int] = []
    there: list[bool] = []
    with Nursery() as nursery:
        while not ends or ends[-1] == SIGKILLED:
            path = tmp_path / str(len(ends)) / "store.db"
            path.parent.mkdir()
            shutil.copy(source, path)
            one = child("tests.crash.checkpointing:killed", path=str(path), what=what, id=id, at=len(ends) * every)
            ends += nursery.run(one)
            there.append(asyncio.run(look(path, what, id)))
            shutil.rmtree(path.parent)
    assert ends[-1] == 0
    assert there == sorted(there)
    assert (there[0], there[-1]) == (False, True)
