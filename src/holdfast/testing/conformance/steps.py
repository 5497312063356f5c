"""D1: a step of a run that is done is never done again, in any process, and its effects are there once, with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from holdfast.handles.atomic_step import AtomicStep
from holdfast.testing.conformance import expect
from holdfast.testing.conformance.bench import Bench
from holdfast.testing.conformance.check import proves
from holdfast.testing.conformance.process import run_seen_by

SCOPE = "session/s"


@proves("D1")
async def a_step_that_is_done_is_not_done_again(bench: Bench) -> None:
    """By the handle that did it, or by one that was fetched since; each returns what the store made of the result."""
    hold, done = await bench.hold(), list[int]()

    def price(amount: int) -> dict[str, int]:
        done.append(amount)
        return {"price": amount}

    s = await hold.sessions.create(id="s")
    run = await s.runs.start("trip", id="r")
    for handle in (run, run, await run_seen_by(hold, "r")):
        expect.same(await handle.step("price", price, 900), {"price": 900}, "what the step came to")
    expect.same(done, [900], "how often it was done")


@proves("D1", needs=("second",))
async def a_step_that_is_done_is_known_in_another_process(bench: Bench) -> None:
    """Of a run in a session and of one that is alone."""
    here, there = await bench.hold(), await bench.hold()
    s = await here.sessions.create(id="s")
    for run in (await s.runs.start("trip", id="r"), await here.runs.start("trip", id="alone")):
        await run.step("price", lambda: 900)
        other = await run_seen_by(there, run.id)
        expect.same(await other.step("price", lambda: 1), 900, f"what the step of {run.id} came to elsewhere")


@proves("D1")
async def a_step_is_told_by_its_name_arguments_and_version(bench: Bench) -> None:
    """Another name, other arguments, another key or version is another step; the same in another run is too."""
    hold = await bench.hold()
    s = await hold.sessions.create(id="s")
    run = await s.runs.start("trip", id="r")
    done = [
        await run.step("a", lambda n: ["a", n], 1),
        await run.step("a", lambda n: ["a", n, "again"], 2),
        await run.step("b", lambda n: ["b", n], 1),
        await run.step("a", lambda n: ["a", n, "v2"], 1, version=2),
        await run.step("a", lambda n: ["a", n, "keyed"], 1, key="k"),
        await (await s.runs.start("trip", id="other")).step("a", lambda n: ["a", n, "other"], 1),
    ]
    wanted = [["a", 1], ["a", 2, "again"], ["b", 1], ["a", 1, "v2"], ["a", 1, "keyed"], ["a", 1, "other"]]
    expect.same(done, wanted, "what each step came to")


@proves("D1", needs=("second",))
async def of_two_that_do_one_step_at_once_one_result_is_kept(bench: Bench) -> None:
    """Both processes are told the same, whichever of them was faster."""
    holds = [await bench.hold(), await bench.hold()]
    first = await holds[0].runs.start("trip", id="r")
    await first.step("before", lambda: None)
    begun = asyncio.Barrier(2)

    async def price(place: int) -> int:
        await begun.wait()
        return place

    runs = [await run_seen_by(hold, "r") for hold in holds]
    told = await asyncio.gather(
        *(run.step("price", price, place, key="", returns=int) for place, run in enumerate(runs))
    )
    expect.same(told[0], told[1], "what the two are told")
    later = await run_seen_by(holds[0], "r")
    expect.same(await later.step("price", lambda: "later", key=""), told[0], "what is told later")


@proves("D1")
async def an_atomic_step_commits_with_its_effects(bench: Bench) -> None:
    """State, messages and events of its session, and that it is done, are one commit: what breaks off leaves none."""
    hold = await bench.hold()
    s = await hold.sessions.create(id="s")
    run = await s.runs.start("trip", id="r")

    async def pay(step: AtomicStep) -> int:
        await step.state.set("paid", 900)
        await step.messages.add("assistant", "Paid")
        await step.log("paid", {"price": 900})
        return 900

    try:
        async with run.atomic_step("pay") as broken:
            await pay(broken)
            raise KeyError("pay")
    except KeyError:
        expect.same(await s.state.get("paid"), None, "the state after a step that broke off")
    for _ in range(2):
        expect.same(await run.atomic("pay", pay), 900, "what the step came to")
    expect.same([one.content for one in await s.messages.list()], ["Paid"], "the messages")
    touched = [record.touched for record in await bench.log(SCOPE) if any(_is_effect(key) for key in record.touched)]
    expect.same(len(touched), 1, "the commits that wrote an effect or the completion")
    areas = {key.partition("/")[0] for key in touched[0]}
    expect.holds({"state", "message", "event", "step"} <= areas, f"one commit has all of it, found {sorted(areas)}")


def _is_effect(key: str) -> bool:
    return key.startswith(("state/", "message/", "step/"))


@proves("D1", needs=("second",))
async def of_two_atomic_steps_at_once_the_effects_of_one_are_there(bench: Bench) -> None:
    """Though what they write never conflicts by itself."""
    holds = [await bench.hold(), await bench.hold()]
    s = await holds[0].sessions.create(id="s")
    await (await s.runs.start("trip", id="r")).step("before", lambda: None)
    begun = asyncio.Barrier(2)
    tries = [0, 0]

    def pay_by(place: int) -> Callable[[AtomicStep], Awaitable[int]]:
        async def pay(step: AtomicStep) -> int:
            await step.messages.add("assistant", f"paid by {place}")
            tries[place] += 1
            if tries[place] == 1:
                await begun.wait()
            return place

        return pay

    runs = [await run_seen_by(hold, "r") for hold in holds]
    told = await asyncio.gather(*(run.atomic("pay", pay_by(place)) for place, run in enumerate(runs)))
    expect.same(told[0], told[1], "what the two are told")
    expect.same([one.content for one in await s.messages.list()], [f"paid by {told[0]}"], "the messages")


@proves("D1", needs=("reopen",))
async def what_is_done_outlives_close(bench: Bench) -> None:
    """Steps, nodes and the effects of both, in whichever process opens the store next."""
    hold = await bench.hold()
    s = await hold.sessions.create(id="s")
    run = await s.runs.start("trip", id="r", nodes={"search": [], "pay": ["search"]})
    await run.step("price", lambda: 900)
    async with run.node("search") as node:
        await node.state.set("found", "KIX")
        node.output = "KIX"
    await bench.restart()
    hold = await bench.hold()
    run = await run_seen_by(hold, "r")
    expect.same(await run.step("price", lambda: 1), 900, "what the step came to")
    expect.same((run.ready_nodes(), run.nodes["search"].output), (["pay"], "KIX"), "the nodes")
    again = await hold.sessions.get("s")
    expect.same(again and await again.state.get("found"), "KIX", "the state that the node wrote")
