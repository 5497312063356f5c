"""Whoever reads many records holds few of them: a bound of bytes at once and one more, however long the log is."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from random import Random

import pytest

from holdfast import Change, Holdfast, Session
from holdfast.kernel.commit import Read, Record, View
from holdfast.kernel.limits import KIB, PAGE_BYTES
from holdfast.operations.leave import BYTES_MAX
from holdfast.testing.clock import SeededIds
from holdfast.wrappers.around import Around
from tests.unit.stores import Stores

BIG = 250 * KIB
COUNT = 80
"""Values that together are far more than the bound."""


class Weighed(Around):
    """Notes the bytes of the largest answer, and of all."""

    largest = total = 0

    def note(self, size: int) -> None:
        self.total += size
        self.largest = max(self.largest, size)

    async def log(
        self, scope: str, *, after: int = 0, limit: int = 1000, reverse: bool = False, bytes_max: int | None = None
    ) -> tuple[Record, ...]:
        records = await super().log(scope, after=after, limit=limit, reverse=reverse, bytes_max=bytes_max)
        self.note(sum(len(record.body) for record in records))
        return records

    async def read(self, reads: Sequence[Read], *, now_us: int) -> list[View]:
        views = await super().read(reads, now_us=now_us)
        cells = [cell for view in views for cell in (*view.cells.values(), *(c for one in view.ranges for c in one))]
        self.note(sum(len(cell.value) for cell in cells))
        return views


@pytest.fixture
async def weighed(stores: Stores) -> Weighed:
    return Weighed(await stores.kernel())


@pytest.fixture
async def held(stores: Stores, weighed: Weighed) -> Holdfast:
    hold = Holdfast.over(weighed, clock=stores.clock, ids=SeededIds(50))
    stores._opened.append(hold)
    return hold


def text(n: int, size: int = BIG) -> str:
    """So much that no compression makes small."""
    return base64.b64encode(Random(n).randbytes(size * 3 // 4)).decode()


async def take(changes: object, count: int) -> list[Change]:
    return [await asyncio.wait_for(anext(changes), 20) for _ in range(count)]  # type: ignore[call-overload]


async def with_values(held: Holdfast) -> Session:
    s = await held.sessions.create(id="s", user="ada")
    for n in range(COUNT):
        await s.state.set("n", text(n))
    return s


async def test_history_diff_and_streams_read_their_log_in_pieces_of_a_bounded_size(
    held: Holdfast, weighed: Weighed
) -> None:
    s = await with_values(held)
    assert COUNT * BIG > 2 * PAGE_BYTES
    found = await s.state.history("n", limit=COUNT)
    assert [past.value for past in found.items] == [text(n) for n in reversed(range(COUNT))]
    assert found.complete
    assert [one.after for one in (await s.state.diff()).items] == [text(COUNT - 1)]
    assert (await s.state.diff(since=2, until=3)).items[0].before == text(0)
    async with s.changes(after="beginning", kinds={"state"}) as changes:
        assert [change.value for change in await take(changes, COUNT)] == [text(n) for n in range(COUNT)]
    assert PAGE_BYTES <= weighed.largest < PAGE_BYTES + BIG + KIB


async def test_events_of_some_types_are_looked_for_in_pieces_of_a_bounded_size(
    held: Holdfast, weighed: Weighed
) -> None:
    """A page of events of every type is as large as was asked for; what is only passed over is not."""
    s = await held.sessions.create(id="s")
    for n in range(COUNT):
        await s.log("small" if n % 20 == 0 else "big", n if n % 20 == 0 else text(n))
    for order in ("oldest", "newest"):
        page = await s.events(types=["small"], limit=3, order=order)  # type: ignore[arg-type]
        rest = await s.events(types=["small"], after=page.next, order=order)  # type: ignore[arg-type]
        data = [event.data for event in (*page.items, *rest.items)]
        assert data == ([0, 20, 40, 60] if order == "oldest" else [60, 40, 20, 0])
        assert rest.next is None
    assert PAGE_BYTES <= weighed.largest < PAGE_BYTES + BIG + KIB
    assert len((await s.events(limit=COUNT + 1)).items) == COUNT + 1  # with the first, of the start


async def test_events_staged_in_a_transaction_stand_after_all_others_however_a_page_is_cut(held: Holdfast) -> None:
    s = await held.sessions.create(id="s")
    for n in range(40):
        await s.log("big", text(n))
    async with s.transaction() as tx:
        await tx.log("new", 1)
        for order, place in (("oldest", -1), ("newest", 0)):
            page = await tx.events(types=["big", "new"], limit=50, order=order)  # type: ignore[arg-type]
            assert len(page.items) == 41
            assert page.items[place].type == "new"


async def test_what_waits_for_a_slow_reader_is_bounded_in_bytes(stores: Stores, held: Holdfast) -> None:
    """A thousand records may wait, but not whatever they weigh."""
    s = await held.sessions.create(id="s")
    async with s.changes() as changes:
        for n in range(COUNT):
            await s.state.set("n", text(n))
            follower = changes._follower
            assert follower is not None
            assert sum(len(record.body) for _, record in follower._queue) <= PAGE_BYTES + BIG + KIB
        assert [change.value for change in await take(changes, COUNT)] == [text(n) for n in range(COUNT)]
        assert (follower._queue_bytes, len(follower._queue)) == (0, 0)


async def test_sessions_with_large_records_are_looked_at_few_at_once(
    stores: Stores, held: Holdfast, weighed: Weighed
) -> None:
    for n in range(COUNT):
        await held.sessions.create(id=f"s{n}", user="ada", metadata={"text": text(n, BIG - 2 * KIB)})
    weighed.largest = 0
    async with held.changes(user="ada") as changes:
        await (await held.sessions.open("s7")).state.set("n", 1)
        assert (await take(changes, 1))[0].session == "s7"
    assert BIG < weighed.largest <= PAGE_BYTES


async def test_a_run_that_leaves_is_read_as_a_commit_deletes_it(
    stores: Stores, held: Holdfast, weighed: Weighed
) -> None:
    """A bounded size at once and, in all, about what there is of it: each result is read once."""
    s = await held.sessions.create()
    run = await s.runs.start("wide", id="r")
    for n in range(20):
        await run.step("one", lambda n=n: text(n), key=n)
    await run.complete()
    stores.clock.advance(2 * 86_400)
    weighed.largest = weighed.total = 0
    assert (await held.sweep()).runs == 1
    assert BIG < weighed.largest < BYTES_MAX + BIG + KIB
    assert weighed.total < 20 * (BIG + 4 * KIB)
