"""Questions that several processes answer, withdraw and time out at once: one wins, and all are told the same story."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from holdfast import Holdfast
from tests.crash.nursery import Nursery, child
from tests.crash.places import STORES, place

ACTS = ("approved", "rejected", "cancel", "late", "reassign", "waits")


@pytest.mark.parametrize("store", STORES)
def test_an_answer_a_withdrawal_and_a_timeout_that_race_have_one_winner(store: str, tmp_path: Path) -> None:
    """What a process is told is what is kept for good, whichever process won, also who only waits and who gave it to
    others meanwhile; and each was closed by one commit."""
    url = place(store, tmp_path)
    _race(url, tmp_path, n=24, seed=0)


@pytest.mark.soak
@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("seed", range(1, 6))
def test_races_of_many_questions_have_one_winner_each(store: str, seed: int, tmp_path: Path) -> None:
    """The same for longer."""
    _race(place(store, tmp_path), tmp_path, n=200, seed=seed)


def _race(url: str, tmp_path: Path, *, n: int, seed: int) -> None:
    ids = asyncio.run(_ask(url, n))
    with Nursery() as nursery:
        jobs = [
            child(
                "tests.concurrency.answering:contend",
                url=url, notes=str(tmp_path / f"{act}.json"), ids=ids, act=act, seed=seed * 10 + number,
            )
            for number, act in enumerate(ACTS)
        ]  # fmt: skip
        assert nursery.run(*jobs) == [0] * len(ACTS)
    told = [json.loads((tmp_path / f"{act}.json").read_text()) for act in ACTS]
    kept, closings = asyncio.run(_look(url, ids))
    for id in ids:
        assert {one[id] for one in told} == {kept[id]}
        assert closings[id] == 1
    assert len(set(kept.values())) > 1, "one process was through before the others began"


async def _ask(url: str, n: int) -> list[str]:
    async with Holdfast.open(url) as hold:
        s = await hold.sessions.create(id="s")
        runs = [await s.runs.start("w", nodes=["pay"]) for _ in range(n)]
        return [(await run.ask("Pay?", node="pay", timeout="1h")).id for run in runs]


async def _look(url: str, ids: list[str]) -> tuple[dict[str, str], dict[str, int]]:
    """What became of each question, and how many entries in the event log closed it."""
    async with Holdfast.open(url) as hold:
        kept = {}
        for id in ids:
            found = await hold.interactions.get(id)
            assert found is not None
            answered = found.status == "answered" and found.answer is not None
            kept[id] = found.answer.decision if answered and found.answer is not None else found.status.value
        s = await hold.sessions.get("s")
        assert s is not None
        events = (await s.events(types=["interaction"], limit=1000)).items
        closed = [one.data["interaction"] for one in events if one.data["step"] not in ("asked", "reassigned")]
        return kept, {id: closed.count(id) for id in ids}
