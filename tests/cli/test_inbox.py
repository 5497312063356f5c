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
    for args in (("show", "none"), ("answer", "none", "approved")):
        ended = invoke("-s", store, "inbox", *args)
        assert ended.code == 3
        assert "inbox list" in ended.err
