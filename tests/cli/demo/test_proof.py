"""The figures are no decoration: whatever is wrong with the store, the one that it concerns does not hold."""

import re
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from holdfast import Holdfast
from holdfast.cli.demo.ledger import Ledger
from tests.cli.demo.trees import look, plant
from tests.cli.program import Ended, execute, invoke

FILES = 12
Tampering = Callable[[Holdfast, Ledger], Awaitable[Any]]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished demo of what is in its `tree`."""
    folder = tmp_path_factory.mktemp("finished")
    plant(folder / "tree", files=FILES)
    assert execute("demo", "tree", "--store", "demo.db", cwd=folder).code == 0
    return folder


@pytest.fixture
def store(finished: Path, tmp_path: Path) -> Path:
    """A copy of its store, to tamper with."""
    return Path(shutil.copy(finished / "demo.db", tmp_path / "demo.db"))


def prove(finished: Path, store: Path) -> tuple[Ended, list[bool]]:
    """Run the demo again, which proves: how it ended, and which figures hold."""
    ended = invoke("demo", str(finished / "tree"), "--store", str(store))
    return ended, [word == "holds" for word in re.findall(r"^\d\. .*: (holds|DOES NOT HOLD)$", ended.out, re.MULTILINE)]


def test_untouched_every_figure_holds(finished: Path, store: Path) -> None:
    ended, figures = prove(finished, store)
    assert (ended.code, figures) == (0, [True, True, True, True])


async def change_totals(hold: Holdfast, ledger: Ledger) -> None:
    await ledger.work.state.merge("totals", {"lines": 1})


async def change_number_of_files(hold: Holdfast, ledger: Ledger) -> None:
    await ledger.work.state.merge("totals", {"files": FILES + 1})


async def remove_a_mark(hold: Holdfast, ledger: Ledger) -> None:
    await ledger.work.state.delete("file/000003")


async def change_a_mark(hold: Holdfast, ledger: Ledger) -> None:
    await ledger.work.state.merge("file/000003", {"lines": 1000})


async def swap_two_marks(hold: Holdfast, ledger: Ledger) -> None:
    state = ledger.work.state
    await state.update({"file/000001": await state.get("file/000002"), "file/000002": await state.get("file/000001")})


async def add_a_mark(hold: Holdfast, ledger: Ledger) -> None:
    await ledger.work.state.set("file/999999", await ledger.work.state.get("file/000001"))


async def add_a_message(hold: Holdfast, ledger: Ledger) -> None:
    await ledger.work.messages.add("worker", "once more", metadata={"file": 3})


async def follower_doubled_a_change(hold: Holdfast, ledger: Ledger) -> None:
    await ledger.follower.state.merge("seen", {"changes": (await ledger.seen()).changes + 1})


async def follower_saw_another_change(hold: Holdfast, ledger: Ledger) -> None:
    await ledger.follower.state.merge("seen", {"digest": "0" * 64})


async def follower_stopped_early(hold: Holdfast, ledger: Ledger) -> None:
    history = await ledger.follower.state.history("seen", limit=2)
    await ledger.follower.state.set("seen", {**history.items[1].value, "ended": True})


@pytest.mark.parametrize(
    ("tamper", "figures", "finding"),
    [
        (change_totals, [True, True, False], "lines: 1 in the store"),
        (change_number_of_files, [False, True, False], f"the totals say {FILES + 1} files"),
        (remove_a_mark, [False, True, True], "module0003.py has no mark"),
        (change_a_mark, [False, True, True], "is not the one that was committed"),
        (swap_two_marks, [False, True, True], "is that of"),
        (add_a_mark, [False, True, True], "a mark file/999999 for no file"),
        (add_a_message, [False, True, True], "has 2 messages, 1 in the log"),
        (follower_doubled_a_change, [True, False, True], "the follower saw"),
        (follower_saw_another_change, [True, False, True], "digest"),
        (follower_stopped_early, [True, False, True], "it stands at"),
    ],
)
def test_what_was_tampered_with_makes_its_figure_fail_and_the_demo_exit_with_1(
    finished: Path, store: Path, tamper: Tampering, figures: list[bool], finding: str
) -> None:
    look(store, finished / "tree", tamper)
    ended, found = prove(finished, store)
    assert (ended.code, found) == (1, [*figures, True]), ended.out
    assert finding in ended.out
    assert "[demo_failed]" in ended.err


@pytest.mark.parametrize("key", ["plan", "list/000"])
def test_a_demo_that_lost_its_plan_or_list_says_so(finished: Path, store: Path, key: str) -> None:
    async def remove(hold: Holdfast, ledger: Ledger) -> None:
        await ledger.work.state.delete(key)

    look(store, finished / "tree", remove)
    ended, _ = prove(finished, store)
    assert ended.code == 3
    assert key in ended.err


def test_a_record_taken_out_of_the_log_is_found(finished: Path, store: Path) -> None:
    connection = apsw.Connection(str(store))
    work = "SELECT id FROM scopes WHERE name LIKE 'session/%' AND name NOT LIKE '%-follower'"
    connection.execute(f"DELETE FROM log WHERE seq = 9 AND scope = ({work})")
    assert connection.changes() == 1
    connection.close()
    ended, _ = prove(finished, store)
    assert ended.code == 1
    assert "[corrupt]" in ended.err


def test_a_file_whose_recorded_figures_were_always_wrong_fails_the_recount(finished: Path, store: Path) -> None:
    """A mark that was committed with wrong lines under the right hash is no file that changed."""

    async def miscount(hold: Holdfast, ledger: Ledger) -> None:
        state = ledger.work.state
        count = await state.get("file/000003")
        totals = await state.get("totals")
        async with ledger.work.transaction() as tx:
            await tx.state.set("file/000003", {**count, "lines": count["lines"] + 5})
            await tx.state.set("totals", {**totals, "lines": totals["lines"] + 5})

    look(store, finished / "tree", miscount)
    ended, figures = prove(finished, store)
    assert (ended.code, figures[2]) == (1, False)


async def change_what_was_published(hold: Holdfast, ledger: Ledger) -> None:
    release = await hold.sessions.get(ledger.release_id)
    assert release is not None
    await release.state.set("published", "something else")


async def add_a_publication(hold: Holdfast, ledger: Ledger) -> None:
    release = await hold.sessions.get(ledger.release_id)
    assert release is not None
    await release.log("published", {"text": "again"})


@pytest.mark.parametrize(
    ("tamper", "finding"),
    [(change_what_was_published, "published is 'something else'"), (add_a_publication, "'published': 2")],
)
def test_what_the_second_act_did_is_proved_too(finished: Path, store: Path, tamper: Tampering, finding: str) -> None:
    """Asked, answered and done once; anything else is told."""
    look(store, finished / "tree", tamper)
    ended, found = prove(finished, store)
    assert (ended.code, found) == (1, [True, True, True, False]), ended.out
    assert finding in ended.out
