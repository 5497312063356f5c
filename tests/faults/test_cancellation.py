"""Cancelling any operation, wherever it waits: all of it happened or nothing, and the store goes on.

For every public operation, for every n: the task is cancelled at its n-th suspension, as it begins to wait, and once
more when the answer has come but was not taken yet. Then the store shows exactly what it showed before the operation,
or what it shows after it; the same handles go on working; nobody waits for ever; no task or follower is left behind.
"""

import asyncio

import pytest

from holdfast.backends.memory import MemoryKernel, MemoryStore
from holdfast.backends.sqlite import SqliteKernel
from holdfast.testing.simulation import run
from holdfast.wrappers.around import Around
from tests.faults.interruptions import interrupted
from tests.faults.scenarios import ACTS, LIKE_OTHERS, opened, set_up, visible

SUSPENSIONS_MAX = 60
PATIENCE_S = 30.0


class Slow(Around):
    """Every verb waits on its way there and on its way back."""

    async def call(self, verb, send):
        await asyncio.sleep(0.001)
        answer = await send()
        await asyncio.sleep(0.001)
        return answer


async def uninterrupted(kernel, act):
    """What the store shows before the operation and after it."""
    hold = opened(kernel, asyncio.sleep)
    stage = await set_up(hold)
    before = await visible(kernel, act)
    await act(stage)
    after = await visible(kernel, act)
    await hold.close()
    return before, after


async def cancel_at(kernel, act, n, when):
    """Cancel the operation at its n-th suspension; (whether there were so many, what the store then shows)."""
    hold = opened(kernel, asyncio.sleep)
    stage = await set_up(hold)
    reached = []
    task = asyncio.create_task(whole(interrupted(act(stage), at=n, when=when, reached=lambda: reached.append(n))))
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.wait([task])
    if not reached:
        await task
    # Whatever was sent before is through once a later write is: the writer's lane keeps its order.
    await hold.sessions.create(id="probe")
    shown = await visible(kernel, act)
    shown.pop("session/probe")
    await goes_on(hold, stage)
    feeds = hold._store._feeds
    for feed in feeds.values():
        assert not feed._followers, "a follower is left behind"
        assert not feed._scouts, "a follower is left behind"
        assert feed._task is None, "the reader loop runs for nobody"
    async with asyncio.timeout(PATIENCE_S):
        await hold.close()
    await asyncio.sleep(0.01)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"tasks are left behind: {left}"
    return bool(reached), shown


async def whole(awaitable):
    return await awaitable


async def goes_on(hold, stage):
    """The same handles write, read, transact and follow."""
    session = await hold.sessions.open("s", user="ada")
    handle = stage.session if await hold.sessions.get("s") and session._target.epoch == 0 else session
    async with asyncio.timeout(PATIENCE_S):
        async with handle.changes() as changes:
            version = await handle.state.set("probe", 1)
            assert (await anext(changes)).seq == version
        async with handle.transaction() as tx:
            assert await tx.state.get("probe") == 1
            await tx.state.set("probe", 2)
        assert await handle.state.get("probe") == 2


@pytest.mark.parametrize("when", ["asked", "answered"])
@pytest.mark.parametrize("name", ACTS)
def test_a_cancelled_operation_happened_or_did_not_and_the_store_goes_on(name, when):
    act = ACTS[name]
    before, after = run(lambda: uninterrupted(MemoryKernel(), act), seed=0)
    for n in range(1, SUSPENSIONS_MAX):
        reached, shown = run(lambda n=n: cancel_at(Slow(MemoryKernel(MemoryStore())), act, n, when), seed=n)
        assert shown in (before, after), f"half of {name} shows, cancelled at suspension {n}"
        if not reached:
            break
    else:
        raise AssertionError(f"{name} waits more than {SUSPENSIONS_MAX} times")
    assert n > 1, f"{name} never waits"
    assert shown == after


@pytest.mark.parametrize("when", ["asked", "answered"])
@pytest.mark.parametrize(
    "names", [ACTS.keys() - LIKE_OTHERS, pytest.param(LIKE_OTHERS, marks=pytest.mark.soak)], ids=["short", "long"]
)
async def test_the_same_on_sqlite(names, when, tmp_path):
    """Cancellation never reaches the driver."""
    count = 0
    for name in sorted(names):
        act = ACTS[name]
        count += 1
        kernel = await SqliteKernel.open(tmp_path / f"{count}.db", durability="process")
        before, after = await uninterrupted(kernel, act)
        for n in range(1, SUSPENSIONS_MAX):
            count += 1
            kernel = await SqliteKernel.open(tmp_path / f"{count}.db", durability="process")
            reached, shown = await cancel_at(kernel, act, n, when)
            assert shown in (before, after), f"half of {name} shows, cancelled at suspension {n}"
            if not reached:
                break


@pytest.mark.parametrize("when", ["asked", "answered"])
def test_a_close_that_was_cancelled_can_be_called_again_and_then_leaves_nothing(when):
    """`close` may be called twice: also when the first call did not come to its end."""

    class Noting(Slow):
        closed = 0

        async def close(self):
            await asyncio.sleep(0.001)
            await self.inside.close()
            self.closed += 1

    async def close_at(n):
        kernel = Noting(MemoryKernel())
        hold = opened(kernel, asyncio.sleep)
        stage = await set_up(hold)
        changes = stage.session.changes()
        following = asyncio.create_task(whole(anext(changes)))
        writing = asyncio.create_task(stage.session.state.set("a", 2))
        await asyncio.sleep(0.005)
        reached = []
        task = asyncio.create_task(whole(interrupted(hold.close(), at=n, when=when, reached=lambda: reached.append(n))))
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.wait([task])
            await hold.close()
            await asyncio.wait([following, writing])
        assert kernel.closed >= 1, "the kernel was never closed"
        await asyncio.sleep(0.01)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return bool(reached)

    for n in range(1, SUSPENSIONS_MAX):
        if not run(lambda n=n: close_at(n), seed=n):
            break
    assert n > 1
