"""What a unit has staged of one scope: paging through it, and taking it back."""

from __future__ import annotations

import pytest

from holdfast.backends.memory import MemoryKernel
from holdfast.backends.memory.kernel import TRAITS
from holdfast.kernel.commit import Absent, Append, Committed, Put, Range
from holdfast.kernel.line import Line
from holdfast.kernel.part import Part
from holdfast.kernel.work import Work
from holdfast.kernel.writer import Writer
from holdfast.testing.clock import LeapingClock, SeededIds

A = "user/a"


def unit(writer: Writer) -> Work:
    work = Work(writer, limits=TRAITS)
    work.part(A, need="create")
    return work


async def pages_of(
    work: Work, prefix: str, limit: int, *, reverse: bool, bytes_max: int | None = None
) -> list[list[str]]:
    """Every page, each from the last key of the one before it, as long as more is said to follow."""
    found: list[list[str]] = []
    after: str | None = None
    while True:
        cells, goes_on = await work.page(A, Range(prefix, limit, after, reverse, bytes_max))
        found.append([cell.key for cell in cells])
        if not goes_on:
            return found
        assert len(found) < 50
        after = cells[-1].key


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("limit", [1, 2, 3, 4, 6, 7])
@pytest.mark.parametrize("stored", ["", "bd", "az", "abcdefgh"])
@pytest.mark.parametrize("bytes_max", [None, 1])
async def test_the_pages_of_a_range_with_much_that_is_staged_are_all_of_it_in_order(
    stored: str, limit: int, reverse: bool, bytes_max: int | None
) -> None:
    """More may be staged than a page holds: it is said to go on until the last was given, and then not. A page that its
    bytes end early has nothing of what is staged beyond its end."""
    writer = Writer(MemoryKernel(), clock=LeapingClock(0), ids=SeededIds())
    before = unit(writer)
    for key in stored:
        before.put(A, f"k/{key}", b"")
    assert isinstance(await before.commit(), Committed)
    work = unit(writer)
    for key in "acegxy":
        work.put(A, f"k/{key}", b"")
    pages = await pages_of(work, "k/", limit, reverse=reverse, bytes_max=bytes_max)
    whole = [f"k/{key}" for key in sorted({*stored, *"acegxy"}, reverse=reverse)]
    assert [key for page in pages for key in page] == whole
    assert all(len(page) <= limit for page in pages)
    if not stored:
        assert [len(page) for page in pages] == [limit] * (6 // limit) + ([6 % limit] if 6 % limit else [])


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_pages_lead_from_stored_appends_to_staged_ones_and_back(limit: int, reverse: bool) -> None:
    """A staged key lies beyond every stamp: from it the store has nothing to give on, and everything backwards."""
    writer = Writer(MemoryKernel(), clock=LeapingClock(0), ids=SeededIds())
    before = unit(writer)
    for value in (b"1", b"2", b"3"):
        before.append(A, "m/", value)
    assert isinstance(await before.commit(), Committed)
    work = unit(writer)
    for value in (b"4", b"5"):
        work.append(A, "m/", value)
    pages = await pages_of(work, "m/", limit, reverse=reverse)
    keys = [key for page in pages for key in page]
    assert (len(keys), keys) == (5, sorted(keys, reverse=reverse))


def test_the_store_is_asked_from_where_a_page_ended_unless_that_is_staged() -> None:
    part = Part(A)
    assert part.stored_after(Range("m/", 1, None)) is None
    assert part.stored_after(Range("m/", 1, "m/0")) == "m/0"
    assert part.stored_after(Range("m/", 1, "m/0", True)) == "m/0"
    assert part.stored_after(Range("m/", 1, "m/~0001")) == "m/~0001"
    assert part.stored_after(Range("m/", 1, "m/~0001", True)) is None


def staged(part: Part) -> tuple[object, ...]:
    lists = [list(part.appends), list(part.lines), list(part.checks)]
    return part.need, part.asked, part.made, dict(part.puts), dict(part.ttls_us), dict(part.deletes), lists


def stage(part: Part, key: str) -> None:
    """One of everything."""
    part.puts[key] = Put(key, b"")
    part.ttls_us[key] = 5
    part.deletes[f"{key}-gone"] = None
    part.appends.append(Append("m/", b""))
    part.lines.append(Line("set", key, b""))
    part.checks.append(Absent(key))


def test_taking_back_leaves_what_was_staged_before_and_nothing_after() -> None:
    """Also where a key of before was staged again, and a `make` with what it says of the scope."""
    part = Part(A)
    stage(part, "early")
    before = staged(part)
    undo = part.savepoint()
    stage(part, "late")
    stage(part, "early")
    part.puts["early"] = Put("early", b"another")
    part.ttls_us.pop("early")
    part.make()
    assert staged(part) != before
    undo()
    assert staged(part) == before
    stage(part, "later")
    again = part.savepoint()
    again()
    assert set(part.puts) == {"early", "later"}
