"""D2: a node begins when enough of those it waits for are done, and what was done of it is never lost."""

from __future__ import annotations

from typing import Any

from holdfast.errors import InvalidTransition, InvalidValue
from holdfast.model.node_spec import NodeSpec, Retry
from holdfast.testing.conformance import expect
from holdfast.testing.conformance.bench import Bench
from holdfast.testing.conformance.check import proves
from holdfast.testing.conformance.process import run_seen_by

DIAMOND: dict[str, Any] = {"search": [], "fly": ["search"], "stay": ["search"], "pay": ["fly", "stay"]}


@proves("D2")
async def a_node_is_ready_once_enough_before_it_are_done(bench: Bench) -> None:
    """All of them, any, or so many: as the node says, and as every process sees it."""
    hold = await bench.hold()
    some = ("a", "b", "c")
    nodes = {
        **dict.fromkeys(some, ()),
        "all": some,
        "any": NodeSpec(after=some, join="any"),
        "two": NodeSpec(after=some, join=2),
    }
    run = await hold.runs.start("joins", id="r", nodes=nodes)
    for node, wanted in (("b", {"any"}), ("a", {"any", "two"}), ("c", {"all", "any", "two"})):
        await run.progress(node, "completed")
        seen = await run_seen_by(hold, "r")
        for told in (run, seen):
            expect.same({*told.ready_nodes()} - {*some}, wanted, f"what is ready once {node} is done")


@proves("D2")
async def a_node_that_waits_cannot_begin(bench: Bench) -> None:
    """Nor end, nor begin twice once it was done; what is refused writes nothing."""
    hold = await bench.hold()
    run = await hold.runs.start("trip", id="r", nodes=DIAMOND)
    await run.progress("search", "completed", output="KIX")
    before = await bench.head("run/r")
    for node, status in (("pay", "running"), ("pay", "completed"), ("search", "running"), ("search", "completed")):
        await expect.raises(InvalidTransition, run.progress(node, status), f"{node} becoming {status}")
    expect.same(await bench.head("run/r"), before, "the head after what was refused")
    seen = await run_seen_by(hold, "r")
    expect.same(({*seen.ready_nodes()}, seen.nodes["search"].output), ({"fly", "stay"}, "KIX"), "the frontier")


@proves("D2", needs=("second",))
async def what_another_process_did_of_a_node_is_not_undone(bench: Bench) -> None:
    """By who saw it before that: the move is judged anew, and refused; other nodes go on without a conflict."""
    here, there = await bench.hold(), await bench.hold()
    run = await here.runs.start("trip", id="r", nodes=DIAMOND)
    old = await run_seen_by(there, "r")
    await run.progress({"search": {"status": "completed", "output": "KIX"}, "fly": "running"})
    await expect.raises(InvalidTransition, old.progress("search", "running"), "beginning what is done, seen before")
    old = await run_seen_by(there, "r")
    await run.progress("fly", "completed", output="JL1")
    await expect.raises(InvalidTransition, old.progress("fly", "failed", error="late"), "ending what is done")
    await old.progress("stay", "completed", output="ryokan")
    seen = await run_seen_by(here, "r")
    told = {name: node.output for name, node in seen.nodes.items() if node.status == "completed"}
    expect.same(told, {"search": "KIX", "fly": "JL1", "stay": "ryokan"}, "what the nodes came to")
    expect.same(seen.ready_nodes(), ["pay"], "the frontier")


@proves("D2")
async def what_failed_is_tried_again_after_its_pause(bench: Bench) -> None:
    """As often as it says and not before its time; then the run fails, and what waits for the node is skipped."""
    hold = await bench.hold()
    nodes = {"search": NodeSpec(retry=Retry(1, delay=10)), "pay": ["search"]}
    run = await hold.runs.start("trip", id="r", nodes=nodes)
    for attempt in (1, 2):
        expect.same(run.ready_nodes(), ["search"], f"the frontier before try {attempt}")
        await run.progress("search", "running")
        expect.same(run.nodes["search"].attempt, attempt, "the number of the try")
        await run.progress("search", "failed", error={"type": "TimeoutError"})
        if attempt == 1:
            expect.same((await run_seen_by(hold, "r")).ready_nodes(), [], "the frontier during the pause")
            bench.still.advance(10)
    seen = await run_seen_by(hold, "r")
    statuses = {name: node.status.value for name, node in seen.nodes.items()}
    expect.same((seen.status.value, statuses), ("failed", {"search": "failed", "pay": "skipped"}), "the run")


@proves("D2")
async def a_node_commits_with_what_it_wrote(bench: Bench) -> None:
    """Its state and that it is completed are one commit; of one that breaks off only the failed try is there."""
    hold = await bench.hold()
    s = await hold.sessions.create(id="s")
    run = await s.runs.start("trip", id="r", nodes={"pay": NodeSpec(retry=Retry(1))})
    for fails in (True, False):
        bench.still.advance(60)
        try:
            async with run.node("pay") as node:
                await node.state.set("paid", node.attempt)
                node.output = node.attempt
                if fails:
                    raise KeyError("pay")
        except KeyError:
            expect.same(await s.state.get("paid"), None, "the state after a try that broke off")
    expect.same((await s.state.get("paid"), run.nodes["pay"].output), (2, 2), "the state and the output")
    [touched] = [record.touched for record in await bench.log("session/s") if "state//paid" in record.touched]
    expect.holds(any(key.startswith("node/") for key in touched), f"one commit has both, found {touched}")


@proves("D2")
async def a_paused_run_begins_nothing_and_keeps_its_place(bench: Bench) -> None:
    """What runs may end; resumed it goes on where it was, by whoever takes it up."""
    hold = await bench.hold()
    run = await hold.runs.start("trip", id="r", nodes=DIAMOND)
    await run.progress({"search": "completed", "fly": "running"})
    await run.pause("by Bo")
    await expect.raises(InvalidTransition, run.progress("stay", "running"), "beginning a node while the run is paused")
    await expect.raises(InvalidTransition, run.step("price", lambda: 900), "a step while the run is paused")
    await run.progress("fly", "completed", output="JL1")
    seen = await run_seen_by(hold, "r")
    expect.same((seen.status.value, seen.pause_reason), ("paused", "by Bo"), "the run")
    await seen.resume()
    seen = await run_seen_by(hold, "r")
    expect.same((seen.status.value, seen.ready_nodes()), ("pending", ["stay"]), "the run once it is resumed")


@proves("D2")
async def nodes_that_cannot_be_done_are_refused(bench: Bench) -> None:
    """A cycle or an unknown dependency: at the start, which then leaves no run, and later."""
    hold = await bench.hold()
    for wrong in ({"a": ["b"], "b": ["a"]}, {"a": ["nobody"]}):
        await expect.raises(InvalidValue, hold.runs.start("trip", id="r", nodes=wrong), f"a run of {wrong}")
        expect.same(await hold.runs.get("r"), None, "the run that was refused")
    run = await hold.runs.start("trip", id="r", nodes={"first": []})
    more = run.add_nodes({"a": ["first", "b"], "b": ["a"]})
    await expect.raises(InvalidValue, more, "adding nodes that wait for each other")
    expect.same([*(await run_seen_by(hold, "r")).nodes], ["first"], "the nodes after what was refused")
