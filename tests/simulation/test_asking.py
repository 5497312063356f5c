"""Questions, steps, variables, checkpoints and forks of several processes on the weakest store there is, in virtual
time, with chance against them."""

from collections import Counter

import pytest

from holdfast.kernel.commit import Absent, Check, HeadAt, Unchanged
from holdfast.testing.mutants import MUTANTS
from holdfast.wrappers.around import Around
from tests.simulation.asking import Asking
from tests.simulation.running import Scenario, live
from tests.simulation.test_turns import Careless

SEEDS = range(1, 4)


def test_all_are_told_one_story_and_the_past_is_true_whatever_becomes_of_the_processes():
    """Each question has one answer, each step counts once, variables land, what is restored or forked is what was."""
    events = sum((live(seed, world_of=Asking).events for seed in SEEDS), Counter())
    met = ("asked", "answered", "heard", "stepped", "set", "restored", "forked", "crash", "cancel", "jump")
    assert {name for name in met if events[name] < 3} == set(), events


@pytest.mark.soak
@pytest.mark.parametrize("first", range(1000, 1400, 50))
def test_all_are_told_one_story_for_many_seeds(first):
    for seed in range(first, first + 50):
        live(seed, Scenario(processes=4, steps=40), world_of=Asking)


# --- broken parts are found -----------------------------------------------------------------------


class Overwriting(Careless):
    """Takes what becomes of a question that became something else since it was read."""

    def leaves_out(self, check: Check) -> bool:
        return type(check) is Unchanged and check.key.startswith(("interaction/", "run/", "node/"))


class Twice(Careless):
    """Takes a step that somebody else did meanwhile."""

    def leaves_out(self, check: Check) -> bool:
        return type(check) is Absent and check.key.startswith("step/")


class Blindfolded(Careless):
    """Takes a restore that rests on what is not there any more."""

    def leaves_out(self, check: Check) -> bool:
        return isinstance(check, HeadAt)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (Overwriting, "was told to be|written again|heard at once"),
        (Twice, "came to|count twice"),
        (Blindfolded, "made"),
    ],
)
def test_a_kernel_that_is_broken_is_found(broken: type[Around], said: str) -> None:
    """A handful of seeds is enough to fail."""
    with pytest.raises(AssertionError, match=said):
        for seed in range(1, 30):
            live(seed, Scenario(broken=broken), world_of=Asking)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("an answer is taken whatever there is", "was told to be|written again|heard at once"),
        ("the run is told nothing", "wait, and"),
        ("variables of a level are one cell", "and was set to"),
        ("a restore forgets deletions", "made"),
        ("messages stay as they are", "not what its log tells"),
        ("a checkpoint keeps no deletions", "made|a fork of"),
        ("a fork is of what is there now", "a fork of"),
    ],
)
def test_a_part_that_is_broken_is_found(name: str, said: str) -> None:
    """The mutants of the kit are met by chance as well."""
    [mutant] = [one for one in MUTANTS if one.name == name]
    with mutant.in_place(), pytest.raises(AssertionError, match=said):
        for seed in range(1, 30):
            live(seed, world_of=Asking)
