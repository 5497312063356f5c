"""G11: a write that needs its scope, or its epoch, never brings a dropped scope back."""

from __future__ import annotations

from typing import get_args

from holdfast.kernel.commit import (
    Append,
    Committed,
    Conflict,
    Entry,
    Head,
    Need,
    Outcome,
    Present,
    Put,
    ScopeCommit,
    Unchanged,
)
from holdfast.testing.conformance import expect
from holdfast.testing.conformance.bench import Bench
from holdfast.testing.conformance.check import proves

A = "session/a"
PASTS = {
    "never was": "",
    "lives": "w",
    "was dropped": "wd",
    "lives again": "wdw",
    "was dropped twice": "wdwd",
    "was made and dropped at once": "d",
}
"""What happened to a scope: w for a write, d for a drop."""

ACTIONS = {
    "writes": {"puts": (Put("k", b"new"),)},
    "logs": {"body": b"new"},
    "deletes": {"deletes": ("k",)},
    "appends": {"appends": (Append("l/", b""),)},
    "drops": {"drop": True},
    "only checks": {},
}


def _expected(scope: str, need: Need, epoch: int | None, action: str, head: Head) -> Outcome:
    met = {"must_exist": head.live, "must_not_exist": not head.live, "create": True}[need]
    if not met:
        return Conflict(scope, "need", None, need, head, head)
    if epoch is not None and epoch != head.epoch:
        return Conflict(scope, "epoch", None, epoch, head, head)
    return Committed({} if action == "only checks" else {scope: head.seq + 1})


@proves("G11", "G2")
async def need_and_epoch_decide_over_every_past(bench: Bench) -> None:
    """For every past of a scope, every need, every epoch (none, right, too low, too high) and every kind of write: the
    commit goes through exactly when need and epoch are met, and the scope lives afterwards exactly if it should."""
    for what, past in PASTS.items():
        cases = [(n, e, a) for n in get_args(Need) for e in (None, -1, 0, 1) for a in ACTIONS]
        scopes = [f"session/{past}{number}" for number in range(len(cases))]
        for step in past:
            part = {"puts": (Put("k", b"old"),)} if step == "w" else {"drop": True}
            await bench.batch(*(bench.build(ScopeCommit(s, "create", **part)) for s in scopes))
        head = await bench.head(scopes[0])
        expect.same(
            (head.seq, head.epoch, head.live), (len(past), past.count("d"), past.endswith("w")), f"a scope that {what}"
        )
        commits, expected = [], []
        for scope, (need, offset, action) in zip(scopes, cases, strict=True):
            epoch = None if offset is None else head.epoch + offset
            commits.append(bench.build(ScopeCommit(scope, need, epoch, **ACTIONS[action])))  # type: ignore[arg-type]
            expected.append(_expected(scope, need, epoch, action, head))
        for commit, outcome, wanted in zip(commits, await bench.batch(*commits), expected, strict=True):
            expect.same(outcome, wanted, f"{commit.scopes[0]!r} on a scope that {what}")
            action = cases[scopes.index(commit.scopes[0].scope)][2]
            after = await bench.head(commit.scopes[0].scope)
            if isinstance(wanted, Committed) and wanted.seqs:
                expect.same(
                    (after.live, after.epoch),
                    (action != "drops", head.epoch + (action == "drops")),
                    f"after {commit.scopes[0]!r}",
                )
            else:
                expect.same(after, head, f"after {commit.scopes[0]!r}")


@proves("G11")
async def a_blind_write_does_not_bring_back_what_was_dropped(bench: Bench) -> None:
    """After a drop every kind of blind write conflicts; nothing the scope held shows in any verb."""
    await bench.put(A, {"k": b"1"}, Put("e", b"", entries=(Entry("tag", "x", "1"),)))
    await bench.append(A, "l/", b"1")
    await bench.drop(A)
    for action in ACTIONS.values():
        conflict = await bench.conflict(ScopeCommit(A, **action))  # type: ignore[arg-type]
        expect.same((conflict.what, conflict.head.live), ("need", False), f"a blind write of {action!r}")
    expect.same(await bench.values(A), {}, "the cells")
    expect.same(await bench.cell(A, "k"), None, "the cell by its key")
    expect.same(await bench.found("tag", "x"), (), "the entries")
    expect.same(await bench.kernel.scopes(), (), "the scopes")


@proves("G11", "G4")
async def nothing_of_an_epoch_shows_in_the_next(bench: Bench) -> None:
    """A scope made again after a drop starts empty, through many epochs and sweeps; seq and epoch go on."""
    for epoch in range(5):
        seq = await bench.put(A, {f"old{epoch}": b""}, Put("k", b"", entries=(Entry("tag", "x", str(epoch)),)))
        expect.same(seq, epoch * 3 + 1, "the seq")
        await bench.append(A, "l/", b"")
        expect.same(len(await bench.cells(A)), 3, f"cells in epoch {epoch}")
        expect.same([found.order for found in await bench.found("tag", "x")], [str(epoch)], "the entries")
        expect.same((await bench.head(A)).epoch, epoch, "the epoch")
        await bench.drop(A)
        if epoch % 2:
            await bench.sweep()
        expect.same(await bench.cells(A), (), "the cells when dropped")


@proves("G11")
async def a_write_of_an_earlier_epoch_conflicts_in_the_next(bench: Bench) -> None:
    """A write that names the epoch it knew conflicts once the scope was dropped, and also after it was made again,
    even where it would make the scope; the conflict shows the present epoch."""
    await bench.put(A, {"k": b"1"})
    late = ScopeCommit(A, "create", epoch=0, puts=(Put("k", b"late"),))
    await bench.drop(A)
    expect.same((await bench.conflict(late)).head.epoch, 1, "the epoch the conflict shows, when dropped")
    await bench.put(A, {"k": b"2"})
    conflict = await bench.conflict(late)
    expect.same((conflict.what, conflict.expected, conflict.head.epoch), ("epoch", 0, 1), "the conflict, made again")
    expect.same(await bench.values(A), {"k": b"2"}, "the cells")


@proves("G11", "G16")
async def a_sweep_does_not_bring_back_either(bench: Bench) -> None:
    """Sweeping a dropped scope's remains, while its tombstone stays, changes nothing about who may write it."""
    await bench.put(A, {"k": b"1"})
    await bench.drop(A)
    head = await bench.head(A)
    await bench.sweep(now_us=bench.now_us + 10**12)
    expect.same(await bench.head(A), head, "the head after the sweep")
    expect.same((await bench.conflict(ScopeCommit(A, puts=(Put("k", b""),)))).what, "need", "a blind write")
    expect.same((await bench.conflict(ScopeCommit(A, "create", epoch=0, body=b"x"))).what, "epoch", "a late write")


@proves("G11", "G4", "G6", needs=("second",))
async def a_drop_through_another_kernel_is_noticed(bench: Bench) -> None:
    """What a kernel remembers of a scope does not outlive its drop, or its drop and re-creation, by another: blind
    writes conflict, checks see no old cell, seqs go on."""
    kernels = (bench.kernel, await bench.second())
    for turn in range(4):
        bench.kernel = kernels[turn % 2]
        seq = await bench.put(A, {"k": b"1"}, Put("e", b"", entries=(Entry("tag", "x", str(turn)),)))
        await bench.committed(ScopeCommit(A, checks=(Unchanged("k", seq),), body=b"x"))
        bench.kernel = kernels[1 - turn % 2]
        await bench.drop(A)
        if turn > 1:
            await bench.put(A, {"j": b""})
        bench.kernel = kernels[turn % 2]
        if turn < 2:
            expect.same((await bench.conflict(ScopeCommit(A, puts=(Put("k", b""),)))).what, "need", "a blind write")
        conflict = await bench.conflict(ScopeCommit(A, "create", checks=(Present("k"),), body=b"x"))
        expect.same((conflict.found, conflict.head.epoch), (None, turn + 1), "what a check finds")
        expect.same(
            (await bench.conflict(ScopeCommit(A, "create", epoch=turn, body=b"x"))).what, "epoch", "a late write"
        )
        expect.same(await bench.found("tag", "x"), (), "the entries")
        expect.same(await bench.put(A, {"k": b"2"}), seq + 3 + (turn > 1), "the seq of the next write")
