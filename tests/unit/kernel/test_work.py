"""The unit of work: what it sees, what it makes conditions of, what it sends."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.backends.memory import MemoryKernel
from holdfast.backends.memory.kernel import TRAITS
from holdfast.errors import AlreadyExists, Closed, InvalidValue, NotFound, TooLarge, Unavailable, Unsupported
from holdfast.errors import Conflict as ConflictError
from holdfast.kernel.commit import Cell, Commit, Committed, Conflict, Outcome, Range, Read, View, stamp
from holdfast.kernel.contract import Kernel
from holdfast.kernel.limits import PAGE_MAX, Traits
from holdfast.kernel.patience import TRIES
from holdfast.kernel.work import Work
from holdfast.kernel.writer import Writer
from holdfast.testing.clock import LeapingClock, SeededIds
from holdfast.wrappers.around import Around


class Bench:
    """A writer on a memory kernel, and units of work on it."""

    def __init__(self, limits: Traits = TRAITS, *, kernel: Kernel | None = None) -> None:
        self.kernel = kernel or MemoryKernel()
        self.limits = limits
        self.clock = LeapingClock(0)
        self.writer = Writer(self.kernel, clock=self.clock, ids=SeededIds())

    def work(self, scope: str = "user/a") -> Work:
        work = Work(self.writer, limits=self.limits)
        work.part(scope, need="create")
        return work

    async def write(self, scope: str = "user/a", /, **cells: bytes) -> None:
        work = self.work(scope)
        for key, value in cells.items():
            work.put(scope, key, value)
        assert isinstance(await work.commit(), Committed)


def keys(cells: Sequence[Cell]) -> list[str]:
    return [cell.key for cell in cells]


# --- reads see the unit's own writes ---------------------------------------------------------------------------------


async def test_a_read_sees_the_puts_and_deletes_of_its_own_unit_and_nobody_else_does() -> None:
    bench = Bench()
    await bench.write(a=b"1", b=b"2")
    work = bench.work()
    work.put("user/a", "a", b"new")
    work.delete("user/a", "b")
    work.put("user/a", "c", b"3")
    found = await work.get_many("user/a", ("a", "b", "c", "d"))
    assert {key: cell.value for key, cell in found.items()} == {"a": b"new", "c": b"3"}
    view = (await bench.kernel.read([Read("user/a", ("a", "b", "c"))], now_us=0))[0]
    assert {key: cell.value for key, cell in view.cells.items()} == {"a": b"1", "b": b"2"}


async def test_the_last_of_several_writes_of_a_key_counts() -> None:
    bench = Bench()
    work = bench.work()
    work.put("user/a", "a", b"1")
    work.delete("user/a", "a")
    assert await work.get("user/a", "a") is None
    work.put("user/a", "a", b"2")
    await work.commit()
    assert (await bench.kernel.read([Read("user/a", ("a",))], now_us=0))[0].cells["a"].value == b"2"


async def test_staged_appends_stand_after_all_stored_ones_in_the_order_they_were_staged() -> None:
    bench = Bench()
    for value in (b"1", b"2"):
        work = bench.work()
        work.append("user/a", "m/", value)
        await work.commit()
    work = bench.work()
    work.append("user/a", "m/", b"3")
    work.append("user/a", "m/", b"4")
    values = [cell.value for cell in await work.range("user/a", Range("m/", 10))]
    assert values == [b"1", b"2", b"3", b"4"]
    newest = await work.range("user/a", Range("m/", 3, reverse=True))
    assert [cell.value for cell in newest] == [b"4", b"3", b"2"]
    further = await work.range("user/a", Range("m/", 3, newest[-1].key, reverse=True))
    assert [cell.value for cell in further] == [b"1"]
    beyond = await work.range("user/a", Range("m/", 10, newest[1].key))
    assert [cell.value for cell in beyond] == [b"4"]
    await work.commit()
    assert keys(await bench.work().range("user/a", Range("m/", 10)))[2:] == ["m/" + stamp(3, n) for n in (0, 1)]


cells = st.dictionaries(st.text("abc", min_size=1, max_size=2), st.binary(max_size=2), max_size=10)


@given(
    stored=cells,
    puts=cells,
    deletes=st.sets(st.text("abc", min_size=1, max_size=2), max_size=5),
    appends=st.integers(0, 3),
    limit=st.integers(1, 12),
    prefix=st.sampled_from(["", "a", "b"]),
    reverse=st.booleans(),
    after=st.none() | st.text("abc~", max_size=3),
)
def test_a_range_is_what_the_store_would_hold_had_the_unit_committed(
    stored: dict[str, bytes],
    puts: dict[str, bytes],
    deletes: set[str],
    appends: int,
    limit: int,
    prefix: str,
    reverse: bool,
    after: str | None,
) -> None:
    async def main() -> None:
        bench = Bench()
        await bench.write(**stored)
        work = bench.work()
        for key, value in puts.items():
            work.put("user/a", key, value)
        for key in deletes:
            work.delete("user/a", key)
        for n in range(appends):
            work.append("user/a", "a", b"%d" % n)
        model = {**stored, **puts}
        model = {key: value for key, value in model.items() if key not in deletes}
        model.update({f"a~{n:04d}": b"%d" % n for n in range(appends)})
        expected = sorted((key for key in model if key.startswith(prefix)), reverse=reverse)
        if after is not None:
            expected = [key for key in expected if (key < prefix + after if reverse else key > prefix + after)]
        start = None if after is None else prefix + after
        found = await work.range("user/a", Range(prefix, limit, start, reverse))
        assert [(cell.key, cell.value) for cell in found] == [(key, model[key]) for key in expected[:limit]]

    asyncio.run(main())


async def test_a_range_of_which_the_unit_hides_more_than_a_page_is_read_on() -> None:
    bench = Bench()
    everything = {f"k{n:05d}": b"" for n in range(PAGE_MAX + 5)}
    await bench.write(**everything)
    work = bench.work()
    for key in list(everything)[:PAGE_MAX]:
        work.delete("user/a", key)
    assert keys(await work.range("user/a", Range("k", 3))) == list(everything)[PAGE_MAX : PAGE_MAX + 3]
    assert keys(await work.all("user/a", "k")) == list(everything)[PAGE_MAX:]


# --- reads become conditions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rival", [{"a": b"x"}, {"new": b"x"}])
async def test_what_was_read_must_still_be_so_at_the_commit(rival: dict[str, bytes]) -> None:
    bench = Bench()
    await bench.write(a=b"1")
    work = bench.work()
    await work.get_many("user/a", ("a", "new"))
    work.put("user/a", "result", b"")
    await bench.write(**rival)
    outcome = await work.commit()
    assert isinstance(outcome, Conflict)
    assert outcome.key == next(iter(rival))


async def test_a_unit_that_only_read_is_checked_too() -> None:
    bench = Bench()
    await bench.write(a=b"1")
    work = bench.work()
    await work.get("user/a", "a")
    await bench.write(a=b"2")
    assert isinstance(await work.commit(), Conflict)
    work = bench.work()
    await work.get("user/a", "a")
    assert await work.commit() == Committed({})


@pytest.mark.parametrize("rival", ["put", "delete", "append"])
async def test_a_range_that_was_read_must_have_no_phantoms(rival: str) -> None:
    bench = Bench()
    await bench.write(**{"m/1": b"1", "n": b""})
    work = bench.work()
    await work.range("user/a", Range("m/", 10))
    work.put("user/a", "result", b"")
    other = bench.work()
    if rival == "put":
        other.put("user/a", "m/2", b"")
    elif rival == "delete":
        other.delete("user/a", "m/1")
    else:
        other.append("user/a", "m/", b"")
    await other.commit()
    assert isinstance(await work.commit(), Conflict)


async def test_writes_elsewhere_in_the_scope_and_blind_ones_do_not_conflict() -> None:
    bench = Bench()
    await bench.write(**{"m/1": b"1", "n": b""})
    work = bench.work()
    await work.range("user/a", Range("m/", 10))
    work.put("user/a", "n", b"blind")
    work.append("user/a", "x/", b"")
    await bench.write(n=b"rival", o=b"")
    assert isinstance(await work.commit(), Committed)


async def test_a_head_that_was_read_must_not_have_moved() -> None:
    bench = Bench()
    await bench.write(a=b"1")
    work, untracked = bench.work(), bench.work()
    assert (await work.head("user/a")).seq == (await untracked.head("user/a", tracked=False)).seq == 1
    await bench.write(b=b"1")
    assert isinstance(await work.commit(), Conflict)
    assert isinstance(await untracked.commit(), Committed)


@pytest.mark.parametrize("way", ["cell", "range"])
@pytest.mark.parametrize("later_us", [99, 100])
async def test_what_was_read_and_has_expired_by_the_commit_is_a_conflict(way: str, later_us: int) -> None:
    """G12: exact expiry."""
    bench = Bench()
    work = bench.work()
    work.put("user/a", "a", b"1", ttl_us=100)
    await work.commit()
    work = bench.work()
    if way == "cell":
        assert await work.get("user/a", "a") is not None
    else:
        assert len(await work.range("user/a", Range("a", 10))) == 1
    bench.clock.jump(later_us / 1_000_000)
    outcome = await work.commit()
    if later_us < 100:
        assert isinstance(outcome, Committed)
    else:
        assert isinstance(outcome, Conflict)
        assert (outcome.what, outcome.key, outcome.found) == ("unchanged", "a", None)


async def test_a_read_sees_what_exists_at_its_own_time_and_a_later_one_of_the_unit_the_same() -> None:
    """G12: exact expiry."""
    bench = Bench()
    work = bench.work()
    for key in ("a", "b"):
        work.put("user/a", key, b"1", ttl_us=100)
    await work.commit()
    work = bench.work()
    assert await work.get("user/a", "a") is not None
    bench.clock.jump(0.0001)
    assert await work.get("user/a", "b") is None
    assert await work.get("user/a", "a") is not None
    assert isinstance(await work.commit(), Conflict)


async def test_what_had_expired_when_it_was_read_stays_absent() -> None:
    """G12: exact expiry."""
    bench = Bench()
    work = bench.work()
    work.put("user/a", "a", b"1", ttl_us=100)
    await work.commit()
    bench.clock.jump(0.0001)
    work = bench.work()
    assert await work.get("user/a", "a") is None
    work.put("user/a", "b", b"1")
    assert isinstance(await work.commit(), Committed)


async def test_a_time_to_live_counts_from_the_commit_and_the_last_put_of_a_key_decides() -> None:
    bench = Bench()
    work = bench.work()
    for key in ("a", "b", "c"):
        work.put("user/a", key, b"1", ttl_us=100)
    work.put("user/a", "b", b"2")
    work.delete("user/a", "c")
    work.put("user/a", "c", b"3")
    bench.clock.jump(1)
    assert (await work.get("user/a", "a")) == Cell("a", b"1", 0)
    await work.commit()
    view = (await bench.kernel.read([Read("user/a", ("a", "b", "c"))], now_us=0))[0]
    expiries = {key: cell.expires_us for key, cell in view.cells.items()}
    assert expiries == {"a": 1_000_100, "b": None, "c": None}


@pytest.mark.parametrize(("if_version", "wins"), [(None, True), (0, False), (1, False), (2, True), (3, True)])
async def test_if_version_asks_that_nobody_wrote_after_it(if_version: int | None, wins: bool) -> None:
    bench = Bench()
    await bench.write(a=b"1")
    await bench.write(a=b"2")
    work = bench.work()
    work.require_version("user/a", "a", if_version)
    work.put("user/a", "a", b"3")
    assert isinstance(await work.commit(), Committed if wins else Conflict)


@pytest.mark.parametrize("if_version", [-1, True, 1.0, "1", [], 10**17])
async def test_what_cannot_be_a_version_is_refused(if_version: object) -> None:
    with pytest.raises(InvalidValue, match="if_version"):
        Bench().work().require_version("user/a", "a", if_version)  # type: ignore[arg-type]


class Reordered(Around):
    """Answers the first read last."""

    def __init__(self) -> None:
        super().__init__(MemoryKernel())
        self.others_answered = asyncio.Event()
        self._first = True

    async def read(self, reads: Sequence[Read], *, now_us: int) -> list[View]:
        first, self._first = self._first, False
        views = await self.inside.read(reads, now_us=now_us)
        if first:
            await self.others_answered.wait()
        return views


async def test_of_ranges_that_tasks_read_at_once_the_oldest_answer_is_the_condition() -> None:
    """G10: no phantoms, in whatever order the answers come."""
    bench = Bench(kernel=Reordered())
    work = bench.work()
    slow = asyncio.create_task(work.range("user/a", Range("m/", 10)))
    await asyncio.sleep(0)
    await bench.write(**{"m/1": b""})
    assert len(await work.range("user/a", Range("m/", 10))) == 1
    bench.kernel.others_answered.set()  # type: ignore[attr-defined]
    assert await slow == ()
    assert isinstance(await work.commit(), Conflict)


async def test_what_is_staged_while_a_read_is_under_way_shows_in_it() -> None:
    bench = Bench(kernel=Reordered())
    work = bench.work()
    slow = asyncio.create_task(work.get_many("user/a", ("a", "b")))
    await asyncio.sleep(0)
    work.put("user/a", "a", b"1")
    bench.kernel.others_answered.set()  # type: ignore[attr-defined]
    assert await slow == {"a": Cell("a", b"1", 0)}


# --- scopes that come and go -----------------------------------------------------------------------------------------


async def test_a_handle_of_an_earlier_life_of_a_scope_writes_nothing() -> None:
    bench = Bench()
    await bench.write(a=b"1")
    work = bench.work()
    await work.get("user/a", "a")
    other = bench.work()
    other.drop("user/a")
    await other.commit()
    await bench.write(a=b"new life")
    work.put("user/a", "b", b"")
    outcome = await work.commit()
    assert isinstance(outcome, Conflict)
    assert outcome.what == "epoch"


async def test_after_a_drop_the_scope_can_be_neither_read_nor_written_in_the_same_unit() -> None:
    bench = Bench()
    await bench.write(a=b"1")
    work = bench.work()
    work.put("user/a", "b", b"")
    work.drop("user/a")
    with pytest.raises(NotFound):
        await work.get("user/a", "a")
    with pytest.raises(NotFound):
        work.put("user/a", "a", b"")
    with pytest.raises(NotFound):
        work.drop("user/a")
    assert await work.commit() == Committed({"user/a": 2})
    assert await bench.kernel.scopes() == ()


async def test_a_scope_made_and_dropped_in_one_unit_leaves_no_trace() -> None:
    bench = Bench()
    work = Work(bench.writer, limits=TRAITS)
    work.ask("session/x", "must_not_exist")
    work.put("session/x", "session", b"")
    work.drop("session/x")
    work.note("session/x", "session", "delete", "x")
    assert await work.commit() == Committed({})
    assert await bench.kernel.log("session/x") == ()


async def test_a_scope_cannot_be_made_twice_nor_after_it_was_written_in_one_unit() -> None:
    bench = Bench()
    work = Work(bench.writer, limits=TRAITS)
    work.ask("session/x", "must_not_exist")
    work.put("session/x", "session", b"")
    with pytest.raises(AlreadyExists):
        work.ask("session/x", "must_not_exist")
    work.ask("session/y", "must_exist")
    work.put("session/y", "k", b"")
    with pytest.raises(AlreadyExists):
        work.ask("session/y", "must_not_exist")


async def test_a_scope_that_was_looked_for_in_vain_may_be_made() -> None:
    bench = Bench()
    work = Work(bench.writer, limits=TRAITS)
    work.part("session/x", need="must_exist")
    with pytest.raises(NotFound):
        await work.get("session/x", "session")
    work.ask("session/x", "must_not_exist")
    work.put("session/x", "session", b"")
    assert await work.commit() == Committed({"session/x": 1})


async def test_what_must_exist_for_one_touch_must_exist_for_the_unit() -> None:
    bench = Bench()
    work = bench.work()
    work.put("user/a", "a", b"")
    work.part("user/a", need="must_exist")
    outcome = await work.commit()
    assert isinstance(outcome, Conflict)
    assert outcome.what == "need"


async def test_a_second_bucket_is_refused_at_the_touch_where_the_backend_spans_one() -> None:
    bench = Bench(Traits(span="bucket"))
    work = bench.work()
    with pytest.raises(Unsupported):
        work.part("user/c")
    work.put("user/a", "a", b"")
    assert isinstance(await work.commit(), Committed)


# --- the end ---------------------------------------------------------------------------------------------------------


async def test_a_unit_is_used_up_by_its_commit_or_discard() -> None:
    bench = Bench()
    committed, discarded = bench.work(), bench.work()
    committed.put("user/a", "a", b"")
    discarded.put("user/a", "b", b"")
    await committed.commit()
    discarded.discard()
    for work in (committed, discarded):
        with pytest.raises(Closed):
            work.put("user/a", "a", b"")
        with pytest.raises(Closed):
            await work.get("user/a", "a")
        with pytest.raises(Closed):
            await work.commit()
    assert keys(await bench.work().all("user/a", "")) == ["a"]


async def test_a_unit_that_touched_nothing_does_not_ask_the_store() -> None:
    bench = Bench()
    await bench.kernel.close()
    assert await Work(bench.writer, limits=TRAITS).commit() == Committed({})


async def test_a_value_at_its_limit_is_staged_and_one_byte_more_refused_at_once() -> None:
    bench = Bench(Traits(value_bytes_max=10, commit_bytes_max=200))
    work = bench.work()
    work.put("user/a", "a", b"x" * 10)
    for stage in (work.put, work.append):
        with pytest.raises(TooLarge) as refused:
            stage("user/a", "b", b"x" * 11)
        assert (refused.value.size, refused.value.limit) == (11, 10)


async def test_a_unit_of_too_many_writes_or_bytes_is_refused_before_it_is_sent() -> None:
    bench = Bench(Traits(operations_max=3, commit_bytes_max=100))
    for count, size, committed in ((3, 1, True), (4, 1, False), (1, 85, True), (1, 101, False)):
        work = bench.work()
        for n in range(count):
            work.put("user/a", f"k{n}", b"x" * size)
        if committed:
            assert isinstance(await work.commit(), Committed)
        else:
            with pytest.raises(TooLarge):
                await work.commit()


@pytest.mark.parametrize("limit", [0, -1, True, 1.5, PAGE_MAX + 1])
async def test_a_range_without_a_sensible_limit_is_refused(limit: int) -> None:
    with pytest.raises(InvalidValue, match="limit"):
        await Bench().work().range("user/a", Range("m/", limit))


# --- many pages, and a store that is out of reach --------------------------------------------------------------------


class Interposed(Around):
    """Before some reads, something happens."""

    def __init__(self, bench: Bench, *happenings: object) -> None:
        super().__init__(bench.kernel)
        self.bench = bench
        self.happenings = list(happenings)

    async def read(self, reads: Sequence[Read], *, now_us: int) -> list[View]:
        happening = self.happenings.pop(0) if self.happenings else None
        if isinstance(happening, Exception):
            raise happening
        if happening is not None:
            await self.bench.write("user/a", k99999=b"late")
        return await super().read(reads, now_us=now_us)


async def interposed(*happenings: object, cells: int = 1) -> Work:
    bench = Bench()
    part = {f"k{n:05d}": b"" for n in range(cells)}
    await bench.write(**part)
    writer = Writer(Interposed(bench, *happenings), clock=LeapingClock(), ids=SeededIds())
    work = Work(writer, limits=TRAITS)
    work.part("user/a", need="create")
    return work


async def test_all_of_a_prefix_is_one_cut_or_a_conflict() -> None:
    work = await interposed(cells=PAGE_MAX + 1)
    assert len(await work.all("user/a", "k")) == PAGE_MAX + 1
    work = await interposed(None, "a rival writes", cells=PAGE_MAX + 1)
    with pytest.raises(ConflictError, match="changed while it was read"):
        await work.all("user/a", "k")


async def test_a_read_that_meets_an_unavailable_store_is_asked_again() -> None:
    work = await interposed(*[Unavailable("away")] * (TRIES - 1))
    assert await work.get("user/a", "k00000") is not None
    work = await interposed(*[Unavailable("away")] * TRIES)
    with pytest.raises(Unavailable):
        await work.get("user/a", "k00000")


async def test_what_the_stream_tells_is_durable_whatever_the_unit_says() -> None:
    """G6: a place is told to followers only where something stays."""
    sent: list[bool] = []

    class Listening(Around):
        async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
            sent.extend(commit.durable for commit in commits)
            return await super().commit(commits)

    bench = Bench(kernel=Listening(MemoryKernel()))
    await bench.write(a=b"1")
    for stage in (
        lambda work: work.put("user/a", "a", b"2"),
        lambda work: work.note("user/a", "state", "delete", "a", None),
        lambda work: work.drop("user/a"),
    ):
        work = bench.work()
        work.durable = False
        stage(work)
        assert isinstance(await work.commit(), Committed)
    assert sent == [True, False, True, True]
