"""Questions that several processes answer, withdraw and time out at once: one wins, and all are told the same story."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from holdfast import Holdfast
from holdfast.backends.sqlite import SqliteKernel
from tests.crash.nursery import Nursery, child

ACTS = ("approved", "rejected", "cancel", "late")


def test_an_answer_a_withdrawal_and_a_timeout_that_race_have_one_winner(tmp_path: Path) -> None:
    """What a process is told is what is kept for good, whichever process won; and each was closed by one commit."""
    path = tmp_path / "store.db"
    ids = asyncio.run(_ask(path, 40))
    with Nursery() as nursery:
        jobs = [
            child(
                "tests.concurrency.answering:contend",
                path=str(path), notes=str(tmp_path / f"{act}.json"), ids=ids, act=act, seed=n,
            )
            for n, act in enumerate(ACTS)
        ]  # fmt: skip
        assert nursery.run(*jobs) == [0] * len(ACTS)
    told = [json.loads((tmp_path / f"{act}.json").read_text()) for act in ACTS]
    kept, closings = asyncio.run(_look(path, ids))
    for id in ids:
        assert {one[id] for one in told} == {kept[id]}
        assert closings[id] == 1
    assert len(set(kept.values())) > 1, "one process was through before the others began"


async def _ask(path: Path, n: int) -> list[str]:
    async with Holdfast.over(await SqliteKernel.open(path)) as hold:
        s = await hold.sessions.create(id="s")
        runs = [await s.runs.start("w", nodes=["pay"]) for _ in range(n)]
        return [(await run.ask("Pay?", node="pay", timeout="1h")).id for run in runs]


async def _look(path: Path, ids: list[str]) -> tuple[dict[str, str], dict[str, int]]:
    """What became of each question, and how many entries in the event log closed it."""
    async with Holdfast.over(await SqliteKernel.open(path)) as hold:
        kept = {}
        for id in ids:
            found = await hold.interactions.get(id)
            assert found is not None
            answered = found.status == "answered" and found.answer is not None
            kept[id] = found.answer.decision if answered and found.answer is not None else found.status.value
        s = await hold.sessions.get("s")
        assert s is not None
        events = (await s.events(types=["interaction"], limit=1000)).items
        closed = [event.data["interaction"] for event in events if event.data["step"] != "asked"]
        return kept, {id: closed.count(id) for id in ids}
