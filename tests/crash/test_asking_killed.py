"""Processes ask people, answer and are late, and are killed between any two commits of that: each question is asked
once and answered once, every process is told the same of it, and what follows from the answer happens once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random
from typing import Any

import pytest

from holdfast import Holdfast, Run, Session
from tests.crash.asking import ASKED, NODES, World, opened, outcome
from tests.crash.nursery import Nursery, child
from tests.crash.places import STORES, place

MOMENTS = 42
"""Before and after each commit of a process that works on a whole run by itself there are at least so many."""


async def _begin(url: str, runs: list[str]) -> None:
    async with await opened(url) as hold:
        for id in runs:
            session = await hold.sessions.create(id=f"of-{id}")
            await session.runs.start("ask", id=id, nodes=NODES)


async def _whole(url: str, runs: list[str]) -> None:
    """Whenever a process is killed: a node has ended, its variable is set and its message is there, or none of it."""
    async with await opened(url) as hold:
        for id in runs:
            session, run = await _found(hold, id)
            await _check_ends(session, run)


async def _check_ends(session: Session, run: Run) -> None:
    ended = {name: node.output for name, node in run.nodes.items() if node.status == "completed"}
    told = sorted([message.content for message in await session.messages.list()])
    kept = {one.name: one.value for one in await run.variables.list(level="run")}
    assert kept.pop("paid", None) == (True if await session.state.get("paid") else None)
    assert told == sorted(ended)
    assert kept == ended


async def _found(hold: Holdfast, id: str) -> tuple[Session, Run]:
    session, run = await hold.sessions.get(f"of-{id}"), await hold.runs.get(id)
    assert session is not None
    assert run is not None
    return session, run


async def _check(url: str, runs: list[str], world: World) -> None:
    async with await opened(url) as hold:
        for id in runs:
            session, run = await _found(hold, id)
            assert (run.status, run.output) == ("completed", len(NODES))
            await _check_ends(session, run)
            assert await session.state.get("paid") == 1
            questions = {one.id: one for one in await run.interactions.history()}
            await _check_asked(id, list(questions), world)
            for question, told in [(line[0], line[1:]) for line in world.lines("told")]:
                if question in questions:
                    assert told == outcome(questions[question]), "a process was told another story"
            for name in ("approve", "several", "soon", "broken"):
                outcomes = [outcome(one) for one in questions.values() if one.node == name]
                assert sorted(run.nodes[name].output, key=str) == sorted(outcomes, key=str)
            for one in questions.values():
                await _check_log(session, one.id, one.status.value)


async def _check_asked(run: str, questions: list[str], world: World) -> None:
    asked = {
        (node, key): {line[0] for line in world.lines("asked") if line[1:] == [run, node, key]} for node, key in ASKED
    }
    assert all(len(ids) == 1 for ids in asked.values()), "asked again it was another question"
    assert sorted(questions) == sorted(id for ids in asked.values() for id in ids)


async def _check_log(session: Session, question: str, became: str) -> None:
    """The event log and the change stream both tell that it was asked, and what became of it, once."""
    entries = (await session.events(types=["interaction"], limit=1000)).items
    assert [one.data["step"] for one in entries if one.data["interaction"] == question] == ["asked", became]
    told = []
    async with session.changes(after="beginning", kinds={"interaction"}) as changes:
        async for change in changes:
            if change.key == question:
                told.append(change.value["status"])
                if len(told) == 2:
                    break
    assert told == ["pending", became]


Life = list[dict[str, Any]]
"""What the processes of one life do."""


def _work(url: str, folder: Path, runs: list[str], lives: list[Life], *, enough: int) -> int:
    """Let processes work and answer in lives that end, by kills, when so many are dead, and in one that ends by itself;
    returns how many died at the moment that was given to them."""
    asyncio.run(_begin(url, runs))
    world = folder / "world"
    world.mkdir()
    with Nursery() as nursery:
        for number, life in enumerate(lives):
            given = {"url": url, "world": str(world), "life": number, "runs": runs}
            children = [child(f"tests.crash.asking:{one.pop('act')}", **{**given, **one}) for one in life]
            assert 1 not in nursery.run(*children, enough=enough)
            asyncio.run(_whole(url, runs))
        given = {"url": url, "world": str(world), "life": len(lives), "runs": runs}
        last = [child("tests.crash.asking:work", **given) for _ in range(2)]
        last += [child("tests.crash.asking:answer", **given, place=90 + n, seed=0) for n in range(2)]
        assert nursery.run(*last) == [0] * 4
    asyncio.run(_check(url, runs, World(str(world))))
    return len(World(str(world)).lines("died"))


@pytest.mark.parametrize(
    ("store", "every"),
    [("sqlite", 7), ("postgres", 14), *(pytest.param(store, 1, marks=pytest.mark.soak) for store in STORES)],
)
def test_a_process_that_dies_at_any_moment_of_asking_leaves_a_question_that_is_answered_once(
    store: str, every: int, tmp_path: Path
) -> None:
    """Before and after each commit from the first question to the end of the run; another process answers."""
    moments = range(0, MOMENTS, every)
    lives = []
    for first in range(0, len(moments), 3):
        life: Life = [{"act": "work", "runs": [f"r{at}"], "die_at": at} for at in moments[first : first + 3]]
        lives.append([*life, {"act": "answer", "place": first, "seed": 1}])
    died = _work(place(store, tmp_path), tmp_path, [f"r{at}" for at in moments], lives, enough=3)
    assert died == len(moments), "some ended before their moment came"


@pytest.mark.parametrize("store", STORES)
def test_who_answers_may_die_as_well(store: str, tmp_path: Path) -> None:
    """Before and after an answer or a timeout; and processes on both sides that die at random."""
    lives = _lives(Random(5), 2, ["r0", "r1"])
    died = _work(place(store, tmp_path), tmp_path, ["r0", "r1"], lives, enough=2)
    assert died > 2, "the others were killed from outside"


@pytest.mark.soak
@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("seed", range(200, 220))
def test_questions_are_asked_and_answered_once_through_many_deaths(store: str, tmp_path: Path, seed: int) -> None:
    """The same for longer."""
    runs = ["r0", "r1", "r2"]
    _work(place(store, tmp_path), tmp_path, runs, _lives(Random(seed), 12, runs), enough=2)


def _lives(chance: Random, count: int, runs: list[str]) -> list[Life]:
    lives = []
    for number in range(count):
        life: Life = [{"act": "work", "runs": runs, "die_at": chance.randrange(60)} for _ in range(2)]
        for n in range(2):
            life.append({"act": "answer", "place": n, "seed": number, "die_at": chance.randrange(6)})
        lives.append(life)
    return lives
