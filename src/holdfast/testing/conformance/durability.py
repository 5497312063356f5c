"""G6: what was acknowledged is visible to every later read, and survives what the traits declare."""

from __future__ import annotations

import asyncio

from holdfast.kernel.commit import (
    Absent,
    Append,
    Commit,
    CommitId,
    Committed,
    Conflict,
    Entry,
    Put,
    Read,
    ScopeCommit,
)
from holdfast.kernel.contract import Kernel
from holdfast.testing.conformance import expect
from holdfast.testing.conformance.bench import Bench, same_picture
from holdfast.testing.conformance.check import proves

A = "session/a"


async def _seen(bench: Bench, kernel: Kernel, scope: str, position: str, seqs: range) -> None:
    """Every verb of that kernel shows the last of these seqs, written by `_write`."""
    last = seqs[-1]
    view = await bench.view(scope, "k", kernel=kernel)
    shown = (view.head.seq, [cell.value for cell in view.cells.values()])
    expect.same(shown, (last, [str(last).encode()]), "head and cell")
    expect.same([cell.version for cell in await bench.cells(scope, "l/", kernel=kernel)], list(seqs), "the range")
    expect.same([record.seq for record in await bench.log(scope, kernel=kernel)], list(seqs), "the log")
    found = await bench.found("at", "x", kernel=kernel)
    expect.same([entry.order for entry in found if entry.scope == scope], [f"{last:03d}"], "the entries")
    expect.holds(scope in await kernel.scopes(), "the scope is among the live ones")
    reported = await bench.moves(position, kernel=kernel)
    expect.holds(reported.get(scope, 0) >= last, f"moved reports {scope} at {last}, found {reported!r}")


def _undurable(bench: Bench, part: ScopeCommit) -> Commit:
    commit = bench.build(part)
    commit.durable = False
    return commit


async def _write(bench: Bench, scope: str, seq: int, *, durable: bool = True) -> CommitId:
    put = Put("k", str(seq).encode(), entries=(Entry("at", "x", f"{seq:03d}"),))
    commit = bench.build(ScopeCommit(scope, "create", puts=(put,), appends=(Append("l/", b""),)))
    commit.durable = durable
    expect.same(await bench.send(commit), Committed({scope: seq}), "the outcome")
    return commit.id


@proves("G6")
async def every_verb_shows_what_was_just_acknowledged(bench: Bench) -> None:
    """Right after a commit's outcome every verb of the kernel shows it."""
    for seq in range(1, 8):
        position = await bench.position()
        id = await _write(bench, A, seq)
        await _seen(bench, bench.kernel, A, position, range(1, seq + 1))
        expect.same(await bench.kernel.outcome(A, id), Committed({A: seq}, replayed=True), "its outcome")


@proves("G6", needs=("second",))
async def every_verb_of_another_kernel_shows_it_too(bench: Bench) -> None:
    """The moment one kernel has acknowledged a commit every verb of another on the same space shows it, also if it
    was read there just before; in turn."""
    other = await bench.second()
    first = bench.kernel
    for seq in range(1, 9):
        position = await bench.position()
        await _write(bench, A, seq)
        for reader in (first, other, first):
            await _seen(bench, reader, A, position, range(1, seq + 1))
        bench.kernel = other if seq % 4 < 2 else first


@proves("G6")
async def everyone_reads_their_own_writes(bench: Bench) -> None:
    """Many tasks that write and then read each find what they wrote, whatever the others do meanwhile."""

    async def client(scope: str) -> None:
        lane = bench.lane()
        for turn in range(8):
            value = str(turn).encode()
            commit = bench.build(ScopeCommit(scope, "create", puts=(Put("k", value),)), id=lane.next())
            expect.same(await bench.kernel.commit([commit]), [Committed({scope: turn + 1})], "the outcome")
            expect.same(await bench.values(scope), {"k": value}, "the cells read afterwards")

    await asyncio.gather(*(client(f"session/{number}") for number in range(8)))


@proves("G6", needs=("reopen",))
async def it_is_all_there_after_reopening(bench: Bench) -> None:
    """After closing and opening again every verb shows the same, and seqs and epochs go on where they were."""
    await bench.fill(A, [Put(f"k{i}", bytes([i]) * i, entries=(Entry("at", "x", str(i), b"p"),)) for i in range(50)])
    expires = Put("soon", b"", expires_us=bench.now_us + 1, entries=(Entry("at", "soon", ""),))
    await bench.put("session/b", {}, expires)
    await bench.append("session/c", "m/", b"1", b"2")
    await bench.drop("session/c")
    await bench.commit(ScopeCommit("session/none", body=b"a conflict"))
    scopes = (A, "session/b", "session/c", "session/none")
    before = await bench.picture(*scopes)
    position = await bench.position()
    seq = (await bench.head(A)).seq
    for _ in range(2):
        await bench.reopen()
        same_picture(await bench.picture(*scopes), before, "after reopening")
    expect.same(await bench.put(A, {"k0": b"new"}), seq + 1, "the next seq")
    expect.same(await bench.put("session/c", {"k": b""}), 3, "the seq of the scope made again")
    expect.same((await bench.head("session/c")).epoch, 1, "its epoch")
    expect.holds({A, "session/c"} <= set(await bench.moves(position)), "a position from before is still good")


@proves("G6", needs=("second",))
async def a_commit_that_need_not_be_durable_is_done_like_any_other(bench: Bench) -> None:
    """Once it is acknowledged every verb of every kernel shows it, later commits are judged by it, and it takes the
    next number."""
    other = await bench.second()
    for seq in (1, 2, 3):
        position = await bench.position()
        await _write(bench, A, seq, durable=seq == 3)
        for reader in (bench.kernel, other):
            await _seen(bench, reader, A, position, range(1, seq + 1))
    refused = await bench.send(_undurable(bench, ScopeCommit(A, checks=(Absent("k"),), puts=(Put("k", b""),))))
    expect.holds(isinstance(refused, Conflict), f"a condition that does not hold is a Conflict, found {refused!r}")


@proves("G6", needs=("reopen",))
async def a_durable_commit_keeps_those_before_it_that_need_not_be(bench: Bench) -> None:
    """What was acknowledged before a durable commit of the space, to whatever scope, is there after reopening."""
    await _write(bench, A, 1)
    await _write(bench, A, 2, durable=False)
    await _write(bench, "session/b", 1)
    for _ in range(2):
        await bench.reopen()
        await _seen(bench, bench.kernel, A, "", range(1, 3))
        await _seen(bench, bench.kernel, "session/b", "", range(1, 2))
    await _write(bench, A, 3, durable=False)


@proves("G6")
async def nothing_asked_is_nothing_answered(bench: Bench) -> None:
    """An empty batch has no outcomes, a read of nothing no views; a scope asked for twice is answered twice."""
    expect.same(await bench.kernel.commit([]), [], "the outcomes of an empty batch")
    expect.same(await bench.kernel.read([], now_us=bench.now_us), [], "the views of no reads")
    await bench.put(A, {"k": b"1", "j": b"2"})
    reads = [Read(A, ("k",)), Read("session/none", ("k",)), Read(A, ("j", "none", "k")), Read(A)]
    views = await bench.kernel.read(reads, now_us=bench.now_us)
    found = [(view.scope, {key: cell.value for key, cell in view.cells.items()}) for view in views]
    expected = [(A, {"k": b"1"}), ("session/none", {}), (A, {"j": b"2", "k": b"1"}), (A, {})]
    expect.same(found, expected, "the views, in the order asked")


@proves("G6")
async def the_figures_count_what_was_acknowledged(bench: Bench) -> None:
    """`stats` has at least scopes, cells, records and bytes, as numbers not below what this space alone holds."""
    for name in ("a", "b", "c"):
        await bench.put(f"session/{name}", {"k": b"x" * 1000, "j": b""})
    await bench.drop("session/c")
    stats = await bench.kernel.stats()
    for figure, least in (("scopes", 2), ("cells", 4), ("records", 4), ("bytes", 2000)):
        value = stats.get(figure)
        expect.holds(isinstance(value, int | float), f"stats has a number for {figure!r}, found {value!r}")
        expect.holds(
            isinstance(value, int | float) and value >= least, f"{figure} is at least {least}, found {value!r}"
        )
