"""G10: a condition on a prefix fails when a key under it was added, changed or removed."""

from __future__ import annotations

from holdfast.kernel.commit import Append, Committed, Entry, Put, Retention, ScopeCommit, Untouched
from holdfast.testing.conformance import expect
from holdfast.testing.conformance.bench import Bench
from holdfast.testing.conformance.check import proves

A = "session/a"


async def _untouched(bench: Bench, prefix: str, since: int) -> bool:
    outcome = await bench.commit(ScopeCommit(A, "create", checks=(Untouched(prefix, since),)))
    if isinstance(outcome, Committed):
        return True
    expect.same(getattr(outcome, "what", outcome), "untouched", "the conflict")
    return False


@proves("G10")
async def every_way_to_touch_a_prefix_is_noticed(bench: Bench) -> None:
    """A key under the prefix that was added, rewritten (even with the same value), given other entries, appended,
    deleted or deleted without being there, since the seq named, makes the condition fail; from that seq on it holds."""
    await bench.put(A, {"p/k": b"1", "p/d": b"1"})
    touches = {
        "added": ScopeCommit(A, puts=(Put("p/new", b""),)),
        "rewritten": ScopeCommit(A, puts=(Put("p/k", b"2"),)),
        "rewritten with the same value": ScopeCommit(A, puts=(Put("p/k", b"2"),)),
        "given entries": ScopeCommit(A, puts=(Put("p/k", b"2", entries=(Entry("tag", "x", ""),)),)),
        "appended": ScopeCommit(A, appends=(Append("p/", b""),)),
        "appended below": ScopeCommit(A, appends=(Append("p/l/", b""),)),
        "deleted": ScopeCommit(A, deletes=("p/d",)),
        "deleted without being there": ScopeCommit(A, deletes=("p/never",)),
        "touched beside others": ScopeCommit(A, puts=(Put("a", b""), Put("p/z", b""), Put("z", b""))),
    }
    for how, part in touches.items():
        since = (await bench.head(A)).seq
        expect.holds(await _untouched(bench, "p/", since), f"p/ is untouched before it is {how}")
        await bench.committed(part)
        expect.holds(not await _untouched(bench, "p/", since), f"p/ is touched after it was {how}")
        expect.holds(await _untouched(bench, "p/", since + 1), f"p/ is untouched since it was {how}")
        await bench.committed(ScopeCommit(A, body=b"nothing of it"))
        expect.holds(not await _untouched(bench, "p/", since), f"p/ {how} is noticed behind a later record")


@proves("G10")
async def only_the_prefix_counts(bench: Bench) -> None:
    """Writes to keys that do not start with the prefix, however near, never make the condition fail."""
    await bench.put(A, {"p/k": b"1"})
    near = ["p", "p.", "p0", "P/k", "q", "o/p/k", " p/", "\U0001f600", "", "p\uffff"]
    await bench.put(A, dict.fromkeys(near, b""))
    await bench.append(A, "q/", b"")
    await bench.delete(A, "p0", "p")
    await bench.committed(ScopeCommit(A, body=b"p/k"), cause=b"p/")
    expect.holds(await _untouched(bench, "p/", 1), "p/ is untouched by its neighbours")
    expect.holds(await _untouched(bench, "p/k", 1), "a whole key is untouched by its neighbours")
    for prefix, touched in (
        ("", True),
        ("\U0001f600", True),
        ("p\uffff", True),
        ("P/", True),
        ("p%", False),
        ("_/", False),
    ):
        expect.same(await _untouched(bench, prefix, 1), not touched, f"whether {prefix!r} is untouched")


@proves("G10", "G3")
async def a_batch_is_part_of_the_past(bench: Bench) -> None:
    """A condition from before a batch, judged within it, sees what the batch's earlier commits touched, and holds
    where they touched other keys, together with the log from before."""
    await bench.put(A, {"p/k": b"1"})
    await bench.put(A, {"q": b"1"})
    since = (await bench.head(A)).seq
    batch: list[tuple[ScopeCommit, bool]] = [
        (ScopeCommit(A, puts=(Put("other", b""),)), True),
        *(
            (ScopeCommit(A, checks=(Untouched("p/", n),), appends=(Append("l/", b""),)), n > 0)
            for n in range(since + 1)
        ),
        (ScopeCommit(A, checks=(Untouched("q", 1),), body=b"x"), False),
        (ScopeCommit(A, checks=(Untouched("q", 2), Untouched("p/", 1)), deletes=("p/none",)), True),
        (ScopeCommit(A, checks=(Untouched("p/", since),), body=b"x"), False),
        (ScopeCommit(A, checks=(Untouched("q", since),), drop=True), True),
        (ScopeCommit(A, "create", checks=(Untouched("q", since),), body=b"x"), False),
    ]
    outcomes = await bench.batch(*(bench.build(part) for part, _ in batch))
    found = [isinstance(outcome, Committed) for outcome in outcomes]
    expect.same(found, [holds for _, holds in batch], "which commits of the batch succeed")


@proves("G10", "G11")
async def dropping_a_scope_touches_all_it_held(bench: Bench) -> None:
    """A condition on a prefix from before a drop fails after it, and after the scope was made again; a condition from
    after the drop holds."""
    await bench.put(A, {"p/k": b"1"})
    await bench.drop(A)
    expect.holds(not await _untouched(bench, "p/", 1), "p/ is touched by the drop")
    expect.holds(await _untouched(bench, "p/", 2), "p/ is untouched since the drop")
    await bench.put(A, {"q": b""})
    expect.holds(not await _untouched(bench, "p/", 1), "p/ is touched by the drop, also in the next epoch")
    expect.holds(await _untouched(bench, "p/", 2), "p/ is untouched since the drop, also in the next epoch")


@proves("G10", "G13")
async def what_the_log_no_longer_tells_counts_as_touched(bench: Bench) -> None:
    """Where records after the seq named were trimmed, the condition fails; where the log reaches it is exact, and the
    present seq needs no log at all."""
    await bench.put(A, {"p/k": b"1"})
    for _ in range(5):
        await bench.put(A, {"q": b""})
    await bench.sweep(retention=Retention(count=2))
    expect.same((await bench.head(A)).floor, 5, "the floor")
    found = [await _untouched(bench, "p/", since) for since in range(7)]
    expect.same(found, [False] * 4 + [True] * 3, "whether p/ is untouched since 0, 1, 2, 3, 4, 5, 6")
    expect.holds(not await _untouched(bench, "q", 5), "q is touched by the last record")


@proves("G10", "G2")
async def a_reader_of_a_range_is_not_fooled(bench: Bench) -> None:
    """Two commits that each read a prefix, and add to it if it was untouched, cannot both succeed on one reading; nor
    in one batch."""
    await bench.put(A, {"seats/1": b"ada"})
    since = (await bench.head(A)).seq
    parts = [
        ScopeCommit(A, checks=(Untouched("seats/", since),), puts=(Put(f"seats/{who}", who.encode()),))
        for who in ("bo", "cy")
    ]
    outcomes = await bench.batch(*(bench.build(part) for part in parts))
    expect.same([isinstance(outcome, Committed) for outcome in outcomes], [True, False], "which of a batch succeed")
    again = [ScopeCommit(A, checks=(Untouched("seats/", since + 1),), appends=(Append("seats/", b"x"),))] * 2
    outcomes = [await bench.commit(part) for part in again]
    expect.same([isinstance(outcome, Committed) for outcome in outcomes], [True, False], "which of two succeed")
