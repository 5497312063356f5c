"""`holdfast session list|show|tail|pause|resume|cancel|rm`, and `holdfast sweep`."""

import asyncio
import json
from contextlib import suppress
from pathlib import Path

import pytest

from holdfast import Budget, BudgetExceeded, Holdfast, Usage
from tests.cli.program import Ended, execute, invoke, start


def ids(store: str, *options: str) -> list[str]:
    return [row["id"] for row in invoke("-s", store, "session", "list", *options).rows]


def test_list_shows_everything_a_record_says_newest_first(store: str) -> None:
    rows = invoke("-s", store, "session", "list").rows
    assert [row["id"] for row in rows] == ["bare", "trip"]
    trip = rows[1]
    assert {name: trip[name] for name in ("user", "app", "mode", "task", "status", "tags", "metadata", "version")} == {
        "user": "ada",
        "app": "travel",
        "mode": "planner",
        "task": "Plan a trip",
        "status": "active",
        "tags": ["vip", "eu"],
        "metadata": {},
        "version": 1,
    }
    assert trip["created_at"] <= trip["last_activity"]


def test_every_filter_filters(store: str) -> None:
    for options in (
        ["--user", "ada"],
        ["--app", "travel"],
        ["--mode", "planner"],
        ["--tag", "eu"],
        ["--user", "ada", "--tag", "vip", "--status", "active"],
    ):
        assert ids(store, *options) == ["trip"], options
    for options in (["--user", "eve"], ["--status", "failed"], ["--channel", "web"], ["--agent", "x"]):
        assert ids(store, *options) == [], options
    assert ids(store, "--created-after", "2100-01-01") == []
    assert ids(store, "--created-before", "2001-01-01T00:00:00") == []
    assert ids(store, "--created-after", "2001-01-01", "--order", "oldest") == ["trip", "bare"]
    assert ids(store, "--status", "running", "--user", "ada") == ["trip"], "a word of another system"
    assert ids(store, "--updated-after", "2100-01-01") == []
    assert ids(store, "--updated-after", "2001-01-01", "--order", "oldest") == ["trip", "bare"]
    assert sorted(ids(store, "--order", "recent")) == ["bare", "trip"]


def test_pages_continue_at_the_cursor_that_stands_on_stderr(store: str) -> None:
    first = invoke("-s", store, "session", "list", "--limit", "1")
    cursor = first.err.split("--cursor '")[1].split("'")[0]
    second = invoke("-s", store, "session", "list", "--limit", "1", "--cursor", cursor)
    assert [row["id"] for row in first.rows + second.rows] == ["bare", "trip"]
    assert ids(store, "--all", "--limit", "1") == ["bare", "trip"]
    assert len(invoke("-s", store, "session", "list", "--all", "-o", "json").rows[0]) == 2


def test_show_has_what_is_used_of_each_budget(store: str) -> None:
    async def work() -> None:
        async with Holdfast.open(f"sqlite:///{store}") as hold:
            s = await hold.sessions.create(id="b", budget=Budget(tokens=1000, wall_time="1m"))
            await s.iterate(reserve=Usage(tokens=250, cost="0.5", wall_time=1.5))

    asyncio.run(work())
    shown = invoke("-s", store, "session", "show", "b", "-o", "json").rows[0]
    assert shown["budget"] == [
        {"budget": "iterations", "used": 1, "reserved": 0, "limit": 100, "percent": 1.0},
        {"budget": "tokens", "used": 250, "reserved": 0, "limit": 1000, "percent": 25.0},
        {"budget": "cost", "used": "0.5", "reserved": "0", "limit": None, "percent": None},
        {"budget": "wall_time_s", "used": 1.5, "reserved": 0.0, "limit": 60.0, "percent": 2.5},
    ]
    assert "25.0" in invoke("-s", store, "session", "show", "b", "-o", "table").out


def test_show_has_the_record_the_state_and_the_last_messages_and_events(store: str) -> None:
    shown = invoke("-s", store, "session", "show", "trip", "-o", "json").rows[0]
    assert shown["session"]["id"] == "trip"
    assert shown["state"] == {"cart": ["milk", "eggs"], "city": "Kyoto"}
    assert shown["runtime"] == {"step": 3}
    assert [(m["role"], m["content"], m["metadata"]) for m in shown["messages"]] == [
        ("user", "hello", {"api_calls": 1})
    ]
    assert [(e["type"], e["data"]) for e in shown["events"]] == [("start", None), ("note", {"n": 1})]
    table = invoke("-s", store, "session", "show", "trip", "-o", "table").out
    for word in ("Plan a trip", "Kyoto", "step", "hello", "note"):
        assert word in table


def test_show_and_doctor_say_who_holds_a_session_and_since_when(store: str) -> None:
    """The request of a turn, the worker of a claim; nobody, once it was given back."""

    async def work() -> None:
        async with Holdfast.open(f"sqlite:///{store}") as hold:
            trip, bare = await hold.sessions.get("trip"), await hold.sessions.get("bare")
            assert trip is not None
            assert bare is not None
            async with trip.turn(request_id="req-17"), bare.claim(worker="w1"):
                for id, worker, request in (("trip", None, "req-17"), ("bare", "w1", None)):
                    shown = await asyncio.to_thread(invoke, "-s", store, "session", "show", id)
                    held = shown.rows[0]["session"]["held"]
                    assert (held["worker"], held["request"], held["since"][:2]) == (worker, request, "20")
                found = (await asyncio.to_thread(invoke, "-s", store, "doctor")).rows
                [told] = [row["value"] for row in found if row["name"] == "held sessions"]
                assert "session/trip by the turn for request 'req-17' since 20" in told
                assert "session/bare by the claim of 'w1' since 20" in told

    asyncio.run(work())
    assert invoke("-s", store, "session", "show", "trip").rows[0]["session"]["held"] is None


def test_show_takes_the_newest_messages_in_their_order(store: str) -> None:
    async def talk() -> None:
        async with Holdfast.open(f"sqlite:///{store}") as hold:
            session = await hold.sessions.get("bare")
            assert session is not None
            await session.messages.add_many([{"role": "user", "content": str(n)} for n in range(5)])

    asyncio.run(talk())
    shown = invoke("-s", store, "session", "show", "bare", "--last", "2").rows[0]
    assert [message["content"] for message in shown["messages"]] == ["3", "4"]


def test_tail_from_the_beginning_tells_every_change_with_its_cause(store: str) -> None:
    rows = invoke("-s", store, "session", "tail", "trip", "--after", "beginning", "--limit", "8").rows
    assert [(row["seq"], row["kind"], row["op"], row["key"]) for row in rows] == [
        (1, "session", "set", "trip"),
        (1, "event", "append", "0000000000000001.0000"),
        (2, "state", "set", "cart"),
        (2, "state", "set", "city"),
        (3, "state", "set", "cart"),
        (4, "runtime", "set", "step"),
        (5, "message", "append", "0000000000000005.0000"),
        (6, "event", "append", "0000000000000006.0000"),
    ]
    assert {(row["by"], row["trace_id"], row["scope"]) for row in rows} == {("ada", "t-1", "session/trip")}


def test_tail_goes_on_after_any_cursor_also_within_a_commit(store: str) -> None:
    rows = invoke("-s", store, "session", "tail", "trip", "--after", "beginning", "--limit", "8").rows
    for place, row in enumerate(rows[:-1]):
        rest = invoke("-s", store, "session", "tail", "trip", "--after", row["cursor"], "-n", str(7 - place)).rows
        assert rest == rows[place + 1 :]


def test_tail_shows_only_the_kinds_asked_for(store: str) -> None:
    options = ["--after", "beginning", "-k", "message", "-k", "event", "-n", "3"]
    assert [row["kind"] for row in invoke("-s", store, "session", "tail", "trip", *options).rows] == [
        "event",
        "message",
        "event",
    ]


def test_tail_in_lines_names_the_change_and_where_to_go_on(store: str) -> None:
    options = ["--after", "beginning", "-n", "3", "-o", "table"]
    ended = invoke("-s", store, "session", "tail", "trip", *options)
    assert ended.out.splitlines()[1].endswith("  1  event   append start  by ada")
    assert ended.out.splitlines()[2].endswith("  2  state   set    cart = milk  by ada")
    assert "following session/trip from the beginning\n" in ended.err
    assert "continue with --after 2." in ended.err


def test_tail_says_after_which_version_or_cursor_it_goes_on(store: str) -> None:
    """Both name the same place; digits alone are a version."""
    cursor = invoke("-s", store, "session", "tail", "trip", "--after", "3", "-n", "1").rows[0]["cursor"]
    for place, said in (("4", "version 4"), (cursor, f"cursor {cursor}")):
        ended = invoke("-s", store, "session", "tail", "trip", "--after", place, "-n", "1", "-o", "table")
        assert f"following session/trip after {said}\n" in ended.err
        assert "message append user: hello" in ended.out


def test_tail_follows_another_process_live_and_ends_when_the_session_is_deleted(store: str) -> None:
    """The reader sees each change while the writer still runs; the deletion ends the stream by itself."""
    with start("-s", store, "session", "tail", "trip", "--after", "beginning", "--kind", "state") as tail:
        assert tail.stdout is not None
        before = [json.loads(tail.stdout.readline()) for _ in range(3)]
        assert before[-1]["value"] == ["milk", "eggs"]
        assert invoke("-s", store, "state", "set", "session/trip", "live", "true").code == 0
        assert json.loads(tail.stdout.readline())["key"] == "live"
        assert invoke("-s", store, "session", "rm", "trip").code == 0
        assert tail.stdout.read() == ""
    assert tail.returncode == 0


@pytest.mark.parametrize(
    ("output", "said"),
    [("jsonl", '"op":"emit","namespace":"","key":"token"'), ("table", "emit   token = Your  by ada")],
)
def test_tail_tells_what_is_emitted_while_it_is_live(store: str, output: str, said: str) -> None:
    """Also by another opening of the store; it may be lost, so it is emitted until it was told."""

    async def work() -> Ended:
        async with Holdfast.open(f"sqlite:///{store}", background=False) as hold:
            session = await hold.sessions.open("trip")
            tail = asyncio.to_thread(invoke, "-s", store, "session", "tail", "trip", "-n", "1", "-o", output)
            following = asyncio.ensure_future(tail)
            with hold.acting(by="ada"):
                while not following.done():
                    await session.emit("token", "Your")
                    await asyncio.wait([following], timeout=0.01)
            return await following

    ended = asyncio.run(work())
    assert ended.code == 0
    assert said in ended.out
    assert ended.out.count("\n") == 1


def test_rm_deletes_what_is_there_and_says_so_of_each(store: str) -> None:
    ended = invoke("-s", store, "session", "rm", "trip", "nobody", "bare", "trip")
    assert ended.rows == [
        {"id": "trip", "deleted": True},
        {"id": "nobody", "deleted": False},
        {"id": "bare", "deleted": True},
    ]
    assert ended.code == 3
    assert ids(store) == []
    assert invoke("-s", store, "session", "show", "trip").code == 3


def test_a_space_is_a_world_of_its_own(store: str) -> None:
    assert invoke("-s", store, "--space", "other", "session", "list").rows == []
    assert invoke("-s", store, "--space", "default", "session", "list").rows != []


def test_the_store_may_be_named_by_url_path_or_environment(store: str) -> None:
    path = Path(store)
    for run in (
        invoke("-s", f"sqlite:///{store}", "session", "list"),
        invoke("--store", store, "session", "list"),
        execute("-s", path.name, "session", "list", cwd=path.parent),
        execute("session", "list", env={"HOLDFAST_URL": f"sqlite:///{store}"}),
    ):
        assert [row["id"] for row in run.rows] == ["bare", "trip"]


def test_a_path_with_signs_that_mean_something_in_a_url_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "50%25 #1?.db"
    assert invoke("-s", str(path), "state", "set", "user/ada", "k", "1").code == 0
    assert path.exists()
    assert invoke("-s", str(path), "state", "get", "user/ada").rows == [{"k": 1}]


def test_a_session_is_paused_resumed_and_cancelled_with_why(store: str) -> None:
    paused = invoke("-s", store, "session", "pause", "trip", "--reason", "waiting for Bo")
    assert (paused.code, paused.rows[0]["status"]) == (0, "paused")
    again = invoke("-s", store, "session", "pause", "trip")
    assert (again.code, again.out) == (4, "")
    assert "invalid_transition" in again.err
    assert invoke("-s", store, "session", "resume", "trip").rows[0]["status"] == "active"
    assert invoke("-s", store, "session", "cancel", "trip", "-r", "by user").rows[0]["status"] == "cancelled"
    shown = invoke("-s", store, "session", "show", "trip", "-o", "json").rows[0]
    assert [event["type"] for event in shown["events"]] == ["start", "note", "pause", "resume", "cancel"]
    assert invoke("-s", store, "session", "pause", "nobody").code == 3


def test_a_session_that_timed_out_is_resumed_with_a_higher_budget(store: str) -> None:
    """What is not given of the budget stays as it is; without a higher one it is left as it is."""

    async def use_up() -> None:
        async with Holdfast.open(f"sqlite:///{store}", background=False) as hold:
            s = await hold.sessions.create(id="used", budget=Budget(iterations=1, tokens=10))
            await s.iterate()
            with suppress(BudgetExceeded):
                await s.iterate()

    asyncio.run(use_up())
    assert invoke("-s", store, "session", "resume", "used").code == 4
    assert invoke("-s", store, "session", "resume", "used", "--tokens", "-1").code == 2
    assert invoke("-s", store, "session", "resume", "used", "--cost", "much").code == 2
    raised = invoke(
        "-s", store, "session", "resume", "used", "--iterations", "3", "--cost", "2.50", "--tool-calls", "7"
    )
    assert raised.rows[0]["status"] == "active"
    shown = invoke("-s", store, "session", "show", "used", "-o", "json").rows[0]["budget"]
    assert {row["budget"]: row["limit"] for row in shown} == {
        "iterations": 3, "tokens": 10, "cost": "2.5", "tool_calls": 7,
    }  # fmt: skip


def test_a_sweep_counts_first_and_then_ends_what_ended_long_enough_ago(store: str) -> None:
    invoke("-s", store, "session", "cancel", "trip")
    assert invoke("-s", store, "sweep", "--dry-run").rows[0]["retired"] == 0
    assert invoke("-s", store, "sweep", "--dry-run", "--older-than", "1ms").rows[0]["retired"] == 1
    assert ids(store) == ["bare", "trip"]
    swept = invoke("-s", store, "sweep", "--older-than", "1ms").rows[0]
    assert (swept["retired"], swept["expired"], swept["more"]) == (1, 0, False)
    assert ids(store) == ["bare"]
    assert invoke("-s", store, "sweep", "--older-than", "soon").code == 2
