"""D4: a question has one answer, from who may give it and in its time; all are told it, and the run goes on by it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from holdfast.errors import (
    AlreadyAnswered,
    HoldfastError,
    InteractionCancelled,
    InteractionExpired,
    InvalidTransition,
    InvalidValue,
    NotAssignee,
)
from holdfast.handles.interaction import Interaction
from holdfast.handles.run import Run
from holdfast.hold import Holdfast
from holdfast.model.interaction import Answer
from holdfast.testing.clock import StillClock
from holdfast.testing.conformance import expect
from holdfast.testing.conformance.bench import Bench
from holdfast.testing.conformance.check import proves
from holdfast.testing.conformance.process import meanwhile_apart, run_seen_by

HOUR_S = 3600


async def _asked(hold: Holdfast, **given: Any) -> tuple[Run, Interaction]:
    """A run of a session whose only node asks."""
    s = await hold.sessions.create(id="s")
    run = await s.runs.start("trip", id="r", nodes={"pay": []})
    await run.progress("pay", "running")
    return run, await run.ask("Pay 900 €?", node="pay", **given)


async def _told(hold: Holdfast, id: str) -> Any:
    """What everybody is told of it there: its status, and what came of it."""
    q = expect.a(Interaction, await hold.interactions.get(id), "the question")
    return q.status.value, None if q.answer is None else (q.answer.decision, q.answer.by)


async def _outcome(call: Awaitable[Answer]) -> str:
    try:
        return (await call).decision
    except HoldfastError as problem:
        return type(problem).__name__


@proves("D4")
async def asking_pauses_the_run_and_asking_again_is_the_same_question(bench: Bench) -> None:
    """The question and both pauses are one commit; who asks again, in any process, is given what there is."""
    hold = await bench.hold()
    _, q = await _asked(hold)
    before = await bench.head("session/s")
    again = await (await run_seen_by(hold, "r")).ask("Pay 900 €?", node="pay")
    expect.same((again.id, await bench.head("session/s")), (q.id, before), "the question asked again, and the head")
    seen = await run_seen_by(hold, "r")
    expect.same((seen.status.value, seen.nodes["pay"].status.value), ("paused", "paused"), "the run and its node")
    touched = (await bench.log("session/s"))[-1].touched
    areas = {key.partition("/")[0] for key in touched}
    expect.holds({"interaction", "run", "node", "event"} <= areas, f"one commit has all of it, found {sorted(areas)}")
    expect.same([one.id for one in (await hold.interactions.pending(run="r")).items], [q.id], "what is pending")


@proves("D4")
async def a_question_is_answered_once(bench: Bench) -> None:
    """Given again it returns the first, and writes nothing; another answer is refused."""
    hold = await bench.hold()
    _, q = await _asked(hold)
    first = await hold.interactions.answer(q.id, "approved", by="bo")
    before = await bench.head("session/s")
    bench.still.advance(1)
    expect.same(await hold.interactions.answer(q.id, "approved", by="bo"), first, "the same answer again")
    for decision, by in (("rejected", "bo"), ("approved", "ed")):
        other = hold.interactions.answer(q.id, decision, by=by)
        await expect.raises(AlreadyAnswered, other, f"{decision} by {by} after that")
    expect.same(await bench.head("session/s"), before, "the head")
    expect.same(await _told(hold, q.id), ("answered", ("approved", "bo")), "what is told")
    expect.same((await hold.interactions.pending()).items, (), "what is pending")


@proves("D4", needs=("second",))
async def of_two_answers_at_once_one_is_kept(bench: Bench) -> None:
    """From two processes, whether the run waits for it or not; the other is refused, and all are told the one that was
    taken."""
    holds = [await bench.hold(), await bench.hold()]
    run, needed = await _asked(holds[0])
    asked = [needed, await run.ask("Window seat?", key="window", default="rejected", required=False)]
    answers, winners = [("approved", "bo"), ("rejected", "ed")], []
    async with meanwhile_apart(needed.wait()) as waiting:
        for q in asked:
            outcomes = await asyncio.gather(
                *(
                    _outcome(hold.interactions.answer(q.id, decision, by=by))
                    for hold, (decision, by) in zip(holds, answers, strict=True)
                )
            )
            expect.same(outcomes.count("AlreadyAnswered"), 1, f"the refusals among {outcomes}")
            winners.append(answers[outcomes.index("AlreadyAnswered") - 1])
            for hold in holds:
                expect.same(await _told(hold, q.id), ("answered", winners[-1]), "what is told")
        answer = await waiting
    expect.same((answer.decision, answer.by), winners[0], "what who waits is told")


@proves("D4")
async def the_answer_moves_the_run_on(bench: Bench) -> None:
    """In its very commit: the node is ready and the run pending, with an entry in the event log."""
    hold = await bench.hold()
    run, q = await _asked(hold)
    await hold.interactions.answer(q.id, "approved", by="bo")
    record = (await bench.log("session/s"))[-1]
    areas = {key.partition("/")[0] for key in record.touched}
    expect.holds({"interaction", "run", "node", "event"} <= areas, f"one commit has all of it, found {sorted(areas)}")
    seen = await run_seen_by(hold, "r")
    expect.same((seen.status.value, seen.ready_nodes()), ("pending", ["pay"]), "the run")
    expect.same((await q.wait()).approved, True, "what who waits is told")
    expect.same((await run.ask("Pay 900 €?", node="pay")).status.value, "answered", "the question asked again")


@proves("D4", needs=("second",))
async def a_node_that_waits_for_an_answer_is_not_begun(bench: Bench) -> None:
    """By nobody, though it was ready when they saw it and another node goes on; once it is answered it is."""
    here, there = await bench.hold(), await bench.hold()
    run = await here.runs.start("trip", id="r", nodes={"pay": [], "pack": []})
    old = await run_seen_by(there, "r")
    q = await run.ask("Pay 900 €?", node="pay")
    await old.progress("pack", "running")
    await expect.raises(InvalidTransition, old.progress("pay", "running"), "beginning what waits for an answer")
    await here.interactions.answer(q.id, "approved")
    await old.progress("pay", "running")
    expect.same((await run_seen_by(here, "r")).nodes["pay"].status.value, "running", "the node once it is answered")


@proves("D4")
async def only_what_may_be_answered_is(bench: Bench) -> None:
    """Assignees, the options and the digest of what was shown are held against it; what is refused writes nothing."""
    hold = await bench.hold()
    _, q = await _asked(hold, kind="choice", options=["card", "cash"], assignees=["bo"])
    before = await bench.head("session/s")
    answer = hold.interactions.answer
    wrongs: list[tuple[type[HoldfastError], str, dict[str, Any]]] = [
        (NotAssignee, "answered", {"value": "card", "by": "ed"}),
        (NotAssignee, "answered", {"value": "card"}),
        (InvalidValue, "answered", {"value": "gold", "by": "bo"}),
        (InvalidValue, "approved", {"by": "bo"}),
    ]
    for wrong, decision, given in wrongs:
        await expect.raises(wrong, answer(q.id, decision, **given), "an answer that may not be")
    expect.same(await bench.head("session/s"), before, "the head after what was refused")
    taken = await answer(q.id, "answered", value="cash", by="bo", digest=q.digest)
    expect.same((taken.decision, taken.value), ("answered", "cash"), "the answer that may be")


@proves("D4")
async def a_question_may_be_answered_until_it_is_due(bench: Bench) -> None:
    """To the microsecond: before that it is, from then on what counts instead is kept by whoever finds out."""
    hold = await bench.hold()
    run, q = await _asked(hold, timeout=HOUR_S, key="first")
    late = await run.ask("Pay 900 €?", node="pay", timeout=HOUR_S, key="second")
    bench.still.advance(HOUR_S - 0.000_001)
    expect.same((await hold.sweep()).timed_out, 0, "what a sweep times out too early")
    await hold.interactions.answer(q.id, "approved")
    bench.still.advance(0.000_001)
    await expect.raises(InteractionExpired, hold.interactions.answer(late.id, "approved"), "an answer that is late")
    expect.same((await hold.sweep()).timed_out, 0, "what is left for a sweep")
    expect.same(await _told(hold, q.id), ("answered", ("approved", None)), "the one that was answered")
    expect.same(await _told(hold, late.id), ("timed_out", ("rejected", None)), "the one that was not")
    expect.same((await late.wait()).approved, False, "what who waits is told")


@proves("D4", needs=("second",))
async def of_an_answer_and_a_timeout_at_once_one_is_kept(bench: Bench) -> None:
    """By processes whose walls differ: for the one it may be answered yet, for the other it is due."""
    ahead = StillClock()
    here, there = await bench.hold(), await bench.hold(clock=ahead)
    s = await here.sessions.create(id="s")
    run = await s.runs.start("trip", id="r")
    ahead.advance(HOUR_S + 1)
    for number in range(3):
        q = await run.ask("Pay?", key=f"{number}", timeout=HOUR_S)
        outcome, report = await asyncio.gather(_outcome(here.interactions.answer(q.id, "approved")), there.sweep())
        counts = (1, 0) if outcome == "approved" else (0, 1)
        expect.same((int(outcome == "approved"), report.timed_out), counts, f"answered {outcome}, and timed out")
        told = ("answered", ("approved", None)) if outcome == "approved" else ("timed_out", ("rejected", None))
        for hold in (here, there):
            expect.same(await _told(hold, q.id), told, "what is told")


@proves("D4", needs=("second",))
async def what_is_withdrawn_is_answered_by_nobody(bench: Bench) -> None:
    """Who waits in another process is told; an answer is refused, and what was answered cannot be withdrawn."""
    here, there = await bench.hold(), await bench.hold()
    run, q = await _asked(here, key="first")
    kept = await run.ask("Pay 900 €?", node="pay", key="second")
    await here.interactions.answer(kept.id, "approved")
    await expect.raises(AlreadyAnswered, there.interactions.cancel(kept.id), "withdrawing what was answered")
    other = expect.a(Interaction, await there.interactions.get(q.id), "the question")
    async with meanwhile_apart(other.wait()) as waiting:
        await here.interactions.cancel(q.id)
        await expect.raises(InteractionCancelled, there.interactions.answer(q.id, "approved"), "answering it")
        await expect.raises(InteractionCancelled, waiting, "waiting for what is withdrawn")
    expect.same((await run_seen_by(there, "r")).ready_nodes(), ["pay"], "the frontier")
