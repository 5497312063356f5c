"""`holdfast inbox list|show|answer`."""

import asyncio

from holdfast import Holdfast
from tests.cli.program import invoke


def ask(store: str) -> tuple[str, str]:
    """Two questions of a new run: an approval for bo, and a choice for anybody."""

    async def work() -> tuple[str, str]:
        async with Holdfast.open(f"sqlite:///{store.removeprefix('sqlite:///')}", background=False) as hold:
            run = await hold.runs.start("trip", id="r1")
            first = await run.ask("Pay 900 €?", assignees=["bo"], payload={"price": 900})
            return first.id, (await run.ask("Which?", kind="choice", options=["train", -1])).id

    return asyncio.run(work())


def test_what_waits_is_listed_shown_and_answered_once(store: str) -> None:
    """Exit code 7 says that a person is waited for."""
    approval, choice = ask(store)
    listed = invoke("-s", store, "inbox", "list")
    assert [row["id"] for row in listed.rows] == [approval, choice]
    assert [row["prompt"] for row in invoke("-s", store, "inbox", "list", "--assignee", "bo").rows] == ["Pay 900 €?"]
    shown = invoke("-s", store, "inbox", "show", approval)
    assert (shown.code, shown.rows[0]["status"], shown.rows[0]["payload"]) == (7, "pending", {"price": 900})
    assert invoke("-s", store, "inbox", "show", approval, "--wait", "1ms").code == 7
    assert invoke("-s", store, "inbox", "answer", approval, "approved", "--by", "ed").code == 5
    answered = invoke("-s", store, "inbox", "answer", approval, "approved", "--by", "bo", "--note", "cheap")
    assert (answered.code, answered.rows[0]["decision"], answered.rows[0]["by"]) == (0, "approved", "bo")
    assert invoke("-s", store, "inbox", "answer", approval, "approved", "--by", "bo").code == 0
    assert invoke("-s", store, "inbox", "answer", approval, "rejected", "--by", "bo").code == 4
    assert invoke("-s", store, "inbox", "show", approval, "--wait", "1s").code == 0
    assert invoke("-s", store, "inbox", "answer", choice, "answered", "-2").code == 2
    assert invoke("-s", store, "inbox", "answer", choice, "answered", "-1").rows[0]["value"] == -1
    assert invoke("-s", store, "inbox", "list").rows == []


def test_what_is_not_there_ends_with_its_code(store: str) -> None:
    """3: not found."""
    ask(store)
    for args in (("show", "none"), ("answer", "none", "approved"), ("cancel", "none"), ("reassign", "none", "bo")):
        ended = invoke("-s", store, "inbox", *args)
        assert ended.code == 3
        assert "inbox list" in ended.err


def test_one_is_given_to_others_or_withdrawn(store: str) -> None:
    """One that has an answer, or is withdrawn, is exit code 4."""
    approval, choice = ask(store)
    assert invoke("-s", store, "inbox", "reassign", approval, "ed", "ada").rows[0]["assignees"] == ["ed", "ada"]
    assert invoke("-s", store, "inbox", "answer", approval, "approved", "--by", "bo").code == 5
    assert invoke("-s", store, "inbox", "answer", approval, "approved", "--by", "ada").code == 0
    assert invoke("-s", store, "inbox", "cancel", approval).code == 4
    for _ in range(2):
        assert invoke("-s", store, "inbox", "cancel", choice).rows[0]["status"] == "cancelled"
    assert invoke("-s", store, "inbox", "reassign", choice, "bo").code == 4


def test_a_table_tells_what_it_is_about_what_silence_means_and_what_is_overdue(store: str) -> None:
    """One that is due is told so, though nobody has closed it yet; one alone is a line for each field."""

    async def work() -> None:
        async with Holdfast.open(f"sqlite:///{store}", background=False) as hold:
            run = await hold.runs.start("trip", id="r1")
            await run.ask(
                "Pay?", payload={"price": "9" * 100}, timeout=0.001, on_timeout="escalate", escalate_to=["cy"]
            )
            await run.ask("Go?")

    asyncio.run(work())
    late, open_ = invoke("-s", store, "inbox", "list").rows
    assert (late["overdue"], late["on_timeout"], late["escalate_to"]) == (True, "escalate", ["cy"])
    assert not {"overdue", "due_at", "on_timeout", "escalate_to"} & open_.keys()
    table = invoke("-s", store, "inbox", "list", "-o", "table").out
    assert all(word in table for word in ("price", "…", "overdue", "escalate"))
    one = invoke("-s", store, "inbox", "show", open_["id"], "-o", "table").out
    assert ["prompt", "Go?"] in [line.split() for line in one.splitlines()]
