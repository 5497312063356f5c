"""Runs of several processes on the weakest store there is, in virtual time, with chance against them."""

from collections import Counter

import pytest

from holdfast.kernel.commit import Absent, Check, Unchanged
from holdfast.wrappers.around import Around
from tests.simulation.running import Scenario, live
from tests.simulation.test_turns import Careless

SEEDS = range(1, 5)


def test_runs_go_by_the_moves_there_are_whatever_becomes_of_their_processes():
    """No completed node is lost, none begins from where the run is not, and whoever looks sees the run as it was."""
    events = sum((live(seed).events for seed in SEEDS), Counter())
    met = ("moved", "read", "crash", "cancel", "jump", "claimed", "blocks", "InvalidTransition")
    assert {name for name in met if events[name] < 5} == set(), events


@pytest.mark.soak
@pytest.mark.parametrize("first", range(1000, 1400, 50))
def test_runs_go_by_the_moves_there_are_for_many_seeds(first):
    for seed in range(first, first + 50):
        live(seed, Scenario(processes=4, steps=40))


# --- broken parts are found -----------------------------------------------------------------------


class Nodeless(Careless):
    """Takes what is told of a node that somebody else has told of since."""

    def leaves_out(self, check: Check) -> bool:
        return isinstance(check, (Absent, Unchanged)) and check.key.startswith("node/")


class Recordless(Careless):
    """Takes what is told of a run that is not any more what it was judged by."""

    def leaves_out(self, check: Check) -> bool:
        return type(check) is Unchanged and check.key.startswith("run/")


class Unfenced(Careless):
    """Takes what is told by who held the run once."""

    def leaves_out(self, check: Check) -> bool:
        return type(check) is Unchanged and check.key.startswith("run-claim/")


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (Nodeless, "is no move of"),
        (Recordless, "is no move of|was read at|KeyError"),
        (Unfenced, "a claim that was over"),
    ],
)
def test_a_broken_part_is_found(broken: type[Around], said: str) -> None:
    """A handful of seeds is enough to fail."""
    with pytest.raises(AssertionError, match=said):
        for seed in range(1, 30):
            live(seed, Scenario(broken=broken))
