"""When what happens to whom: drawn before the work begins, from a seed that is printed, so that a run repeats."""

from __future__ import annotations

from random import Random
from typing import Literal, NamedTuple

KILLS = 2
BURST = 25
"""How many files the worker may commit beyond the one at which it will be killed."""


class Moment(NamedTuple):
    """When so many files are done: the worker is killed, the follower is cut off, or it is started again."""

    at: int
    what: Literal["kill", "cut", "resume"]


def draw(random: Random, *, done: int, files: int) -> list[Moment]:
    """The moments of a run that begins with `done` of `files` files done; none if nothing is left to do.

    Both kills and the cut come while at least one file is left.
    """
    left = files - done
    if left == 0:
        return []
    kills = random.sample(range(left), KILLS) if left >= KILLS else [0] * KILLS
    cut = random.randrange(left)
    resume = min(cut + 1 + random.randrange(max(1, left // 5)), left)
    moments = [Moment(done + at, "kill") for at in kills]
    moments += [Moment(done + cut, "cut"), Moment(done + resume, "resume")]
    return sorted(moments, key=lambda moment: moment.at)


def postponed(moments: list[Moment], at: int) -> list[Moment]:
    """The same with the resumption not before so many files: something is to happen between it and the cut."""
    later = [moment._replace(at=max(moment.at, at)) if moment.what == "resume" else moment for moment in moments]
    return sorted(later, key=lambda moment: moment.at)


def allowance(moments: list[Moment], *, files: int) -> int:
    """How many files the worker may commit before the next of these moments: the last one only when none is left.

    So whoever is killed is killed at work.
    """
    if all(moment.what == "resume" for moment in moments):
        return files
    kills = [moment.at for moment in moments if moment.what == "kill"]
    return min(kills[0] + BURST, files - 1) if kills else files - 1
