"""With a key ring nothing that a workflow keeps is found: in files, tables and logs, what handles show, and errors."""

from __future__ import annotations

import asyncio
import logging
from base64 import b64encode
from pathlib import Path

import pytest

from holdfast import Holdfast, KeyRing, Session
from holdfast.errors import (
    AlreadyAnswered,
    Conflict,
    HoldfastError,
    InteractionCancelled,
    InvalidTransition,
    InvalidValue,
    NotAssignee,
)
from tests.cli.program import invoke
from tests.servers import afresh, postgres, schema, settings
from tests.unit.handles import canary
from tests.unit.handles.canary import CANARY, fill

RING = KeyRing({"2026-11": b"k" * 32}, active="2026-11")

SECRET = "hush-51c2"

READABLE = ("plain-run-", "node/plain-run-", "plain-a", "plain-b", "plain-v", "plain-node-variable", "plain-workflow")
"""Names that stand in keys: of runs, nodes and variables, and of a workflow that has some."""


async def everything(hold: Holdfast) -> Session:
    """All there is: with secrets at each level, and a fork that goes on."""
    s = await fill(hold, "ada", id="s", text=CANARY, names="plain", secret=SECRET)
    await s.restore((await s.checkpoint(label=CANARY)).id)
    fork = await s.fork(id="f")
    await fork.emit("plain-token", CANARY)
    for run in (await fork.runs.list()).items:
        if run.status.is_open:
            await run.resume()
            await run.ask(f"{CANARY} in a fork", key=CANARY)
    await hold.runs.start("plain-alone", id="plain-alone", input=CANARY, user="ada")
    return s


def words(folder: Path) -> list[str]:
    return [*canary.in_files(folder), *canary.in_files(folder, SECRET)]


async def test_no_file_of_sqlite_has_a_word_of_what_runs_and_people_said(tmp_path: Path) -> None:
    """Values, index entries, log, signals and journal; what the page of encryption calls readable is there."""
    async with Holdfast.open(f"sqlite:///{tmp_path}/app.db", keys=RING) as hold:
        await everything(hold)
        assert words(tmp_path) == []
    assert words(tmp_path) == []
    kept = (tmp_path / "app.db").read_bytes()
    assert [name for name in READABLE if name.encode() not in kept] == []


async def test_no_table_of_postgresql_has_a_word_of_it() -> None:
    await asyncio.to_thread(afresh)
    async with Holdfast.open(postgres().url(schema=schema()), space="canary", keys=RING) as hold:
        await everything(hold)
        for text in (CANARY, SECRET):
            assert await canary.in_tables(settings(), text) == []
        assert await canary.in_tables(settings(), "plain-run-s") != []


async def test_nothing_of_it_is_logged_nor_shown_by_a_handle(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with Holdfast.open("memory://", keys=RING) as hold:
        s = await everything(hold)
        runs = [*(await s.runs.list()).items, *(await hold.runs.list()).items]
        asked = [one for run in runs for one in await run.interactions.history()]
        shown = [hold, hold.interactions, s, s.state, s.variables, s.messages, s.at(3), *runs, *asked]
        for text in (CANARY, SECRET):
            assert text not in "".join(map(repr, shown)) + "".join(map(str, shown)) + caplog.text
        assert SECRET not in repr(await s.variables.list(reveal=True))


async def test_no_error_tells_what_was_asked_or_answered() -> None:
    """Prompt, payload and answer; what was given in the very call, and the options there are, it may tell."""
    async with Holdfast.open("memory://", keys=RING) as hold:
        run = await (await hold.sessions.create(id="s")).runs.start("w", nodes=["pay"])
        one = await run.ask(f"{CANARY}?", node="pay", kind="edit", payload=CANARY, assignees=["bo"])
        form = await run.ask(CANARY, kind="form", schema={"type": "object", "title": CANARY})
        gone = await run.ask(CANARY, key="gone", payload=CANARY)
        await hold.interactions.cancel(gone.id)
        problems: list[HoldfastError] = []

        async def refused(kind: type[HoldfastError], id: str, decision: str, **given: object) -> None:
            with pytest.raises(kind) as caught:
                await hold.interactions.answer(id, decision, **given)  # type: ignore[arg-type]
            problems.append(caught.value)

        await refused(NotAssignee, one.id, "approved", by="cy")
        await refused(Conflict, one.id, "approved", by="bo", digest="of something else")
        await refused(InvalidValue, one.id, "answered", by="bo")
        await refused(InvalidValue, form.id, "answered", value=[])
        await refused(InteractionCancelled, gone.id, "approved")
        await hold.interactions.answer(one.id, "approved", value=f"{CANARY} less", by="bo", note=CANARY)
        await refused(AlreadyAnswered, one.id, "rejected", by="bo")
        await run.refresh()
        await run.fail(CANARY)
        with pytest.raises(InvalidTransition) as caught:
            await run.ask(CANARY)
        problems.append(caught.value)
        told = "".join([f"{problem!r} {problem} {problem.facts} {problem.remedy}" for problem in problems])
        assert CANARY not in told


def test_no_command_shows_a_secret_and_without_keys_none_shows_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`var get --reveal` shows one, and so proves that it was there to be shown."""
    store = str(tmp_path / "app.db")
    key = "2026-11=" + b64encode(b"k" * 32).decode()
    monkeypatch.setenv("HOLDFAST_KEYS", key)
    assert invoke("-s", store, "var", "set", "user/ada", "token", "--secret", "--text", SECRET).code == 0
    commands = [
        ("var", "list", "user/ada"), ("var", "get", "user/ada", "token"), ("inbox", "list"), ("run", "list"),
        ("session", "list"), ("stats",), ("doctor",), ("state", "get", "user/ada", "token"),
    ]  # fmt: skip
    for command in commands:
        ended = invoke("-s", store, *command)
        assert SECRET not in ended.out + ended.err, command
    assert SECRET in invoke("-s", store, "var", "get", "user/ada", "token", "--reveal").out
    monkeypatch.delenv("HOLDFAST_KEYS")
    for command in [*commands, ("var", "get", "user/ada", "token", "--reveal")]:
        ended = invoke("-s", store, *command)
        assert SECRET not in ended.out + ended.err, command
