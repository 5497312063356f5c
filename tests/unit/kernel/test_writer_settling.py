"""What the writer makes of a batch of which only part was answered (G5, G6: nothing lost, twice or misread)."""

import asyncio
from random import Random

import pytest

from holdfast.backends.memory import MemoryKernel
from holdfast.errors import Indeterminate, Unavailable
from holdfast.kernel.commit import Absent, Commit, Committed, Conflict, Put, ScopeCommit
from holdfast.kernel.patience import TRIES
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


class Scripted(Around):
    """Each send goes as the next word says: it arrives, its reply is lost, or nothing of it arrives."""

    def __init__(self, *script: str) -> None:
        super().__init__(MemoryKernel())
        self.script = list(script)
        self.sent: list[list[int]] = []

    async def commit(self, commits):
        self.sent.append([commit.id.n for commit in commits])
        word = self.script.pop(0) if self.script else "arrives"
        if word == "unavailable":
            raise Unavailable("not executed")
        if word == "request lost":
            raise Indeterminate("not executed, and nobody can know")
        outcomes = await self.inside.commit(commits)
        if word == "reply lost":
            raise Indeterminate("executed, and nobody can know")
        return outcomes


def conflicting() -> Commit:
    return Commit((ScopeCommit("user/a", "create", (), (Absent("k"),), (Put("k", b"2"),)),), at_us=1)


async def written(kernel: Around) -> Writer:
    writer = Writer(kernel, clock=LeapingClock(), ids=SeededIds())
    await writer.commit(Commit((ScopeCommit("user/a", "create", puts=(Put("k", b"1"),)),), at_us=1))
    return writer


async def test_a_used_up_id_is_no_failed_try_and_never_the_callers_answer():
    """A conflict leaves nothing by which a lost reply could be settled: it is judged anew under another id, as often as
    its reply is lost, and at once."""
    kernel = Scripted("arrives", "unavailable", "reply lost", "arrives", "reply lost", "arrives", "arrives")
    writer = await written(kernel)
    assert isinstance(await writer.commit(conflicting()), Conflict)
    assert kernel.sent == [[1], [2], [3], [3], [4], [4], [5]]


async def test_a_conflict_whose_replies_are_all_lost_is_unknown_and_not_said_to_be_unapplied():
    """… though its id is known to be used up: the last send is what counts."""
    kernel = Scripted("arrives", *["reply lost", "arrives"] * TRIES)
    writer = await written(kernel)
    with pytest.raises(Indeterminate):
        await writer.commit(conflicting())


async def test_what_may_have_been_applied_is_asked_for_before_what_was_not_is_sent_under_a_later_id():
    """Or the later id would use up the earlier one, of a request that never arrived."""
    kernel = Scripted()
    answers = {0: Unavailable("not executed"), 1: Indeterminate("the reply was lost")}

    class Partly(Around):
        async def commit(self, commits):
            first, kernel.script = not kernel.sent, []
            if first:
                kernel.sent.append([commit.id.n for commit in commits])
                return [answers[place] for place in range(len(commits))]
            return await self.inside.commit(commits)

    writer = Writer(Partly(kernel), clock=LeapingClock(), ids=SeededIds())
    commits = [Commit((ScopeCommit(f"user/{name}", "create", puts=(Put("k", b""),)),), at_us=1) for name in "ab"]
    assert await asyncio.gather(*map(writer.commit, commits)) == [Committed({"user/a": 1}), Committed({"user/b": 1})]
    assert kernel.sent == [[1, 2], [2, 3]]
