"""Mutants that look at the wrong level, overwrite what is another's, or expand what is text (D5)."""

from __future__ import annotations

from typing import Any

from holdfast.handles.levels import Standpoint
from holdfast.handles.variables import Variables
from holdfast.kernel.work import Work
from holdfast.services import variable
from holdfast.services.variable import AREA, Place
from holdfast.testing.mutants.mutant import breaks, mistake
from holdfast.testing.mutants.runs import Real, TwoCommits


@mistake("D5", Variables, "_places")
def a_level_is_skipped(real: Real) -> Real:
    """Nobody looks at the level of the workflow."""

    def places(self: Variables, stands: Standpoint) -> list[Place]:
        return [place for place in real(self, stands) if place.level != "workflow"]

    return places


@mistake("D5", Variables, "_places")
def the_farthest_level_wins(real: Real) -> Real:
    """Levels are looked at from the wrong end."""
    return lambda self, stands: real(self, stands)[::-1]


@mistake("D5", Place, "key")
def variables_of_a_level_are_one_cell(_real: Real) -> Real:
    """Who sets one variable replaces the others."""
    return lambda self, name: f"{self.prefix}all"


@mistake("D5", variable, "escaped")
def runs_share_their_variables(_real: Real) -> Real:
    """Levels are of no run, node or workflow in particular: all have the same."""
    return lambda name: "all"


@mistake("D5", Variables, "resolve")
def values_are_templates(real: Real) -> Real:
    """What came out of a template is filled again."""

    async def resolve(self: Variables, template: str, **more: Any) -> str:
        text: str = await real(self, await real(self, template, **more), **more)
        return text

    return resolve


@breaks("D5")
class VariablesAreACommitOfTheirOwn(TwoCommits):
    """A variable is set by another commit than the one that it is part of."""

    area = AREA


@mistake("D5", variable, "put")
def variables_of_sessions_are_set_for_all_runs(real: Real) -> Real:
    """What is set for a run is set for its session too."""

    def put(work: Work, place: Place, *more: Any, **named: Any) -> None:
        real(work, place, *more, **named)
        if place.level == "run":
            real(work, Place("session", place.scope), *more, **named)

    return put
