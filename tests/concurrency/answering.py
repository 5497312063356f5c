"""What one process does to the questions of a store: it answers, withdraws, gives them to others, is too late or waits,
and writes down what it was told of each."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from random import Random

from holdfast import Holdfast
from holdfast.errors import AlreadyAnswered, InteractionCancelled, InteractionExpired
from holdfast.opening import open_kernel
from holdfast.system import SystemClock, SystemIds


class AheadClock(SystemClock):
    """A wall that is two hours ahead of everybody else's."""

    def now_us(self) -> int:
        return super().now_us() + 7_200_000_000


def contend(*, url: str, notes: str, ids: list[str], act: str, seed: int) -> None:
    asyncio.run(_contend(url, Path(notes), ids, act, seed))


async def _contend(url: str, notes: Path, ids: list[str], act: str, seed: int) -> None:
    clock = AheadClock() if act == "late" else SystemClock()
    told = {}
    async with Holdfast.over(await open_kernel(url, space="default"), clock=clock, ids=SystemIds()) as hold:
        order = list(ids)
        Random(seed).shuffle(order)
        for id in order:
            told[id] = await _act(hold, id, act)
    notes.write_text(json.dumps(told))


async def _act(hold: Holdfast, id: str, act: str) -> str:
    """What this process was told has become of the question."""
    try:
        if act == "cancel":
            await hold.interactions.cancel(id)
            return "cancelled"
        if act == "waits":
            return await _waited(hold, id)
        if act == "reassign":
            with suppress(AlreadyAnswered, InteractionCancelled, InteractionExpired):
                await hold.interactions.reassign(id, to=["approved", "rejected", "late"])
            return await _waited(hold, id)
        word = "rejected" if act == "rejected" else "approved"
        return (await hold.interactions.answer(id, word, by=act)).decision
    except AlreadyAnswered as problem:
        return str(problem.answer)
    except InteractionCancelled:
        return "cancelled"
    except InteractionExpired:
        return "timed_out"


async def _waited(hold: Holdfast, id: str) -> str:
    question = await hold.interactions.get(id)
    assert question is not None
    answer = await question.wait()
    return answer.decision if answer.status == "answered" else answer.status.value
