"""G21: rewriting replaces bytes only where they still are what was read, and shows in nothing but those bytes."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from holdfast.errors import TooLarge
from holdfast.kernel.commit import (
    Append,
    Cell,
    Committed,
    Entry,
    HeadAt,
    Put,
    Record,
    Retention,
    Rewrite,
    ScopeCommit,
    Stored,
    Untouched,
)
from holdfast.kernel.limits import PAGE_MAX
from holdfast.testing.conformance import expect
from holdfast.testing.conformance.bench import Bench, same_picture
from holdfast.testing.conformance.check import proves

A, B = "session/a", "session/b"
LONG = bytes(range(256)) * 8


def _other(content: bytes) -> bytes:
    return b"" if not content else content[::-1] + b"!"


def _rewrites(stored: tuple[Stored, ...]) -> list[Rewrite]:
    return [
        Rewrite(
            one.cell,
            _other(one.cell.value) or b"was empty",
            tuple(replace(entry, payload=_other(entry.payload)) for entry in one.entries),
        )
        for one in stored
    ]


async def _fill(bench: Bench) -> None:
    entries = (Entry("tag", "x", "1", b"payload"), Entry("tag", "y", "2"), Entry("user", "ada", "1", b"p"))
    puts = (Put("k", b"value", entries=entries), Put("long", LONG), Put("soon", b"s", bench.now_us + 100), Put("", b""))
    appends = (Append("l/", b"one"), Append("l/", LONG, entries=(Entry("tag", "x", "9", b"q"),)))
    await bench.committed(ScopeCommit(A, "create", puts=puts, appends=appends, body=b"body"), cause=b"cause")
    two = ScopeCommit(A, deletes=("none",)), ScopeCommit(B, "create", body=b"b")
    for parts in (two,) if bench.traits.span == "store" else ((two[0],), (two[1],)):
        await bench.committed(*parts, cause=b"other cause")
    await bench.committed(ScopeCommit(A, puts=(Put("late", b"l"),), body=LONG), cause=b"last")


async def _rewrite_all(bench: Bench) -> None:
    stored = await bench.kernel.stored(A)
    records = [replace(r, body=_other(r.body), cause=_other(r.cause)) for r in await bench.log(A)]
    expect.same(await bench.kernel.rewrite(A, cells=_rewrites(stored)), len(stored), "the cells rewritten")
    expect.same(await bench.kernel.rewrite(A, records=records), len(records), "the records rewritten")


def _as_rewritten(shown: Any) -> Any:
    """What a picture should show where all bytes were rewritten."""
    if isinstance(shown, tuple):
        return tuple(map(_as_rewritten, shown))
    if isinstance(shown, dict):
        return {key: _as_rewritten(one) for key, one in shown.items()}
    if isinstance(shown, Cell):
        return replace(shown, value=_other(shown.value) or b"was empty")
    if isinstance(shown, Record):
        return replace(shown, body=_other(shown.body), cause=_other(shown.cause))
    if hasattr(shown, "payload"):
        return replace(shown, payload=_other(shown.payload))
    return replace(shown, cause=_other(shown.cause))  # a head


@proves("G21")
async def all_bytes_can_be_replaced_and_nothing_else_shows(bench: Bench) -> None:
    """Values, payloads, bodies and causes are the new ones in every verb; versions, seqs, times, order, expiry, places
    in the log and in `moved` are what they were."""
    await _fill(bench)
    position, before = await bench.position(), await bench.picture(A)
    await _rewrite_all(bench)
    after = {part: before[part] if part == "scopes" else _as_rewritten(before[part]) for part in before}
    same_picture(await bench.picture(A), after, "after all was rewritten")
    expect.same(await bench.moves(position), {}, "what moved")
    expect.same((await bench.kernel.read([], now_us=0)), [], "a read of nothing")
    conflict = await bench.conflict(ScopeCommit(A, checks=(HeadAt(1),), body=b"x"))
    expect.same(conflict.head.cause, _other(b"last"), "the cause that a conflict finds")
    expect.same(await bench.cell(A, "soon", now_us=bench.now_us + 100), None, "a cell that was to expire")


@proves("G21")
async def what_has_changed_since_it_was_read_is_passed_over(bench: Bench) -> None:
    """A cell that was written, rewritten, deleted or dropped since, one that never was, and a record of another commit
    keep their bytes; what is unchanged beside them is rewritten."""
    await _fill(bench)
    stored, records = await bench.kernel.stored(A), await bench.log(A)
    await bench.put(A, {"k": b"newer"})
    await bench.delete(A, "long")
    before = await bench.picture(A)
    stale = [rewrite for rewrite in _rewrites(stored) if rewrite.was.key in ("k", "long")]
    stale.append(Rewrite(Cell("never", b"", 1), b"x"))
    expect.same(await bench.kernel.rewrite(A, cells=stale), 0, "the stale cells rewritten")
    foreign = [replace(records[0], commit=records[1].commit, body=b"x"), replace(records[0], seq=99, body=b"x")]
    expect.same(await bench.kernel.rewrite(A, records=foreign), 0, "the foreign records rewritten")
    expect.same(
        await bench.kernel.rewrite("session/none", cells=stale, records=foreign), 0, "in a scope that never was"
    )
    same_picture(await bench.picture(A), before, "after nothing was rewritten")
    late = next(one.cell for one in stored if one.cell.key == "late")
    expect.same(await bench.kernel.rewrite(A, cells=[*stale, Rewrite(late, b"1")]), 1, "one that is as it was")
    expect.same(await bench.kernel.rewrite(A, cells=[Rewrite(late, b"2")]), 0, "one rewritten since")
    expect.same((await bench.values(A))["late"], b"1", "its value")
    await bench.drop(A)
    await bench.put(A, {"late": b"l"})
    expect.same(await bench.kernel.rewrite(A, cells=[Rewrite(late, b"3")]), 0, "one of an earlier life")
    expect.same(await bench.values(A), {"late": b"l"}, "the cells of the new life")


@proves("G21")
async def entries_are_replaced_with_their_cell(bench: Bench) -> None:
    """Entries given with a rewrite are found in the place of the cell's own, which are gone; later puts and deletions
    replace them like any others."""
    await _fill(bench)
    bench.indexes |= {("tag", "z"), ("user", "bo")}
    [stored] = [one for one in await bench.kernel.stored(A) if one.cell.key == "k"]
    others = (Entry("tag", "z", "2", b"new"), Entry("user", "bo", "1"))
    await bench.kernel.rewrite(A, cells=[Rewrite(stored.cell, b"other", others)])
    expect.same([one.cursor for one in await bench.found("tag", "x")][:1], [("9", A, "l/0000000000000001.0001")], "old")
    expect.same(await bench.found("user", "ada"), (), "the old entries of another index")
    expect.same([(one.cursor, one.payload) for one in await bench.found("tag", "z")], [(("2", A, "k"), b"new")], "new")
    [again] = [one for one in await bench.kernel.stored(A) if one.cell.key == "k"]
    stored_now = sorted((entry.index, entry.order, entry.payload) for entry in again.entries)
    expect.same(stored_now, [("tag", "2", b"new"), ("user", "1", b"")], "the entries stored")
    await bench.kernel.rewrite(A, cells=[Rewrite(again.cell, b"again", again.entries)])
    expect.same(
        [(one.cursor, one.payload) for one in await bench.found("tag", "z")], [(("2", A, "k"), b"new")], "again"
    )
    await bench.put(A, {"k": b""})
    expect.same((await bench.found("tag", "z"), await bench.found("user", "bo")), ((), ()), "after a put without any")


@proves("G21")
async def everything_stored_is_shown(bench: Bench) -> None:
    """`stored` shows each cell of the present epoch once, in order and page by page, with its entries, also one that
    has expired and was not swept; of a scope that is dropped or never was, nothing."""
    await _fill(bench)
    bench.clock.advance(1)
    cells = await bench.cells(A, now_us=0)
    stored: list[Stored] = []
    while page := await bench.kernel.stored(A, after=stored[-1].cell.key if stored else None, limit=2):
        expect.holds(len(page) <= 2, "a page is no longer than its limit")
        stored += page
    expect.same(tuple(one.cell for one in stored), cells, "the cells stored")
    expect.same(len(stored), 7, "their number")
    expect.same({e.payload for one in stored for e in one.entries}, {b"payload", b"", b"p", b"q"}, "their payloads")
    one = await bench.kernel.stored(A, bytes_max=1, after="")
    expect.same(len(one), 1, "as many as reach the bound")
    expect.same(await bench.kernel.stored("session/none"), (), "of a scope that never was")
    [soon] = [one.cell for one in stored if one.cell.key == "soon"]
    expect.same(await bench.kernel.rewrite(A, cells=[Rewrite(soon, b"rewritten")]), 1, "one that has expired")
    expect.same(await bench.cell(A, "soon", now_us=soon.expires_us), None, "it stays expired")
    await bench.drop(A)
    expect.same(await bench.kernel.stored(A, limit=PAGE_MAX), (), "of a scope that is dropped")


@proves("G21", "G5", "G10")
async def what_rests_on_records_goes_on(bench: Bench) -> None:
    """After records were rewritten a commit sent again is found by its id, and conditions on what was touched hold and
    fail as before."""
    commit = bench.build(ScopeCommit(A, "create", puts=(Put("k", b""),), body=b"b"), cause=b"c")
    await bench.send(commit)
    await bench.put(A, {"k": b"2"})
    await _rewrite_all(bench)
    expect.same(await bench.send(commit), Committed({A: 1}, replayed=True), "a repeat")
    await bench.committed(ScopeCommit(A, checks=(Untouched("k", 2),), body=b"x"))
    expect.same(
        (await bench.conflict(ScopeCommit(A, checks=(Untouched("k", 1),), body=b"x"))).what, "untouched", "the check"
    )


@proves("G21", "G19")
async def other_bytes_keep_the_limits(bench: Bench) -> None:
    """A value or payload over its limit is refused, and nothing of that call is rewritten."""
    await _fill(bench)
    before = await bench.picture(A)
    stored = await bench.kernel.stored(A)
    cells = {one.cell.key: one.cell for one in stored}
    fat = Entry("tag", "x", "1", bytes(bench.traits.payload_bytes_max + 1))
    for wrong in (Rewrite(cells["late"], bytes(bench.traits.value_bytes_max + 1)), Rewrite(cells["k"], b"", (fat,))):
        call = bench.kernel.rewrite(A, cells=[Rewrite(cells["long"], b"short"), wrong])
        await expect.raises(TooLarge, call, "a rewrite over a limit")
    same_picture(await bench.picture(A), before, "after the refusals")


@proves("G21", "G6", needs=("reopen",))
async def what_was_rewritten_stays_and_scrubbing_shows_in_nothing(bench: Bench) -> None:
    """After reopening everything is as it was rewritten; scrubbing changes nothing that any verb shows, before and
    after."""
    await _fill(bench)
    position = await bench.position()
    await _rewrite_all(bench)
    rewritten = await bench.picture(A, B)
    expect.a(bool, await bench.kernel.scrub(), "what scrubbing answers")
    same_picture(await bench.picture(A, B), rewritten, "after scrubbing")
    await bench.reopen()
    same_picture(await bench.picture(A, B), rewritten, "after reopening")
    await bench.kernel.scrub()
    if bench.traits.durability != "none":
        expect.same(await bench.moves(position), {}, "what moved")
    await bench.sweep(retention=Retention(tombstone_us=None))
    same_picture(await bench.picture(A, B), rewritten, "after a sweep")
    await bench.put(A, {"k": b"goes on"})
    expect.same((await bench.head(A)).seq, 4, "the seq of the next commit")


@proves("G21", needs=("second",))
async def a_rewrite_through_another_kernel_is_seen(bench: Bench) -> None:
    """What a kernel remembers of a scope does not outlive a rewrite by another one: its verbs and conflicts show the
    new bytes."""
    other = await bench.second()
    await _fill(bench)
    await bench.conflict(ScopeCommit(A, checks=(HeadAt(1),), body=b"x"))
    stored, records = await other.stored(A), await other.log(A)
    await other.rewrite(A, cells=_rewrites(stored), records=[replace(r, cause=_other(r.cause)) for r in records])
    conflict = await bench.conflict(ScopeCommit(A, checks=(HeadAt(1),), body=b"x"))
    expect.same(conflict.head.cause, _other(b"last"), "the cause that a conflict finds")
    expect.same((await bench.values(A))["k"], _other(b"value"), "a value")
