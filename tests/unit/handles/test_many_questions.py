"""More questions of one run than one answer of the store has."""

from __future__ import annotations

import pytest

from holdfast import Holdfast
from holdfast.services import interaction


async def test_every_question_is_seen_however_many_there_are(hold: Holdfast, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever page they stand on: open ones are shown, answered and found again, and end with their run."""
    monkeypatch.setattr(interaction, "PAGE_MAX", 2)
    s = await hold.sessions.create()
    run = await s.runs.start("w", id="r", nodes=["a"])
    questions = [await run.ask(f"{n}?", required=False, default="approved") for n in range(7)]
    ids = {q.id for q in questions}
    seen = await hold.runs.get("r")
    assert seen is not None
    assert {q.id for q in seen.interactions.pending} == ids
    assert {q.id for q in await seen.interactions.history()} == ids
    assert {q.id for q in await hold.interactions.history("r")} == ids
    for n, q in enumerate(questions):
        assert (await seen.ask(f"{n}?", required=False, default="approved")).id == q.id
        if n:
            await hold.interactions.answer(q.id, "approved")
    assert (await seen.answer("rejected")).decision == "rejected"
    last = await seen.ask("Last?")
    await run.refresh()
    await run.cancel()
    assert (await last.refresh()).status == "cancelled"
