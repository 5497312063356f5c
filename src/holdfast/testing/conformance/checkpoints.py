"""D6: a checkpoint shows one moment; what restores or forks it has exactly that, and a restore can be undone."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from holdfast.errors import AlreadyAnswered, Busy, InteractionCancelled, LeaseLost
from holdfast.handles.session import Session
from holdfast.hold import Holdfast
from holdfast.testing.conformance import expect
from holdfast.testing.conformance.bench import Bench
from holdfast.testing.conformance.check import proves
from holdfast.testing.conformance.process import apart, run_seen_by

TRIP = {"search": [], "pay": ["search"]}


async def _picture(s: Session) -> dict[str, Any]:
    """All that a checkpoint shows of a session, as it is now."""
    await s.refresh()
    runs = sorted((await s.runs.list()).items, key=lambda run: run.workflow)
    variables = [v for run in runs for v in await s.variables.list(run=run.id, workflow=run.workflow)]
    return {
        "state": (await s.state.snapshot()).values,
        "temp": (await s.temp.snapshot()).values,
        "runtime": await s.runtime.all(),
        "variables": sorted([v.level, v.name, v.value] for v in variables + await s.variables.list()),
        "nodes": [{name: (n.status.value, n.output) for name, n in run.nodes.items()} for run in runs],
        "messages": [one.content for one in await s.messages.list()],
        "metadata": {key: value for key, value in s.metadata.items() if key != "forked_from"},
        "tags": s.tags,
    }


async def _begun(hold: Holdfast) -> Session:
    """A session with something of everything."""
    s = await hold.sessions.create(id="s", metadata={"n": 0}, tags=["t0"])
    await s.runs.start("trip", id="r", nodes=TRIP)
    await _goes_on(hold, s, 1)
    return s


async def _goes_on(hold: Holdfast, s: Session, n: int) -> None:
    """Change something everywhere, add something, and remove what was there before."""
    await s.state.update({"n": n, f"only{n}": {"x": [n]}})
    await s.state.delete(f"only{n - 1}")
    await s.temp.set("draft", n)
    await s.runtime.update({"step": n, f"r{n}": n})
    await s.variables.set("city", n)
    await s.variables.set(f"v{n}", n, level="run", run="r")
    await s.variables.clear(f"v{n - 1}", level="run", run="r")
    await s.update(metadata={"n": n}, tags=[f"t{n}"])
    await s.messages.add("user", f"message {n}")
    run = await run_seen_by(hold, "r")
    if ready := run.ready_nodes():
        await run.progress(ready[0], "completed", output=n)


@proves("D6")
async def a_restore_brings_back_what_was_there(bench: Bench) -> None:
    """State, temporary and runtime state, variables, runs, metadata, tags and messages: what was changed, added and
    removed since."""
    hold = await bench.hold()
    s = await _begun(hold)
    then = await _picture(s)
    taken = await s.checkpoint(label="then")
    await _goes_on(hold, s, 2)
    await s.restore(taken.id)
    expect.same(await _picture(s), then, "what is there once it is restored")


@proves("D6")
async def a_restore_can_be_undone_and_done_again(bench: Bench) -> None:
    """Each returns the checkpoint by which that goes, taken in the one commit that it is."""
    hold = await bench.hold()
    s = await _begun(hold)
    taken, then = await s.checkpoint(), await _picture(s)
    await _goes_on(hold, s, 2)
    now = await _picture(s)
    before = await bench.head("session/s")
    undo = await s.restore(taken.id)
    expect.same((await bench.head("session/s")).seq, before.seq + 1, "the seq after a restore")
    expect.same(await _picture(s), then, "what is there once it is restored")
    redo = await s.restore(undo.id)
    expect.same(await _picture(s), now, "what is there once that is undone")
    await s.restore(redo.id)
    expect.same(await _picture(s), then, "what is there once that is undone too")


@proves("D6")
async def each_checkpoint_shows_its_own_moment(bench: Bench) -> None:
    """Though it keeps only what was written since the one before it; dropping one leaves the others whole."""
    hold = await bench.hold()
    s = await _begun(hold)
    pictures = []
    for n in range(2, 6):
        pictures.append(((await s.checkpoint(label=str(n))).id, await _picture(s)))
        await _goes_on(hold, s, n)
    dropped, _ = pictures.pop(1)
    await hold.drop_checkpoint(dropped)
    expect.holds(dropped not in [one.id for one in await s.checkpoints()], "what was dropped is not listed")
    for id, then in reversed(pictures):
        await s.restore(id)
        expect.same(await _picture(s), then, "what a checkpoint shows")


@proves("D6")
async def a_difference_says_what_makes_the_one_the_other(bench: Bench) -> None:
    """Between two checkpoints, and to what is there now: what was changed, added and removed, and nothing else."""
    hold = await bench.hold()
    s = await hold.sessions.create(id="s")
    await s.state.update({"a": 1, "b": {"x": 1}, "c": 3})
    first = await s.checkpoint()
    await s.state.update({"a": 2, "d": 4})
    await s.state.delete("c")
    second = await s.checkpoint()
    wanted = {("replace", "/state/a", 2), ("add", "/state/d", 4), ("remove", "/state/c", UNSET)}
    for patch in (await s.diff(first.id, second.id), await s.diff(first.id)):
        expect.same({(one.op, one.path, one.value) for one in patch}, wanted, "the difference")
    expect.same(await s.diff(second.id), [], "the difference of the same")


@proves("D6")
async def a_fork_has_that_past_and_shares_nothing(bench: Bench) -> None:
    """It shows what the checkpoint does, remembers the steps that were done, and neither sees what the other writes."""
    hold = await bench.hold()
    s = await _begun(hold)
    run = await run_seen_by(hold, "r")
    await run.step("price", lambda: 900)
    taken, then = await s.checkpoint(), await _picture(s)
    await _goes_on(hold, s, 2)
    now = await _picture(s)
    fork = await s.fork(at=taken.id)
    expect.same(await _picture(fork), then, "what the fork shows")
    [copied] = (await fork.runs.list()).items
    expect.holds(copied.id != run.id, "its run has an id of its own")
    await copied.resume()
    expect.same(await copied.step("price", lambda: 1), 900, "a step that was done before")
    await copied.progress("pay", "completed", output="fork")
    await fork.state.set("n", "fork")
    await fork.variables.set("city", "fork")
    await fork.messages.add("user", "fork")
    expect.same(await _picture(s), now, "what the origin shows")
    theirs = await _picture(fork)
    await s.state.set("n", "origin")
    await s.variables.set("city", "origin")
    expect.same(await _picture(fork), theirs, "what the fork shows after the origin went on")


@proves("D6", needs=("second",))
async def a_restore_takes_nothing_from_who_works(bench: Bench) -> None:
    """It is refused while somebody holds a run; forced, it fences them."""
    here, there = await bench.hold(), await bench.hold()
    s = await _begun(here)
    taken = await s.checkpoint()
    theirs = await run_seen_by(there, "r")

    async def work() -> None:
        async with theirs.claim(ttl="1h"):
            await expect.raises(Busy, apart(s.restore(taken.id)), "a restore while a run is held")
            await apart(s.restore(taken.id, force=True))
            late = theirs.progress("pay", "completed", output="late")
            await expect.raises(LeaseLost, late, "a write by who was fenced")

    await expect.raises(LeaseLost, work(), "the end of a claim that was taken")
    expect.same((await run_seen_by(here, "r")).ready_nodes(), ["pay"], "the frontier")


@proves("D6", "D4")
async def a_restore_reopens_no_answer(bench: Bench) -> None:
    """What was answered since stays answered; what was asked since is withdrawn."""
    hold = await bench.hold()
    s = await _begun(hold)
    run = await run_seen_by(hold, "r")
    old = await run.ask("Pay?", node="pay", key="old")
    taken = await s.checkpoint()
    await hold.interactions.answer(old.id, "approved", by="bo")
    await run.refresh()
    new = await run.ask("Sure?", node="pay", key="new")
    await s.restore(taken.id)
    rejected = hold.interactions.answer(old.id, "rejected", by="bo")
    await expect.raises(AlreadyAnswered, rejected, "another answer after the restore")
    expect.same((await old.wait()).approved, True, "the answer that was given")
    await expect.raises(InteractionCancelled, new.wait(), "waiting for what was asked since")
    expect.same((await run_seen_by(hold, "r")).ready_nodes(), ["pay"], "the frontier: nothing is open")
