"""Comparing checkpoints: of one scope, of two forks, and what is told of runs and questions."""

from __future__ import annotations

import pytest

from holdfast import Holdfast, NotFound, Scope
from holdfast.errors import InvalidValue
from tests.unit.handles.test_checkpoint import pointed


async def test_two_continuations_are_compared(hold: Holdfast) -> None:
    """Forks of one session, or a fork and where it comes from, whose runs are told under one id."""
    s = await hold.sessions.create(user="ada")
    run = await s.runs.start("trip", id="r", nodes=["plan"], variables={"pace": 1})
    asked = await s.checkpoint()
    kept, owns = [], []
    for idea in ("train", "plane"):
        fork = await s.fork(at=asked.id)
        await fork.state.set("plan", idea)
        [own] = (await fork.runs.list()).items
        await own.resume()
        owns.append(own)
        await own.variables.set("pace", len(idea) + len(kept))
        await own.progress("plan", "completed", output=idea)
        kept.append((await fork.checkpoint()).id)
    first = owns[0]
    assert pointed(await hold.diff(*kept)) == {
        "/state/plan": "plane",
        f"/run/{first.id}/nodes/plan/output": "plane",
        f"/variable/run~1{first.id}/pace": 6,
    }
    found = pointed(await hold.diff(asked.id, kept[0]))
    assert found[f"/run/{run.id}/nodes"] == {
        "plan": {"status": "completed", "attempt": 1, "round": 1, "output": "train", "error": None}
    }
    assert found["/session/metadata/forked_from"]["checkpoint"] == asked.id


async def test_runs_and_questions_are_told_as_people_know_them(hold: Holdfast) -> None:
    """Status, what came of them, and the answer: no times, digests, steps or graphs."""
    s = await hold.sessions.create()
    run = await s.runs.start("trip", id="r", nodes=["plan", "pay"])
    before = await s.checkpoint()
    await run.step("look", lambda: "it")
    await run.progress("plan", "completed", output=1)
    q = await run.ask("Pay?", node="pay")
    await hold.interactions.answer(q.id, "approved", by="bo")
    found = pointed(await s.diff(before.id))
    assert found == {
        "/interaction": {
            q.id: {
                "run": "r",
                "prompt": "Pay?",
                "status": "answered",
                "answer": {"decision": "approved", "value": None, "by": "bo"},
            }
        },
        "/run/r/nodes": {
            "plan": {"status": "completed", "attempt": 1, "round": 1, "output": 1, "error": None},
            "pay": {"status": "ready", "attempt": 0, "round": 1, "output": None, "error": None},
        },
    }


async def test_what_is_not_theirs_a_principal_compares_with_nothing(hold: Holdfast) -> None:
    """Neither side; and scopes of different kinds are not compared."""
    ada = hold.as_principal(user="ada")
    own = await (await ada.sessions.create()).checkpoint()
    second = await (await ada.sessions.create()).checkpoint()
    other = await (await hold.sessions.create(user="bo")).checkpoint()
    assert await ada.diff(own.id, second.id) == []
    for pair in ((own.id, other.id), (other.id, own.id)):
        with pytest.raises(NotFound):
            await ada.diff(*pair)
    await hold.state(Scope.user("ada")).set("a", 1)
    with pytest.raises(InvalidValue, match="of a user"):
        await hold.diff(own.id, (await hold.checkpoint(Scope.user("ada"))).id)
