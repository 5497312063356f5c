"""The reader loop and its followers: every record once and in order, whatever happens to hints, reads and the store."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Mapping, Sequence

import pytest

from holdfast.backends.memory import MemoryKernel, MemoryStore
from holdfast.errors import Closed, Compacted, Corrupt, Diverged, HoldfastError, Unavailable
from holdfast.kernel.commit import (
    Append,
    Commit,
    CommitId,
    Committed,
    Moved,
    Put,
    Read,
    Record,
    Retention,
    ScopeCommit,
    View,
)
from holdfast.kernel.contract import Kernel
from holdfast.kernel.cursor import Cursor
from holdfast.kernel.feed import PAGE, Feed, Follower
from holdfast.kernel.lives import Standing
from holdfast.kernel.writer import Writer
from holdfast.testing.clock import LeapingClock, ManualClock, SeededIds, settle
from holdfast.wrappers.around import Around


class Line(Around):
    """A kernel whose answers and hints a test can hold back, spoil and count."""

    def __init__(self, inside: Kernel) -> None:
        super().__init__(inside)
        self.hints = "pass"  # or "lose", "double"
        self.problems: dict[str, list[BaseException]] = {"log": [], "moved": [], "read": []}
        self.gate = asyncio.Event()
        self.gate.set()
        self.logs = 0

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        times = {"pass": 1, "lose": 0, "double": 2}
        return self.inside.watch(lambda: [wake() for _ in range(times[self.hints])] and None)

    async def log(
        self, scope: str, *, after: int = 0, limit: int = 1000, reverse: bool = False, bytes_max: int | None = None
    ) -> tuple[Record, ...]:
        self.logs += 1
        await self.gate.wait()
        if self.problems["log"]:
            raise self.problems["log"].pop(0)
        return await super().log(scope, after=after, limit=limit, reverse=reverse, bytes_max=bytes_max)

    async def read(self, reads: Sequence[Read], *, now_us: int) -> list[View]:
        if self.problems["read"]:
            raise self.problems["read"].pop(0)
        return await super().read(reads, now_us=now_us)

    async def moved(self, after: str | None = None, *, limit: int = 1000) -> Moved:
        if self.problems["moved"]:
            raise self.problems["moved"].pop(0)
        return await super().moved(after, limit=limit)


class Bench:
    """A store, a line to it, and a feed on that line."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.kernel = MemoryKernel(self.store)
        self.line = Line(self.kernel)
        self.clock = ManualClock()
        self.feed = Feed(self.line, clock=self.clock, ids=SeededIds())
        self.writer = Writer(self.kernel, clock=self.clock, ids=SeededIds(1))

    async def write(self, scope: str = "user/a", times: int = 1) -> int:
        seq = 0
        for _ in range(times):
            outcome = await self.writer.commit(
                Commit((ScopeCommit(scope, "create", appends=(Append("m/", b"x"),)),), at_us=0)
            )
            assert isinstance(outcome, Committed)
            seq = outcome.seqs[scope]
        return seq

    async def begin(self, scope: str, owner: bytes) -> None:
        part = ScopeCommit(scope, "must_not_exist", puts=(Put("owner", owner),), body=owner)
        assert isinstance(await self.writer.commit(Commit((part,), at_us=0)), Committed)

    async def drop(self, scope: str) -> None:
        await self.writer.commit(Commit((ScopeCommit(scope, drop=True),), at_us=0))

    async def follower(self, *scopes: str, after: Cursor | int | None = None, queue_max: int = 1000) -> Follower:
        follower = self.feed.follow(queue_max=queue_max)
        for scope in scopes or ("user/a",):
            await follower.add(scope, after=after)
        return follower


async def take(follower: Follower, count: int) -> list[tuple[str, int]]:
    found = []
    for _ in range(count):
        scope, record = await asyncio.wait_for(follower.next(), 5)
        found.append((scope, record.seq))
    return found


async def nothing_comes(follower: Follower) -> bool:
    task = asyncio.create_task(follower.next())
    await settle(50)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
        return False
    return True


# --- order, exactly once ---------------------------------------------------------------------------------------------


async def test_from_now_on_means_what_is_committed_after_the_add() -> None:
    bench = Bench()
    await bench.write(times=3)
    follower = await bench.follower()
    assert await nothing_comes(follower)
    await bench.write(times=2)
    assert await take(follower, 2) == [("user/a", 4), ("user/a", 5)]
    assert await nothing_comes(follower)


async def test_from_the_beginning_means_from_the_oldest_record_kept() -> None:
    bench = Bench()
    await bench.write(times=5)
    await bench.kernel.sweep(now_us=0, retention=Retention(count=3))
    follower = await bench.follower(after=0)
    assert await take(follower, 3) == [("user/a", 3), ("user/a", 4), ("user/a", 5)]


async def test_a_scope_that_never_was_can_be_followed_from_its_first_commit_on() -> None:
    bench = Bench()
    follower = await bench.follower(after=0)
    await bench.write()
    assert await take(follower, 1) == [("user/a", 1)]


async def test_several_scopes_are_merged_each_in_its_order() -> None:
    bench = Bench()
    follower = await bench.follower("user/a", "user/b")
    await asyncio.gather(bench.write("user/a", 50), bench.write("user/b", 50), bench.write("user/c", 5))
    found = await take(follower, 100)
    for scope in ("user/a", "user/b"):
        assert [seq for name, seq in found if name == scope] == list(range(1, 51))


async def test_the_log_is_read_once_for_all_followers_of_a_scope() -> None:
    bench = Bench()
    followers = [await bench.follower() for _ in range(100)]
    for follower in followers:
        assert await nothing_comes(follower)
    bench.line.logs = 0
    await bench.write()
    for follower in followers:
        assert await take(follower, 1) == [("user/a", 1)]
    assert bench.line.logs == 1


async def test_adding_a_scope_twice_follows_it_once() -> None:
    bench = Bench()
    follower = await bench.follower("user/a", "user/a")
    await bench.write()
    assert await take(follower, 1) == [("user/a", 1)]
    assert await nothing_comes(follower)


async def test_more_than_a_page_between_two_looks_arrives_without_another_commit() -> None:
    bench = Bench()
    follower = await bench.follower()
    assert await nothing_comes(follower)
    bench.line.gate.clear()
    await bench.write(times=2 * PAGE + 7)
    bench.line.gate.set()
    assert [seq for _, seq in await take(follower, 2 * PAGE + 7)] == list(range(1, 2 * PAGE + 8))


# --- cursors ---------------------------------------------------------------------------------------------------------


async def cursor_at(bench: Bench, seq: int) -> Cursor:
    record = (await bench.kernel.log("user/a", after=seq - 1, limit=1))[0]
    return Cursor(record.seq, 0, record.epoch, record.commit)


async def test_after_a_cursor_begins_with_the_record_it_was_taken_at_for_that_may_be_half_delivered() -> None:
    bench = Bench()
    await bench.write(times=4)
    follower = await bench.follower(after=await cursor_at(bench, 3))
    assert await take(follower, 2) == [("user/a", 3), ("user/a", 4)]


async def test_after_a_seq_begins_with_the_next() -> None:
    bench = Bench()
    await bench.write(times=4)
    assert await take(await bench.follower(after=3), 1) == [("user/a", 4)]


async def test_a_cursor_into_a_trimmed_log_is_compacted() -> None:
    bench = Bench()
    await bench.write(times=5)
    old, kept = await cursor_at(bench, 2), await cursor_at(bench, 4)
    await bench.kernel.sweep(now_us=0, retention=Retention(count=2))
    with pytest.raises(Compacted):
        await bench.follower(after=old)
    assert await take(await bench.follower(after=kept), 2) == [("user/a", 4), ("user/a", 5)]


@pytest.mark.parametrize("wrong", [{"seq": 9}, {"epoch": 1}, {"commit": CommitId("0" * 16, 1)}])
async def test_a_cursor_of_another_history_has_diverged(wrong: dict[str, object]) -> None:
    bench = Bench()
    await bench.write(times=3)
    cursor = (await cursor_at(bench, 3))._replace(**wrong)  # type: ignore[arg-type]
    with pytest.raises(Diverged):
        await bench.follower(after=cursor)


async def test_an_add_that_fails_leaves_nothing_behind() -> None:
    bench = Bench()
    await bench.write()
    follower = bench.feed.follow()
    with pytest.raises(Diverged):
        await follower.add("user/a", after=99)
    assert not follower.expected
    assert not bench.feed._followers
    await follower.add("user/a", after=0)
    assert await take(follower, 1) == [("user/a", 1)]


async def test_a_cancelled_add_leaves_nothing_behind() -> None:
    bench = Bench()
    await bench.write()
    follower = bench.feed.follow()
    bench.line.gate.clear()
    task = asyncio.create_task(follower.add("user/a", after=1))
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not follower.expected
    assert not bench.feed._followers


# --- slow readers and cancelled ones ---------------------------------------------------------------------------------


async def test_a_slow_follower_holds_no_more_than_its_queue_and_misses_nothing() -> None:
    bench = Bench()
    slow, quick = await bench.follower(queue_max=10), await bench.follower()
    assert await nothing_comes(slow)
    for _ in range(20):
        await bench.write(times=100)
        await settle()
        assert len(slow._queue) <= 10
    assert [seq for _, seq in await take(slow, 2000)] == list(range(1, 2001))
    assert [seq for _, seq in await take(quick, 2000)] == list(range(1, 2001))


async def test_a_next_cancelled_at_any_point_loses_nothing() -> None:
    for turns in range(12):
        bench = Bench()
        follower = await bench.follower(queue_max=3)
        bench.line.gate.clear()
        await bench.write(times=5)
        task = asyncio.create_task(follower.next())
        await settle(turns)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
            follower.expected["user/a"] -= 1  # it had been delivered after all
            follower.rouse("user/a")
        bench.line.gate.set()
        assert await take(follower, 5) == [("user/a", seq) for seq in range(1, 6)]


async def test_two_tasks_cannot_wait_on_one_follower() -> None:
    bench = Bench()
    follower = await bench.follower()
    first = asyncio.create_task(follower.next())
    await settle()
    with pytest.raises(RuntimeError, match="one task at a time"):
        await asyncio.wait_for(follower.next(), 1)
    await bench.write()
    assert (await first)[1].seq == 1


# --- hints, polls and a store that is out of reach -------------------------------------------------------------------


async def test_without_any_hint_a_change_arrives_with_the_next_poll() -> None:
    bench = Bench()
    bench.line.hints = "lose"
    follower = await bench.follower()
    assert await nothing_comes(follower)
    await bench.write()
    assert await nothing_comes(follower)
    await bench.clock.elapse(bench.line.traits.poll_s)
    assert await take(follower, 1) == [("user/a", 1)]


async def test_doubled_hints_double_nothing() -> None:
    bench = Bench()
    bench.line.hints = "double"
    follower = await bench.follower()
    await bench.write(times=3)
    assert await take(follower, 3) == [("user/a", seq) for seq in (1, 2, 3)]
    assert await nothing_comes(follower)


@pytest.mark.parametrize("verb", ["moved", "log"])
async def test_a_store_out_of_reach_for_a_while_is_waited_for(verb: str) -> None:
    bench = Bench()
    follower = await bench.follower()
    assert await nothing_comes(follower)
    bench.line.problems[verb] = [Unavailable("away") for _ in range(8)]
    await bench.write(times=2)
    assert await nothing_comes(follower)
    await bench.clock.elapse(60)
    assert await take(follower, 2) == [("user/a", 1), ("user/a", 2)]


async def test_a_follower_can_be_opened_while_the_store_is_out_of_reach() -> None:
    bench = Bench()
    bench.line.problems["moved"] = [Unavailable("away")] * 3
    task = asyncio.create_task(bench.follower())
    await settle()
    assert not task.done()
    await bench.clock.elapse(10)
    follower = await task
    await bench.write()
    assert await take(follower, 1) == [("user/a", 1)]


async def test_expired_positions_make_everybody_look_for_themselves() -> None:
    bench = Bench()
    follower, other = await bench.follower(), await scout(bench)
    bench.line.hints = "lose"
    await bench.write("user/a")
    await bench.begin("user/b", b"ada")
    bench.line.problems["moved"] = [Compacted("positions expired")]
    await bench.clock.elapse(1)
    assert await take(follower, 1) == [("user/a", 1)]
    assert await take(other, 1) == [("user/b", 1)]


async def test_a_commit_between_an_expired_position_and_the_next_one_is_not_missed() -> None:
    bench = Bench()
    follower = await bench.follower()
    assert await nothing_comes(follower)

    class Racing(Line):
        async def moved(self, after: str | None = None, *, limit: int = 1000) -> Moved:
            if after is None:
                await bench.write()
            return await super().moved(after, limit=limit)

    racing = Racing(bench.kernel)
    racing.hints = "lose"
    racing.problems["moved"] = [Compacted("positions expired")]
    bench.feed.kernel = racing
    await bench.clock.elapse(2)
    assert await take(follower, 1) == [("user/a", 1)]


# --- what goes wrong for one and for all -----------------------------------------------------------------------------


async def test_a_log_trimmed_under_a_follower_is_compacted_and_others_go_on() -> None:
    bench = Bench()
    behind, other = await bench.follower(queue_max=1), await bench.follower("user/b")
    await bench.write(times=5)
    await bench.kernel.sweep(now_us=0, retention=Retention(count=1))
    with pytest.raises(Compacted):
        await take(behind, 5)
    await bench.write("user/b")
    assert await take(other, 1) == [("user/b", 1)]


async def test_a_log_that_cannot_be_read_fails_its_own_followers_only() -> None:
    bench = Bench()
    bad, good = await bench.follower("user/a"), await bench.follower("user/b")
    assert await nothing_comes(bad)
    bench.line.problems["log"] = [Corrupt("a gap"), Corrupt("a gap")]
    await bench.write("user/a")
    with pytest.raises(Corrupt):
        await take(bad, 1)
    await bench.write("user/b")
    assert await take(good, 1) == [("user/b", 1)]


async def test_history_that_was_lost_under_a_follower_has_diverged() -> None:
    bench = Bench()
    await bench.write(times=5)
    follower = await bench.follower()
    assert await nothing_comes(follower)
    bench.store.space("default").scopes.pop("user/a")
    bench.writer = Writer(bench.kernel, clock=bench.clock, ids=SeededIds(2))
    await bench.write()
    with pytest.raises(Diverged):
        await take(follower, 1)


@pytest.mark.parametrize("problem", [Corrupt("a broken store"), ZeroDivisionError("a defect")])
async def test_what_ends_the_loop_is_told_to_everybody_and_a_new_follower_starts_it_again(problem: Exception) -> None:
    bench = Bench()
    follower = await bench.follower()
    bench.line.problems["moved"] = [problem]
    await bench.write()
    with pytest.raises(HoldfastError, match=r"broken store|a defect"):
        await take(follower, 1)
    assert await take(await bench.follower(after=0), 1) == [("user/a", 1)]


async def test_a_move_between_the_end_of_one_loop_and_the_start_of_the_next_is_not_missed() -> None:
    bench = Bench()
    first = await bench.follower()
    first.close()
    second = await bench.follower()
    await bench.write()
    assert await take(second, 1) == [("user/a", 1)]


# --- the end ---------------------------------------------------------------------------------------------------------


async def test_the_loop_lives_only_while_somebody_follows() -> None:
    bench = Bench()
    follower, other = await bench.follower(), await bench.follower("user/b")
    task = bench.feed._task
    assert task is not None
    follower.close()
    await settle()
    assert not task.done()
    other.close()
    await settle()
    assert task.done()
    assert (bench.feed._followers, bench.feed._tips, bench.clock.sleepers) == ({}, {}, 0)
    assert not bench.store.space("default").watchers


async def test_a_closed_follower_and_a_closed_feed_end_the_wait() -> None:
    bench = Bench()
    one, other = await bench.follower(), await bench.follower()
    waits = [asyncio.create_task(follower.next()) for follower in (one, other)]
    await settle()
    one.close()
    with pytest.raises(Closed):
        await waits[0]
    await bench.feed.close()
    with pytest.raises(Closed):
        await waits[1]
    with pytest.raises(Closed):
        bench.feed.follow()
    with pytest.raises(Closed):
        await other.add("user/b", after=None)
    await bench.feed.close()


# --- scopes that come and go -----------------------------------------------------------------------------------------


class Owned:
    """Admits the lives of one owner: a cell says whose a life is, and so does the record it begins with."""

    def __init__(self, kernel: Kernel, owner: bytes = b"ada") -> None:
        self.kernel = kernel
        self.owner = owner
        self.looks = 0

    async def look(self, scopes: Sequence[str]) -> Mapping[str, Standing]:
        self.looks += 1
        views = await self.kernel.read([Read(scope, ("owner",)) for scope in scopes], now_us=0)
        return {view.scope: self.standing(view) for view in views}

    def standing(self, view: View) -> Standing:
        cell = view.cells.get("owner")
        return Standing(view.head) if cell is None else Standing(view.head, cell.value == self.owner, cell.version)

    def begins(self, record: Record) -> bool:
        return record.body == self.owner

    def refuses(self, record: Record) -> bool:
        return record.body != self.owner


async def scout(bench: Bench, owner: bytes = b"ada") -> Follower:
    follower = bench.feed.follow(admission=Owned(bench.line, owner))
    await follower.open()
    return follower


async def test_an_admitted_scope_is_followed_from_its_first_record_and_others_are_not() -> None:
    bench = Bench()
    follower = await scout(bench)
    await bench.begin("session/y", b"bob")
    await bench.begin("session/x", b"ada")
    await bench.write("session/x")
    assert await take(follower, 2) == [("session/x", 1), ("session/x", 2)]
    assert await nothing_comes(follower)


async def test_an_admitted_scope_is_left_with_its_drop_and_its_next_life_admitted_anew() -> None:
    bench = Bench()
    follower = await scout(bench)
    await bench.begin("session/x", b"ada")
    await settle(50)
    await bench.drop("session/x")
    assert await take(follower, 2) == [("session/x", 1), ("session/x", 2)]
    await bench.begin("session/x", b"bob")
    assert await nothing_comes(follower)
    assert not follower.expected
    await bench.drop("session/x")
    await bench.begin("session/x", b"ada")
    assert await take(follower, 1) == [("session/x", 5)]


async def test_a_life_that_began_before_the_last_ones_drop_was_read_is_not_missed() -> None:
    bench = Bench()
    follower = await scout(bench)
    await bench.begin("session/x", b"ada")
    await settle(50)
    await bench.drop("session/x")
    await bench.begin("session/x", b"ada")
    assert await take(follower, 3) == [("session/x", seq) for seq in (1, 2, 3)]


@pytest.mark.parametrize("hints", ["pass", "lose"])
@pytest.mark.parametrize("owners", [*itertools.product((b"ada", b"bob"), repeat=3), *itertools.product((b"ada",))])
async def test_lives_between_two_looks_are_told_whole_if_admitted_and_others_not_at_all(
    owners: tuple[bytes, ...], hints: str
) -> None:
    """Each life of three records: b . d. They begin and end before the feed looks."""
    for alive in (False, True):
        bench = Bench()
        follower = await scout(bench)
        bench.line.hints = hints
        owed = []
        for turn, owner in enumerate(owners):
            await bench.begin("session/x", owner)
            await bench.write("session/x")
            if turn < len(owners) - 1 or not alive:
                await bench.drop("session/x")
            records = await bench.kernel.log("session/x", after=3 * turn)
            owed += [("session/x", record.seq) for record in records if owner == b"ada"]
        bench.clock.advance(1)
        assert await take(follower, len(owed)) == owed
        bench.clock.advance(1)
        assert await nothing_comes(follower)
        assert bool(follower.expected) == (alive and owners[-1] == b"ada")
        await bench.feed.close()


async def test_a_life_that_was_over_before_the_scout_was_there_is_not_told_when_its_scope_moves_again() -> None:
    """Also where the feed had not looked since."""
    for looked in (True, False):
        bench = Bench()
        bench.line.hints = "lose"
        first = await scout(bench)
        await bench.begin("session/x", b"ada")
        await bench.drop("session/x")
        if looked:
            bench.clock.advance(1)
            await settle(50)
        second = await scout(bench)
        await bench.begin("session/x", b"ada")
        await bench.drop("session/x")
        await bench.kernel.sweep(now_us=0, retention=Retention(tombstone_us=None))  # which leaves one move of the four
        bench.clock.advance(1)
        assert await take(second, 2) == [("session/x", 3), ("session/x", 4)]
        assert await take(first, 4) == [("session/x", seq) for seq in (1, 2, 3, 4)]
        assert await nothing_comes(second)
        await bench.feed.close()


async def test_a_move_that_is_told_again_tells_no_life_twice() -> None:
    """G14: moves may repeat."""
    bench = Bench()
    follower = await scout(bench)
    for _ in range(2):
        await bench.begin("session/x", b"ada")
        await bench.drop("session/x")
    assert await take(follower, 4) == [("session/x", seq) for seq in (1, 2, 3, 4)]
    for since in (1, 2, 3, 4):
        await follower.consider({"session/x": since})
        assert await nothing_comes(follower)
    await bench.begin("session/x", b"ada")
    assert await take(follower, 1) == [("session/x", 5)]
    await follower.consider({"session/x": 1})
    assert await nothing_comes(follower)


async def test_what_others_do_costs_one_read_a_page_of_moves_and_no_log() -> None:
    """Ten thousand scopes of others that are written, dropped, or in a later life."""
    bench = Bench()
    others = [f"session/{n}" for n in range(10_000)]
    for scope in others:
        await bench.begin(scope, b"bob")
        if scope.endswith("7"):
            await bench.drop(scope)
            await bench.begin(scope, b"eve")
    admission = Owned(bench.line)
    follower = bench.feed.follow(admission=admission)
    await follower.open()
    bench.line.hints = "lose"
    for scope in others:
        await (bench.drop(scope) if scope.endswith("3") else bench.write(scope, times=2))
    await bench.begin("session/mine", b"ada")
    bench.clock.advance(1)
    assert await take(follower, 1) == [("session/mine", 1)]
    assert [*follower.expected] == ["session/mine"]
    assert bench.line.logs == 1
    assert admission.looks <= 20


async def test_what_came_and_went_where_no_move_can_be_told_is_not_told_and_what_lives_is() -> None:
    """After Compacted the scopes there are are looked at, each for its present life."""
    bench = Bench()
    await bench.begin("session/old", b"ada")
    await bench.drop("session/old")
    follower = await scout(bench)
    await settle(50)
    bench.line.hints = "lose"
    bench.line.problems["moved"].append(Compacted("expired"))
    await bench.begin("session/gone", b"ada")
    await bench.drop("session/gone")
    await bench.begin("session/old", b"ada")
    bench.clock.advance(1)
    assert await take(follower, 1) == [("session/old", 3)]
    assert await nothing_comes(follower)


async def test_a_scout_that_meets_an_unavailable_store_asks_again_and_misses_nothing() -> None:
    bench = Bench()
    bench.feed = Feed(bench.line, clock=LeapingClock(), ids=SeededIds())
    follower = await scout(bench)
    bench.line.problems["read"] += [Unavailable("away")] * 3
    bench.line.problems["log"] += [Unavailable("away")] * 3
    await bench.begin("session/x", b"ada")
    await bench.drop("session/x")
    assert await take(follower, 2) == [("session/x", 1), ("session/x", 2)]
    follower.close()


async def test_records_of_an_earlier_epoch_are_passed_over_where_one_is_named() -> None:
    bench = Bench()
    await bench.write("session/x", times=2)
    await bench.drop("session/x")
    await bench.write("session/x")
    follower = bench.feed.follow()
    await follower.add("session/x", after=0, epoch=1)
    assert await take(follower, 1) == [("session/x", 4)]


async def test_an_admission_that_fails_is_told_to_that_scout_only() -> None:
    bench = Bench()

    class Broken(Owned):
        async def look(self, scopes: Sequence[str]) -> Mapping[str, Standing]:
            raise Corrupt("an unreadable session")

    broken = bench.feed.follow(admission=Broken(bench.line))
    await broken.open()
    sound, plain = await scout(bench), await bench.follower("session/x")
    await bench.begin("session/x", b"ada")
    assert await take(sound, 1) == await take(plain, 1) == [("session/x", 1)]
    with pytest.raises(Corrupt):
        await take(broken, 1)


async def test_leaping_time_changes_nothing_for_a_follower() -> None:
    bench = Bench()
    bench.feed = Feed(bench.line, clock=LeapingClock(), ids=SeededIds())
    follower = await bench.follower()
    await bench.write(times=3)
    assert await take(follower, 3) == [("user/a", seq) for seq in (1, 2, 3)]
    follower.close()
