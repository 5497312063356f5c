"""Several openings and processes on one run that nobody claimed: each writes of other nodes, and nothing is lost.

What a handle last saw is never what a move is made by, if somebody else was faster: nothing begins behind what goes
through another round, and what a handle shows never goes back behind what it wrote.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from holdfast import Holdfast
from holdfast.backends.memory import MemoryKernel, MemoryStore
from holdfast.backends.sqlite import SqliteKernel
from holdfast.errors import Conflict, InvalidTransition
from holdfast.handles.run import Run
from holdfast.kernel.contract import Kernel
from holdfast.wrappers.around import Around, Verb
from tests.crash.nursery import Nursery, child

T = TypeVar("T")

LANES, LENGTH = 2, 15


def lanes() -> dict[str, list[str]]:
    """Rows of nodes, and one that waits for the last of each."""
    nodes = {f"{lane}.{n}": [f"{lane}.{n - 1}"] if n else [] for lane in range(LANES) for n in range(LENGTH)}
    return nodes | {"end": [f"{lane}.{LENGTH - 1}" for lane in range(LANES)]}


async def walk(hold: Holdfast, lane: int) -> None:
    """Go through one row, and write beside it."""
    s = await hold.sessions.get("s")
    run = await hold.runs.get("r")
    assert s is not None
    assert run is not None
    for n in range(LENGTH):
        await run.progress(f"{lane}.{n}", "running")
        await s.state.set(f"{lane}.{n}", n)
        await run.progress(f"{lane}.{n}", "completed", output=[lane, n])


def walk_alone(*, path: str, lane: int) -> None:
    """The same, as a process."""

    async def work() -> None:
        async with Holdfast.over(await SqliteKernel.open(path, durability="process")) as hold:
            await walk(hold, lane)

    asyncio.run(work())


async def begin(hold: Holdfast) -> Run:
    s = await hold.sessions.create(id="s")
    return await s.runs.start("rows", id="r", nodes=lanes())


async def judge(hold: Holdfast) -> None:
    """Everything that was told is there, each once."""
    run = await hold.runs.get("r")
    s = await hold.sessions.get("s")
    assert run is not None
    assert s is not None
    assert run.ready_nodes() == ["end"]
    told = {name: (node.output, node.attempt) for name, node in run.nodes.items() if name != "end"}
    assert told == {f"{lane}.{n}": ([lane, n], 1) for lane in range(LANES) for n in range(LENGTH)}
    assert len((await s.state.snapshot()).values) == LANES * LENGTH


def test_processes_that_go_through_different_rows_of_one_run_lose_nothing(tmp_path: Path) -> None:
    """Without a claim: parallel nodes, and what is written beside them, all land."""
    path = str(tmp_path / "store.db")

    async def before() -> None:
        async with Holdfast.over(await SqliteKernel.open(path, durability="process")) as hold:
            await begin(hold)

    async def after() -> None:
        async with Holdfast.over(await SqliteKernel.open(path)) as hold:
            await judge(hold)

    asyncio.run(before())
    with Nursery() as nursery:
        jobs = [child("tests.concurrency.test_runs:walk_alone", path=path, lane=lane) for lane in range(LANES)]
        assert nursery.run(*jobs) == [0] * LANES
    asyncio.run(after())


async def test_openings_that_go_through_rows_while_another_pauses_and_resumes_lose_nothing() -> None:
    """Who finds the run paused goes on when it is resumed; no move is made twice, and none is lost."""
    store = MemoryStore()
    holds = [Holdfast.over(MemoryKernel(store)) for _ in range(LANES + 1)]
    run = await begin(holds[-1])

    async def insist(run: Run, node: str, status: str, output: object = None) -> None:
        while True:
            try:
                return await run.progress(node, status, output=output)
            except InvalidTransition:
                assert run.status == "paused"
                await asyncio.sleep(0)

    async def work(lane: int) -> None:
        mine = await holds[lane].runs.get("r")
        s = await holds[lane].sessions.get("s")
        assert mine is not None
        assert s is not None
        for n in range(LENGTH):
            await insist(mine, f"{lane}.{n}", "running")
            await s.state.set(f"{lane}.{n}", n)
            await insist(mine, f"{lane}.{n}", "completed", [lane, n])

    async def stop_and_go() -> None:
        for _ in range(10):
            await run.pause("a moment")
            await asyncio.sleep(0)
            await run.resume()
            await asyncio.sleep(0)

    await asyncio.gather(*(work(lane) for lane in range(LANES)), stop_and_go())
    await judge(holds[0])
    for hold in holds:
        await hold.close()


# --- one handle, and what comes between -----------------------------------------------------------------


class Withheld(Around):
    """Keeps the answers to one verb back, when told to; what was asked for is done."""

    def __init__(self, inside: Kernel) -> None:
        super().__init__(inside)
        self.verb: Verb | None = None
        self.met, self.goes_on = asyncio.Event(), asyncio.Event()

    async def call(self, verb: Verb, send: Callable[[], Awaitable[T]]) -> T:
        answer = await send()
        if verb == self.verb:
            self.verb = None
            self.met.set()
            await self.goes_on.wait()
        return answer


async def two() -> tuple[Withheld, Run, Run]:
    """Handles of one run in two openings; the answers to the first may be kept back."""
    store = MemoryStore()
    kernel = Withheld(MemoryKernel(store))
    s = await Holdfast.over(kernel).sessions.create(id="s")
    run = await s.runs.start("trip", id="r", nodes={"search": [], "pay": ["search"], "tell": ["pay"], "else": []})
    other = await Holdfast.over(MemoryKernel(store)).runs.get("r")
    assert other is not None
    return kernel, run, other


async def test_a_refresh_never_brings_back_what_the_handle_has_written_since() -> None:
    """Its answer was on its way when the commit landed: it looks once more."""
    kernel, run, other = await two()
    await other.progress("else", "completed")
    kernel.verb = "read"
    refreshing = asyncio.create_task(run.refresh())
    await kernel.met.wait()
    await run.progress("search", "completed", output=1)
    kernel.goes_on.set()
    await refreshing
    assert (run.nodes["search"].output, run.nodes["else"].status, run.ready_nodes()) == (1, "completed", ["pay"])


async def test_a_move_whose_task_was_cancelled_on_the_way_stays_made_and_the_handle_goes_on() -> None:
    """Nobody was told whether it landed; the next move is judged by what is there."""
    kernel, run, _ = await two()
    kernel.verb = "commit"
    telling = asyncio.create_task(run.progress("search", "completed", output=1))
    await kernel.met.wait()
    telling.cancel()
    kernel.goes_on.set()
    await asyncio.gather(telling, return_exceptions=True)
    await run.progress("pay", "running")
    assert (run.nodes["search"].output, run.current_node) == (1, "pay")


async def test_nothing_begins_behind_what_somebody_else_takes_through_another_round() -> None:
    """The handle that tells of it saw the node ready: it is not any more."""
    _, run, other = await two()
    await run.progress("search", "completed")
    await other.progress("search", "ready")
    with pytest.raises(InvalidTransition, match="'pay' is waiting"):
        await run.progress("pay", "running")


async def test_what_somebody_else_skipped_is_not_waited_for() -> None:
    """What depends on it is skipped too, whatever the handle last saw."""
    _, run, other = await two()
    await other.progress("search", "skipped")
    with pytest.raises(InvalidTransition, match="'tell' is skipped"):
        await run.progress("tell", "paused")


async def test_nodes_that_somebody_else_added_may_be_told_of_and_waited_for() -> None:
    """A handle that does not know them looks again before it says that there are none."""
    _, run, other = await two()
    await other.add_nodes({"more": []})
    await run.add_nodes({"most": ["more"]})
    await other.progress({"more": "completed", "most": "completed"})
    assert other.nodes["most"].status == "completed"


async def test_a_resumed_run_goes_on_at_nodes_that_somebody_else_paused() -> None:
    """It looks before it says which."""
    _, run, other = await two()
    await run.progress("search", "running")
    await other.refresh()
    await run.progress("else", "paused")
    await other.pause()
    await other.resume()
    assert (await run.refresh()).ready_nodes() == ["else"]


async def test_a_transaction_sees_what_it_staged_of_a_run_and_rests_on_what_it_read() -> None:
    """Looking again in it loses nothing; what others wrote of the run meanwhile is a conflict."""
    kernel, run, other = await two()
    session = await Holdfast.over(kernel).sessions.get("s")
    assert session is not None
    async with session.transaction() as tx:
        mine = await tx.runs.get("r")
        assert mine is not None
        await mine.progress("search", "completed")
        await mine.refresh()
        await mine.progress("pay", "completed")
    assert sorted((await run.refresh()).ready_nodes()) == ["else", "tell"]
    with pytest.raises(Conflict):
        async with session.transaction() as tx:
            mine = await tx.runs.get("r")
            assert mine is not None
            await tx.state.set("ready", mine.ready_nodes())
            await other.progress("else", "completed")


async def test_a_run_that_asks_is_paused_by_whoever_was_the_last_to_end_something() -> None:
    """Also where that was not known to who asked."""
    _, run, other = await two()
    await run.progress({"search": "running", "else": "running"})
    await other.refresh()
    await other.progress("else", "completed")
    await run.ask("Go on?", node="search")
    assert (run.status, run.nodes["else"].status) == ("paused", "completed")


async def test_two_that_end_the_last_nodes_of_a_run_that_asks_leave_it_paused() -> None:
    """One of them sees what the other did."""
    _, run, other = await two()
    await run.progress("search", "skipped")
    await run.add_nodes({"more": []})
    await run.progress({"else": "running", "more": "running"})
    await run.add_nodes({"asks": []})
    await run.ask("Go on?", node="asks")
    await other.refresh()
    await asyncio.gather(run.progress("else", "completed"), other.progress("more", "completed"))
    assert (await run.refresh()).status == "paused"
