"""What a restore does to the steps of a run and to temporary values."""

from __future__ import annotations

from itertools import count
from typing import Any

from holdfast import Holdfast
from holdfast.testing.clock import ManualClock


async def test_a_handle_never_tells_of_a_step_that_was_undone(hold: Holdfast) -> None:
    """Neither the one that did it nor one that told it before: done again, all tell the same."""
    s = await hold.sessions.create()
    run = await s.runs.start("w", id="r")
    before = await s.checkpoint()
    times = count(1)

    async def atomic(step: Any) -> int:
        return next(times)

    assert (await run.step("look", lambda: next(times)), await run.atomic("pay", atomic)) == (1, 2)
    assert (await run.step("look", lambda: next(times)), await run.atomic("pay", atomic)) == (1, 2)
    await s.restore(before.id)
    assert (await run.step("look", lambda: next(times)), await run.atomic("pay", atomic)) == (3, 4)
    other = await hold.runs.get("r")
    assert other is not None
    assert (await other.step("look", lambda: next(times)), await other.atomic("pay", atomic)) == (3, 4)


async def test_a_restore_gives_a_temporary_value_the_time_it_had(hold: Holdfast, clock: ManualClock) -> None:
    """Also one whose value is the same; and restoring what was before gives it back what was left."""
    s = await hold.sessions.create()
    await s.temp.set("code", 1)  # for an hour
    kept = await s.checkpoint()
    clock.advance(3000)
    undo = await s.restore(kept.id)
    clock.advance(3000)
    assert await s.temp.get("code") == 1
    await s.restore(undo.id)
    clock.advance(599)
    assert await s.temp.get("code") == 1
    clock.advance(1)
    assert await s.temp.get("code") is None
