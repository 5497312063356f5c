"""`holdfast var get`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from holdfast.cli.output import OutputOption, write_document, write_text
from holdfast.cli.store import opened, run
from holdfast.cli.var.place import (
    LevelOption,
    NodeOption,
    NoVariable,
    RevealOption,
    RunOption,
    ScopeArgument,
    WorkflowOption,
    variables_at,
)
from holdfast.errors import HoldfastError
from holdfast.model.variable import MASK, Variable


class Masked(HoldfastError, PermissionError):
    """A secret was asked for without --reveal."""

    code = "masked"
    remedy = "Add --reveal to show it."


def get_variable(
    ctx: typer.Context,
    scope: ScopeArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name.")],
    level: LevelOption = None,
    of_run: RunOption = None,
    node: NodeOption = None,
    workflow: WorkflowOption = None,
    reveal: RevealOption = False,
    raw: Annotated[bool, typer.Option("--raw", "-r", help="Print a text without its quotes.")] = False,
    output: OutputOption = None,
) -> None:
    """Show the value of a variable at the nearest level that has it, or at one.

    A secret, or one from the environment, is shown with --reveal only (exit code 5).

    \b
    holdfast -s app.db var get user/ada city
    holdfast -s app.db var get session/0197a2c4-… token --reveal --raw
    """

    async def work() -> Any:
        async with opened(ctx) as hold:
            found = await (await variables_at(hold, scope, run=of_run, node=node, workflow=workflow)).list(
                level=level,  # type: ignore[arg-type]
                reveal=reveal,
                run=of_run,
                node=node,
                workflow=workflow,
            )
            one = next((one for one in found if one.name == name), None)
            if one is None:
                raise NoVariable(f"there is no variable {name!r} to be seen from {scope}", scope=scope, name=name)
            return _told(one, reveal=reveal)

    value = run(work())
    if raw and isinstance(value, str):
        write_text(value)
    else:
        write_document(value, output)


def _told(found: Variable, *, reveal: bool) -> Any:
    """The value. Raises Masked for one that is not to be shown, NotFound for one that is not set here."""
    if found.env is not None and found.value is None:
        raise NoVariable(
            f"{found.name!r} comes from {found.env} of the environment, which is not set here, or not allowed",
            remedy="Set it; it must be named under variables.environment of the configuration (--config).",
            name=found.name,
        )
    if not reveal and found.value == MASK and (found.secret or found.env is not None):
        raise Masked(
            f"the variable {found.name!r} " + ("is a secret" if found.secret else f"comes from {found.env}"),
            name=found.name,
        )
    return found.value
