"""The reference leaves nothing out: every public method and field is on the page of its noun."""

import inspect
import re
from pathlib import Path

import msgspec
import pytest

import holdfast
from holdfast.handles.checkpoints import ScopeCheckpoints, SessionCheckpoints
from holdfast.handles.face import Principal
from holdfast.handles.interactions import Interactions, RunInteractions
from holdfast.handles.iteration import Iteration
from holdfast.handles.messages import Messages
from holdfast.handles.own_area import Area
from holdfast.handles.runs import Runs, SessionRuns
from holdfast.handles.runtime import Runtime
from holdfast.handles.sessions import Sessions
from holdfast.handles.templates import Templates
from holdfast.handles.transaction import SessionsInTransaction
from holdfast.kernel.contract import Kernel
from holdfast.model.checkpoint import Checkpoint
from holdfast.model.erasure import ErasureReport
from holdfast.model.keyring import Rekeyed
from holdfast.model.patch import PatchOperation
from holdfast.model.session_stats import Durations
from holdfast.model.stats import CacheStats, CallStats, KindStats, WriterStats
from tests.docs.runner import ROOT

TOLD: dict[str, tuple[type, ...]] = {
    "area": (Area,),
    "budget": (holdfast.Budget, holdfast.Usage, holdfast.Progress, Iteration),
    "change": (holdfast.Change, holdfast.Changes),
    "config": (holdfast.Config,),
    "checkpoint": (Checkpoint, PatchOperation, SessionCheckpoints, ScopeCheckpoints),
    "claim": (holdfast.Claim,),
    "context": (holdfast.Context,),
    "event": (holdfast.Event,),
    "health": (holdfast.Health,),
    "holdfast": (holdfast.Holdfast, Principal, ErasureReport),
    "interaction": (holdfast.Interaction, holdfast.Answer, Interactions, RunInteractions),
    "kernel": (Kernel,),
    "keyring": (holdfast.KeyRing, Rekeyed),
    "message": (holdfast.Message, Messages),
    "run": (
        SessionRuns,
        Runs,
        holdfast.Run,
        holdfast.RunClaim,
        holdfast.AtomicStep,
        holdfast.RunNode,
        holdfast.Node,
        holdfast.NodeSpec,
        holdfast.Retry,
    ),
    "runtime": (Runtime,),
    "scope": (holdfast.Scope,),
    "session": (Sessions, holdfast.Session, holdfast.Page),
    "session_stats": (holdfast.SessionStats, Durations),
    "state": (
        holdfast.State,
        holdfast.Snapshot,
        holdfast.History,
        holdfast.PastValue,
        holdfast.Diff,
        holdfast.Difference,
        holdfast.Why,
    ),
    "stats": (holdfast.Stats, CallStats, CacheStats, WriterStats, KindStats),
    "template": (holdfast.Template, Templates),
    "transactions": (holdfast.Transaction, holdfast.SessionTransaction, SessionsInTransaction),
    "turn": (holdfast.Turn,),
    "variable": (holdfast.Variable, holdfast.Variables),
}
NOT_TOLD = {"place", "covers", "over", "named"}  # for the library's own use
INHERITED_FROM_TUPLE = {"count", "index"}


def public_names(kind: type) -> set[str]:
    """Methods, properties and fields of a class, its own and inherited ones."""
    fields = {field.name for field in msgspec.structs.fields(kind)} if issubclass(kind, msgspec.Struct) else set()
    names = {name for name, _ in inspect.getmembers(kind) if not name.startswith("_")}
    return fields | names - NOT_TOLD - INHERITED_FROM_TUPLE


def untold(page: Path, kinds: tuple[type, ...]) -> list[str]:
    """Public names of the classes that stand in no code of the page."""
    code = " ".join(page.read_text(encoding="utf-8").split("`")[1::2])
    words = set("".join(char if char.isalnum() or char == "_" else " " for char in code).split())
    return sorted(f"{kind.__name__}.{name}" for kind in kinds for name in public_names(kind) - words)


@pytest.mark.parametrize("noun", TOLD)
def test_every_public_name_of_a_noun_is_on_its_page(noun: str) -> None:
    assert untold(ROOT / "docs" / "reference" / f"{noun}.md", TOLD[noun]) == []


def test_whatever_can_be_imported_from_the_package_is_on_some_page() -> None:
    pages = (ROOT / "docs" / "reference").glob("*.md")
    words = set(re.findall(r"\w+", " ".join(page.read_text(encoding="utf-8") for page in pages)))
    assert sorted(set(holdfast.__all__) - words) == []


def test_every_field_of_the_configuration_has_its_row_with_its_default() -> None:
    rows = [line.split("|") for line in (ROOT / "docs/reference/config.md").read_text(encoding="utf-8").splitlines()]
    told = {row[1].strip(" `"): row[2].strip(' `"').replace(",", "") for row in rows if len(row) == 6}
    config = holdfast.Config()
    fields = {
        f"{part.name}.{field.name}": str(getattr(getattr(config, part.name), field.name))
        for part in msgspec.structs.fields(config)
        for field in msgspec.structs.fields(part.type)
    }
    assert {name: default for name, default in told.items() if "." in name} == fields


def test_a_missing_name_is_reported(tmp_path: Path) -> None:
    page = tmp_path / "scope.md"
    page.write_text("`Scope.session(id)`, `user`, agent, `global_` `run` `parse` `.kind`")
    assert untold(page, (holdfast.Scope,)) == ["Scope.agent"]
