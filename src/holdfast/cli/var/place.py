"""Which variables a command is about: the arguments that all of them share."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from holdfast import Conflict, NotFound, Scope, Variables
from holdfast.hold import Holdfast
from holdfast.model.variable import LEVELS, Variable

ScopeArgument = Annotated[str, typer.Argument(metavar="SCOPE", help="session/ID, user/ada, global/default, run/ID")]
LevelOption = Annotated[str | None, typer.Option("--level", "-l", help=f"The level: {', '.join(LEVELS)}.")]
RunOption = Annotated[str | None, typer.Option("--run", help="Of this run.")]
NodeOption = Annotated[str | None, typer.Option("--node", help="Of this node of the run.")]
WorkflowOption = Annotated[str | None, typer.Option("--workflow", help="Of this workflow.")]
RevealOption = Annotated[bool, typer.Option("--reveal", help="Show secrets, and what comes from the environment.")]

KINDS = ("session", "user", "global", "run")
"""Of scopes that have variables."""


class NoVariable(NotFound):
    """The scope sees no such variable."""

    remedy = "`holdfast var list SCOPE` shows every variable that is seen from there."


class NotAlone(NotFound):
    """A run that is kept in its session has no scope of its own."""

    remedy = "Name the session, and the run with --run."


async def variables_at(
    hold: Holdfast, scope: str, *, run: str | None = None, node: str | None = None, workflow: str | None = None
) -> Variables:
    """The variables that the arguments name. Raises InvalidId, and NotAlone for a run that a session keeps; a usage
    error where there can be none."""
    place = Scope.parse(scope)
    if place.kind not in KINDS:
        raise typer.BadParameter(f"{place.kind}s have no variables; a scope is {', '.join(KINDS)}", param_hint="SCOPE")
    within = "--run" if run is not None else "--node" if node is not None else "--workflow"
    if (run, node, workflow) != (None, None, None) and place.kind in ("user", "global"):
        raise typer.BadParameter(
            f"those of a run are kept in its session, or in run/ID: not in {scope}", param_hint=within
        )
    if place.kind == "run":
        if run not in (None, place.id):
            raise typer.BadParameter(f"{scope} is another run", param_hint="--run")
        await _check_alone(hold, place.id)
    return hold.variables(place)


async def _check_alone(hold: Holdfast, id: str) -> None:
    try:
        found = await hold.runs.get(id)
    except Conflict:  # several have that id, and one of them may be alone
        return
    if found is not None and found.session is not None:
        raise NotAlone(
            f"the run {id!r} is kept in session/{found.session}, and so are its variables",
            remedy=f"Say so: session/{found.session} … --run {id}.",
            run=id,
        )


def level_of(level: str | None, run: str | None, node: str | None, workflow: str | None) -> Any:
    """The level at which something is to be set or removed: what --run, --node and --workflow are of, unless it is
    named. A usage error for what would say nothing there."""
    given = {"run": run, "node": node, "workflow": workflow}
    named = [name for name, value in given.items() if value is not None]
    of = {"node": ("run", "node"), "run": ("run",), "workflow": ("workflow",)}
    if level is None:
        if named == ["run", "workflow"] or len(named) == 3:
            raise typer.BadParameter("of the run, or of the workflow? Say which with --level", param_hint="--level")
        return "node" if "node" in named else named[0] if named else None
    for name in named:
        if name not in of.get(level, ()):
            raise typer.BadParameter(f"it says nothing of the level {level}", param_hint=f"--{name}")
    return level


def fields_of(found: Variable) -> dict[str, Any]:
    """A variable as a row."""
    row: dict[str, Any] = {"name": found.name, "level": found.level, "value": found.value}
    for name in ("type", "env", "run", "node", "workflow"):
        if (value := getattr(found, name)) is not None:
            row[name] = value
    return row | ({"secret": True} if found.secret else {}) | {"version": found.version}
