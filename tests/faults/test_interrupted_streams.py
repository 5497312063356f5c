"""A stream whose reader was interrupted goes on where it was: no change is missed, none comes twice.

A reader is interrupted when it waits with a timeout, or when the store cannot be reached for a while. It then asks the
same stream for the next change.
"""

import asyncio

import pytest

from holdfast.backends.memory import MemoryKernel
from holdfast.errors import Unavailable
from holdfast.testing.simulation import run
from tests.faults.interruptions import interrupted
from tests.faults.scenarios import opened as open_hold
from tests.faults.scenarios import set_up
from tests.faults.test_cancellation import PATIENCE_S, Slow, whole
from tests.faults.test_failing_calls import Failing

CHANGES = 12


async def write(session):
    for n in range(CHANGES):
        await session.state.set("n", n)
        await asyncio.sleep(0.004)


async def read(stage, step, *, after, user=False, opened=lambda: None):
    """All changes of the writes, each asked for by `step` until it comes.

    "now": written while the stream is read. "beginning": all of them before, and nothing happens afterwards.
    """
    if after == "beginning":
        await write(stage.session)
    changes = stage.hold.changes(user="ada", after=after) if user else stage.session.changes(after=after)
    seen = []
    async with changes:
        opened()
        writing = asyncio.create_task(write(stage.session) if after == "now" else asyncio.sleep(0))
        async with asyncio.timeout(PATIENCE_S):
            while len(seen) < CHANGES:
                change = await step(changes)
                if change is not None and change.kind == "state" and change.key == "n":
                    seen.append(change.value)
        await writing
    return seen


@pytest.mark.parametrize("when", ["asked", "answered"])
@pytest.mark.parametrize("after", ["now", "beginning"])
def test_a_reader_that_gave_up_waiting_misses_nothing_when_it_asks_again(after, when):
    async def give_up_at(n):
        hold = open_hold(Slow(MemoryKernel()), asyncio.sleep)
        stage = await set_up(hold)
        waits = asked = 0

        async def step(changes):
            nonlocal waits, asked
            asked += 1
            if asked % 2 == 0:  # every other time it has the patience
                return await anext(changes)

            def reached():
                nonlocal waits
                waits += 1

            task = asyncio.create_task(whole(interrupted(anext(changes), at=n, when=when, reached=reached)))
            await asyncio.wait([task])
            return None if task.cancelled() else task.result()

        seen = await read(stage, step, after=after)
        await hold.close()
        return waits, seen

    interruptions = 0
    for n in range(1, 8):
        waits, seen = run(lambda n=n: give_up_at(n), seed=n)
        interruptions += waits
        assert seen == list(range(CHANGES))
    assert interruptions >= 2


@pytest.mark.parametrize("user", [False, True])
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("after", ["now", "beginning"])
def test_a_reader_that_met_an_unavailable_store_misses_nothing_when_it_asks_again(after, times, user):
    async def fail_at(n):
        kernel = Failing(MemoryKernel(), how="unavailable")
        hold = open_hold(kernel, asyncio.sleep)
        stage = await set_up(hold)

        async def step(changes):
            try:
                return await anext(changes)
            except Unavailable:
                return None

        seen = await read(stage, step, after=after, user=user, opened=lambda: kernel.arm(n, times=times))
        await hold.close()
        return kernel.failed > 0, seen

    for n in range(1, 60):
        reached, seen = run(lambda n=n: fail_at(n), seed=n)
        assert seen == list(range(CHANGES)), f"call {n} failed"
    assert not reached
