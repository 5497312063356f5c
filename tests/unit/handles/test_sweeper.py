"""The sweeper in the background: in small steps, by any number of processes, and not held up for good by anything."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest

from holdfast import Config, Holdfast, RetentionConfig, SessionConfig, StateConfig, SweepConfig
from holdfast.backends.memory import MemoryKernel, MemoryStore
from holdfast.errors import StoreFull
from holdfast.handles.sweeper import PATIENCE
from holdfast.kernel.commit import Found, Retention, Swept
from holdfast.model.sweep import SweeperStats
from holdfast.sync import Holdfast as BlockingHoldfast
from holdfast.testing.clock import ManualClock, SeededIds
from holdfast.wrappers.around import Around
from tests.unit.handles.exclusive import until
from tests.unit.stores import Stores


class Ailing(Around):
    """A kernel that fails to find anything, or to sweep, or answers never."""

    fails: Exception | None = None
    hangs = False

    async def find(self, *args: Any, **given: Any) -> tuple[Found, ...]:
        if self.hangs:
            await asyncio.Event().wait()
        if self.fails is not None:
            raise self.fails
        return await super().find(*args, **given)

    async def sweep(self, *, now_us: int, retention: Retention, budget: int = 10_000) -> Swept:
        swept.append(budget)
        return await super().sweep(now_us=now_us, retention=retention, budget=budget)


swept: list[int] = []


@pytest.fixture
def ailing() -> Ailing:
    swept.clear()
    return Ailing(MemoryKernel(MemoryStore()))


@pytest.fixture
def time() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def hold(ailing: Ailing, time: ManualClock) -> AsyncIterator[Holdfast]:
    async with Holdfast.over(ailing, clock=time, ids=SeededIds(), background=True) as opened:
        yield opened


async def swept_by(hold: Holdfast) -> SweeperStats:
    return (await hold.stats()).sweeper


async def test_what_has_expired_goes_by_itself_and_each_session_once_however_many_sweep(stores: Stores) -> None:
    """Every action is a checked commit, so processes only share the work."""
    first = await stores.open()
    await asyncio.gather(*(first.sessions.create(id=f"s{n:02}", ttl=1 if n % 2 else None) for n in range(40)))
    stores.clock.advance(1)
    kernels = [await stores.kernel() for _ in range(3)]
    holds = [
        Holdfast.over(kernel, clock=stores.clock, ids=SeededIds(n + 7), background=True)
        for n, kernel in enumerate(kernels)
    ]
    await until(lambda: all(hold._sweeper.stats().steps >= 2 for hold in holds))
    assert not (await first.sessions.list(expired=True)).items
    assert len((await first.sessions.list()).items) == 20
    assert sum([(await swept_by(hold)).done.expired for hold in holds]) == 20
    for hold in holds:
        await hold.close()


async def test_it_makes_a_step_about_every_so_long_and_never_at_once(
    ailing: Ailing, time: ManualClock, hold: Holdfast
) -> None:
    """A half less or more, drawn anew each time."""
    assert (await swept_by(hold)).running
    await time.elapse(0)
    assert swept == []
    stepped_s: list[int] = []
    for second in range(15 * 60):
        await time.elapse(1)
        stepped_s += [second] * (len(swept) - len(stepped_s))
    gaps_s = [later - earlier for earlier, later in itertools.pairwise(stepped_s)]
    assert len(set(gaps_s)) > 5
    assert all(29 <= gap_s <= 91 for gap_s in gaps_s)


@pytest.mark.parametrize("every_s", [10, 600])
async def test_every_is_how_often_it_makes_a_step(ailing: Ailing, time: ManualClock, every_s: int) -> None:
    config = Config(sweep=SweepConfig(every=every_s))
    async with Holdfast.over(ailing, clock=time, ids=SeededIds(), config=config, background=True) as hold:
        await time.elapse(30 * every_s)
        assert 20 <= (await swept_by(hold)).steps <= 61


async def test_while_a_step_leaves_something_the_next_one_comes_soon(ailing: Ailing, time: ManualClock) -> None:
    """The budget bounds each step, and not what is swept."""
    config = Config(sweep=SweepConfig(budget=10))
    async with Holdfast.over(ailing, clock=time, ids=SeededIds(), config=config, background=True) as hold:
        for n in range(45):
            await hold.sessions.create(id=f"s{n}", ttl=1)
        await time.elapse(60)
        await time.elapse(40)
        assert (await swept_by(hold)).done.expired == 45
        assert set(swept) == {10}
        assert (await hold.stats()).cells == 0


@pytest.mark.parametrize("problem", [StoreFull("the disk is full"), RuntimeError("a defect")])
async def test_it_waits_longer_and_longer_while_the_store_does_not_let_it_and_says_so(
    ailing: Ailing, time: ManualClock, hold: Holdfast, problem: Exception
) -> None:
    ailing.fails = problem
    await time.elapse(60)
    assert (await hold.health()).status == "healthy"  # once is nothing
    await time.elapse(3 * 3600)
    figures = await swept_by(hold)
    assert figures.running
    assert figures.failures == figures.in_a_row == figures.steps
    assert 3 * 3600 / (1.5 * 60 * PATIENCE) <= figures.steps <= 3 * 3600 / (0.5 * 60 * PATIENCE) + 5
    health = await hold.health()
    assert health.status == "degraded"
    assert f"the last {figures.in_a_row} steps of the sweeper failed" in health.details[0]
    assert str(problem.args[0]) in health.details[0]
    ailing.fails = None
    await time.elapse(1.5 * 60 * PATIENCE)
    assert (await swept_by(hold)).in_a_row == 0
    assert (await hold.health()).status == "healthy"


class Refusing(Around):
    """A kernel that finds nothing of one index."""

    index = ""

    async def find(self, index: str, value: str, **given: Any) -> tuple[Found, ...]:
        if f"{index}/{value}" == self.index:
            raise RuntimeError(f"nothing is found of {self.index}")
        return await super().find(index, value, **given)


@pytest.mark.parametrize("index", ["due/session", "due/ended", "beat/", "session.active/open"])
async def test_what_fails_of_a_step_holds_up_nothing_else_and_is_told(time: ManualClock, index: str) -> None:
    """Each thing is done for itself: expired, ended, displaced, what the store removes."""
    kernel = Refusing(MemoryKernel(MemoryStore()))
    config = Config(session=SessionConfig(live_max=2), retention=RetentionConfig(age="1h"))
    async with Holdfast.over(kernel, clock=time, ids=SeededIds(), config=config) as hold:
        await hold.sessions.create(id="expires", ttl=60)
        await (await hold.sessions.create(id="ends")).complete()
        time.advance(7200)
        await hold.sessions.create(id="gone")
        await hold.sessions.delete("gone")
        await _crowded(kernel, time)
        kernel.index = index
        with pytest.raises(RuntimeError, match=index):
            await hold.sweep()
        kernel.index = ""
        left = await hold.sweep(dry_run=True)
        assert (left.expired, left.retired) == (int(index == "due/session"), int(index == "due/ended"))
        left_over = 3 if index in ("session.active/open", "due/session") else 2  # who is displaced rests on both
        assert len((await hold.sessions.list(status="active")).items) == left_over
        assert (await kernel.sweep(now_us=time.now_us(), retention=Retention())).cells == 0  # all of it was removed


async def test_what_fails_of_a_sweep_ends_it_no_sooner(time: ManualClock) -> None:
    """However many steps the rest takes: it is all done when the sweep says what failed."""
    kernel = Refusing(MemoryKernel(MemoryStore()))
    config = Config(sweep=SweepConfig(budget=10), state=StateConfig(temp_ttl=1))
    async with Holdfast.over(kernel, clock=time, ids=SeededIds(), config=config) as hold:
        s = await hold.sessions.create(id="s")
        for number in range(50):
            await s.temp.set(f"k{number}", number)
        time.advance(2)
        kernel.index = "beat/"
        with pytest.raises(RuntimeError, match="beat/"):
            await hold.sweep()
        assert (await kernel.sweep(now_us=time.now_us(), retention=Retention())).cells == 0


async def _crowded(kernel: Refusing, time: ManualClock) -> None:
    """Sessions, one too many, by a process that has no bound."""
    other = Holdfast.over(Around(kernel), clock=time, ids=SeededIds(9))
    for id in ("one", "two", "three"):
        await other.sessions.create(id=id)


async def test_closing_ends_it_in_the_middle_of_a_step_and_waits_for_nothing(
    ailing: Ailing, time: ManualClock, hold: Holdfast
) -> None:
    ailing.hangs = True
    await time.elapse(90)
    await hold.close()
    assert [task.get_name() for task in asyncio.all_tasks() if task.get_name() == "holdfast sweeper"] == []
    assert not hold._sweeper.stats().running


async def test_opening_starts_one_unless_it_is_not_wanted_and_the_blocking_face_has_none() -> None:
    async with Holdfast.open("memory://") as hold:
        assert (await swept_by(hold)).running
    async with Holdfast.open("memory://", background=False) as hold:
        assert not (await swept_by(hold)).running

    def blocking() -> list[bool]:
        with BlockingHoldfast.open("memory://") as one, BlockingHoldfast.open("memory://", background=True) as other:
            return [one.stats().sweeper.running, other.stats().sweeper.running]

    assert await asyncio.to_thread(blocking) == [False, True]


async def test_what_is_neither_true_nor_false_is_refused() -> None:
    with pytest.raises(TypeError, match="background must be True or False"):
        await Holdfast.open("memory://", background=1)  # type: ignore[arg-type]
