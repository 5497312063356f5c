"""An erasure that is killed at any moment is finished by the next one, or by a sweep."""

import asyncio
from pathlib import Path

import pytest

from holdfast import Holdfast, Scope
from holdfast.backends.sqlite import SqliteKernel
from holdfast.kernel.commit import Read
from holdfast.operations import erase
from holdfast.system import SystemClock
from holdfast.testing.clock import ManualClock
from tests.crash.nursery import Nursery, child
from tests.unit.handles.canary import CANARY, in_files

SIGKILLED = -9


async def fill(path: Path) -> None:
    """Sessions of ada, one of them deleted before, and one of bo."""
    async with Holdfast.over(await SqliteKernel.open(path)) as hold:
        for number in range(3):
            s = await hold.sessions.create(id=f"s{number}", user="ada")
            await s.state.set("k", f"{CANARY} {number}")
            await s.messages.add("user", CANARY)
        with hold.acting(by=CANARY):
            await hold.sessions.delete("s0")
        await hold.state(Scope.user("ada")).set("k", CANARY)
        await (await hold.sessions.create(id="bos", user="bo")).state.set("k", 1)


async def finish(path: Path, *, swept: bool) -> None:
    """Erase once more or, where it had begun, sweep; and see that nothing of ada is there and all of bo is."""
    later = ManualClock(SystemClock().now_us() + erase.INTERRUPTED_US)
    async with Holdfast.over(await SqliteKernel.open(path), clock=later) as hold:
        [view] = await hold._store.kernel.read([Read(erase.SCOPE)], now_us=0)
        if swept and view.head.live:
            await hold.sweep()
        else:
            await hold.erase(user="ada")
        assert in_files(path.parent) == []
        kernel = hold._store.kernel
        for scope in ("session/s0", "session/s1", "session/s2", "user/ada"):
            [view] = await kernel.read([Read(scope)], now_us=0)
            assert (view.head.live, view.head.epoch, view.head.floor) == (False, 1, view.head.seq)
        bos = await hold.sessions.get("bos")
        assert bos is not None
        assert await bos.state.get("k") == 1


@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.soak)])
def test_an_erasure_killed_at_any_moment_is_finished_by_the_next_or_by_a_sweep(every: int, tmp_path: Path) -> None:
    """G23: before and after each write of each of its transactions, and amid the scrubbing."""
    ends: list[int] = []
    with Nursery() as nursery:
        while not ends or ends[-1] == SIGKILLED:
            path = tmp_path / str(len(ends)) / "store.db"
            path.parent.mkdir()
            asyncio.run(fill(path))
            ends += nursery.run(child("tests.crash.erasing:killed", path=str(path), at=len(ends) * every))
            asyncio.run(finish(path, swept=len(ends) % 2 == 0))
    assert ends[-1] == 0
    assert len(ends) > 40 // every
