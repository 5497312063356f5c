"""Group commit: batches, order, back pressure, cancellation, lost replies, and the end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from contextvars import Context
from typing import Any

import pytest

from holdfast.backends.memory import MemoryKernel, MemoryStore
from holdfast.errors import Closed, Diverged, Indeterminate, InvalidValue, StoreFull, TooLarge, Unavailable
from holdfast.kernel.commit import (
    TOMBSTONE_US,
    Append,
    Commit,
    Committed,
    Conflict,
    Outcome,
    Put,
    Read,
    Retention,
    ScopeCommit,
    Unchanged,
)
from holdfast.kernel.patience import TRIES
from holdfast.kernel.writer import BATCH_BYTES_MAX, BATCH_MAX, Writer
from holdfast.testing.clock import LeapingClock, ManualClock, SeededIds, settle
from holdfast.wrappers.around import Verb
from holdfast.wrappers.faults import Faults, Request
from tests.unit.kernel.gated import Gated


def put(scope: str, value: bytes = b"1", **more: object) -> Commit:
    return Commit((ScopeCommit(scope, "create", puts=(Put("k", value),), **more),), at_us=0)  # type: ignore[arg-type]


def appending(scope: str, value: bytes) -> Commit:
    return Commit((ScopeCommit(scope, "create", appends=(Append("m/", value),)),), at_us=0)


class Script:
    """What happens to the commits that are sent, one after the other; all is well once it is played."""

    def __init__(self, *faults: str) -> None:
        self.faults = list(faults)
        self.executed = 0

    def delay_s(self, verb: Verb) -> float:
        return 0.0

    def request(self, verb: Verb) -> Request:
        if verb != "commit" or not self.faults or self.faults[0] == "reply lost":
            return "arrives"
        fault = self.faults.pop(0)
        return "unavailable" if fault == "unavailable" else "lost"

    def loses_reply(self, outcomes: Sequence[Outcome]) -> bool:
        self.executed += 1
        if self.faults and self.faults[0] == "reply lost":
            self.faults.pop(0)
            return True
        return False

    def hints(self) -> int:
        return 1


def faulty(*faults: str) -> tuple[Writer, MemoryKernel, Script]:
    inside, script = MemoryKernel(), Script(*faults)
    kernel = Faults(inside, plan=script, clock=LeapingClock())
    return Writer(kernel, clock=LeapingClock(), ids=SeededIds()), inside, script


def gated(*, waiting_max: int = 100) -> tuple[Writer, Gated]:
    kernel = Gated(MemoryKernel())
    return Writer(kernel, clock=LeapingClock(), ids=SeededIds(), waiting_max=waiting_max), kernel


# --- batches ---------------------------------------------------------------------------------------------------------


async def test_what_waits_when_a_barrier_ends_goes_into_the_next_batch() -> None:
    writer, kernel = gated()
    kernel.gate.clear()
    first = asyncio.create_task(writer.commit(put("user/0")))
    await settle()
    rest = [asyncio.create_task(writer.commit(put(f"user/{n}"))) for n in range(1, 6)]
    await settle()
    assert kernel.batches == [["user/0"]]
    kernel.gate.set()
    outcomes = await asyncio.gather(first, *rest)
    assert kernel.batches == [["user/0"], [f"user/{n}" for n in range(1, 6)]]
    assert [outcome.seqs for outcome in outcomes if isinstance(outcome, Committed)] == [
        {f"user/{n}": 1} for n in range(6)
    ]
    assert writer.stats() == {"commits": 6, "batches": 2, "batch_max": 5, "waiting": 0}


async def test_nobody_is_answered_before_the_barrier() -> None:
    writer, kernel = gated()
    kernel.gate.clear()
    task = asyncio.create_task(writer.commit(put("user/a")))
    await settle()
    assert not task.done()
    kernel.gate.set()
    assert await task == Committed({"user/a": 1})


async def test_the_commits_of_one_scope_are_applied_in_the_order_they_were_handed_in() -> None:
    writer, kernel = gated(waiting_max=1000)
    await asyncio.gather(*[writer.commit(appending("user/a", b"%d" % n)) for n in range(700)])
    records = await kernel.log("user/a", limit=1000)
    view = (await kernel.read([Read("user/a", tuple(record.touched[0] for record in records))], now_us=0))[0]
    assert [view.cells[record.touched[0]].value for record in records] == [b"%d" % n for n in range(700)]


async def test_a_batch_holds_so_many_commits_at_most() -> None:
    writer, kernel = gated(waiting_max=1000)
    await asyncio.gather(*[writer.commit(put(f"user/{n}")) for n in range(BATCH_MAX + 1)])
    assert [len(batch) for batch in kernel.batches] == [BATCH_MAX, 1]


async def test_a_batch_holds_so_many_bytes_at_most_and_a_larger_commit_goes_alone() -> None:
    writer, kernel = gated()
    half = b"x" * (BATCH_BYTES_MAX // 2)
    sizes = [half, half, b"y", half + half + b"z", b"y"]
    await asyncio.gather(*[writer.commit(put(f"user/{n}", size)) for n, size in enumerate(sizes)])
    assert [len(batch) for batch in kernel.batches] == [2, 1, 1, 1]


async def test_a_commit_that_conflicts_or_is_refused_fails_alone() -> None:
    writer, _ = gated()
    await writer.commit(put("user/a"))
    stale = put("user/a", checks=(Unchanged("k", 0),))
    huge = Commit((ScopeCommit("user/b", "create", deletes=tuple(map(str, range(100_001)))),), at_us=0)
    outcomes = await asyncio.gather(
        *[writer.commit(commit) for commit in (put("user/c"), stale, huge, put("user/d"))], return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [Committed, Conflict, TooLarge, Committed]


async def test_every_commit_has_an_id_of_its_own_rising_along_the_lane() -> None:
    writer, kernel = gated()
    await asyncio.gather(*[writer.commit(put("user/a")) for _ in range(5)])
    await writer.commit(put("user/a"))
    sent = [id for batch in kernel.ids for id in batch]
    assert [id.n for id in sent] == [1, 2, 3, 4, 5, 6]
    assert len({id.writer for id in sent}) == 1


# --- back pressure ---------------------------------------------------------------------------------------------------


async def test_a_full_queue_lets_callers_wait_and_then_in_in_their_order() -> None:
    writer, kernel = gated(waiting_max=3)
    kernel.gate.clear()
    tasks = [asyncio.create_task(writer.commit(appending("user/a", b"%d" % n))) for n in range(20)]
    await settle()
    assert writer.stats()["waiting"] >= 16
    kernel.gate.set()
    outcomes = await asyncio.gather(*tasks)
    assert [outcome.seqs["user/a"] for outcome in outcomes if isinstance(outcome, Committed)] == list(range(1, 21))
    assert all(len(batch) <= 3 for batch in kernel.batches[1:])


async def test_a_caller_cancelled_at_the_door_gives_its_place_to_the_next() -> None:
    writer, kernel = gated(waiting_max=1)
    kernel.gate.clear()
    tasks = [asyncio.create_task(writer.commit(put(f"user/{n}"))) for n in range(6)]
    await settle()
    tasks[2].cancel()
    tasks[3].cancel()
    await settle()
    kernel.gate.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome).__name__ for outcome in outcomes] == ["Committed"] * 2 + ["CancelledError"] * 2 + [
        "Committed"
    ] * 2
    assert await kernel.scopes() == ("user/0", "user/1", "user/4", "user/5")


async def test_a_caller_cancelled_in_the_very_moment_it_is_let_in_does_not_leave_the_others_outside() -> None:
    writer, kernel = gated(waiting_max=1)
    kernel.gate.clear()
    tasks = [asyncio.create_task(writer.commit(put(f"user/{n}"))) for n in range(4)]
    await settle()
    lane = writer._lanes[asyncio.get_running_loop()]
    door = lane._doors[0]
    door.add_done_callback(lambda _: tasks[2].cancel())
    kernel.gate.set()
    await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
    assert await kernel.scopes() == ("user/0", "user/1", "user/3")


# --- cancellation ----------------------------------------------------------------------------------------------------


async def test_a_commit_cancelled_before_it_is_sent_never_lands() -> None:
    writer, kernel = gated()
    kernel.gate.clear()
    first = asyncio.create_task(writer.commit(put("user/a")))
    await settle()
    second = asyncio.create_task(writer.commit(put("user/b")))
    await settle()
    second.cancel()
    kernel.gate.set()
    await first
    await writer.commit(put("user/c"))
    assert await kernel.scopes() == ("user/a", "user/c")


async def test_a_commit_cancelled_on_its_way_still_lands_and_the_driver_is_not_disturbed() -> None:
    writer, kernel = gated()
    kernel.gate.clear()
    task = asyncio.create_task(writer.commit(put("user/a")))
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    kernel.gate.set()
    assert await writer.commit(put("user/a")) == Committed({"user/a": 2})
    assert kernel.batches == [["user/a"], ["user/a"]]


async def test_who_must_know_of_a_missed_commit_is_told_once_it_lands_wherever_its_caller_was_cancelled() -> None:
    """Before it was sent, and on its way: whoever has to take it back learns its number."""
    writer, kernel = gated()
    kernel.gate.clear()
    missed: list[Committed] = []
    sent = asyncio.create_task(writer.commit(put("user/a"), missed=missed.append))
    await settle()
    absent = Commit((ScopeCommit("user/b", "must_exist", puts=(Put("k", b""),)),), 0)
    tasks = [sent, *(asyncio.create_task(writer.commit(one, missed=missed.append)) for one in (put("user/a"), absent))]
    await settle()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    kernel.gate.set()
    await writer.commit(put("user/a"), missed=missed.append)
    await settle()
    assert [task.cancelled() for task in tasks] == [True] * 3
    assert missed == [Committed({"user/a": 1}), Committed({"user/a": 2})]


async def test_who_must_know_is_told_once_at_whatever_moment_its_caller_was_cancelled() -> None:
    """Also where the outcome was there already and the caller had not taken it: what landed is returned or told."""
    writer, kernel = gated()
    for rounds in range(12):
        name, missed = f"user/{rounds}", list[Committed]()
        task = asyncio.create_task(writer.commit(put(name), missed=missed.append))
        for _ in range(rounds):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await settle()
        landed = name in await kernel.scopes()
        assert len(missed) == (landed and task.cancelled())
    assert not task.cancelled()


async def test_the_pump_does_not_carry_the_context_of_the_caller_that_started_it() -> None:
    from contextvars import ContextVar

    seen: list[str] = []
    name: ContextVar[str] = ContextVar("name", default="nobody")

    class Listening(Gated):
        async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
            seen.append(name.get())
            return await super().commit(commits)

    writer = Writer(Listening(MemoryKernel()), clock=LeapingClock(), ids=SeededIds())
    name.set("ada")
    await writer.commit(put("user/a"))
    assert seen == ["nobody"]


async def test_a_loop_whose_tasks_start_eagerly_may_run_the_pump_to_its_end_before_it_is_known() -> None:
    """As asyncio.eager_task_factory does, which is newer than the oldest Python supported."""

    class Ended(asyncio.Future[None]):
        def set_name(self, name: str) -> None:
            pass

    def eager(
        loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, None], *, context: Context
    ) -> asyncio.Future[None]:
        with pytest.raises(StopIteration):  # a kernel in memory never waits, so neither does the pump
            context.run(coro.send, None)
        ended = Ended(loop=loop)
        ended.set_result(None)
        return ended

    writer = Writer(MemoryKernel(), clock=LeapingClock(), ids=SeededIds())
    asyncio.get_running_loop().set_task_factory(eager)  # type: ignore[arg-type]
    try:
        async with asyncio.timeout(10):
            outcomes = [await writer.commit(put("user/a")) for _ in range(3)]
            await writer.close()
    finally:
        asyncio.get_running_loop().set_task_factory(None)
    assert outcomes == [Committed({"user/a": n}) for n in (1, 2, 3)]


# --- lost replies ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("faults", [["reply lost"], ["request lost"], ["request lost", "reply lost", "request lost"]])
async def test_a_lost_reply_is_settled_by_sending_the_same_id_again_and_never_applied_twice(faults: list[str]) -> None:
    writer, inside, _ = faulty(*faults)
    outcome = await writer.commit(appending("user/a", b"x"))
    assert isinstance(outcome, Committed)
    assert outcome.seqs == {"user/a": 1}
    assert len(await inside.log("user/a")) == 1


async def test_what_surely_was_not_executed_is_sent_again_under_a_new_id() -> None:
    writer, inside, _ = faulty("unavailable", "unavailable")
    assert await writer.commit(put("user/a")) == Committed({"user/a": 1})
    assert [record.commit.n for record in await inside.log("user/a")] == [3]


async def test_a_conflict_whose_reply_was_lost_is_judged_again_under_a_new_id() -> None:
    writer, inside, script = faulty()
    await writer.commit(put("user/a"))
    script.faults = ["reply lost"]
    outcome = await writer.commit(put("user/a", checks=(Unchanged("k", 0),)))
    assert isinstance(outcome, Conflict)
    assert len(await inside.log("user/a")) == 1


async def test_a_batch_of_which_the_reply_was_lost_is_settled_one_by_one() -> None:
    writer, inside, script = faulty()
    await writer.commit(put("user/a"))
    script.faults = ["reply lost", "unavailable", "reply lost"]
    stale = put("user/a", checks=(Unchanged("k", 0),))
    outcomes = await asyncio.gather(writer.commit(put("user/b")), writer.commit(stale), writer.commit(put("user/a")))
    assert [type(outcome) for outcome in outcomes] == [Committed, Conflict, Committed]
    assert len(await inside.log("user/a")) == 2
    assert len(await inside.log("user/b")) == 1


async def test_after_so_many_tries_the_caller_is_told_what_is_known() -> None:
    writer, inside, _ = faulty(*["unavailable"] * TRIES)
    with pytest.raises(Unavailable):
        await writer.commit(put("user/a"))
    assert await inside.scopes() == ()
    writer, inside, _ = faulty("reply lost", *["unavailable"] * (TRIES - 1))
    with pytest.raises(Indeterminate):
        await writer.commit(put("user/a"))
    assert await inside.scopes() == ("user/a",)


async def test_settled_commits_are_answered_while_the_others_of_the_batch_are_tried_again() -> None:
    clock = ManualClock()

    class OneLost(Gated):
        async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
            outcomes = await super().commit(commits)
            return [Indeterminate("lost") if len(commits) > 1 and n == 0 else out for n, out in enumerate(outcomes)]

    writer = Writer(OneLost(MemoryKernel()), clock=clock, ids=SeededIds())
    first, second = (asyncio.create_task(writer.commit(put(scope))) for scope in ("user/a", "user/b"))
    await settle()
    assert (first.done(), second.done()) == (False, True)
    await clock.elapse(1)
    outcome = await first
    assert isinstance(outcome, Committed)
    assert outcome.replayed


async def test_the_pauses_between_tries_grow_and_are_jittered() -> None:
    clock = ManualClock()
    kernel = Gated(MemoryKernel())
    kernel.problems = [Unavailable("away")] * 3
    writer = Writer(kernel, clock=clock, ids=SeededIds())
    task = asyncio.create_task(writer.commit(put("user/a")))
    await settle()
    await clock.elapse(0.0099)
    assert len(kernel.batches) == 1
    await clock.elapse(1)
    assert len(kernel.batches) == 4
    assert await task == Committed({"user/a": 1})


# --- what else a store may say ---------------------------------------------------------------------------------------


async def test_a_condition_of_the_store_is_told_to_every_caller_in_an_error_of_its_own() -> None:
    writer, kernel = gated()
    kernel.problems = [StoreFull("no space", size=3)]
    tasks = [asyncio.create_task(writer.commit(put(f"user/{n}"))) for n in range(3)]
    errors = await asyncio.gather(*tasks, return_exceptions=True)
    assert [(type(error), str(error), error.size) for error in errors] == [(StoreFull, "no space", 3)] * 3  # type: ignore[union-attr]
    assert len({id(error) for error in errors}) == 3
    assert isinstance(await writer.commit(put("user/a")), Committed)


async def test_a_store_that_answers_with_less_history_than_it_acknowledged_has_diverged() -> None:
    store = MemoryStore()
    writer = Writer(MemoryKernel(store), clock=LeapingClock(), ids=SeededIds())
    for _ in range(3):
        await writer.commit(put("user/a"))
    store.space("default").scopes.pop("user/a")  # a failover to a replica that never saw it
    with pytest.raises(Diverged, match="this commit was applied, as 1 of user/a") as lost:
        await writer.commit(put("user/a"))
    assert (lost.value.scope, lost.value.expected, lost.value.found) == ("user/a", 4, 1)


async def test_a_scope_dropped_by_this_writer_may_begin_anew_once_its_tombstone_is_gone() -> None:
    store = MemoryStore()
    writer = Writer(MemoryKernel(store), clock=LeapingClock(), ids=SeededIds())
    await writer.commit(put("session/a"))
    await writer.commit(Commit((ScopeCommit("session/a", drop=True),), at_us=0))
    store.space("default").scopes.pop("session/a")
    assert await writer.commit(put("session/a")) == Committed({"session/a": 1})


@pytest.mark.parametrize(("later_us", "begun_anew"), [(TOMBSTONE_US, True), (TOMBSTONE_US - 1, False)])
async def test_a_scope_dropped_by_another_writer_may_begin_anew_once_its_tombstone_may_be_gone(
    later_us: int, begun_anew: bool
) -> None:
    """What a writer remembers of a scope is as good as the tombstone that its drop would have left."""
    store = MemoryStore()
    clock = LeapingClock(0)
    mine, other = (Writer(MemoryKernel(store), clock=clock, ids=SeededIds(n)) for n in range(2))
    for _ in range(3):
        await mine.commit(put("session/a"))
    await other.commit(Commit((ScopeCommit("session/a", drop=True),), at_us=0))
    await other.kernel.sweep(now_us=later_us, retention=Retention(tombstone_us=later_us))
    clock.jump(later_us / 1_000_000)
    if not begun_anew:
        with pytest.raises(Diverged):
            await mine.commit(put("session/a"))
        return
    assert await mine.commit(put("session/a")) == Committed({"session/a": 1})
    assert await mine.commit(put("session/a", b"2")) == Committed({"session/a": 2})


async def test_a_defect_of_the_kernel_is_told_to_its_batch_as_unknown_and_the_next_is_sent() -> None:
    writer, kernel = gated()
    kernel.gate.clear()
    kernel.problems = [ZeroDivisionError("a defect")]
    first = asyncio.create_task(writer.commit(put("user/a")))
    await settle()
    second = asyncio.create_task(writer.commit(put("user/b")))
    kernel.gate.set()
    with pytest.raises(Indeterminate, match="a defect") as unknown:
        await first
    assert isinstance(unknown.value.__cause__, ZeroDivisionError)
    assert await second == Committed({"user/b": 1})


# --- the end ---------------------------------------------------------------------------------------------------------


async def test_closing_lets_what_was_submitted_finish_and_refuses_what_comes_after() -> None:
    writer, kernel = gated()
    kernel.gate.clear()
    tasks = [asyncio.create_task(writer.commit(put(f"user/{n}"))) for n in range(3)]
    await settle()
    late = asyncio.create_task(writer.commit(put("user/late")))
    await settle()
    closing = asyncio.create_task(writer.close())
    await settle()
    with pytest.raises(Closed):
        await writer.commit(put("user/x"))
    kernel.gate.set()
    await closing
    assert all(isinstance(outcome, Committed) for outcome in await asyncio.gather(*tasks, late))
    await writer.close()


def test_callers_that_wait_while_their_loop_shuts_down_are_not_left_hanging() -> None:
    kernel = MemoryKernel()
    answers: list[object] = []

    async def caller(writer: Writer, n: int) -> None:
        try:
            await asyncio.shield(asyncio.ensure_future(writer.commit(put(f"user/{n}"))))
        except BaseException as problem:
            answers.append(problem)
            raise

    async def main() -> None:
        outside = Gated(kernel)
        outside.gate.clear()
        writer = Writer(outside, clock=LeapingClock(), ids=SeededIds(), waiting_max=2)
        for n in range(5):
            tasks.append(asyncio.create_task(caller(writer, n)))
        await settle()

    tasks: list[asyncio.Task[None]] = []
    asyncio.run(main())
    assert len(answers) == 5
    assert all(task.done() for task in tasks)


def test_when_the_pump_alone_is_cancelled_its_batch_is_unknown_and_the_queue_surely_not_applied() -> None:
    async def main() -> None:
        writer, kernel = gated()
        kernel.gate.clear()
        first = asyncio.create_task(writer.commit(put("user/a")))
        await settle()
        second = asyncio.create_task(writer.commit(put("user/b")))
        await settle()
        pump = writer._lanes[asyncio.get_running_loop()]._pump
        assert pump is not None
        pump.cancel()
        with pytest.raises(Indeterminate):
            await first
        with pytest.raises(Closed):
            await second
        kernel.gate.set()
        assert await writer.commit(put("user/c")) == Committed({"user/c": 1})

    asyncio.run(main())


def test_every_event_loop_has_a_lane_of_its_own_and_all_share_the_kernel() -> None:
    kernel = MemoryKernel()
    writer = Writer(kernel, clock=LeapingClock(), ids=SeededIds())

    def work() -> None:
        async def main() -> None:
            await asyncio.gather(*[writer.commit(appending("user/a", b"x")) for _ in range(200)])

        asyncio.run(main())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    records = asyncio.run(kernel.log("user/a", limit=1000))
    assert [record.seq for record in records] == list(range(1, 801))
    assert len({record.commit for record in records}) == 800
    assert len({record.commit.writer for record in records}) == 4


def test_lanes_of_closed_loops_are_forgotten() -> None:
    writer = Writer(MemoryKernel(), clock=LeapingClock(), ids=SeededIds())
    for _ in range(5):
        asyncio.run(writer.commit(put("user/a")))
    assert len(writer._lanes) == 1


def test_closing_answers_the_callers_of_other_loops() -> None:
    kernel = MemoryKernel()
    waiting, closed = threading.Event(), threading.Event()
    problems: list[BaseException] = []
    writer = Writer(kernel, clock=LeapingClock(), ids=SeededIds())

    async def other() -> None:
        gate = Gated(kernel)
        gate.gate.clear()
        writer.kernel = gate
        first = asyncio.create_task(writer.commit(put("user/a")))
        await settle()
        second = asyncio.create_task(writer.commit(put("user/b")))
        await settle()
        waiting.set()
        try:
            await asyncio.wait_for(second, 10)
        except BaseException as problem:
            problems.append(problem)
        gate.gate.set()
        await first

    thread = threading.Thread(target=lambda: asyncio.run(other()))
    thread.start()
    waiting.wait(10)
    asyncio.run(writer.close())
    closed.set()
    thread.join(10)
    assert [type(problem) for problem in problems] == [Closed]


async def test_a_commit_that_no_kernel_may_take_is_refused_clearly() -> None:
    writer, _ = gated()
    twice = Commit((ScopeCommit("user/a", "create", puts=(Put("k", b""), Put("k", b""))),), at_us=0)
    with pytest.raises(InvalidValue):
        await writer.commit(twice)
