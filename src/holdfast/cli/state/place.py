"""Which state a command is about: the arguments that all of them share."""

from __future__ import annotations

from typing import Annotated

import typer

from holdfast import NotFound, Scope, State
from holdfast.hold import Holdfast

ScopeArgument = Annotated[str, typer.Argument(metavar="SCOPE", help="session/ID, user/ada, agent/NAME, global/flags")]
NamespaceOption = Annotated[str, typer.Option("--namespace", "-N", help="A namespace within the scope.")]


class NoKey(NotFound):
    """The scope has no such key."""

    remedy = "`holdfast state get SCOPE` shows every key of today; a namespace is named with --namespace."


def named(scope: str, key: str, namespace: str) -> str:
    """A key as an error names it: by what was typed."""
    return f"{key!r} of {scope}" + (f" in the namespace {namespace!r}" if namespace else "")


def state_at(hold: Holdfast, scope: str, namespace: str) -> State:
    """The state that the arguments name. Raises InvalidId."""
    return hold.state(Scope.parse(scope), namespace)
