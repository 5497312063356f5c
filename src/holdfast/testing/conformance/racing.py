"""G2 and G3 under concurrency: of many that race for one thing exactly one wins, and no update is lost."""

from __future__ import annotations

import asyncio

from holdfast.kernel.commit import (
    Absent,
    Append,
    Cell,
    Commit,
    Committed,
    Conflict,
    HeadAt,
    Outcome,
    Put,
    ScopeCommit,
    Unchanged,
)
from holdfast.kernel.contract import Kernel
from holdfast.testing.conformance import expect
from holdfast.testing.conformance.bench import Bench, Lane
from holdfast.testing.conformance.check import proves

A = "session/a"
TASKS = 24
TRIES = 1000


async def _race(bench: Bench, kernels: list[Kernel], commits: list[Commit]) -> list[Outcome]:
    async def run(kernel: Kernel, commit: Commit) -> Outcome:
        await asyncio.sleep(0)
        return (await kernel.commit([commit]))[0]

    return list(await asyncio.gather(*(run(kernels[i % len(kernels)], commit) for i, commit in enumerate(commits))))


async def _one_winner(bench: Bench, kernels: list[Kernel]) -> None:
    for contest, part in {
        "to make a scope": ScopeCommit(A, "must_not_exist", body=b"x"),
        "for a seq": ScopeCommit(A, checks=(HeadAt(1),), body=b"x"),
        "for an absent cell": ScopeCommit(A, checks=(Absent("k"),), puts=(Put("k", b""),)),
        "for a version": ScopeCommit(A, checks=(Unchanged("k", 3),), puts=(Put("k", b""),)),
        "to drop an epoch": ScopeCommit(A, epoch=0, drop=True),
    }.items():
        commits = [bench.build(part, id=bench.lane().next()) for _ in range(TASKS)]
        outcomes = await _race(bench, kernels, commits)
        winners = [outcome for outcome in outcomes if isinstance(outcome, Committed)]
        losers = [outcome for outcome in outcomes if isinstance(outcome, Conflict)]
        expect.same((len(winners), len(losers)), (1, TASKS - 1), f"winners and losers of a race {contest}")
    expect.same((await bench.head(A)).seq, 5, "the seq after five races")


@proves("G2", "G3")
async def exactly_one_of_many_wins(bench: Bench) -> None:
    """Of many tasks that race for one scope, seq, cell, version or epoch exactly one wins; all others conflict."""
    await _one_winner(bench, [bench.kernel])


@proves("G2", "G3", needs=("second",))
async def exactly_one_of_many_wins_across_kernels(bench: Bench) -> None:
    """The same where the tasks use two kernels on one space."""
    await _one_winner(bench, [bench.kernel, await bench.second()])


async def _count(bench: Bench, kernels: list[Kernel], *, tasks: int, each: int) -> None:
    await bench.put(A, {"n": b"0"})

    async def counter(kernel: Kernel, lane: Lane) -> None:
        done = tries = 0
        while done < each:
            tries += 1
            expect.holds(
                tries <= TRIES, "a counter that always conflicts, though each conflict takes another's success"
            )
            view = await bench.view(A, "n", kernel=kernel)
            cell = expect.a(Cell, view.cells.get("n"), "the counter")
            put = Put("n", str(int(cell.value) + 1).encode())
            part = ScopeCommit(A, checks=(Unchanged("n", cell.version),), puts=(put,))
            outcome = (await kernel.commit([bench.build(part, id=lane.next())]))[0]
            expect.holds(isinstance(outcome, Committed | Conflict), f"a counter is told {outcome!r}")
            done += isinstance(outcome, Committed)

    await asyncio.gather(*(counter(kernels[i % len(kernels)], bench.lane()) for i in range(tasks)))
    total = tasks * each
    cell = await bench.cell(A, "n")
    expect.holds(cell is not None, "the counter is there")
    expect.same(cell and (cell.value, cell.version), (str(total).encode(), total + 1), "the counter and its version")
    expect.same([record.seq for record in await bench.log(A)], list(range(1, total + 2)), "the log's seqs")


@proves("G2", "G3", "G4")
async def no_increment_of_a_counter_is_lost(bench: Bench) -> None:
    """Tasks that read a counter, and write it back if it is unchanged, lose and invent nothing."""
    await _count(bench, [bench.kernel], tasks=6, each=6)


@proves("G2", "G3", "G6", needs=("second",))
async def no_increment_of_a_counter_is_lost_across_kernels(bench: Bench) -> None:
    """The same where the tasks use two kernels on one space."""
    await _count(bench, [bench.kernel, await bench.second()], tasks=4, each=6)


async def _append_all(bench: Bench, kernels: list[Kernel]) -> None:
    async def appender(kernel: Kernel, lane: Lane, task: int) -> list[int]:
        seqs = []
        for turn in range(5):
            part = ScopeCommit(A, "create", appends=(Append("m/", f"{task}.{turn}".encode()),))
            commit = bench.build(part, id=lane.next())
            outcome = expect.a(Committed, (await kernel.commit([commit]))[0], "the outcome of an append")
            seqs.append(outcome.seqs[A])
        return seqs

    seqs = await asyncio.gather(*(appender(kernels[task % len(kernels)], bench.lane(), task) for task in range(TASKS)))
    expect.same(sorted(seq for own in seqs for seq in own), list(range(1, TASKS * 5 + 1)), "the seqs given")
    for own in seqs:
        expect.same(own, sorted(own), "the seqs of one task, in the order of its commits")
    by_seq = {seq: f"{task}.{turn}".encode() for task, own in enumerate(seqs) for turn, seq in enumerate(own)}
    cells = await bench.cells(A, "m/")
    expect.same([cell.value for cell in cells], [by_seq[seq] for seq in sorted(by_seq)], "values in key order")


@proves("G3", "G4", "G17")
async def concurrent_appends_all_succeed_in_one_order(bench: Bench) -> None:
    """Many tasks append at once: none conflicts, each gets a seq of its own, and key order is the order of seqs."""
    await _append_all(bench, [bench.kernel])


@proves("G3", "G4", "G17", needs=("second",))
async def concurrent_appends_all_succeed_in_one_order_across_kernels(bench: Bench) -> None:
    """The same where the tasks use two kernels on one space."""
    await _append_all(bench, [bench.kernel, await bench.second()])
