"""G17: appends never conflict, and the order of their keys is the order of their commits."""

from __future__ import annotations

from holdfast.errors import TooLarge
from holdfast.kernel.commit import Append, Cell, Committed, Put, Range, ScopeCommit, stamp
from holdfast.kernel.keys import KEY_BYTES_MAX
from holdfast.kernel.limits import APPENDS_MAX, PAGE_MAX, STAMP_BYTES
from holdfast.testing.conformance import expect
from holdfast.testing.conformance.bench import Bench
from holdfast.testing.conformance.check import proves

A = "session/a"


@proves("G17")
async def an_append_is_completed_with_the_commits_seq(bench: Bench) -> None:
    """A key is the prefix, the seq at 16 digits, a dot and the ordinal at 4; the record names it, and it is a cell like
    any other."""
    await bench.put(A, {"k": b""})
    appends = (Append("l/", b"1"), Append("", b"2", bench.now_us + 9), Append("l/", b""))
    await bench.committed(ScopeCommit(A, appends=appends))
    keys = ["l/0000000000000002.0000", "0000000000000002.0001", "l/0000000000000002.0002"]
    expect.same([f"l/{stamp(2, 0)}", stamp(2, 1), f"l/{stamp(2, 2)}"], keys, "the stamps of the kernel itself")
    view = await bench.view(A, *keys)
    cells = [Cell(keys[0], b"1", 2), Cell(keys[1], b"2", 2, bench.now_us + 9), Cell(keys[2], b"", 2)]
    expect.same(view.cells, {cell.key: cell for cell in cells}, "the cells")
    expect.same(sorted((await bench.log(A))[1].touched), sorted(keys), "the keys of the record")


@proves("G17")
async def ordinals_count_the_appends_of_one_scope_in_one_commit(bench: Bench) -> None:
    """Ordinals run from 0 over all the appends of a commit to a scope, whatever their prefixes; each scope, and each
    commit, counts for itself."""
    first, second = bench.together(2)
    for seq in (1, 2):
        appends = (Append("a/", b""), Append("b/", b""), Append("a/", b""))
        await bench.committed(
            ScopeCommit(first, "create", appends=appends), ScopeCommit(second, "create", appends=appends[1:])
        )
        expected = {f"a/{stamp(seq, 0)}", f"b/{stamp(seq, 1)}", f"a/{stamp(seq, 2)}"}
        keys = {cell.key for cell in await bench.cells(first) if cell.version == seq}
        expect.same(keys, expected, "the keys of the first scope")
        keys = {cell.key for cell in await bench.cells(second) if cell.version == seq}
        expect.same(keys, {f"b/{stamp(seq, 0)}", f"a/{stamp(seq, 1)}"}, "the keys of the second scope")


@proves("G17")
async def key_order_is_commit_order_past_every_power_of_ten(bench: Bench) -> None:
    """Across the seqs 9, 10, 99, 100, 101 and the ordinals 9, 10, 11 the order of keys is the order of appends, read
    from either end."""
    values = []
    batch = []
    for number in range(104):
        own = [f"{number}.{ordinal}".encode() for ordinal in range(12 if number in (8, 9, 99) else 1)]
        values += own
        batch.append(bench.build(ScopeCommit(A, "create", appends=tuple(Append("m/", value) for value in own))))
    for outcome in await bench.batch(*batch):
        expect.a(Committed, outcome, "an outcome")
    expect.same([cell.value for cell in await bench.cells(A, "m/")], values, "the values in key order")
    view = await bench.view(A, ranges=[Range("m/", PAGE_MAX, reverse=True), Range("m/", 10, reverse=True)])
    expect.same([cell.value for cell in view.ranges[0]], values[::-1], "the values from the end")
    expect.same([cell.value for cell in view.ranges[1]], values[:-11:-1], "the last ten")


@proves("G17", "G11")
async def stamps_never_repeat(bench: Bench) -> None:
    """Through deletions, drops and re-creations no stamped key is given twice, for seqs go on."""
    given: set[str] = set()
    for _ in range(4):
        for _ in range(2):
            await bench.append(A, "m/", b"1", b"2")
            keys = {cell.key for cell in await bench.cells(A, "m/")}
            expect.same(len(keys & given), 0, "keys given before")
            expect.same(len(keys), 2, "keys given now")
            given |= keys
            await bench.delete(A, *keys)
        await bench.drop(A)


@proves("G17", "G2")
async def an_append_depends_on_nothing(bench: Bench) -> None:
    """Blind appends go through whatever else was written to the scope since, in one batch with any other writes."""
    await bench.put(A, {"k": b"1"})
    append = ScopeCommit(A, appends=(Append("m/", b""),))
    parts = [append, ScopeCommit(A, puts=(Put("k", b"2"),)), append, ScopeCommit(A, deletes=("k",)), append]
    outcomes = await bench.batch(*(bench.build(part) for part in parts))
    expect.same(outcomes, [Committed({A: seq}) for seq in range(2, 7)], "the outcomes")
    expect.same([cell.version for cell in await bench.cells(A, "m/")], [2, 4, 6], "the versions of what was appended")


@proves("G17", "G19")
async def one_commit_appends_as_many_as_a_stamp_can_count(bench: Bench) -> None:
    """Appends up to the limit of one commit keep their order to the last; one more than the limit is refused whole."""
    most = min(APPENDS_MAX, bench.traits.operations_max)
    appends = tuple(Append("m/", str(number).encode()) for number in range(most))
    await bench.refused(TooLarge, ScopeCommit(A, "create", appends=(*appends, Append("m/", b""))), what="one too many")
    expect.same((await bench.head(A)).seq, 0, "the seq after the refusal")
    await bench.committed(ScopeCommit(A, "create", appends=appends))
    cells = await bench.cells(A, "m/")
    expect.same([cell.value for cell in cells], [append.value for append in appends], "the values in key order")


@proves("G17", "G19")
async def the_completed_key_counts_for_the_limit(bench: Bench) -> None:
    """A prefix may be as long as leaves room for the stamp; one byte more is refused."""
    longest = "p" * (KEY_BYTES_MAX - STAMP_BYTES)
    await bench.append(A, longest, b"")
    expect.same([len(cell.key) for cell in await bench.cells(A)], [KEY_BYTES_MAX], "the length of the key")
    part = ScopeCommit(A, appends=(Append(longest + "p", b""),))
    await bench.refused(TooLarge, part, what="a prefix that leaves no room")
