"""What a process does that works on runs until it is killed: whatever run is left it claims, and does its nodes.

A node asks a world outside in a step, moves one from an account to the other in an atomic step, and writes its name
into the conversation, which is a ledger of nodes, as it completes. So a session in which each was done once has as many
entries as nodes, each name once and after those it waits for, and as many moved.
"""

import asyncio
import uuid
from functools import partial
from random import Random

from holdfast import AtomicStep, Busy, Conflict, Holdfast, LeaseLost, Run
from holdfast.errors import InvalidTransition

SPACE = "runs"

TTL_S = 0.2
"""How long a worker is believed in whose process is not heard of."""

AT_ONCE = 4
"""Nodes that a worker has under way."""

WIDEST = 14
"""Nodes in the middle of a diamond."""


def diamond(widest: int = WIDEST) -> dict[str, list[str]]:
    """A diamond of nodes: layers of 1, 2, … up to the widest and back to 1; each node waits for its neighbours in the
    layer before. And a tail of four; with the widest of 14 they are 200."""
    nodes: dict[str, list[str]] = {}
    before: list[str] = []
    widths = [*range(1, widest + 1), *range(widest - 1, 0, -1), 1, 1, 1, 1]
    for layer, width in enumerate(widths):
        here = [f"n{layer}.{place}" for place in range(width)]
        first = -1 if width > len(before) else 0
        for place, name in enumerate(here):
            nodes[name] = [before[at] for at in (place + first, place + first + 1) if 0 <= at < len(before)]
        before = here
    return nodes


def work(*, url: str, place: int, seed: int, polite: bool = False) -> None:
    """Take up whatever run is left, until this process is killed or all have ended."""
    chance = Random(f"{seed} {place}")

    async def take_up_all() -> None:
        async with Holdfast.open(url, space=SPACE, background=False) as hold:
            while any([run.status.is_open async for run in _runs(hold)]):
                async for run in hold.runs.recoverable():
                    await _take_up(run, chance, polite=polite)

    asyncio.run(take_up_all())


async def _runs(hold: Holdfast):  # type: ignore[no-untyped-def]
    for run in (await hold.runs.list()).items:
        yield run


async def _take_up(run: Run, chance: Random, *, polite: bool) -> None:
    busy = "queue" if polite or chance.random() < 0.7 else "supersede"
    try:
        async with run.claim(worker="w", busy=busy, wait="20s", ttl=TTL_S):  # type: ignore[arg-type]
            while run.status.is_open and (ready := run.ready_nodes()):
                chance.shuffle(ready)
                await asyncio.gather(*(_do(run, name) for name in ready[:AT_ONCE]))
            if run.status.is_open and run.is_done:
                await run.complete(len(run.nodes))
    except (Busy, LeaseLost, Conflict, InvalidTransition):
        return  # somebody else has it


async def _do(run: Run, name: str) -> None:
    async with run.node(name) as node:
        node.output = await run.step("ask", _ask, key=name)
        await run.atomic("move", partial(_move, name), key=name)
        await node.messages.add("assistant", name)


def _ask() -> str:
    """The world outside, which answers differently each time."""
    return uuid.uuid4().hex


async def _move(name: str, step: AtomicStep) -> None:
    a, b = await step.state.get("a", int, default=0), await step.state.get("b", int, default=0)
    await asyncio.sleep(0)
    await step.state.update({"a": a - 1, "b": b + 1})
    await step.log("moved", {"for": name})
