"""D5: of a variable the nearest level counts that has it; writers of different ones all land, and nothing leaks."""

from __future__ import annotations

import asyncio
from typing import Any

from holdfast.model.variable import Level
from holdfast.testing.conformance import expect
from holdfast.testing.conformance.bench import Bench
from holdfast.testing.conformance.check import proves
from holdfast.testing.conformance.process import run_seen_by

LEVELS: dict[Level, dict[str, Any]] = {
    "node": {"run": "r", "node": "pay"},
    "run": {"run": "r"},
    "workflow": {"workflow": "trip"},
    "session": {},
    "user": {},
    "global": {},
}
"""What a level is of, the nearest first."""

HERE: dict[str, Any] = {"run": "r", "node": "pay", "workflow": "trip"}


@proves("D5")
async def the_nearest_level_wins(bench: Bench) -> None:
    """Node, run, workflow, session, user, global: as each is set, and as each is cleared again."""
    hold = await bench.hold()
    s = await hold.sessions.create(id="s", user="ada")
    for level in reversed(LEVELS):
        await s.variables.set("city", level, level=level, **LEVELS[level])
        expect.same(await s.variables.get("city", **HERE), level, f"the variable once it is set at {level}")
    told = [one.level for one in await s.variables.list(**HERE)]
    expect.same(told, [*LEVELS], "the levels that have it")
    for level in LEVELS:
        expect.same(await s.variables.resolve("{{ city }}", **HERE), level, "a template")
        await s.variables.clear("city", level=level, **LEVELS[level])
    expect.same(await s.variables.get("city", default="none", **HERE), "none", "what is set nowhere")


@proves("D5", needs=("second",))
async def parallel_writers_of_different_variables_all_land(bench: Bench) -> None:
    """From two processes, at every level, and from transactions, which do not conflict."""
    holds = [await bench.hold(), await bench.hold()]
    await holds[0].sessions.create(id="s")
    sessions = [await hold.sessions.open("s") for hold in holds]

    async def write(place: int, n: int) -> None:
        s = sessions[place]
        if n % 2:
            await s.variables.set(f"v{place}.{n}", n, level="run", run="r")
            return
        async with s.transaction() as tx:
            await tx.variables.set(f"v{place}.{n}", n, level="run", run="r")

    await asyncio.gather(*(write(place, n) for place in range(2) for n in range(6)))
    told = {one.name: one.value for one in await sessions[0].variables.list(level="run", run="r")}
    expect.same(told, {f"v{place}.{n}": n for place in range(2) for n in range(6)}, "the variables")


@proves("D5")
async def nothing_leaks_between_runs_nodes_workflows_and_sessions(bench: Bench) -> None:
    """What is set for one is not seen from another, in the same session or in another."""
    hold = await bench.hold()
    s, other = await hold.sessions.create(id="s", user="ada"), await hold.sessions.create(id="other", user="bo")
    for level in LEVELS:
        if level != "global":
            await s.variables.set(level, "mine", level=level, **LEVELS[level])
    names = " ".join(f"{{{{ {level} }}}}" for level in LEVELS)
    elsewhere: dict[str, Any] = {"run": "r2", "node": "pay", "workflow": "other"}
    told = await s.variables.resolve(names, missing="empty", **elsewhere)
    expect.same(told.split(), ["mine", "mine"], "what is seen from another run: the session's and the user's")
    told = await s.variables.resolve("{{ node }}", missing="empty", run="r", node="search")
    expect.same(told, "", "what is seen from another node")
    told = await other.variables.resolve(names, missing="empty", **HERE)
    expect.same(told.strip(), "", "what is seen from another session")


@proves("D5")
async def a_template_is_filled_in_a_single_pass(bench: Bench) -> None:
    """With variables, state and what nodes came to; a value that looks like a template is text."""
    hold = await bench.hold()
    s = await hold.sessions.create(id="s", user="ada")
    run = await s.runs.start("trip", id="r", nodes={"search": []}, variables={"city": "{{ secret }}"})
    await run.progress("search", "completed", output={"price": 900})
    await s.variables.set("secret", "leaked")
    await s.state.set("cart", ["milk"])
    seen = await run_seen_by(hold, "r")
    text = await seen.variables.resolve("{{ city }} {{ search.output.price }} {{ $flow.state.cart.0 }} {{ none }}")
    expect.same(text, "{{ secret }} 900 milk {{ none }}", "the text")
    expect.same(await seen.variables.value("{{ $flow.state.cart }}"), ["milk"], "a single place")


@proves("D5")
async def variables_commit_with_the_transaction_they_stand_in(bench: Bench) -> None:
    """With a step that breaks off none is set; with one that is done they are its effects."""
    hold = await bench.hold()
    s = await hold.sessions.create(id="s")
    run = await s.runs.start("trip", id="r")
    for fails in (True, False):
        try:
            async with run.atomic_step("price") as step:
                await step.variables.set("price", 900)
                if fails:
                    raise KeyError("price")
        except KeyError:
            expect.same(await run.variables.get("price"), None, "the variable after a step that broke off")
    expect.same(await run.variables.get("price", level="run"), 900, "the variable")
    [touched] = [r.touched for r in await bench.log("session/s") if any(k.startswith("variable/") for k in r.touched)]
    expect.holds(any(key.startswith("step/") for key in touched), f"one commit has both, found {touched}")
