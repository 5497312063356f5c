"""The text wherever a workflow can keep one: in runs, nodes, steps, questions, answers, variables and checkpoints."""

from __future__ import annotations

from functools import partial
from typing import Any

from holdfast import Holdfast, Interaction, NodeSpec, Run, Session, ask
from holdfast.handles.atomic_step import AtomicStep


async def work(hold: Holdfast, s: Session, *, text: str, names: str) -> None:
    """Runs of a session that end in every way, with a text in every place; `names` is what ids of runs, and names of
    nodes and variables are made of. And a checkpoint of all that, restored."""
    c, n = text, names
    nodes = {f"{n}-a": NodeSpec(), f"{n}-b": NodeSpec(after=(f"{n}-a",), on_failure=ask(f"{c} again?", assignees=[c]))}
    run = await s.runs.start(
        f"{n}-workflow", id=f"{n}-run-{s.id}", nodes=nodes, input={"in": c}, variables={f"{n}-v": c}
    )
    await run.step(f"{c}-step", _said, c)
    await run.step("long", partial(_said, [f"{c} {number}" for number in range(300)]), key=c)
    async with run.claim(worker=f"{c}-worker"), run.node(f"{n}-a", input=c) as node:
        node.output = {"out": c}
        await run.atomic(f"{c}-atomic", partial(_kept, c))
        await node.variables.set(f"{n}-node-variable", c)
        await node.messages.add("assistant", c)
    await _ask_all(hold, run, c)
    taken = await s.checkpoint(label=f"{c}-label")
    await run.progress(f"{n}-b", "failed", error=f"{c} error")
    question = next(one for one in run.interactions.pending if one.node is not None)
    await hold.interactions.answer(question.id, "answered", value="skip", by=c)
    await run.refresh()
    await run.complete({"result": c})
    await s.restore(taken.id)
    await run.refresh()
    await run.pause(f"{c} reason")
    await run.fail(f"{c} failed")


async def _said(value: Any) -> Any:
    return value


async def _kept(text: str, step: AtomicStep) -> str:
    await step.state.set("kept by a step", text)
    await step.log(f"{text}-type", {"what": text})
    return text


async def _ask_all(hold: Holdfast, run: Run, c: str) -> None:
    """Ask and answer, give away, withdraw and leave open, a question of every kind."""
    form = {"type": "object", "title": c, "properties": {c: {"type": "string", "default": c}}}
    await _answer(hold, run, await run.ask(f"{c}?", payload={"what": c}, metadata={"m": c}), "approved", c)
    await _answer(hold, run, await run.ask(c, kind="choice", options=[c, f"{c} 2"], default=c), "answered", c, value=c)
    await _answer(hold, run, await run.ask(c, kind="input", key=f"{c}-key"), "answered", c, value=[c])
    await _answer(hold, run, await run.ask(c, kind="form", schema=form), "answered", c, value={c: c})
    await _answer(
        hold, run, await run.ask(c, kind="edit", payload=c, schema={"title": c}), "approved", c, value=f"{c} less"
    )
    given = await run.ask(f"{c} to others", assignees=[f"{c}-bo"], escalate_to=[f"{c}-boss"], on_timeout="escalate")
    await hold.interactions.reassign(given.id, to=f"{c}-cy")
    await hold.interactions.cancel(given.id)
    await run.refresh()  # what is told of a handle that lags is told by other tests
    await run.ask(f"{c} open", kind="choice", options=[c, "none"], default=c, assignees=[f"{c}-bo"], timeout="1h")


async def _answer(hold: Holdfast, run: Run, asked: Interaction, decision: str, c: str, *, value: Any = None) -> None:
    await hold.interactions.answer(
        asked.id, decision, value=value, by=f"{c}-by", note=f"{c} note", metadata={"m": c}, idempotency_key=f"{c}-once"
    )
    await run.refresh()
