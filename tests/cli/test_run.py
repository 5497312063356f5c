"""`holdfast run list|show|nodes|tail|recover|pause|resume|cancel`."""

import asyncio

import pytest

from holdfast import Holdfast, NodeSpec, Session
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


@pytest.mark.parametrize("command", ["show", "nodes", "tail", "pause", "resume", "cancel"])
def test_a_run_that_is_not_there_is_exit_code_3(store: str, command: str) -> None:
    ended = invoke("-s", store, "run", command, "nobody")
    assert ended.code == 3
    assert "there is no run 'nobody'" in ended.err


def test_of_several_runs_of_one_id_the_session_says_which(store: str) -> None:
    """Every command that takes a run takes --session; without it one of several is exit code 4, with that remedy."""

    async def work() -> None:
        async with Holdfast.open(f"sqlite:///{store}") as hold:
            bare = await hold.sessions.get("bare")
            assert bare is not None
            await bare.runs.start("other", id="b1")

    asyncio.run(work())
    for command in ("show", "nodes", "pause", "resume", "cancel"):
        ended = invoke("-s", store, "run", command, "b1")
        assert ended.code == 4
        assert "--session" in ended.err
    assert run(store, "show", "b1", "--session", "bare", "-o", "json")[0]["run"]["workflow"] == "other"
    assert len(run(store, "nodes", "b1", "--session", "trip")) == 2
    assert run(store, "pause", "b1", "--session", "bare")[0]["status"] == "paused"
    assert run(store, "resume", "b1", "--session", "bare")[0]["status"] == "pending"
    assert run(store, "cancel", "b1", "--session", "bare")[0]["status"] == "cancelled"
    assert run(store, "show", "b1", "--session", "trip", "-o", "json")[0]["run"]["status"] == "running"
    assert "in session/bare" in invoke("-s", store, "run", "show", "b2", "--session", "bare").err


def test_a_run_tells_who_holds_it_what_it_asks_and_how_that_is_answered(store: str) -> None:
    """So does its session: nobody has to guess what a run waits for."""

    async def work() -> tuple[str, list, list, str]:
        async with Holdfast.open(f"sqlite:///{store}", background=False) as hold:
            found = await hold.runs.get("b1")
            assert found is not None
            asked = await found.ask("Pay 900 €?", node="pay", assignees=["bo"], timeout="1h")
            claim = found.claim(worker="w1")
            await claim.__aenter__()
            shown = await asyncio.to_thread(run, store, "show", "b1", "-o", "json")
            session = await asyncio.to_thread(invoke, "-s", store, "session", "show", "trip", "-o", "json")
            table = await asyncio.to_thread(invoke, "-s", store, "run", "show", "b1", "-o", "table")
            return asked.id, shown, session.rows, table.err

    id, [shown], [session], told = asyncio.run(work())
    assert shown["run"]["held"]["worker"] == "w1"
    [question] = shown["questions"]
    assert (question["id"], question["prompt"], question["on_timeout"]) == (id, "Pay 900 €?", "reject")
    assert f"answer it: holdfast -s {store} inbox answer {id} approved --by bo (or rejected)" in told
    assert [one["id"] for one in session["runs"]] == ["b2", "b1"]
    assert [(one["id"], one["run"]) for one in session["questions"]] == [(id, "b1")]


def test_a_remedy_speaks_of_commands(store: str) -> None:
    """What is to be done next can be typed."""
    for args, said in (
        (("resume", "alone"), "holdfast run show"),
        (("pause", "b1", "--node", "zz"), "holdfast run nodes"),
        (("cancel", "b2"), "keeps what it came to"),
    ):
        ended = invoke("-s", store, "run", *args)
        assert said in ended.err
        assert "await" not in ended.err


def test_a_run_is_followed_to_its_end_with_what_is_done_in_it(store: str) -> None:
    """Of its session's changes those of the run, its nodes, its questions and variables, with their cause; any cursor
    goes on right after it."""

    async def work() -> None:
        async with Holdfast.open(f"sqlite:///{store}", background=False) as hold:
            found = await hold.runs.get("b1")
            assert found is not None
            await (await trip_of(hold)).state.set("other", 1)
            question = await found.ask("Pay?", assignees=["bo"])
            await hold.interactions.answer(question.id, "approved", by="bo")
            async with (await found.refresh()).node("pay") as node:
                await node.state.set("paid", value=True)
                await node.variables.set("n", 1)
            await found.complete("done")

    async def trip_of(hold: Holdfast) -> Session:
        trip = await hold.sessions.get("trip")
        assert trip is not None
        return trip

    asyncio.run(work())
    rows = run(store, "tail", "b1", "--after", "beginning")
    assert (rows[0]["key"], rows[-1]["value"]["status"]) == ("b1", "completed")
    assert "other" not in [row["key"] for row in rows]
    assert {row["kind"] for row in rows} == {"run", "interaction", "state", "variable"}
    [paid] = [row for row in rows if row["key"] == "paid"]
    assert (paid["run"], paid["node"], paid["attempt"]) == ("b1", "pay", 1)
    answered = [row for row in rows if row.get("answer")]
    assert {(row["kind"], row["by"]) for row in answered} == {("interaction", "bo"), ("run", "bo")}
    for place, row in enumerate(rows[:-1]):
        assert run(store, "tail", "b1", "--after", row["cursor"], "-n", "1") == rows[place + 1 : place + 2]
    kinds = run(store, "tail", "b1", "--after", "beginning", "-k", "interaction")
    assert {row["kind"] for row in kinds} == {"interaction"}
    table = invoke("-s", store, "run", "tail", "b1", "--after", "beginning", "-o", "table")
    assert "b1 node pay running" in table.out
    assert "asks: Pay?" in table.out
    assert "continue with --after" in table.err


def test_a_run_that_has_ended_is_not_waited_for(store: str) -> None:
    """Nothing is to come; one that is alone is followed in its own scope."""
    ended = invoke("-s", store, "run", "tail", "b2")
    assert (ended.code, ended.out) == (0, "")
    assert "has ended" in ended.err
    assert len(run(store, "tail", "b2", "--after", "beginning")) == 2
    assert [row["scope"] for row in run(store, "tail", "alone", "--after", "0", "-n", "1")] == ["run/alone"]
    lost = invoke("-s", store, "session", "tail", "run/alone")
    assert lost.code == 3
    assert "holdfast run tail alone" in lost.err
