"""G12: from the microsecond it expires a cell is absent in every verb and check."""

from __future__ import annotations

from holdfast.kernel.commit import (
    Absent,
    Append,
    Cell,
    Check,
    Committed,
    Entry,
    Present,
    Put,
    Range,
    ScopeCommit,
    Unchanged,
)
from holdfast.kernel.limits import TIME_US_MAX
from holdfast.testing.conformance import expect
from holdfast.testing.conformance.bench import Bench
from holdfast.testing.conformance.check import proves

A = "session/a"


YEAR_2020_US = 1_577_836_800_000_000
HOUR_US = 3_600_000_000


async def _visible(bench: Bench, key: str, now_us: int) -> dict[str, bool]:
    """Whether a cell is there at that time, by every verb and check."""
    view = await bench.view(A, key, ranges=[Range(key, 10), Range("", 100, reverse=True)], now_us=now_us)
    found = await bench.kernel.find("tag", key, now_us=now_us)
    backwards = await bench.kernel.find("tag", key, now_us=now_us, lo="", hi="z", reverse=True)

    async def passes(check: Check) -> bool:
        return isinstance(await bench.commit(ScopeCommit(A, checks=(check,)), at_us=now_us), Committed)

    return {
        "by its key": key in view.cells,
        "in a range": key in [cell.key for cell in view.ranges[0]],
        "in a range from the end": key in [cell.key for cell in view.ranges[1]],
        "by find": key in [entry.key for entry in found],
        "by find from the end": key in [entry.key for entry in backwards],
        "to Present": await passes(Present(key)),
        "to Unchanged": await passes(Unchanged(key, 2**53 - 1)),
        "to Absent": not await passes(Absent(key)),
    }


async def _expect_visible(bench: Bench, key: str, *, now_us: int, visible: bool, when: str) -> None:
    for how, seen in (await _visible(bench, key, now_us)).items():
        expect.same(seen, visible, f"whether a cell is there {how}, {when}")


@proves("G12")
async def it_is_there_until_the_microsecond_before_and_gone_from_then_on(bench: Bench) -> None:
    """A microsecond before its time a cell is there in every verb and check; at exactly its time it is in none."""
    now_us = bench.now_us
    for ttl_us in (1, 2, 1000, 3_600_000_000, 2**53 - 1 - now_us):
        key = f"k{ttl_us}"
        at_us = now_us + ttl_us
        await bench.put(A, {}, Put(key, b"v", at_us, (Entry("tag", key, "1"),)))
        await _expect_visible(bench, key, now_us=at_us - 1, visible=True, when="1 µs before it expires")
        await _expect_visible(bench, key, now_us=at_us, visible=False, when="at the time it expires")
        await _expect_visible(bench, key, now_us=at_us + 1, visible=False, when="1 µs later")
        await _expect_visible(bench, key, now_us=now_us, visible=True, when="at an earlier time, asked for later")
        cell = await bench.cell(A, key)
        expect.same(cell and cell.expires_us, at_us, "the expiry as read")


@proves("G12")
async def a_cell_without_expiry_never_expires(bench: Bench) -> None:
    """A cell without an expiry is there at every time, before and after."""
    await bench.put(A, {}, Put("k", b"v", None, (Entry("tag", "k", "1"),)))
    for now_us in (0, bench.now_us, 2**53 - 1):
        await _expect_visible(bench, "k", now_us=now_us, visible=True, when=f"at {now_us}")


@proves("G12")
async def a_cell_that_expired_before_it_was_written_is_never_seen(bench: Bench) -> None:
    """A cell written with an expiry not after the commit's time is absent at once; the commit counts all the same."""
    now_us = bench.now_us
    for expires_us in (now_us, now_us - 1, 0):
        seq = await bench.put(A, {}, Put("k", b"v", expires_us, (Entry("tag", "k", "1"),)))
        await _expect_visible(bench, "k", now_us=now_us, visible=False, when="at the time it was written")
        expect.same((await bench.kernel.log(A, after=seq - 1))[0].touched, ("k",), "what the record touched")


@proves("G12", "G2")
async def the_commits_own_time_decides(bench: Bench) -> None:
    """Checks take the commit's time as now, each commit of a batch its own, and nothing else does: a later commit at
    an earlier time sees the cell again."""
    at_us = bench.now_us + 100
    await bench.put(A, {}, Put("k", b"v", at_us))
    times = [at_us - 1, at_us, at_us - 100, at_us + 100, at_us - 1]
    commits = [bench.build(ScopeCommit(A, checks=(Present("k"),)), at_us=time_us) for time_us in times]
    outcomes = await bench.batch(*commits)
    expect.same([isinstance(outcome, Committed) for outcome in outcomes], [t < at_us for t in times], "which succeed")


@proves("G12", "G2")
async def an_expired_cell_is_a_free_place(bench: Bench) -> None:
    """Where a cell expired, "write if absent" succeeds, at exactly that time and not before, and the new cell has its
    own version, expiry and entries; nothing of the old one remains."""
    at_us = bench.now_us + 100
    await bench.put(A, {}, Put("claim", b"old", at_us, (Entry("tag", "claim", "old"),)))
    take = ScopeCommit(
        A, checks=(Absent("claim"),), puts=(Put("claim", b"new", None, (Entry("tag", "claim", "new"),)),)
    )
    conflict = await bench.conflict(take, at_us=at_us - 1)
    expect.same(conflict.found, Cell("claim", b"old", 1, at_us), "what the conflict found")
    expect.same(await bench.committed(take, at_us=at_us), {A: 2}, "the seqs")
    expect.same(await bench.cell(A, "claim", now_us=at_us), Cell("claim", b"new", 2), "the new cell")
    found = await bench.kernel.find("tag", "claim", now_us=at_us)
    expect.same([entry.order for entry in found], ["new"], "its entries")


@proves("G12")
async def a_conflict_does_not_show_an_expired_cell(bench: Bench) -> None:
    """A conflict on an expired cell says that nothing was found."""
    at_us = bench.now_us + 100
    await bench.put(A, {}, Put("k", b"v", at_us))
    for check in (Present("k"), Unchanged("k", 9)):
        conflict = await bench.conflict(ScopeCommit(A, checks=(check,)), at_us=at_us)
        expect.same((conflict.what, conflict.found), (type(check).__name__.lower(), None), "the conflict")


@proves("G12")
async def rewriting_a_cell_renews_or_ends_its_expiry(bench: Bench) -> None:
    """The expiry belongs to the last write: a later one extends, shortens or removes it, for entries too."""
    now_us = bench.now_us
    times = (now_us + 10, now_us + 1000, now_us + 5, None, now_us + 20)
    for expires_us in times:
        await bench.put(A, {}, Put("k", b"v", expires_us, (Entry("tag", "k", "1"),)))
        for at_us in (now_us + 4, now_us + 5, now_us + 10, now_us + 19, now_us + 20, now_us + 999, now_us + 1000):
            visible = expires_us is None or at_us < expires_us
            await _expect_visible(bench, "k", now_us=at_us, visible=visible, when=f"{at_us - now_us} of {expires_us}")


@proves("G12")
async def a_range_is_filled_past_what_expired(bench: Bench) -> None:
    """Expired cells take no place in a range or a page of entries: the limit counts what is there, from both ends."""
    now_us = bench.now_us
    puts = [Put(f"k{i:02d}", b"", now_us + 10 if i % 3 else None, (Entry("tag", "x", f"{i:02d}"),)) for i in range(30)]
    await bench.fill(A, puts)
    at_us = now_us + 10
    left = [f"k{i:02d}" for i in range(0, 30, 3)]
    for limit in (1, 2, 5, 9, 10, 11):
        for reverse in (False, True):
            wanted = (left[::-1] if reverse else left)[:limit]
            view = await bench.view(A, ranges=[Range("k", limit, reverse=reverse)], now_us=at_us)
            expect.same([cell.key for cell in view.ranges[0]], wanted, f"a range of {limit}, reverse={reverse}")
            found = await bench.kernel.find("tag", "x", now_us=at_us, limit=limit, reverse=reverse)
            expect.same([entry.key for entry in found], wanted, f"a page of {limit} entries, reverse={reverse}")
    after = await bench.view(
        A, ranges=[Range("k", 3, after="k04"), Range("k", 3, after="k25", reverse=True)], now_us=at_us
    )
    expect.same(
        [[c.key for c in r] for r in after.ranges], [["k06", "k09", "k12"], ["k24", "k21", "k18"]], "after expired ones"
    )


@proves("G12", "G17")
async def appended_cells_expire_too(bench: Bench) -> None:
    """An append may expire, as a put does: it is then absent, its neighbours stay, and its key is never given again."""
    at_us = bench.now_us + 10
    appends = tuple(Append("l/", str(i).encode(), at_us if i % 2 else None) for i in range(4))
    await bench.committed(ScopeCommit(A, "create", appends=appends))
    expect.same(list((await bench.values(A, now_us=at_us - 1)).values()), [b"0", b"1", b"2", b"3"], "before")
    expect.same(list((await bench.values(A, now_us=at_us)).values()), [b"0", b"2"], "at the time")
    await bench.sweep(now_us=at_us)
    await bench.append(A, "l/", b"4")
    keys = [cell.key for cell in await bench.cells(A, now_us=at_us)]
    expect.same(keys, sorted(set(keys)), "the keys")
    expect.same(list((await bench.values(A, now_us=at_us)).values()), [b"0", b"2", b"4"], "after the next append")


@proves("G12")
async def the_clock_of_the_store_judges_nothing(bench: Bench) -> None:
    """What the store's own clock shows is in microseconds since 1970, or nothing, and goes on; a cell expires by the
    time that a verb is given, be that long before it or long after."""
    first, second = await bench.kernel.clock_us(), await bench.kernel.clock_us()
    shown_us = bench.now_us
    if first is not None:
        later = expect.a(int, second, "the store's clock, asked again")
        expect.holds(YEAR_2020_US < first < TIME_US_MAX, f"the store's clock shows microseconds since 1970: {first}")
        expect.holds(0 <= later - first < HOUR_US, f"the store's clock goes on: {first}, then {later}")
        shown_us = first
    for key, away_us in (("before", -24 * HOUR_US), ("after", 24 * HOUR_US)):
        expires_us = shown_us + away_us
        put = Put(key, b"v", expires_us)
        await bench.committed(ScopeCommit(A, "create", puts=(put,)), at_us=expires_us - 1)
        for now_us, there in ((expires_us - 1, True), (expires_us, False)):
            seen = key in (await bench.view(A, key, now_us=now_us)).cells
            expect.same(seen, there, f"whether a cell is there that expires a day {key} what the store's clock shows")
