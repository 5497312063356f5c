"""Turns and claims of several processes on the weakest store there is, in virtual time, with chance against them."""

from collections import Counter

import pytest
from msgspec.structs import replace

from holdfast.kernel.commit import Absent, Check, Commit, Outcome, ScopeCommit, Unchanged
from holdfast.wrappers.around import Around
from tests.simulation.turning import Scenario, live

SEEDS = range(1, 9)


def test_turns_are_serial_and_answer_each_request_once_whatever_becomes_of_their_processes():
    """No two hold a session at once, no fenced one writes, no finished step runs again, each request has one answer."""
    events = sum((live(seed, Scenario(supersedes=seed % 2 == 0)).events for seed in SEEDS), Counter())
    met = ("answered", "replayed", "counted", "crash", "stall", "cancel", "jump", "sweep", "LeaseLost", "Busy")
    assert {name for name in met if events[name] < 5} == set(), events


@pytest.mark.soak
@pytest.mark.parametrize("first", range(1000, 1400, 50))
def test_turns_are_serial_for_many_seeds(first):
    for seed in range(first, first + 50):
        live(seed, Scenario(processes=4, requests=8, supersedes=seed % 2 == 0))


# --- broken parts are found -----------------------------------------------------------------------


class Careless(Around):
    """Leaves out some of the conditions of commits."""

    def leaves_out(self, check: Check) -> bool:
        """Whether that is one of them."""
        raise NotImplementedError

    def part(self, part: ScopeCommit) -> ScopeCommit:
        """What is left of a part."""
        return replace(part, checks=tuple([check for check in part.checks if not self.leaves_out(check)]))

    async def commit(self, commits: list[Commit]) -> list[Outcome]:
        careless = [replace(commit, scopes=tuple(map(self.part, commit.scopes))) for commit in commits]
        outcomes = await self.inside.commit(careless)
        for commit, sent in zip(commits, careless, strict=True):
            commit.id, commit.at_us = sent.id, sent.at_us
        return outcomes


class Unfenced(Careless):
    """Takes writes of who held the session once."""

    def leaves_out(self, check: Check) -> bool:
        return type(check) is Unchanged and check.key == "claim"


class Shared(Careless):
    """Lets several take a session that is free, or that somebody takes at the same time."""

    def leaves_out(self, check: Check) -> bool:
        return type(check) is Absent and check.key == "claim"


class Stepless(Careless):
    """Loses what a step came to."""

    def leaves_out(self, check: Check) -> bool:
        return False

    def part(self, part: ScopeCommit) -> ScopeCommit:
        puts = [replace(put, key=f"lost/{put.key}") if "/step/" in put.key else put for put in part.puts]
        return replace(part, puts=tuple(puts))


class Beatless(Careless):
    """Loses the beats, so that who works for long is taken for dead."""

    def leaves_out(self, check: Check) -> bool:
        return False

    def part(self, part: ScopeCommit) -> ScopeCommit:
        return replace(part, scope=f"lost/{part.scope}") if part.scope.startswith("beat/") else part


@pytest.mark.parametrize(
    ("broken", "supersedes", "said"),
    [
        (Unfenced, True, "counted|answered|: \\["),
        (Shared, False, "two hold"),
        (Stepless, False, "ran again"),
        (Beatless, False, "two hold"),
    ],
)
def test_a_broken_part_is_found(broken: type[Around], supersedes: bool, said: str) -> None:
    """A handful of seeds is enough to fail."""
    with pytest.raises(AssertionError, match=said):
        for seed in range(1, 40):
            live(seed, Scenario(supersedes=supersedes, broken=broken))
