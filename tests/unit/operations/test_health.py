"""Health: what is wrong is returned and not raised, in bounded time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from holdfast import CacheConfig, Config, Holdfast
from holdfast.backends.memory import MemoryKernel, MemoryStore
from holdfast.backends.sqlite import SqliteKernel
from holdfast.errors import Corrupt, HoldfastError, StoreFull, StoreLocked
from holdfast.kernel.commit import Commit, Outcome, Read, View
from holdfast.kernel.contract import Kernel
from holdfast.testing.clock import LeapingClock, ManualClock, SeededIds, settle
from holdfast.wrappers.around import Around
from tests.unit.stores import Stores


class Ailing(Around):
    """A kernel that answers late, or not at all, or with an error."""

    def __init__(self, inside: Kernel) -> None:
        super().__init__(inside)
        self.read_fails: HoldfastError | None = None
        self.commit_fails: HoldfastError | None = None
        self.hangs = asyncio.Event()
        self.hangs.set()
        self.asked = asyncio.Event()
        self.commits: list[Commit] = []
        self.takes_s = 0.0
        self.clock = ManualClock()

    async def read(self, reads: Sequence[Read], *, now_us: int) -> list[View]:
        if self.read_fails is not None:
            raise self.read_fails
        self.asked.set()
        await self.hangs.wait()
        self.clock.advance(self.takes_s)
        return await super().read(reads, now_us=now_us)

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        self.commits += commits
        if self.commit_fails is not None:
            return [self.commit_fails for _ in commits]
        return await super().commit(commits)


@pytest.fixture
def ailing() -> Ailing:
    return Ailing(MemoryKernel())


@pytest.fixture
def sick(ailing: Ailing) -> Holdfast:
    return Holdfast.over(ailing, clock=ailing.clock, ids=SeededIds())


async def test_a_store_that_reads_and_writes_is_healthy(stores: Stores) -> None:
    hold = await stores.open()
    health = await hold.health()
    assert (health.status, health.details) == ("healthy", ())
    assert set(health.latency) == {"read", "write"}
    assert health.store == ("sqlite" if stores.backend == "sqlite" else "memory")
    assert health.durability == ("process" if stores.backend == "sqlite" else "none")
    assert health.cached == ("off" if stores.backend == "weakest" else "exact")
    assert health.traits["span"] == ("bucket" if stores.backend == "weakest" else "store")
    assert health.skew is None
    assert health.version


class Elsewhere(MemoryKernel):
    """A store with a clock of its own, as a server has."""

    clock = ManualClock()

    async def clock_us(self) -> int | None:
        return self.clock.now_us()


@pytest.mark.parametrize(("jump_s", "than"), [(0.9, ""), (2.5, "2.5 s ahead of"), (-60, "60.0 s behind")])
async def test_a_clock_that_differs_from_the_servers_is_measured_and_said(jump_s: float, than: str) -> None:
    """Nothing rests on it but that deadlines come when they are meant to; a second is said to be much."""
    here = ManualClock(Elsewhere.clock.now_us())
    async with Holdfast.over(Elsewhere(), clock=here, ids=SeededIds()) as hold:
        here.jump(jump_s)
        health = await hold.health()
    assert health.skew == pytest.approx(jump_s)
    assert health.status == ("degraded" if than else "healthy")
    assert [than in detail for detail in health.details] == [True] * bool(than)


async def test_a_closed_store_is_unhealthy_and_says_so(stores: Stores) -> None:
    hold = await stores.open()
    await hold.close()
    health = await hold.health()
    assert health.status == "unhealthy"
    assert "[closed]" in health.details[0]


@pytest.mark.parametrize("problem", [Corrupt("a page is damaged"), StoreLocked("another process writes")])
async def test_a_store_that_cannot_be_read_is_unhealthy(sick: Holdfast, ailing: Ailing, problem: HoldfastError) -> None:
    ailing.read_fails = problem
    health = await sick.health()
    assert (health.status, health.latency) == ("unhealthy", {})
    assert health.details == (f"[{problem.code}] {problem.args[0]}",)


async def test_a_store_that_reads_and_does_not_write_is_unhealthy(sick: Holdfast, ailing: Ailing) -> None:
    ailing.commit_fails = StoreFull("no space is left")
    health = await sick.health()
    assert (health.status, set(health.latency)) == ("unhealthy", {"read"})
    assert "no space is left" in health.details[0]


async def test_a_store_that_does_not_answer_is_unhealthy_after_five_seconds_of_the_clock(
    sick: Holdfast, ailing: Ailing
) -> None:
    ailing.hangs.clear()
    asking = asyncio.ensure_future(sick.health())
    await ailing.asked.wait()  # a thread looked up the version before, in time of its own
    await settle()
    ailing.clock.advance(4.9)
    await settle()
    assert not asking.done()
    ailing.clock.advance(0.2)
    health = await asking
    assert health.status == "unhealthy"
    assert health.details == ("the read was not answered within 5 s",)


async def test_a_slow_store_is_degraded(sick: Holdfast, ailing: Ailing) -> None:
    ailing.takes_s = 1.5
    health = await sick.health()
    assert health.status == "degraded"
    assert health.details == ("a read took 1.5 s",)


async def test_a_disk_that_fills_up_is_found_by_asking(tmp_path: Path) -> None:
    """The write of a probe needs room like any other."""
    clock = ManualClock()
    kernel = await SqliteKernel.open(tmp_path / "store.db", max_pages=60)
    async with Holdfast.over(kernel, clock=clock) as hold:
        session = await hold.sessions.create()
        with pytest.raises(StoreFull):
            for n in range(1_000):
                await session.state.set(f"k{n}", "x" * 3_000)
        asked = 0
        while (health := await hold.health()).status == "healthy":  # what is left takes a few records yet
            clock.advance(60)
            asked += 1
            assert asked < 1_000
        assert health.status == "unhealthy"
        assert "store_full" in health.details[0]


async def test_asking_time_and_again_leaves_one_record_a_minute_and_touches_nothing_of_anybody(
    ailing: Ailing,
) -> None:
    hold = Holdfast.over(ailing, clock=ailing.clock, ids=SeededIds())
    await hold.sessions.create(id="s")
    for _ in range(10):
        assert (await hold.health()).status == "healthy"
    assert (await hold.stats()).records == 2
    ailing.clock.advance(60)
    await hold.health()
    assert (await hold.stats()).records == 3
    written = [part.scope for commit in ailing.commits for part in commit.scopes if part.writes]
    assert written == ["session/s", "health/probe", "health/probe"]


async def test_the_round_trip_is_real_where_everything_is_cached() -> None:
    store = MemoryStore()
    ailing = Ailing(MemoryKernel(store))
    hold = Holdfast.over(ailing, clock=LeapingClock(), ids=SeededIds(), config=Config(cache=CacheConfig()))
    for _ in range(3):
        await hold.health()
    ailing.read_fails = Corrupt("gone")
    assert (await hold.health()).status == "unhealthy"
