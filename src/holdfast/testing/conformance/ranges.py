"""G18: a range answers exactly the cells asked for, in order, page by page, both ways."""

from __future__ import annotations

from random import Random

from holdfast.errors import InvalidValue
from holdfast.kernel.commit import Cell, Put, Range, Read, ScopeCommit
from holdfast.kernel.keys import prefix_end
from holdfast.testing.conformance import expect
from holdfast.testing.conformance.bench import Bench
from holdfast.testing.conformance.check import proves

A = "session/a"
EDGES = [
    *(
        "",
        "a",
        "a/",
        "a/1",
        "a/10",
        "a/2",
        "a0",
        "b",
        "B",
        "a/\ud7ff",
        "a/\ud7ffx",
        "a/\ue000",
        "a/\uffff",
        "a/\uffffx",
    ),
    *(
        "a/\U00010000",
        "a/\U0010ffff",
        "a/\U0010ffffx",
        "a/\U0010ffff\U0010ffff",
        "\ud7ff",
        "\ud7ffz",
        "\ue000",
        "\U0010ffff",
        "\U0010ffff\U0010ffffz",
    ),
    *("%", "%a", "_", "_a", "a*", "a[", "a\\", "é", "e", "é/", "É"),
]
"""Keys around which the end of a prefix, or the order of code points, is easily got wrong."""


def _model(cells: list[Cell], wanted: Range) -> list[Cell]:
    found = [cell for cell in cells if cell.key.startswith(wanted.prefix)]
    if wanted.after is not None:
        found = [c for c in found if (c.key < wanted.after if wanted.reverse else c.key > wanted.after)]
    return sorted(found, key=lambda cell: cell.key, reverse=wanted.reverse)[: wanted.limit]


async def _compare(bench: Bench, cells: list[Cell], ranges: list[Range]) -> None:
    for start in range(0, len(ranges), 50):
        page = ranges[start : start + 50]
        view = await bench.view(A, ranges=page)
        for wanted, found in zip(page, view.ranges, strict=True):
            expect.same(list(found), _model(cells, wanted), f"{wanted!r}")


@proves("G18")
async def a_prefix_holds_all_that_start_with_it_and_nothing_else(bench: Bench) -> None:
    """Ranges over prefixes at the edges of Unicode, over whole keys, over patterns and over nothing answer exactly the
    keys that start with them, from both ends."""
    await bench.fill(A, [Put(key, key.encode()) for key in EDGES])
    cells = [Cell(key, key.encode(), 1) for key in EDGES]
    first = await bench.cells(A)
    cells = [
        Cell(cell.key, cell.value, found.version)
        for cell, found in zip(sorted(cells, key=lambda c: c.key), first, strict=True)
    ]
    prefixes = [*EDGES, "a/1", "c", "\U0010fffe", "a/\U0010fffe", "A", "a%", "a_"]
    await _compare(
        bench, cells, [Range(prefix, 100, reverse=reverse) for prefix in prefixes for reverse in (False, True)]
    )


@proves("G18")
async def every_page_of_every_range_is_exact(bench: Bench) -> None:
    """For every prefix, from after every key there is and some there are not (before, between, behind and outside the
    prefix), at several limits and in both directions, the page is the one of a plain sorted list."""
    keys = [f"a/{number}" for number in range(8)] + ["a", "a/3x", "b/1", "b/2", "\U0001f600", "\uffee"]
    await bench.fill(A, [Put(key, b"") for key in keys])
    cells = list(await bench.cells(A))
    expect.same([cell.key for cell in cells], sorted(keys), "all keys")
    ranges = [
        Range(prefix, limit, after=after, reverse=reverse)
        for prefix in ("", "a/", "b/", "a/3", "c")
        for after in (None, "", *sorted(keys), "a/3w", "a/35", "a0", "c", "\U0010ffff")
        for limit in (1, 3, 100)
        for reverse in (False, True)
    ]
    await _compare(bench, cells, ranges)


@proves("G18")
async def paging_gives_each_cell_once_while_others_are_written(bench: Bench) -> None:
    """Paging by the last key, in both directions, gives every cell that stays, once and in order, though between the
    pages cells around it are added and removed."""
    stays = [f"k{number:02d}" for number in range(0, 60, 2)]
    comes = [f"k{number:02d}" for number in range(1, 60, 2)]
    for reverse in (False, True):
        await bench.fill(A, [Put(key, b"") for key in stays])
        seen: list[str] = []
        after, turn = None, 0
        while page := (await bench.view(A, ranges=[Range("k", 7, after=after, reverse=reverse)])).ranges[0]:
            seen += [cell.key for cell in page]
            after = page[-1].key
            turn += 1
            expect.holds(turn < len(comes), "paging comes to an end")
            await bench.committed(ScopeCommit(A, puts=(Put(comes[turn], b""),), deletes=(comes[-turn - 1],)))
        expect.same([key for key in seen if key in stays], stays[::-1] if reverse else stays, "the cells that stay")
        expect.same(len(seen), len(set(seen)), "cells seen, each once")


@proves("G18")
async def many_ranges_and_keys_of_many_scopes_answer_in_their_places(bench: Bench) -> None:
    """One read of several scopes with several keys and ranges each answers everything in the place it was asked."""
    for number in range(3):
        await bench.put(f"session/{number}", {f"k{i}": f"{number}.{i}".encode() for i in range(5)})
    random = Random(7)
    for _ in range(10):
        ranges = [Range(f"k{random.randrange(6)}", 5, reverse=random.random() < 0.5) for _ in range(4)] + [
            Range("k", 2)
        ]
        for number in range(4):
            keys = tuple(f"k{random.randrange(7)}" for _ in range(3))
            view = await bench.view(f"session/{number}", *keys, ranges=ranges)
            cells = [Cell(f"k{i}", f"{number}.{i}".encode(), 1) for i in range(5) if number < 3]
            expect.same(view.cells, {cell.key: cell for cell in cells if cell.key in keys}, f"the cells {keys!r}")
            expect.same(
                [list(found) for found in view.ranges], [_model(cells, wanted) for wanted in ranges], "the ranges"
            )


@proves("G18")
async def ranges_follow_random_writes(bench: Bench) -> None:
    """After each of many random batches of puts and deletions, through drops and expiry, every range is that of a
    plain dict treated alike."""
    random = Random(11)
    model: dict[str, tuple[bytes, int, int | None]] = {}
    live = False
    for seq in range(1, 60):
        if live and random.random() < 0.08:
            await bench.drop(A)
            model, live = {}, False
            continue
        keys = random.sample([f"{a}/{b}" for a in "pq" for b in range(12)], 6)
        puts = {
            key: (bytes([seq]), random.choice([None, None, bench.now_us + random.randrange(3)])) for key in keys[:4]
        }
        parts = tuple(Put(key, value, expires_us) for key, (value, expires_us) in puts.items())
        expect.same(
            await bench.committed(ScopeCommit(A, "create", puts=parts, deletes=tuple(keys[4:]))), {A: seq}, "seq"
        )
        live = True
        model |= {key: (value, seq, expires_us) for key, (value, expires_us) in puts.items()}
        for key in keys[4:]:
            model.pop(key, None)
        now_us = bench.now_us + random.randrange(3)
        cells = [Cell(key, v, n, e) for key, (v, n, e) in model.items() if e is None or now_us < e]
        wanted = [
            Range(prefix, limit, reverse=r) for prefix in ("", "p/", "q/1") for limit in (3, 99) for r in (False, True)
        ]
        view = await bench.view(A, ranges=wanted, now_us=now_us)
        expect.same([list(found) for found in view.ranges], [_model(cells, w) for w in wanted], f"the ranges at {seq}")


@proves("G18")
async def the_end_of_a_prefix_is_where_it_should_be(bench: Bench) -> None:
    """`prefix_end` gives the least text greater than all that start with a prefix, past every edge of Unicode; a kernel
    that uses it for a range's end finds just those."""
    cases = {
        "a": "b",
        "a/": "a0",
        "a\ud7ff": "a\ue000",
        "a\U0010ffff": "b",
        "\U0010ffff": None,
        "": None,
        "\uffff": "\U00010000",
    }
    for prefix, end in cases.items():
        expect.same(prefix_end(prefix), end, f"the end of {prefix!r}")
        inside = [prefix + more for more in ("", "0", "z", "\U0010ffff")]
        await bench.put(A, dict.fromkeys(inside, b""), *([Put(end + "!", b"")] if end else []))
        found = await bench.cells(A, prefix)
        expect.same([cell.key for cell in found if not cell.key.startswith(prefix)], [], f"strangers under {prefix!r}")
        expect.holds(set(inside) <= {cell.key for cell in found}, f"all under {prefix!r} are found")


@proves("G18")
async def a_range_may_be_bounded_in_bytes(bench: Bench) -> None:
    """With a bound of bytes a range ends with the cell that makes the sizes of all reach it, in both directions: so
    there is always one, and a bound that is not reached cuts nothing off."""
    values = {f"k{n}": bytes(size) for n, size in enumerate((5, 0, 100, 1, 0, 40_000, 3))}
    await bench.put("session/a", values)
    cells = [Cell(key, value, 1) for key, value in values.items()]
    for reverse in (False, True):
        rest = cells[::-1] if reverse else cells
        sizes = [sum(cell.size for cell in rest[: n + 1]) for n in range(len(rest))]
        for bytes_max in sorted({1, *sizes, *(size + 1 for size in sizes)}):
            most = sum(sum(cell.size for cell in rest[:n]) < bytes_max for n in range(len(rest)))
            for limit in (3, 10_000):
                wanted = Range("k", limit, None, reverse, bytes_max)
                [view] = await bench.kernel.read([Read("session/a", (), (wanted,))], now_us=bench.now_us)
                owed = tuple(rest[: min(most, limit)])
                expect.same(view.ranges, (owed,), f"{limit} of {bytes_max} bytes, reverse={reverse}")
    for bytes_max in (0, -1):
        read = Read("session/a", (), (Range("k", 1, bytes_max=bytes_max),))
        await expect.raises(InvalidValue, bench.kernel.read([read], now_us=0), f"a bound of {bytes_max}")
