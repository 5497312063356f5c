"""G15 and G18: `find` answers exactly the entries asked for, in the one order, page by page, both ways."""

from __future__ import annotations

from random import Random

from holdfast.kernel.commit import Entry, Found, Put, ScopeCommit
from holdfast.testing.conformance import expect
from holdfast.testing.conformance.bench import Bench
from holdfast.testing.conformance.check import proves

ORDERS = [
    "",
    " ",
    "0",
    "1",
    "10",
    "2",
    "A",
    "a",
    "a\u0301",
    "aa",
    "b",
    "é",
    "z",
    "\ud7ff",
    "\ue000",
    "\uffee",
    "\U00010000",
    "\U0001f600",
    "\U0010ffff",
]
"""Texts whose order by code point differs from that by UTF-16, by locale, by case and by number."""


def _model(
    entries: list[Found], lo: str | None, hi: str | None, after: tuple[str, str, str] | None, *, reverse: bool
) -> list[Found]:
    found = sorted(entries, key=lambda entry: entry.cursor, reverse=reverse)
    return [
        entry
        for entry in found
        if (lo is None or entry.order >= lo)
        and (hi is None or entry.order < hi)
        and (after is None or (entry.cursor < after if reverse else entry.cursor > after))
    ]


async def _given(bench: Bench) -> list[Found]:
    """Entries under every order, over scopes and keys whose own order matters where orders are equal."""
    entries = [
        Found(order, f"session/{scope}", key, f"{place}".encode())
        for place, order in enumerate(ORDERS)
        for scope, key in (("\U0001f600", "k"), ("\uffee", "k"), ("b", "\U00010000"), ("b", "\ue000"), ("a", "k"))[
            : 1 + place % 5
        ]
    ]
    Random(1).shuffle(entries)
    by_cell: dict[tuple[str, str], list[Found]] = {}
    for entry in entries:
        by_cell.setdefault((entry.scope, entry.key), []).append(entry)
    for (scope, key), own in by_cell.items():
        put = Put(key, b"", entries=tuple(Entry("tag", "x", e.order, e.payload) for e in own))
        await bench.committed(ScopeCommit(scope, "create", puts=(put,)))
    # Neighbours by index and value that no search for (tag, x) may show.
    strangers = [("tag", "x "), ("tag", "X"), ("tag", ""), ("tag", "xx"), ("ta", "gx"), ("tagx", ""), ("tag ", "x")]
    noise = tuple(Entry(index, value, "1") for index, value in strangers)
    await bench.committed(ScopeCommit("session/b", "create", puts=(Put("noise", b"", entries=noise),)))
    return entries


@proves("G15", "G18")
async def entries_are_sorted_by_order_then_scope_then_key(bench: Bench) -> None:
    """All entries come in code point order of order, scope and key, from both ends; no neighbour's among them."""
    entries = await _given(bench)
    for reverse in (False, True):
        found = await bench.kernel.find("tag", "x", now_us=bench.now_us, reverse=reverse)
        expect.same(list(found), _model(entries, None, None, None, reverse=reverse), f"the entries, reverse={reverse}")


@proves("G15")
async def bounds_include_the_low_and_exclude_the_high(bench: Bench) -> None:
    """`lo` is included and `hi` is not, for every pair of bounds, equal, crossed or missing, from both ends."""
    entries = await _given(bench)
    bounds = [None, *ORDERS[::3], "\U0010ffff", "0a", "\U0010ffff\U0010ffff"]
    for lo in bounds:
        for hi in bounds:
            for reverse in (False, True):
                found = await bench.kernel.find("tag", "x", now_us=bench.now_us, lo=lo, hi=hi, reverse=reverse)
                wanted = _model(entries, lo, hi, None, reverse=reverse)
                expect.same(list(found), wanted, f"entries from {lo!r} to {hi!r}, reverse={reverse}")


@proves("G15")
async def pages_join_without_gap_or_double(bench: Bench) -> None:
    """Paging by cursor, at any limit, within bounds and in both directions, gives each entry once."""
    entries = await _given(bench)
    for limit in (1, 2, 3, 7):
        for lo, hi in ((None, None), ("1", "\ue000"), ("a", "é")):
            for reverse in (False, True):
                pages: list[Found] = []
                after = None
                while page := await bench.kernel.find(
                    "tag", "x", now_us=bench.now_us, lo=lo, hi=hi, after=after, limit=limit, reverse=reverse
                ):
                    expect.holds(len(page) <= limit, f"a page has at most {limit} entries, found {len(page)}")
                    pages += page
                    expect.holds(len(pages) <= len(entries), "paging comes to an end")
                    after = page[-1].cursor
                expect.same(
                    pages, _model(entries, lo, hi, None, reverse=reverse), f"pages of {limit}, reverse={reverse}"
                )


@proves("G15")
async def any_place_is_a_cursor(bench: Bench) -> None:
    """A cursor need not be an entry: one that was deleted since, or lies between two, before all or behind all, or
    outside the bounds, splits the entries at its place."""
    entries = await _given(bench)
    cursors = [
        (order, scope, key) for order in ORDERS[::2] for scope, key in (("", ""), ("session/b", "\uffff"), ("z", ""))
    ]
    gone = entries[0].cursor
    entries = [entry for entry in entries if (entry.scope, entry.key) != gone[1:]]
    await bench.delete(gone[1], gone[2])
    for cursor in [gone, ("", "", ""), ("\U0010ffff" * 2, "", ""), *cursors]:
        for lo, hi in ((None, None), ("1", "é")):
            for reverse in (False, True):
                found = await bench.kernel.find(
                    "tag", "x", now_us=bench.now_us, lo=lo, hi=hi, after=cursor, reverse=reverse
                )
                expect.same(
                    list(found),
                    _model(entries, lo, hi, cursor, reverse=reverse),
                    f"after {cursor!r}, reverse={reverse}",
                )


@proves("G15")
async def entries_of_many_scopes_merge(bench: Bench) -> None:
    """Entries spread over hundreds of scopes, and so over every bucket, come in one order, page by page."""
    entries = []
    batch = []
    for number in range(200):
        entry = Found(f"{number * 7919 % 50:03d}", f"session/{number}", "k", str(number).encode())
        entries.append(entry)
        put = Put("k", b"", entries=(Entry("tag", "many", entry.order, entry.payload),))
        batch.append(bench.build(ScopeCommit(entry.scope, "create", puts=(put,))))
    await bench.batch(*batch)
    for reverse in (False, True):
        pages: list[Found] = []
        after = None
        while page := await bench.kernel.find(
            "tag", "many", now_us=bench.now_us, after=after, limit=37, reverse=reverse
        ):
            pages += page
            expect.holds(len(pages) <= 200, "paging comes to an end")
            after = page[-1].cursor
        expect.same(pages, _model(entries, None, None, None, reverse=reverse), f"all pages, reverse={reverse}")
