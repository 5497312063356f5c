"""What the writer makes of a batch of which only part was answered (G5, G6: nothing lost, twice or misread)."""

import asyncio
from random import Random

from holdfast.backends.memory import MemoryKernel
from holdfast.errors import Indeterminate, Unavailable
from holdfast.kernel.commit import Commit, Committed, Put, ScopeCommit
from holdfast.kernel.writer import Writer
from holdfast.testing.clock import LeapingClock, SeededIds
from holdfast.wrappers.around import Around


class Garbled(Around):
    """The first batch is executed, and of the outcomes named here something else is answered."""

    def __init__(self, answers):
        super().__init__(MemoryKernel())
        self.answers = answers

    async def commit(self, commits):
        answers, self.answers = self.answers, {}
        unsent = {place for place, answer in answers.items() if isinstance(answer, Unavailable)}
        sent = [commit for place, commit in enumerate(commits) if place not in unsent]
        outcomes = iter(await self.inside.commit(sent))
        executed = [answers[place] if place in unsent else next(outcomes) for place in range(len(commits))]
        return [answers.get(place, outcome) for place, outcome in enumerate(executed)]


async def three_writes(answers) -> list[Committed]:
    writer = Writer(Garbled(answers), clock=LeapingClock(), ids=SeededIds())
    commits = [Commit((ScopeCommit("user/a", "create", puts=(Put("k", b"1"),)),), at_us=1) for _ in range(3)]
    return await asyncio.gather(*map(writer.commit, commits))


async def test_an_outcome_that_is_known_is_not_taken_for_lost_history_when_another_of_its_batch_is_settled():
    outcomes = await three_writes({1: Indeterminate("the reply was lost")})
    assert [outcome.seqs["user/a"] for outcome in outcomes] == [1, 2, 3]


async def test_a_commit_sent_again_behind_the_rest_of_its_batch_is_not_taken_for_lost_history():
    outcomes = await three_writes({0: Unavailable("not executed")})
    assert [outcome.seqs["user/a"] for outcome in outcomes] == [3, 1, 2]


async def test_whatever_part_of_a_batch_is_answered_every_commit_is_applied_once():
    chance = Random(7)
    for _ in range(200):
        problems = [Unavailable("not executed"), Indeterminate("the reply was lost")]
        answers = {place: chance.choice(problems) for place in range(3) if chance.random() < 0.6}
        outcomes = await three_writes(answers)
        assert sorted(outcome.seqs["user/a"] for outcome in outcomes) == [1, 2, 3]
