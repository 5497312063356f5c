"""D3: a run is held by one worker at a time; who has lost it writes nothing more, and who died is replaced.

A dead worker is a process with a clock of its own that nobody moves: it does not beat.
"""

from __future__ import annotations

import asyncio

from holdfast.errors import Busy, LeaseLost
from holdfast.handles.run import Run
from holdfast.testing.clock import StillClock
from holdfast.testing.conformance import expect
from holdfast.testing.conformance.bench import Bench
from holdfast.testing.conformance.check import proves
from holdfast.testing.conformance.process import apart, run_seen_by

TRIP = {"search": [], "pay": ["search"]}


async def _take(run: Run, busy: str = "reject") -> int:
    """Hold it for a moment; the token."""
    async with run.claim(busy=busy) as claim:  # type: ignore[arg-type]
        return claim.token


@proves("D3", needs=("second",))
async def a_run_that_is_held_is_refused_to_others(bench: Bench) -> None:
    """In any process, of a session's run and of one that is alone; other runs are not, nor is it once it was given
    back."""
    here, there = await bench.hold(), await bench.hold()
    s = await here.sessions.create(id="s")
    await s.runs.start("trip", id="free")
    for run in (await s.runs.start("trip", id="r"), await here.runs.start("trip", id="alone")):
        other = await run_seen_by(there, run.id)
        async with run.claim(worker="w1"):
            await expect.raises(Busy, apart(_take(other)), "taking what is held")
            await apart(_take(await run_seen_by(there, "free")))
        await apart(_take(other))


@proves("D3")
async def tokens_rise_with_every_claim(bench: Bench) -> None:
    """So that whoever is told both knows which is older."""
    hold = await bench.hold()
    run = await hold.runs.start("trip", id="r")
    tokens = [await _take(run) for _ in range(3)]
    expect.holds(0 < tokens[0] < tokens[1] < tokens[2], f"tokens rise, found {tokens}")


@proves("D3", needs=("second",))
async def of_two_that_take_a_free_run_one_has_it(bench: Bench) -> None:
    """However close they come; the other is told that it is held."""
    holds = [await bench.hold(), await bench.hold()]
    await holds[0].runs.start("trip", id="r")
    tried, inside = asyncio.Barrier(2), list[int]()

    async def take(run: Run, place: int) -> None:
        try:
            async with run.claim(busy="reject"):
                inside.append(place)
                await tried.wait()
        except Busy:
            await tried.wait()

    runs = [await run_seen_by(hold, "r") for hold in holds]
    await asyncio.gather(*(apart(take(run, place)) for place, run in enumerate(runs)))
    expect.same(len(inside), 1, "how many held the run at once")


@proves("D3", needs=("second",))
async def who_lost_a_run_writes_nothing_more(bench: Bench) -> None:
    """By no handle: the run, its steps, the state and the messages of its session; each is told LeaseLost."""
    here, there = await bench.hold(), await bench.hold()
    s = await here.sessions.create(id="s")
    run = await s.runs.start("trip", id="r", nodes=TRIP)
    other = await run_seen_by(there, "r")

    async def lose() -> None:
        async with run.claim(ttl="1h"):
            await apart(_take(other, "supersede"))
            before = await bench.head("session/s")
            for late in (
                lambda: run.progress("search", "completed"),
                lambda: run.step("price", lambda: 900),
                lambda: s.state.set("late", True),
                lambda: s.messages.add("assistant", "late"),
                lambda: run.complete(),
            ):
                await expect.raises(LeaseLost, late(), "a write by who lost the run")
            expect.same(await bench.head("session/s"), before, "the head after what was refused")

    await expect.raises(LeaseLost, lose(), "the end of a claim that was lost")
    expect.same((await run_seen_by(there, "r")).ready_nodes(), ["search"], "the frontier")


@proves("D3", needs=("second",))
async def a_run_whose_worker_died_is_taken_up(bench: Bench) -> None:
    """It is found, and held by the next; what the dead one had under way is ready again, and what it sends late is
    refused."""
    here, dead = await bench.hold(), await bench.hold(clock=StillClock())
    for id in ("r", "other"):
        await here.runs.start("trip", id=id, nodes=TRIP)
    theirs = await run_seen_by(dead, "r")
    claims = [theirs.claim(ttl="30s"), (await run_seen_by(dead, "other")).claim(ttl="30s")]
    for claim in claims:
        await claim.__aenter__()
    await theirs.progress("search", "running")
    run = await run_seen_by(here, "r")
    await expect.raises(Busy, apart(_take(run)), "taking it from who may be alive")
    bench.still.advance(3600)

    async def take_up() -> None:
        async with run.claim(busy="reject"):
            expect.same(run.ready_nodes(), ["search"], "the frontier for who takes it up")
            await run.progress("search", "completed", output="second")
            expect.same([one.id async for one in here.runs.recoverable()], ["other"], "the runs that nobody works on")

    await apart(take_up())
    await expect.raises(LeaseLost, theirs.progress("search", "completed", output="late"), "a write by who was dead")
    for claim in claims:
        await claim.__aexit__(KeyError, KeyError(), None)
    expect.same((await run_seen_by(here, "r")).nodes["search"].output, "second", "what the node came to")
