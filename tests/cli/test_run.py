"""`holdfast run list|show|nodes|recover|pause|resume|cancel`."""

import asyncio

import pytest

from holdfast import Holdfast, NodeSpec
from tests.cli.program import invoke


def run(store: str, *args: str) -> list:
    ended = invoke("-s", store, "run", *args)
    assert ended.code == 0, ended.err
    return ended.rows


@pytest.fixture
def store(store: str) -> str:
    """The same, with a run that has begun, one that was given up, and one that is alone."""

    async def work() -> None:
        async with Holdfast.open(f"sqlite:///{store}") as hold:
            trip = await hold.sessions.get("trip")
            assert trip is not None
            book = await trip.runs.start("book", id="b1", nodes={"search": [], "pay": NodeSpec(after=("search",))})
            await book.progress("search", "completed", output={"price": 900})
            await (await trip.runs.start("book", id="b2")).cancel()
            await hold.runs.start("nightly", id="alone", user="bo")

    asyncio.run(work())
    return store


def test_runs_are_listed_newest_first_by_what_they_are(store: str) -> None:
    assert [row["id"] for row in run(store, "list")] == ["alone", "b2", "b1"]
    [row] = run(store, "list", "--session", "trip", "--status", "running")
    assert (row["workflow"], row["nodes"], row["done"]) == ("book", 2, 1)
    page = invoke("-s", store, "run", "list", "-n", "2")
    assert len(page.rows) == 2
    assert "--cursor" in page.err
    assert invoke("-s", store, "run", "list", "--status", "done").code == 2


def test_a_run_is_shown_with_its_nodes(store: str) -> None:
    [shown] = run(store, "show", "b1", "-o", "json")
    assert (shown["run"]["status"], shown["ready"]) == ("running", ["pay"])
    search, pay = run(store, "nodes", "b1")
    assert (search["status"], search["output"], pay["status"]) == ("completed", {"price": 900}, "ready")
    table = invoke("-s", store, "run", "show", "b1", "-o", "table").out
    assert "ready" in table
    assert "search" in table


def test_a_run_is_paused_resumed_and_given_up(store: str) -> None:
    assert run(store, "pause", "b1", "--reason", "by Bo", "--node", "pay")[0]["status"] == "paused"
    [shown] = run(store, "show", "b1", "-o", "json")
    assert (shown["run"]["pause_reason"], shown["nodes"][1]["status"]) == ("by Bo", "paused")
    assert [row["id"] for row in run(store, "recover")] == ["alone"]
    assert run(store, "resume", "b1")[0]["status"] == "pending"
    assert sorted(row["id"] for row in run(store, "recover")) == ["alone", "b1"]
    assert [row["id"] for row in run(store, "recover", "--workflow", "nightly")] == ["alone"]
    assert run(store, "cancel", "b1")[0]["status"] == "cancelled"
    assert invoke("-s", store, "run", "cancel", "b1").code == 4


@pytest.mark.parametrize("command", ["show", "nodes", "pause", "resume", "cancel"])
def test_a_run_that_is_not_there_is_exit_code_3(store: str, command: str) -> None:
    ended = invoke("-s", store, "run", command, "nobody")
    assert ended.code == 3
    assert "there is no run 'nobody'" in ended.err
