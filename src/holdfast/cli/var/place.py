"""Which variables a command is about: the arguments that all of them share."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from holdfast import NotFound, Scope, Variables
from holdfast.hold import Holdfast
from holdfast.model.variable import LEVELS, Variable

ScopeArgument = Annotated[str, typer.Argument(metavar="SCOPE", help="session/ID, user/ada, global/default, run/ID")]
LevelOption = Annotated[str | None, typer.Option("--level", "-l", help=f"The level: {', '.join(LEVELS)}.")]
RunOption = Annotated[str | None, typer.Option("--run", help="Of this run.")]
NodeOption = Annotated[str | None, typer.Option("--node", help="Of this node of the run.")]
WorkflowOption = Annotated[str | None, typer.Option("--workflow", help="Of this workflow.")]
RevealOption = Annotated[bool, typer.Option("--reveal", help="Show secrets, and what comes from the environment.")]


class NoVariable(NotFound):
    """The scope sees no such variable."""

    remedy = "`holdfast var list SCOPE` shows every variable that is seen from there."


def variables_at(hold: Holdfast, scope: str) -> Variables:
    """The variables that the arguments name. Raises InvalidId."""
    return hold.variables(Scope.parse(scope))


def fields_of(found: Variable) -> dict[str, Any]:
    """A variable as a row."""
    row: dict[str, Any] = {"name": found.name, "level": found.level, "value": found.value}
    for name in ("type", "env", "run", "node", "workflow"):
        if (value := getattr(found, name)) is not None:
            row[name] = value
    return row | ({"secret": True} if found.secret else {}) | {"version": found.version}
