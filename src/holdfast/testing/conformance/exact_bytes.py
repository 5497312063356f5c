"""G18: what is read is what was written, to the last bit, and nobody can change it from outside."""

from __future__ import annotations

import struct

from holdfast.kernel.commit import Append, Cell, Committed, Entry, Put, Range, ScopeCommit
from holdfast.kernel.keys import KEY_BYTES_MAX
from holdfast.testing.conformance import expect
from holdfast.testing.conformance.bench import Bench, same_picture
from holdfast.testing.conformance.check import proves

A = "session/a"
ALL = bytes(range(256))
VALUES = [
    b"",
    b"\x00",
    b"\x00\x00",
    b" ",
    b"0",
    b"null",
    b"\xff\xfe",
    b"\xed\xa0\x80",  # a surrogate, as UTF-8 must not have it
    b"\xef\xbb\xbf{}",  # a byte order mark
    b"a\x00b",
    b"line\r\nline\n",
    b"it's; DROP TABLE cells;-- %s ? :x $1 {}",
    b"1e400",
    b"9223372036854775807",
    *(struct.pack(">q", number) for number in (0, -1, 2**63 - 1, -(2**63), 2**53, 2**53 + 1)),
    ALL,
    ALL[::-1] * 17,
    "é\U0001f600\u0000".encode(),
]
"""Values that text columns, numbers, scripts and JSON would change on the way."""

KEYS = [
    *("k", "K", " k", "k ", "1", "01", "1.0", "1e0", "true", "null", "é", "ß", "ss", "İ", "i", "\U0001f600"),
    *("a/b", "a//b", "a%2Fb", "a%", "a_", "a*", "a?", "a[b]", "a\\b", "a'b", 'a"b', "a;b", "a{b}", "a:b", "a\u00a0b"),
    *("\ud7ff", "\ue000", "\uffff", "\U00010000", "\U0010ffff", "", "x" * KEY_BYTES_MAX, "é" * (KEY_BYTES_MAX // 2)),
]
"""Keys that a pattern, a number, a case-blind comparison or a path would take for another."""


@proves("G18")
async def every_value_comes_back_to_the_last_bit(bench: Bench) -> None:
    """Empty values, NUL, all 256 byte values, what looks like text, numbers or SQL, and integers at the edges of 64
    bits come back exactly, by key, in ranges, and after being rewritten; empty is not absent."""
    puts = [Put(f"{place:02d}", value) for place, value in enumerate(VALUES)]
    await bench.fill(A, puts)
    expect.same(list((await bench.values(A)).values()), VALUES, "the values in a range")
    for put in puts:
        cell = await bench.cell(A, put.key)
        expect.same(cell and cell.value, put.value, "a value by its key")
        expect.same(cell and type(cell.value), bytes, "its type")
    await bench.fill(A, [Put(put.key, value) for put, value in zip(puts, VALUES[::-1], strict=True)])
    expect.same(list((await bench.values(A)).values()), VALUES[::-1], "the values rewritten")


@proves("G18")
async def every_key_is_itself_and_no_other(bench: Bench) -> None:
    """Keys that differ in case, blanks, escapes, patterns, digits or normal form are different cells, each found by
    itself, in the order of their code points."""
    await bench.fill(A, [Put(key, key.encode()) for key in KEYS])
    expect.same([cell.key for cell in await bench.cells(A)], sorted(KEYS), "all keys, in order")
    for key in KEYS:
        view = await bench.view(A, key)
        expect.same({found: cell.value for found, cell in view.cells.items()}, {key: key.encode()}, f"the cell {key!r}")
    for key in KEYS:
        await bench.put(A, {key: key.encode() + b"!"})
    rewritten = {key: key.encode() + b"!" for key in sorted(KEYS)}
    expect.same(await bench.values(A), rewritten, "all values, each rewritten by itself")
    await bench.delete(A, *KEYS[::2])
    expect.same(
        [cell.key for cell in await bench.cells(A)], sorted(KEYS[1::2]), "the keys left after half were deleted"
    )


@proves("G18")
async def every_scope_is_itself_and_no_other(bench: Bench) -> None:
    """Scopes whose names differ as little are different scopes."""
    names = [f"session/{key}" for key in KEYS if len(key) < 100]
    outcomes = await bench.batch(
        *(bench.build(ScopeCommit(name, "must_not_exist", puts=(Put("k", name.encode()),))) for name in names)
    )
    expect.same(outcomes, [Committed({name: 1}) for name in names], "the outcomes")
    expect.same(list(await bench.kernel.scopes()), sorted(names), "the scopes, in order")
    for name in names:
        expect.same(await bench.values(name), {"k": name.encode()}, f"the cells of {name!r}")


@proves("G18", "G13")
async def causes_bodies_and_payloads_are_bytes_too(bench: Bench) -> None:
    """The cause in head and record, the body, and the payload of an entry come back exactly, whatever their bytes."""
    for seq, value in enumerate(VALUES, 1):
        payload = value[: bench.traits.payload_bytes_max]
        put = Put("k", b"", entries=(Entry("tag", "x", str(seq), payload),))
        await bench.committed(ScopeCommit(A, "create", puts=(put,), body=value), cause=value)
        record = (await bench.kernel.log(A, after=seq - 1))[0]
        expect.same((record.cause, record.body), (value, value), "cause and body of a record")
        expect.same((await bench.head(A)).cause, value, "the cause in the head")
        expect.same([entry.payload for entry in await bench.found("tag", "x")], [payload], "the payload")


@proves("G18")
async def numbers_are_exact_to_53_bits(bench: Bench) -> None:
    """Times up to 2**53 - 1 come back to the microsecond: a commit's in head and record, a cell's expiry."""
    times = (0, 1, bench.now_us, 2**53 - 1)
    for seq, at_us in enumerate(times, 1):
        put = Put("k", b"", 2**53 - seq, (Entry("tag", "x", ""),))
        await bench.committed(ScopeCommit(A, "create", puts=(put,)), at_us=at_us)
        expect.same((await bench.head(A)).at_us, at_us, "the time in the head")
        expect.same((await bench.kernel.log(A, after=seq - 1))[0].at_us, at_us, "the time in the record")
        expect.same(await bench.cell(A, "k"), Cell("k", b"", seq, 2**53 - seq), "the cell and its expiry")


@proves("G18")
async def texts_of_indexes_are_kept_apart_exactly(bench: Bench) -> None:
    """Index names, values and orders that differ as little as keys do are different, and come back as they were."""
    texts = [key for key in KEYS if 0 < len(key) < 100]
    for text in texts:
        entries = (Entry(f"i{text}", "v", "o"), Entry("i", f"v{text}", "o"), Entry("i", "v", f"o{text}"))
        await bench.put(f"session/{text}", {}, Put("k", b"", entries=entries))
    for text in texts:
        for index, value in ((f"i{text}", "v"), ("i", f"v{text}")):
            found = await bench.found(index, value)
            expect.same(
                [entry.cursor for entry in found], [("o", f"session/{text}", "k")], f"under {index!r}, {value!r}"
            )
    orders = [entry.order for entry in await bench.found("i", "v")]
    wanted = sorted([f"o{text}" for text in texts])
    expect.same(orders, wanted, "the orders under one index and value")


@proves("G18")
async def what_the_kernel_hands_out_is_not_its_own(bench: Bench) -> None:
    """Changing what a verb returned, the dict of a view, of an outcome or of the figures, changes nothing in the
    store, nor for the next who asks."""
    commit = bench.build(ScopeCommit(A, "create", puts=(Put("k", b"1", entries=(Entry("tag", "x", "1"),)),)))
    first = expect.a(Committed, await bench.send(commit), "the outcome")
    before = await bench.picture(A)
    for outcome in (first, expect.a(Committed, await bench.send(commit), "the outcome of a repeat")):
        outcome.seqs[A] = 99
        outcome.seqs["session/other"] = 1
    view = await bench.view(A, "k", ranges=[Range("", 10)])
    view.cells["k"] = Cell("k", b"forged", 7)
    view.cells["new"] = Cell("new", b"forged", 7)
    again = await bench.view(A, "k", ranges=[Range("", 10)])
    expect.same(again.cells, {"k": Cell("k", b"1", 1)}, "the cells of the same read, made again")
    settled = expect.a(Committed, await bench.kernel.outcome(A, commit.id), "the outcome asked for")
    settled.seqs.clear()
    for answer in (await bench.kernel.stats(), await bench.kernel.read([], now_us=0), await bench.kernel.commit([])):
        if isinstance(answer, dict | list):
            answer.clear()
    same_picture(await bench.picture(A), before, "after the answers were changed")
    expect.same(await bench.send(commit), Committed({A: 1}, replayed=True), "the outcome of another repeat")
    expect.same(await bench.kernel.outcome(A, commit.id), Committed({A: 1}, replayed=True), "the outcome asked again")
    expect.holds("scopes" in await bench.kernel.stats(), "the figures are still there")


@proves("G18")
async def what_is_handed_out_cannot_be_changed(bench: Bench) -> None:
    """Heads, cells, records and entries refuse to be changed."""
    await bench.put(A, {}, Put("k", b"1", entries=(Entry("tag", "x", "1"),)))
    view = await bench.view(A, "k", ranges=[Range("", 10)])
    record, found = (await bench.kernel.log(A))[0], (await bench.found("tag", "x"))[0]
    for thing, field in (
        (view.head, "seq"),
        (expect.a(Cell, view.cells.get("k"), "the cell"), "value"),
        (view.ranges[0][0], "value"),
        (view, "head"),
        (record, "body"),
        (found, "order"),
    ):
        try:
            setattr(thing, field, None)
        except (AttributeError, TypeError):
            continue
        expect.fail(f"{field} of {thing!r} could be changed")


@proves("G18", "G19")
async def a_commit_object_may_be_used_again(bench: Bench) -> None:
    """What a caller does with its commit after the outcome, or with the list it stood in, changes nothing stored."""
    parts = (ScopeCommit(A, "create", puts=(Put("k", b"1"),), appends=(Append("l/", b"2"),), body=b"3"),)
    commit = bench.build(*parts, cause=b"first")
    batch = [commit]
    await bench.kernel.commit(batch)
    before = await bench.picture(A)
    commit.cause, commit.at_us, commit.scopes = b"forged", 0, ()
    commit.id = commit.id._replace(n=999)
    batch.clear()
    same_picture(await bench.picture(A), before, "after the commit was changed")
