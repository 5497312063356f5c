"""How the demo keeps its work: a count is entered once, whoever enters it and whatever interrupts."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from holdfast import Holdfast
from holdfast.cli.demo import ledger as ledgers
from holdfast.cli.demo.count import Totals, count_bytes
from holdfast.cli.demo.files import LIST_BYTES_MAX, Listing
from holdfast.cli.demo.ledger import Ledger, Seen, file_key, settle

ROOT = b"somewhere/caf\xe9"
COUNT = count_bytes("a.py", b"one two\n")


async def at_once(files: int) -> None:
    """A gate that is open."""


@pytest.fixture
async def hold() -> AsyncIterator[Holdfast]:
    async with Holdfast.open("memory://") as hold:
        yield hold


async def begun(hold: Holdfast, names: list[str]) -> Ledger:
    return await ledgers.begin(hold, ROOT, Listing(names, 10, 1, 2, 3, None))


async def test_the_plan_and_the_whole_list_are_there_from_the_first_commit_on(hold: Holdfast) -> None:
    names = [f"{'deep/' * 40}file{number}" for number in range(3000)]
    ledger = await begun(hold, names)
    plan = await ledger.plan()
    assert await ledger.names(plan) == names
    assert (plan.root, plan.files, plan.pieces) == ("somewhere/caf%E9", 3000, 7)
    assert (await ledger.work.state.snapshot()).version == 1


async def test_the_longest_list_there_can_be_is_one_commit(hold: Holdfast) -> None:
    name = '"\\' * 2000
    names = [name] * (LIST_BYTES_MAX // len(name))
    ledger = await begun(hold, names)
    assert await ledger.names(await ledger.plan()) == names


async def test_the_newest_demo_of_a_folder_is_found_and_of_no_other(hold: Holdfast) -> None:
    ledger = await begun(hold, ["a"])
    found = await ledgers.find(hold, ROOT)
    assert found is not None
    assert (found.work.id, found.follower.id) == (ledger.work.id, ledger.follower.id)
    assert await ledgers.find(hold, ROOT + b"/below") is None
    await ledgers.remove(hold, ledger)
    assert await ledgers.find(hold, ROOT) is None
    assert (await hold.sessions.list()).items == ()


async def test_a_count_comes_with_its_mark_its_message_the_totals_and_the_progress(hold: Holdfast) -> None:
    ledger = await begun(hold, ["a.py"])
    before = (await ledger.work.state.snapshot()).version
    assert await settle(ledger.work, 0, COUNT, may_commit=at_once)
    assert (await ledger.work.state.snapshot()).version == before + 1, "one commit"
    assert await ledger.totals() == Totals(1, 1, 8, 1, 2)
    assert [message.content for message in await ledger.work.messages.list()] == ["a.py: 1 lines, 2 words"]
    assert await ledger.work.runtime.all() == {"done": 1, "file": "a.py"}


async def test_a_count_that_was_entered_is_not_entered_again(hold: Holdfast) -> None:
    ledger = await begun(hold, ["a.py"])
    await settle(ledger.work, 0, COUNT, may_commit=at_once)
    before = (await ledger.work.state.snapshot()).version
    assert not await settle(ledger.work, 0, COUNT, may_commit=at_once)
    assert (await ledger.work.state.snapshot()).version == before


async def test_two_workers_on_one_file_enter_it_once_and_two_on_two_files_lose_nothing(hold: Holdfast) -> None:
    ledger = await begun(hold, [str(number) for number in range(8)])
    entered = await asyncio.gather(
        *(settle(ledger.work, number % 8, COUNT, may_commit=at_once) for number in range(24))
    )
    assert sum(entered) == 8
    assert (await ledger.totals()).files == 8
    assert len(await ledger.work.messages.list(limit=100)) == 8


async def test_who_is_stopped_before_the_commit_leaves_nothing(hold: Holdfast) -> None:
    ledger = await begun(hold, ["a.py"])
    before = await ledger.work.state.snapshot()
    waiting = asyncio.Event()

    async def never(files: int) -> None:
        waiting.set()
        await asyncio.Future()

    task = asyncio.create_task(settle(ledger.work, 0, COUNT, may_commit=never))
    await waiting.wait()
    task.cancel()
    await asyncio.wait([task])
    assert await ledger.work.state.snapshot() == before
    assert not await ledger.work.state.has(file_key(0))


async def test_what_the_follower_has_seen_depends_on_every_change_and_their_order(hold: Holdfast) -> None:
    ledger = await begun(hold, ["a.py", "b.py"])
    for number in (0, 1):
        await settle(ledger.work, number, COUNT, may_commit=at_once)
    changes = []
    async with ledger.work.changes(after="beginning") as stream:
        async for change in stream:
            changes.append(change)
            if change.key == "done" and change.value == 2:
                break

    def digest(order: list[int]) -> str:
        seen = Seen()
        for place in order:
            seen = seen.plus(changes[place])
        return seen.digest

    whole = list(range(len(changes)))
    assert digest(whole) == digest(whole)
    for other in (whole[:-1], [*whole, whole[-1]], [1, 0, *whole[2:]], whole[:5] + whole[6:], whole[:5] + whole[4:]):
        assert digest(other) != digest(whole)
