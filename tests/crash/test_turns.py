"""Many processes run turns on few sessions, are killed amid them, also where they stand still, and supersede each
other: each session has a serial history, and every request is answered once.

They are killed before one that stands still wakes; what becomes of one that wakes is shown in `test_stalled_turn`.
"""

import asyncio
from pathlib import Path
from random import Random

import pytest

from holdfast import Holdfast
from tests.crash.nursery import Nursery, child
from tests.crash.places import STORES, place
from tests.crash.turning import SPACE, turns

SESSIONS = ["one", "two"]
REQUESTS = 12


async def _begin(url: str) -> None:
    async with Holdfast.open(url, space=SPACE) as hold:
        for id in SESSIONS:
            await hold.sessions.create(id=id)


def _check_asked(lines: list[str]) -> None:
    """Every request was asked for, by an attempt at most once, and by none that began after the result was kept.

    One that began before and was superseded may ask once more: it hears of that at its next write.
    """
    asked: set[tuple[str, str]] = set()
    kept: set[tuple[str, str]] = set()
    told: set[str] = set()
    for line in lines:
        what, session, request, attempt = line.split()
        if what == "kept":
            kept.add((session, request))
        elif what == "began":
            if (session, request) in kept:
                told.add(attempt)
        else:
            assert attempt not in told, f"{session} asked for {request} again, and the step had finished"
            told.add(attempt)
            asked.add((session, request))
    assert asked == {(session, f"r{number}") for session in SESSIONS for number in range(REQUESTS)}


async def _check(url: str) -> None:
    """Serial: what each turn read was what the one before it left; nothing of a fenced one is there."""
    async with Holdfast.open(url, space=SPACE) as hold:
        for id in SESSIONS:
            session = await hold.sessions.get(id)
            assert session is not None
            said = [message.content for message in await session.messages.list(limit=1000)]
            assert sorted(said) == sorted(f"r{number}" for number in range(REQUESTS))
            assert await session.state.get("count") == REQUESTS
            answers = []
            for request in said:
                async with session.turn(request_id=request, busy="supersede") as turn:
                    assert turn.replayed
                    answers.append(turn.output)
            assert answers == list(range(1, REQUESTS + 1))
            history = await session.state.history("count", limit=1000)
            assert [past.value for past in history.items][::-1] == answers


def _run(url: str, folder: Path, *, processes: int, kills: int, seed: int) -> None:
    asked, chance = folder / "asked", Random(seed)
    asyncio.run(_begin(url))
    told = {"url": url, "asked": str(asked), "sessions": SESSIONS, "requests": REQUESTS}
    with Nursery() as nursery:
        for life in range(kills):
            children = [
                child("tests.crash.turning:turns", **told, place=number, seed=seed * 100 + life)
                for number in range(processes)
            ]
            nursery.run(*children, kill_after_s=0.05 + 0.35 * chance.random())
    turns(**told, place=99, seed=seed)  # type: ignore[arg-type]
    asyncio.run(_check(url))
    _check_asked(asked.read_text().splitlines())


@pytest.mark.parametrize("store", STORES)
def test_turns_of_processes_that_die_are_serial_and_answer_each_request_once(store: str, tmp_path: Path) -> None:
    """No write of a fenced turn is there, no request was answered twice, and no step ran again that had finished."""
    _run(place(store, tmp_path), tmp_path, processes=3, kills=3, seed=2)


@pytest.mark.soak
@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("seed", range(100, 130))
def test_turns_are_serial_through_many_deaths(store: str, tmp_path: Path, seed: int) -> None:
    """The same for longer."""
    _run(place(store, tmp_path), tmp_path, processes=5, kills=12, seed=seed)
