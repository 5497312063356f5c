"""What is no argument at all is refused by an error that says where, and not by one of Python's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from holdfast import Config, Holdfast, HoldfastError, Session
from holdfast.errors import TypeMismatch
from holdfast.handles.run import Run
from holdfast.model.config import VariablesConfig
from tests.unit.stores import Stores

LONE = "\ud800"
LIST: Any = ["x"]

TRIES: list[Callable[[Session, Run, str], Any]] = [
    lambda s, run, id: s.restore(id, include=[LIST]),
    lambda s, run, id: s.restore(id, include=5),  # type: ignore[arg-type]
    lambda s, run, id: s.diff(LIST),
    lambda s, run, id: s.variables.set("v", 1, type=LIST),
    lambda s, run, id: s.variables.resolve("{{ v }}", syntax=LIST),
    lambda s, run, id: s.variables.resolve("{{ v }}", missing=LIST),
    lambda s, run, id: run.ask(LONE),
    lambda s, run, id: run.ask("Pay?", payload=LONE),
    lambda s, run, id: run.ask("Pay?", key=LONE),
    lambda s, run, id: run.ask("Pay?", node=LIST),
    lambda s, run, id: run.ask("Pay?", kind=LIST),
    lambda s, run, id: run.ask("Pay?", timeout=LIST),
    lambda s, run, id: run.ask("Pay?", on_timeout=LIST),
    lambda s, run, id: run.ask("Pay?", assignees=[LIST]),
    lambda s, run, id: run.progress(LIST, "running"),
    lambda s, run, id: run.progress("a", LIST),
    lambda s, run, id: run.pause("x", node=LIST),
]


@pytest.mark.parametrize("attempt", TRIES)
async def test_it_is_refused_and_changes_nothing(hold: Holdfast, attempt: Callable[..., Any]) -> None:
    s = await hold.sessions.create()
    run = await s.runs.start("w", nodes=["a"])
    kept = await s.checkpoint()
    version = (await s.refresh()).version
    with pytest.raises(HoldfastError):
        await attempt(s, run, kept.id)
    assert (await s.refresh()).version == version


@pytest.mark.parametrize(
    ("text", "type"), [("a\udcffb", None), ("a\udcffb", "string"), ("[" * 100_000, "array"), ('["\\ud800"]', "array")]
)
async def test_what_no_value_can_be_is_none_in_the_environment_either(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, text: str, type: Any
) -> None:
    """Whoever reads it is told so, and nothing of the text."""
    monkeypatch.setenv("ODD", text)
    hold = await stores.open(config=Config(variables=VariablesConfig(environment=("ODD",))))
    s = await hold.sessions.create()
    await s.variables.set("v", env="ODD", type=type)
    for read in (s.variables.get("v"), s.variables.resolve("{{ v | json }}")):
        with pytest.raises(TypeMismatch, match="ODD in the environment is none"):
            await read
