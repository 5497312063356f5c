"""When a commit is: at its send, the same when sent again under its id, and anew under a new one (G5, G12)."""

from collections.abc import Sequence

import pytest

from holdfast.backends.memory import MemoryKernel
from holdfast.errors import Indeterminate, Unavailable
from holdfast.kernel.commit import Absent, Commit, Committed, Conflict, Outcome, Put, ScopeCommit, Unchanged
from holdfast.kernel.writer import Writer
from holdfast.testing.clock import LeapingClock, SeededIds
from holdfast.wrappers.around import Around

HOUR_S = 3600


class Hours(Around):
    """An hour passes with every send. The first reply is lost, or the first request never arrives."""

    def __init__(self, clock: LeapingClock, problem: Indeterminate | Unavailable, *, executed: bool) -> None:
        super().__init__(MemoryKernel())
        self.sent: list[tuple[int, int]] = []
        self._clock = clock
        self._problem: Indeterminate | Unavailable | None = problem
        self._executed = executed

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        self.sent += [(commit.id.n, commit.at_us) for commit in commits]
        self._clock.jump(HOUR_S)
        problem, self._problem = self._problem, None
        outcomes = await self.inside.commit(commits) if problem is None or self._executed else []
        return outcomes if problem is None else [problem] * len(commits)


def put(*checks: Absent | Unchanged, expires_us: int | None = None) -> Commit:
    return Commit((ScopeCommit("user/a", "create", None, checks, (Put("k", b"1", expires_us),)),), at_us=0)


@pytest.mark.parametrize("executed", [True, False])
async def test_a_commit_sent_again_under_its_id_is_the_same_to_its_time(executed: bool) -> None:
    clock = LeapingClock(0)
    kernel = Hours(clock, Indeterminate("lost"), executed=executed)
    assert isinstance(await Writer(kernel, clock=clock, ids=SeededIds()).commit(put()), Committed)
    assert kernel.sent == [(1, 0), (1, 0)]
    assert [record.at_us for record in await kernel.log("user/a")] == [0]


async def test_a_commit_that_surely_was_not_executed_is_sent_anew_at_a_new_time() -> None:
    clock = LeapingClock(0)
    kernel = Hours(clock, Unavailable("away"), executed=False)
    await Writer(kernel, clock=clock, ids=SeededIds()).commit(put())
    (first, at_us), (second, later_us) = kernel.sent
    assert (first, at_us, second) == (1, 0, 2)
    assert later_us >= HOUR_S * 1_000_000
    assert [record.at_us for record in await kernel.log("user/a")] == [later_us]


async def test_what_expired_while_the_store_was_away_counts_as_absent_in_what_is_sent_anew() -> None:
    """G12: exact expiry."""
    clock = LeapingClock(0)
    kernel = Hours(clock, Unavailable("away"), executed=False)
    await kernel.inside.commit([put(expires_us=HOUR_S * 1_000_000)])
    outcome = await Writer(kernel, clock=clock, ids=SeededIds()).commit(put(Unchanged("k", 1)))
    assert isinstance(outcome, Conflict)
    assert (outcome.what, outcome.found) == ("unchanged", None)
