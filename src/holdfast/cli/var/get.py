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

    \b
    holdfast -s app.db var get user/ada city
    holdfast -s app.db var get session/0197a2c4-… token --reveal --raw
    """

    async def work() -> Any:
        async with opened(ctx) as hold:
            found = await variables_at(hold, scope).list(
                level=level,  # type: ignore[arg-type]
                reveal=reveal,
                run=of_run,
                node=node,
                workflow=workflow,
            )
            for one in found:
                if one.name == name:
                    return one.value
            raise NoVariable(f"there is no variable {name!r} to be seen from {scope}", scope=scope, name=name)

    value = run(work())
    if raw and isinstance(value, str):
        write_text(value)
    else:
        write_document(value, output)
