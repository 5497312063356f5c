"""G15: entries and scope names appear and vanish with the very commit that writes or drops them."""

from __future__ import annotations

from holdfast.kernel.commit import Append, Entry, Found, Put, Range, ScopeCommit, stamp
from holdfast.testing.conformance import expect
from holdfast.testing.conformance.bench import Bench
from holdfast.testing.conformance.check import proves

A, B = "session/a", "session/b"


async def _entries(bench: Bench) -> dict[tuple[str, str], list[tuple[str, str, str, bytes]]]:
    """All entries of the names used here, where there are any."""
    found = {}
    for index, value in sorted(bench.indexes):
        if entries := await bench.found(index, value):
            found[(index, value)] = [(e.order, e.scope, e.key, e.payload) for e in entries]
    return found


@proves("G15")
async def entries_follow_their_cell(bench: Bench) -> None:
    """A put's entries are found at once; those of the next put, or none, replace them all; a deletion ends them."""
    both = (Entry("tag", "x", "1", b"p"), Entry("tag", "y", "2"))
    await bench.put(A, {}, Put("k", b"", entries=both))
    expected = {("tag", "x"): [("1", A, "k", b"p")], ("tag", "y"): [("2", A, "k", b"")]}
    expect.same(await _entries(bench), expected, "the entries written")
    await bench.put(A, {}, Put("k", b"", entries=(Entry("tag", "y", "3"), Entry("user", "ada", "4"))))
    expected = {("tag", "y"): [("3", A, "k", b"")], ("user", "ada"): [("4", A, "k", b"")]}
    expect.same(await _entries(bench), expected, "the entries that replaced them")
    await bench.put(A, {"other": b""})
    expect.same(await _entries(bench), expected, "the entries after a write to another cell")
    await bench.put(A, {"k": b""})
    expect.same(await _entries(bench), {}, "the entries after a put without any")
    await bench.put(A, {}, Put("k", b"", entries=both))
    await bench.delete(A, "k")
    expect.same(await _entries(bench), {}, "the entries after the deletion")


@proves("G15")
async def a_payload_or_order_can_change_alone(bench: Bench) -> None:
    """Writing an entry again with another payload, or another order, leaves one entry: the new one."""
    for order, payload in (("1", b"a"), ("1", b"b"), ("1", b""), ("0", b""), ("2", b"c"), ("2", b"c")):
        await bench.put(A, {}, Put("k", b"", entries=(Entry("tag", "x", order, payload),)))
        expect.same(await bench.found("tag", "x"), (Found(order, A, "k", payload),), "the entries")


@proves("G15")
async def one_cell_may_have_many_entries_and_many_cells_one(bench: Bench) -> None:
    """Entries of one index under several orders and values stand beside each other; equal ones of several cells and
    scopes do too, and each ends with its own cell."""
    many = tuple(Entry("tag", value, order) for value in "xy" for order in ("1", "2", "3"))
    await bench.put(A, {}, Put("k", b"", entries=many), Put("j", b"", entries=many))
    await bench.put(B, {}, Put("k", b"", entries=many))
    expected = [(order, scope, key) for order in "123" for scope, key in ((A, "j"), (A, "k"), (B, "k"))]
    for value in "xy":
        expect.same([entry.cursor for entry in await bench.found("tag", value)], expected, "the entries")
    await bench.delete(A, "k")
    left = [cursor for cursor in expected if cursor[1:] != (A, "k")]
    expect.same(
        [entry.cursor for entry in await bench.found("tag", "x")], left, "the entries after one cell's deletion"
    )
    await bench.drop(A)
    left = [cursor for cursor in left if cursor[1] == B]
    expect.same([entry.cursor for entry in await bench.found("tag", "x")], left, "the entries after one scope's drop")


@proves("G15", "G17")
async def an_appended_cell_has_its_entries_too(bench: Bench) -> None:
    """The entries of an append name the completed key, are replaced by a put to that key, and end with its deletion."""
    await bench.put(A, {"k": b""})
    entry = Entry("tag", "x", "1", b"p")
    appends = (Append("l/", b"", entries=(entry,)), Append("l/", b"", entries=(entry,)))
    await bench.committed(ScopeCommit(A, appends=appends))
    keys = [f"l/{stamp(2, ordinal)}" for ordinal in range(2)]
    expect.same(await bench.found("tag", "x"), tuple(Found("1", A, key, b"p") for key in keys), "the entries")
    await bench.put(A, {}, Put(keys[0], b"", entries=(Entry("tag", "x", "2"),)))
    expect.same([e.cursor for e in await bench.found("tag", "x")], [("1", A, keys[1]), ("2", A, keys[0])], "then")
    await bench.delete(A, *keys)
    expect.same(await bench.found("tag", "x"), (), "the entries after the deletion")


@proves("G15", "G11")
async def a_drop_ends_every_entry_and_they_do_not_come_back(bench: Bench) -> None:
    """With a drop all entries of the scope are gone at once, and stay so when the scope, and the same cell without
    entries, is written again; before and after a sweep."""
    for turn in range(3):
        puts = [Put(f"k{i}", b"", entries=(Entry("tag", "x", f"{turn}{i}"),)) for i in range(5)]
        await bench.put(A, {}, *puts)
        expect.same(
            [entry.order for entry in await bench.found("tag", "x")], [f"{turn}{i}" for i in range(5)], "entries"
        )
        await bench.drop(A)
        expect.same(await bench.found("tag", "x"), (), "the entries when dropped")
        if turn == 1:
            await bench.sweep()
        await bench.put(A, {f"k{i}": b"" for i in range(5)})
        expect.same(await bench.found("tag", "x"), (), "the entries when the cells are written again without any")
    await bench.sweep()
    expect.same(await bench.found("tag", "x"), (), "the entries after the last sweep")


@proves("G15", "G3")
async def the_last_of_a_batch_decides_over_the_entries(bench: Bench) -> None:
    """Entries written, replaced, deleted, dropped and written again within one batch end as the last one left them."""

    def put(*orders: str) -> ScopeCommit:
        return ScopeCommit(A, "create", puts=(Put("k", b"", entries=tuple(Entry("tag", "x", o) for o in orders)),))

    delete, drop = ScopeCommit(A, deletes=("k",)), ScopeCommit(A, drop=True)
    cases: list[tuple[list[ScopeCommit], list[str]]] = [
        ([put("1"), put("2")], ["2"]),
        ([put("1", "2"), put("2", "3"), put("3", "4")], ["3", "4"]),
        ([put("1"), delete], []),
        ([put("1"), delete, put("5")], ["5"]),
        ([put("1"), drop, put("6")], ["6"]),
        ([put("1", "2"), put(), put("7")], ["7"]),
        ([put("1"), put()], []),
        ([put("8"), drop], []),
    ]
    for parts, orders in cases:
        await bench.batch(*(bench.build(part) for part in parts))
        expect.same([entry.order for entry in await bench.found("tag", "x")], orders, f"the entries after {parts!r}")


@proves("G15")
async def the_names_of_live_scopes_are_exact(bench: Bench) -> None:
    """A scope's name is listed from the commit that makes it to the one that drops it, and again when it is made
    again; neither deletions nor expiry of all its cells nor a sweep take it off."""
    steps: list[tuple[ScopeCommit, tuple[str, ...]]] = [
        (ScopeCommit(B, "create", body=b"x"), (B,)),
        (ScopeCommit(A, "create", puts=(Put("k", b"", bench.now_us),)), (A, B)),
        (ScopeCommit(A, deletes=("k",)), (A, B)),
        (ScopeCommit(B, drop=True), (A,)),
        (ScopeCommit(B, "create", body=b"x"), (A, B)),
        (ScopeCommit("session/c", "create", drop=True), (A, B)),
        (ScopeCommit(A, drop=True), (B,)),
    ]
    for part, names in steps:
        await bench.committed(part)
        expect.same(await bench.kernel.scopes(), names, f"the scopes after {part!r}")
        await bench.sweep()
        expect.same(await bench.kernel.scopes(), names, "the scopes after a sweep")


@proves("G15")
async def the_names_are_listed_page_by_page_in_order(bench: Bench) -> None:
    """Names come in code point order, dropped ones left out, from after any text and at any limit."""
    names = [
        "a/\U0001f600",
        "a/\uffee",
        "a/é",
        "a/Z",
        "a/a",
        "a/0",
        "B/x",
        "a/ ",
        "a/a/a",
        "a/a0",
        "\U00010000/x",
        "\uffee/x",
    ]
    for name in names:
        await bench.put(name, {"k": b""})
    await bench.drop("a/a0")
    live = sorted(set(names) - {"a/a0"})
    for after in ("", *sorted(names), "a/a1", "a", "\U0010ffff"):
        rest = [name for name in live if name > after]
        for limit in (1, 2, 5, 1000):
            found = await bench.kernel.scopes(after=after, limit=limit)
            expect.same(list(found), rest[:limit], f"{limit} scopes after {after!r}")


@proves("G15", "G8")
async def an_entry_found_leads_to_its_cell(bench: Bench) -> None:
    """Every entry's scope and key read back as the cell that was written with it."""
    for number in range(5):
        put = Put(f"k{number}", str(number).encode(), entries=(Entry("tag", "x", str(9 - number)),))
        await bench.put(f"session/{number % 2}", {}, put)
    for entry in await bench.found("tag", "x"):
        view = await bench.view(entry.scope, entry.key, ranges=[Range(entry.key, 1)])
        values = [cell.value for cell in (*view.cells.values(), *view.ranges[0])]
        expect.same(values, [str(9 - int(entry.order)).encode()] * 2, "the cell of an entry, by key and in a range")
