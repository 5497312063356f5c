"""A kernel behind a bad line: injected faults, latency, and hints that get lost."""

import asyncio
from collections.abc import Sequence
from random import Random

import pytest

from holdfast.backends.memory import MemoryKernel, MemoryStore
from holdfast.errors import Closed, Indeterminate, Unavailable
from holdfast.kernel.commit import Commit, CommitId, Committed, Conflict, Outcome, Put, Read, ScopeCommit
from holdfast.testing.clock import LeapingClock, ManualClock, settle
from holdfast.testing.resending import TRIES, Resending
from holdfast.wrappers.around import Around, Verb
from holdfast.wrappers.faults import Chances, Faults, Request

A = "session/a"


class Script:
    """A plan told beforehand, call by call; afterwards everything goes well."""

    def __init__(self, *requests: Request, lost: Sequence[bool] = (), hints: Sequence[int] = (), delay_s: float = 0):
        self.requests = list(requests)
        self.lost = list(lost)
        self.told = list(hints)
        self.delay = delay_s

    def delay_s(self, verb: Verb) -> float:
        return self.delay

    def request(self, verb: Verb) -> Request:
        return self.requests.pop(0) if self.requests else "arrives"

    def loses_reply(self, outcomes: Sequence[Outcome]) -> bool:
        return self.lost.pop(0) if self.lost else False

    def hints(self) -> int:
        return self.told.pop(0) if self.told else 1


def commit(n: int, part: ScopeCommit | None = None) -> Commit:
    return Commit((part or ScopeCommit(A, "create", body=b"x"),), 0, b"", CommitId("w", n))


async def seq(kernel: MemoryKernel) -> int:
    return (await kernel.read([Read(A)], now_us=0))[0].head.seq


async def test_without_faults_everything_goes_through() -> None:
    inside = MemoryKernel()
    kernel = Faults(inside, plan=Script(), clock=ManualClock())
    assert (kernel.space, kernel.traits) == (inside.space, inside.traits)
    assert await kernel.commit([commit(1)]) == [Committed({A: 1})]
    assert (await kernel.read([Read(A)], now_us=0))[0].head.seq == 1
    assert [record.seq for record in await kernel.log(A)] == [1]
    assert (await kernel.moved("")).scopes == ((A, 1),)
    assert await kernel.scopes() == (A,)
    assert await kernel.outcome(A, CommitId("w", 1)) == Committed({A: 1}, replayed=True)
    assert (await kernel.stats())["records"] == 1
    await kernel.close()
    with pytest.raises(Closed):
        await inside.stats()


async def test_unavailable_means_that_nothing_was_applied() -> None:
    inside = MemoryKernel()
    kernel = Faults(inside, plan=Script("unavailable"), clock=ManualClock())
    with pytest.raises(Unavailable):
        await kernel.commit([commit(1)])
    assert await seq(inside) == 0


async def test_a_lost_request_was_not_applied_and_a_lost_reply_was_and_both_look_alike() -> None:
    inside = MemoryKernel()
    kernel = Faults(inside, plan=Script("lost", lost=[True]), clock=ManualClock())
    with pytest.raises(Indeterminate):
        await kernel.commit([commit(1)])
    assert await seq(inside) == 0
    with pytest.raises(Indeterminate):
        await kernel.commit([commit(1)])
    assert await seq(inside) == 1
    assert await kernel.commit([commit(1)]) == [Committed({A: 1}, replayed=True)]


@pytest.mark.parametrize("verb", ["read", "log", "moved", "find", "scopes", "sweep", "outcome", "stats"])
async def test_every_verb_may_be_unavailable_and_no_other_than_commit_is_ever_indeterminate(verb: Verb) -> None:
    chances = Chances(Random(1), unavailable=0.5, request_lost=0.5)
    assert {chances.request(verb) for _ in range(100)} == {"unavailable", "arrives"}
    assert {chances.request("commit") for _ in range(100)} == {"unavailable", "lost"}


async def test_latency_is_waited_for_on_both_ways_by_the_injected_clock() -> None:
    clock, inside = ManualClock(), MemoryKernel()
    kernel = Faults(inside, plan=Script(delay_s=0.5), clock=clock)
    sending = asyncio.ensure_future(kernel.commit([commit(1)]))
    await settle()
    assert await seq(inside) == 0
    await clock.elapse(0.5)
    assert await seq(inside) == 1
    assert not sending.done()
    await clock.elapse(0.5)
    assert await sending == [Committed({A: 1})]


async def test_a_caller_cancelled_while_the_reply_travels_leaves_its_commit_applied() -> None:
    clock, inside = ManualClock(), MemoryKernel()
    kernel = Faults(inside, plan=Script(delay_s=1), clock=clock)
    sending = asyncio.ensure_future(kernel.commit([commit(1)]))
    await clock.elapse(1)
    sending.cancel()
    await settle()
    assert sending.cancelled()
    assert await seq(inside) == 1


async def test_hints_get_lost_and_doubled_as_planned_until_the_watch_ends() -> None:
    kernel = Faults(MemoryKernel(), plan=Script(hints=[0, 2, 1]), clock=ManualClock())
    heard: list[int] = []
    end = kernel.watch(lambda: heard.append(1))
    for n, total in ((1, 0), (2, 2), (3, 3)):
        await kernel.commit([commit(n)])
        assert len(heard) == total
    end()
    await kernel.commit([commit(4)])
    assert len(heard) == 3


def test_chances_repeat_with_their_seed() -> None:
    def drawn(seed: int) -> list[object]:
        chances = Chances(Random(seed), 0.2, 0.2, 0.2, 0.3, 0.3, 0.01)
        outcomes = [Committed({A: 1})]
        return [
            (chances.request("commit"), chances.loses_reply(outcomes), chances.hints(), chances.delay_s("read"))
            for _ in range(50)
        ]

    assert drawn(3) == drawn(3)
    assert drawn(3) != drawn(4)


def test_replies_that_leave_no_record_can_be_spared() -> None:
    spare = Chances(Random(1), reply_lost=1.0, traceless=False)
    refused = Unavailable("no")
    applied = Committed({A: 1})
    assert spare.loses_reply([applied, applied])
    assert not any(spare.loses_reply([applied, other]) for other in (refused, Committed({})))
    assert Chances(Random(1), reply_lost=1.0).loses_reply([refused])


async def test_resending_settles_lost_calls_and_tells_a_first_time_as_such() -> None:
    inside = MemoryKernel()
    line = Faults(inside, plan=Script("lost", "unavailable", lost=[True]), clock=ManualClock())
    kernel = Resending(line)
    assert await kernel.commit([commit(1)]) == [Committed({A: 1})]
    assert await kernel.commit([commit(1)]) == [Committed({A: 1}, replayed=True)]
    assert await seq(inside) == 1


async def test_resending_gives_up_after_its_tries() -> None:
    kernel = Resending(Faults(MemoryKernel(), plan=Script(*["unavailable"] * TRIES), clock=ManualClock()))
    with pytest.raises(Unavailable):
        await kernel.scopes()
    assert await kernel.scopes() == ()


async def test_resending_leaves_what_the_kernel_itself_says() -> None:
    class Settled(Around):
        async def outcome(self, scope: str, commit_id: CommitId) -> Committed | None:
            return await self.call("outcome", self._refuse)

        async def _refuse(self) -> Committed | None:
            self.asked = getattr(self, "asked", 0) + 1
            raise Indeterminate("the log was trimmed")

    inside = Settled(MemoryKernel())
    with pytest.raises(Indeterminate):
        await Resending(inside).outcome(A, CommitId("w", 1))
    assert inside.asked == 1
    conflict = await Resending(MemoryKernel()).commit([commit(1, ScopeCommit(A, puts=(Put("k", b""),)))])
    assert isinstance(conflict[0], Conflict)


async def test_only_one_of_many_that_send_a_commit_over_a_bad_line_is_told_it_was_the_first() -> None:
    for seed in range(30):
        store, random, sent = MemoryStore(), Random(seed), dict[CommitId, bool]()
        plan = Chances(random, 0.2, 0.2, 0.2, delay_s_max=0.01, traceless=False)
        kernels = [Resending(Faults(MemoryKernel(store), plan=plan, clock=LeapingClock()), sent=sent) for _ in range(2)]
        answers = await asyncio.gather(*(kernel.commit([commit(1)]) for kernel in kernels * 4))
        assert (
            sorted(outcome.replayed for [outcome] in answers if isinstance(outcome, Committed)) == [False] + [True] * 7
        )
