"""Mutants that keep too little of the past, bring too little back, or share it (D6)."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from holdfast.handles import checkpoints as handles
from holdfast.handles import restoring
from holdfast.model import patch
from holdfast.model.checkpoint import Difference
from holdfast.operations import fork, restore
from holdfast.services import checkpoint
from holdfast.testing.mutants.mutant import mistake
from holdfast.testing.mutants.runs import Real


@mistake("D6", checkpoint, "_kept")
def changed_cells_are_left_out(real: Real) -> Real:
    """A checkpoint that rests on another keeps what is new, and nothing of what was changed."""

    def kept(found: Any) -> Any:
        cells = real(found)
        return cells if found.whole else {key: one for key, one in cells.items() if not key.startswith("state/")}

    return kept


@mistake("D6", checkpoint, "_kept")
def a_checkpoint_keeps_no_deletions(real: Real) -> Real:
    """What was removed since the checkpoint before is not kept as such."""
    return lambda found: {key: one for key, one in real(found).items() if one.value is not None}


@mistake("D6", restore, "difference")
def a_restore_forgets_deletions(real: Real) -> Real:
    """What came since stays."""

    def difference(now: Any, then: Any, **more: Any) -> Difference:
        return Difference(real(now, then, **more).puts, ())

    return difference


@mistake("D6", restore, "_hide")
def messages_stay_as_they_are(_real: Real) -> Real:
    """A restore does not hide what was said since."""

    async def hide(*_: object) -> None:
        return

    return hide


@mistake("D6", handles, "restore")
def a_restore_names_the_checkpoint_that_it_restores(real: Real) -> Real:
    """And not the one by which it can be undone."""

    async def restored(store: Any, target: Any, id: str, **more: Any) -> Any:
        return replace(await real(store, target, id, **more), id=id)

    return restored


@mistake("D6", restoring._Restoring, "_to_fence")
def a_restore_asks_nobody(_real: Real) -> Real:
    """Whoever holds a run goes on in what they do not know any more."""

    async def to_fence(*_: object) -> list[str]:
        return []

    return to_fence


@mistake("D6", restore, "fate_of_question")
def a_restore_opens_questions_again(_real: Real) -> Real:
    """Whatever was open then is open, and what was asked since stays."""
    return lambda then, now, *, run_stays: "keep" if then == "absent" else "put_back"


@mistake("D6", patch, "_steps")
def a_difference_knows_no_removals(real: Real) -> Real:
    """What is gone is not told."""
    return lambda before, after, path: (one for one in real(before, after, path) if one.op != "remove")


@mistake("D6", fork, "origin")
def a_fork_is_of_what_is_there_now(real: Real) -> Real:
    """Which checkpoint it is to be of is not looked at."""

    async def origin(work: Any, scope: str, id: str | None) -> Any:
        return await real(work, scope, None)

    return origin
