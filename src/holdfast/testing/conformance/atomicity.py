"""G1: a commit is applied whole or not at all."""

from __future__ import annotations

import asyncio

from holdfast.errors import TooLarge
from holdfast.kernel.commit import Absent, Append, Committed, Entry, HeadAt, Present, Put, ScopeCommit
from holdfast.kernel.limits import PAYLOAD_BYTES_MAX
from holdfast.testing.conformance import expect
from holdfast.testing.conformance.bench import Bench, meanwhile, same_picture
from holdfast.testing.conformance.check import proves


@proves("G1")
async def everything_a_commit_asks_of_one_scope_happens_together(bench: Bench) -> None:
    """Puts, appends, deletes, entries and the body of one commit are there together, under one seq."""
    await bench.put("session/a", {"old": b"1", "gone": b"2"})
    seqs = await bench.committed(
        ScopeCommit(
            "session/a",
            puts=(Put("old", b"3"), Put("new", b"4", entries=(Entry("tag", "x", "1", b"p"),))),
            appends=(Append("list/", b"5"), Append("list/", b"6")),
            deletes=("gone", "never"),
            body=b"why",
        )
    )
    expect.same(seqs, {"session/a": 2}, "the seqs")
    cells = await bench.cells("session/a")
    expect.same(sorted(cell.value for cell in cells), [b"3", b"4", b"5", b"6"], "the values left")
    expect.same({cell.version for cell in cells}, {2}, "the versions of all cells written")
    expect.same([found.key for found in await bench.found("tag", "x")], ["new"], "the entries")
    record = (await bench.log("session/a"))[-1]
    expect.same((record.seq, record.body), (2, b"why"), "the record")


@proves("G1", "G4")
async def a_commit_over_several_scopes_applies_to_all(bench: Bench) -> None:
    """One commit makes, changes, empties and drops several scopes at once; each gets its own next seq."""
    made, changed, emptied, dropped = bench.together(4)
    for scope in (changed, emptied, dropped):
        await bench.put(scope, {"k": b"1"})
    await bench.put(changed, {"k": b"2"})
    seqs = await bench.committed(
        ScopeCommit(made, "must_not_exist", puts=(Put("k", b"new"),)),
        ScopeCommit(changed, puts=(Put("k", b"3"),)),
        ScopeCommit(emptied, deletes=("k",)),
        ScopeCommit(dropped, drop=True),
    )
    expect.same(seqs, {made: 1, changed: 3, emptied: 2, dropped: 2}, "the seqs")
    views = [await bench.values(scope) for scope in (made, changed, emptied, dropped)]
    expect.same(views, [{"k": b"new"}, {"k": b"3"}, {}, {}], "the cells")
    expect.same(await bench.kernel.scopes(), tuple(sorted((made, changed, emptied))), "the live scopes")


@proves("G1", "G7")
async def one_condition_that_fails_stops_every_scope(bench: Bench) -> None:
    """Whichever scope of a commit conflicts, the first, the middle or the last, none of them changes."""
    scopes = bench.together(3)
    for scope in scopes:
        await bench.put(scope, {"k": b"1"}, Put("e", b"", entries=(Entry("tag", "x", scope),)))
    before = await bench.picture(*scopes)
    for failing in range(3):
        parts = [
            ScopeCommit(
                scope,
                checks=(Absent("k"),) if place == failing else (Present("k"),),
                puts=(Put("k", b"2"),),
                appends=(Append("l/", b""),),
                deletes=("e",),
            )
            for place, scope in enumerate(scopes)
        ]
        conflict = await bench.conflict(*parts)
        expect.same(conflict.scope, scopes[failing], "the scope that conflicted")
        same_picture(await bench.picture(*scopes), before, f"after a conflict in scope {failing} of 3")


@proves("G1", "G7")
async def a_scope_that_would_be_made_is_not_when_another_conflicts(bench: Bench) -> None:
    """A commit that makes one scope and drops another does neither when its condition on a third fails."""
    new, old, guard = bench.together(3)
    await bench.put(old, {"k": b"1"})
    await bench.put(guard, {"k": b"1"})
    before = await bench.picture(new, old, guard)
    conflict = await bench.conflict(
        ScopeCommit(new, "must_not_exist", puts=(Put("k", b"1"),)),
        ScopeCommit(old, drop=True),
        ScopeCommit(guard, checks=(HeadAt(7),)),
    )
    expect.same((conflict.scope, conflict.what), (guard, "headat"), "the conflict")
    same_picture(await bench.picture(new, old, guard), before, "after the conflict")


@proves("G1", "G7", "G19")
async def one_part_over_a_limit_refuses_every_part(bench: Bench) -> None:
    """A commit whose last cell is over a limit is refused whole: nothing of it is written, in any scope."""
    first, last = bench.together(2)
    await bench.put(first, {"k": b"1"})
    before = await bench.picture(first, last)
    fat = Entry("tag", "x", "1", bytes(PAYLOAD_BYTES_MAX + 1))
    await bench.refused(
        TooLarge,
        ScopeCommit(first, puts=(Put("k", b"2"),)),
        ScopeCommit(last, "create", puts=(Put("a", b"1"), Put("b", b"", entries=(fat,)))),
        what="a commit with a payload over the limit",
    )
    same_picture(await bench.picture(first, last), before, "after the refusal")


@proves("G1", "G8")
async def what_is_written_together_is_seen_together(bench: Bench) -> None:
    """While one commit after another rewrites ten cells, every read finds all ten the same."""
    keys = tuple(f"k{number}" for number in range(10))

    async def writer() -> None:
        for turn in range(1, 40):
            value = str(turn).encode()
            await bench.committed(ScopeCommit("session/a", puts=tuple(Put(key, value) for key in keys)))

    await bench.put("session/a", dict.fromkeys(keys, b"0"))
    async with meanwhile(writer()) as done:
        while not done():
            view = await bench.view("session/a", *keys)
            values = {cell.value for cell in view.cells.values()}
            expect.same((len(view.cells), len(values)), (10, 1), "cells found and different values among them")
            await asyncio.sleep(0)


@proves("G1", "G5")
async def a_cancelled_commit_happens_whole_or_not_at_all(bench: Bench) -> None:
    """However early a waiting caller is cancelled, its commit is whole or absent, is applied at most once when it is
    sent again, and the store goes on."""
    left, right = bench.together(2)
    await bench.put(left, {"n": b"0"})
    await bench.put(right, {"n": b"0"})
    for turns in range(12):
        commit = bench.build(
            ScopeCommit(left, puts=(Put("n", str(turns).encode()),)),
            ScopeCommit(right, puts=(Put("n", str(turns).encode()),)),
        )
        waiting = asyncio.ensure_future(bench.kernel.commit([commit]))
        for _ in range(turns):
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        again = await bench.send(commit)
        records = [await bench.log(left), await bench.log(right)]
        applied = [sum(record.commit == commit.id for record in log) for log in records]
        expect.same(applied[0], applied[1], "how often it stands in the logs of its two scopes")
        expect.same(applied[0], int(isinstance(again, Committed)), f"how often it was applied; sent again: {again!r}")
        await bench.committed(ScopeCommit(left, body=b"next"))
