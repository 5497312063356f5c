"""G8: one read sees one moment."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random

from holdfast.kernel.commit import Append, Cell, Committed, Put, Range, Read, ScopeCommit, Unchanged, View
from holdfast.kernel.contract import Kernel
from holdfast.testing.conformance import expect
from holdfast.testing.conformance.bench import Bench, Lane, meanwhile
from holdfast.testing.conformance.check import proves

ACCOUNTS = 4
START = 100
TRIES = 1000


async def _transfer(bench: Bench, scopes: Sequence[str], lane: Lane, random: Random) -> None:
    """Move some money between two scopes, atomically, trying again on conflict."""
    for _ in range(TRIES):
        source, target = random.sample(list(scopes), 2)
        cells = [await bench.cell(scope, "money") for scope in (source, target)]
        old = [expect.a(Cell, cell, "an account") for cell in cells]
        amount = random.randint(1, 9)
        parts = [
            ScopeCommit(
                scope,
                checks=(Unchanged("money", cell.version),),
                puts=(Put("money", str(int(cell.value) + change).encode()),),
                appends=(Append("history/", str(change).encode()),),
            )
            for scope, cell, change in zip((source, target), old, (-amount, amount), strict=True)
        ]
        if isinstance((await bench.kernel.commit([bench.build(*parts, id=lane.next())]))[0], Committed):
            return
    expect.fail(f"a transfer has conflicted {TRIES} times, and each conflict takes another's success")


def _balance(view: View) -> int:
    """The money in an account, which its history must agree with."""
    money = int(expect.a(Cell, view.cells.get("money"), f"the balance of {view.scope}").value)
    history = [int(cell.value) for cell in view.ranges[0]]
    expect.same(START + sum(history), money, f"the history of {view.scope} and its balance, in one view")
    versions = [cell.version for cell in (*view.cells.values(), *view.ranges[0])]
    expect.same(max(versions), view.head.seq, f"the newest cell of {view.scope} and its head, in one view")
    return money


async def _consistent(bench: Bench, reader: Kernel) -> None:
    scopes = bench.together(ACCOUNTS)
    for scope in scopes:
        await bench.put(scope, {"money": str(START).encode()})
    random = Random(bench.ids.writer())

    async def client(lane: Lane) -> None:
        for _ in range(8):
            await _transfer(bench, scopes, lane, random)

    reads = [Read(scope, ("money",), (Range("history/", 1000),)) for scope in scopes]
    looks = 0
    async with meanwhile(*(client(bench.lane()) for _ in range(4))) as done:
        while looks < 10 or not done():
            views = await reader.read(reads, now_us=bench.now_us)
            balances = [_balance(view) for view in views]
            if bench.traits.span == "store":
                expect.same(sum(balances), START * ACCOUNTS, "the money of all accounts in one read")
            looks += 1
            await asyncio.sleep(0)
    views = await reader.read(reads, now_us=bench.now_us)
    expect.same(sum(_balance(view) for view in views), START * ACCOUNTS, "the money of all accounts at the end")
    expect.same(sum(view.head.seq for view in views), ACCOUNTS + 2 * 4 * 8, "the sum of seqs at the end")


@proves("G8", "G1", "G2")
async def reads_amid_transfers_see_all_or_nothing_of_each(bench: Bench) -> None:
    """While money moves between scopes, every single read finds each scope's head, cells and ranges in agreement, and
    over all scopes (where the kernel spans them) the total unchanged."""
    await _consistent(bench, bench.kernel)


@proves("G8", "G1", "G2", needs=("second",))
async def reads_through_another_kernel_see_all_or_nothing_too(bench: Bench) -> None:
    """The same where the transfers go through one kernel and the reads through another."""
    await _consistent(bench, await bench.second())


@proves("G8")
async def every_part_of_a_view_is_of_one_moment(bench: Bench) -> None:
    """Point reads and ranges of one view, in both directions and overlapping, show the same cells in the same
    versions while they are rewritten, added and removed."""
    scope = "session/a"
    await bench.put(scope, {f"k{i:02d}": b"0" for i in range(10)})

    async def writer() -> None:
        for turn in range(1, 30):
            puts = tuple(Put(f"k{(turn + i) % 20:02d}", str(turn).encode()) for i in range(5))
            await bench.committed(ScopeCommit(scope, puts=puts, deletes=(f"k{(turn + 7) % 20:02d}",)))

    keys = tuple(f"k{i:02d}" for i in range(20))
    ranges = (Range("k", 100), Range("k", 100, reverse=True), Range("k0", 100), Range("", 100))
    async with meanwhile(writer()) as done:
        while not done():
            view = await bench.view(scope, *keys, ranges=ranges)
            points = {cell.key: cell for cell in view.ranges[0]}
            expect.same(dict(sorted(view.cells.items())), points, "points and range")
            expect.same(view.ranges[1], view.ranges[0][::-1], "the range from either end")
            expect.same(view.ranges[2], tuple(c for c in view.ranges[0] if c.key < "k1"), "the narrower range")
            expect.same(view.ranges[3], view.ranges[0], "the whole scope and the range")
            await asyncio.sleep(0)


@proves("G8", "G18")
async def a_view_does_not_change_later(bench: Bench) -> None:
    """What a read has returned stays as it was when the store moves on, through writes, a drop and a sweep."""
    scope = "session/a"
    await bench.put(scope, {"k": b"1", "j": b"2"})
    view = await bench.view(scope, "k", "j", ranges=[Range("", 10)])
    log = await bench.kernel.log(scope)
    shown = repr((view, log))
    await bench.put(scope, {"k": b"3"})
    await bench.delete(scope, "j")
    await bench.drop(scope)
    await bench.sweep()
    expect.same(repr((view, log)), shown, "the view and the log of before")
