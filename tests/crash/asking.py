"""What processes do that ask and answer until they are killed: a run whose nodes wait for people, and people.

What a process asked, and what it was told of a question, it writes into a file that outlives it, one line each. So what
all of them were told can be held against what is kept.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from holdfast import AtomicStep, Busy, Conflict, Holdfast, Interaction, LeaseLost, NodeSpec, Run, RunStatus, ask
from holdfast.errors import AlreadyAnswered, InteractionExpired, InvalidTransition
from holdfast.kernel.commit import Commit, Outcome
from holdfast.kernel.contract import Kernel
from holdfast.opening import open_kernel
from holdfast.wrappers.around import Around

SPACE = "questions"

TTL_S = 0.1
"""How long a worker is believed in whose process is not heard of."""

PAUSE_S = 0.005

NODES = {
    "approve": NodeSpec(),
    "several": NodeSpec(),
    "soon": NodeSpec(),
    "broken": NodeSpec(on_failure=ask("It broke. Again?", on_timeout="fail")),
    "pay": NodeSpec(after=("approve", "several", "soon", "broken")),
}

ASKED = {("approve", "a"), ("several", "a"), ("several", "b"), ("soon", "a"), ("broken", "")}
"""Every question of a run: its node and key; a node that failed has none."""


class Broken(Exception):
    """What a node fails with until a person has let it be tried again."""


class World:
    """Where processes write down what they were told: each life of theirs in a file of its own, of one folder."""

    def __init__(self, folder: str, life: int | str = "*") -> None:
        self._folder = Path(folder)
        self._life = life

    @property
    def path(self) -> Path:
        """The file of this life."""
        return self._folder / f"life-{self._life}"

    def asked(self, question: Interaction, key: str) -> None:
        """A question that was asked, or asked again."""
        self._tell(["asked", question.id, question.run, question.node, key])

    def told(self, question: Interaction) -> None:
        """What a process was told has become of it."""
        self._tell(["told", question.id, *outcome(question)])

    def die(self, at: int) -> None:
        """End this process, at that moment."""
        self._tell(["died", at])
        os.kill(os.getpid(), signal.SIGKILL)

    def _tell(self, words: list[Any]) -> None:
        with open(self.path, "ab", buffering=0) as lines:
            lines.write(json.dumps(words).encode() + b"\n")

    def lines(self, what: str) -> list[list[Any]]:
        """Everything that was written down of that."""
        raw = [line for path in self._folder.glob(f"life-{self._life}") for line in path.read_bytes().splitlines()]
        return [line[1:] for line in map(json.loads, raw) if line[0] == what]


class Dying(Around):
    """A kernel that calls `die` before or after one of its commits: at the `at`-th of these moments, from 0."""

    def __init__(self, inside: Kernel, at: int, die: Callable[[], object]) -> None:
        super().__init__(inside)
        self._left = at
        self._die = die

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        self._moment()
        outcomes = await self.inside.commit(commits)
        self._moment()
        return outcomes

    def _moment(self) -> None:
        if self._left == 0:
            self._die()
        self._left -= 1


async def opened(url: str, *, world: World | None = None, die_at: int | None = None) -> Holdfast:
    """The store, by a process that dies at that moment."""
    kernel = await open_kernel(url, space=SPACE)
    if world is not None and die_at is not None:
        kernel = Dying(kernel, die_at, partial(world.die, die_at))
    return Holdfast.over(kernel)


def outcome(question: Interaction) -> list[Any]:
    """What became of a question, as any process is to be told it."""
    answer = question.answer
    return [question.status.value, *((None,) * 3 if answer is None else (answer.decision, answer.value, answer.by))]


# --- who works ------------------------------------------------------------------------------------


def work(*, url: str, world: str, life: int, runs: list[str], die_at: int | None = None) -> None:
    """Work on these runs until all have ended, or this process is killed."""
    told = World(world, life)

    async def take_up_all() -> None:
        async with await opened(url, world=told, die_at=die_at) as hold:
            while open_ones := [run for id in runs if (run := await _run(hold, id)).status.is_open]:
                for run in open_ones:
                    if run.status is not RunStatus.PAUSED:
                        await _take_up(run, told)
                await asyncio.sleep(PAUSE_S)

    asyncio.run(take_up_all())


async def _run(hold: Holdfast, id: str) -> Run:
    run = await hold.runs.get(id)
    assert run is not None
    return run


async def _take_up(run: Run, world: World) -> None:
    try:
        async with run.claim(worker="w", wait="20s", ttl=TTL_S):
            while run.status is not RunStatus.PAUSED and (ready := run.ready_nodes()):
                await _DO[ready[0]](run, world)
            if run.status.is_open and run.is_done:
                await run.complete(len(run.nodes))
    except (Busy, LeaseLost, Conflict, InvalidTransition, Broken):
        return  # somebody else has it, or it waits for a person


async def _ask(run: Run, world: World, key: str = "a", **question: Any) -> Interaction:
    asked = await run.ask("Well?", key=key, **question)
    world.asked(asked, key)
    return asked


async def _in_a_node(run: Run, name: str, work: Callable[[], Awaitable[list[Interaction]]], world: World) -> None:
    """A node that asks and then ends: with a message, a variable and its output, which all say the same."""
    async with run.node(name) as node:
        questions = await work()
        for question in questions:
            await question.wait()
            world.told(question)
        node.output = [outcome(question) for question in questions]
        await node.messages.add("assistant", name)
        await node.variables.set(name, node.output, level="run")


async def _approve(run: Run, world: World) -> None:
    async def asking() -> list[Interaction]:
        return [await _ask(run, world, node="approve", payload={"amount": 900})]

    await _in_a_node(run, "approve", asking, world)


async def _several(run: Run, world: World) -> None:
    async def asking() -> list[Interaction]:
        one = await _ask(run, world, node="several", kind="choice", options=[1, 2, 3])
        return [one, await _ask(run, world, "b", node="several", kind="input")]

    await _in_a_node(run, "several", asking, world)


async def _soon(run: Run, world: World) -> None:
    """Answered by its timeout, by whoever notices, unless a person is faster."""

    async def asking() -> list[Interaction]:
        return [await _ask(run, world, node="soon", timeout="20ms", on_timeout="approve")]

    await _in_a_node(run, "soon", asking, world)


async def _broken(run: Run, world: World) -> None:
    """Fails until a person has said that it is to be tried again."""
    async with run.node("broken") as node:
        questions = [one for one in await run.interactions.history() if one.node == "broken"]
        for question in questions:
            world.asked(question, "")
            world.told(question)
        if not questions:
            raise Broken
        node.output = [outcome(question) for question in questions]
        await node.messages.add("assistant", "broken")
        await node.variables.set("broken", node.output, level="run")


async def _pay(run: Run, world: World) -> None:
    async def move(step: AtomicStep) -> None:
        await step.state.set("paid", await step.state.get("paid", int, default=0) + 1)
        await step.variables.set("paid", True, level="run")

    async with run.node("pay") as node:
        await run.atomic("pay", move)
        node.output = []
        await node.messages.add("assistant", "pay")
        await node.variables.set("pay", [], level="run")


_DO = {"approve": _approve, "several": _several, "soon": _soon, "broken": _broken, "pay": _pay}


# --- who answers ----------------------------------------------------------------------------------


def answer(
    *, url: str, world: str, life: int, runs: list[str], place: int, seed: int, die_at: int | None = None
) -> None:
    """Answer whatever is asked, each process differently, until all of these runs have ended."""
    chance, told = Random(f"{seed} {place}"), World(world, life)

    async def answer_all() -> None:
        async with await opened(url, world=told, die_at=die_at) as hold:
            while any([(await _run(hold, id)).status.is_open for id in runs]):
                for question in (await hold.interactions.pending()).items:
                    if question.due_at is None or chance.random() < 0.5:
                        await _answer(hold, question, f"p{place}", chance, told)
                if chance.random() < 0.2:
                    await hold.sweep()  # which lets questions time out, too
                await asyncio.sleep(PAUSE_S)

    asyncio.run(answer_all())


async def _answer(hold: Holdfast, question: Interaction, by: str, chance: Random, world: World) -> None:
    word, value = "answered", None
    if question.kind == "choice":
        value = "retry" if "retry" in question.options else chance.choice(question.options)
    elif question.kind == "input":
        value = chance.random()
    else:
        word = chance.choice(["approved", "rejected"])
    with suppress(AlreadyAnswered, InteractionExpired):  # somebody was faster: this process is told what they said
        await hold.interactions.answer(question.id, word, value=value, by=by, digest=question.digest)
    world.told(await question.refresh())
