"""`holdfast var rm`."""

from __future__ import annotations

from typing import Annotated

import typer

from holdfast.cli.output import OutputOption, write_rows
from holdfast.cli.store import opened, run
from holdfast.cli.var.place import (
    LevelOption,
    NodeOption,
    NoVariable,
    RunOption,
    ScopeArgument,
    WorkflowOption,
    level_of,
    variables_at,
)


def remove_variables(
    ctx: typer.Context,
    scope: ScopeArgument,
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Their names.")],
    level: LevelOption = None,
    of_run: RunOption = None,
    node: NodeOption = None,
    workflow: WorkflowOption = None,
    output: OutputOption = None,
) -> None:
    """Remove variables of one level: of the scope, or with --run, --node or --workflow of those.

    \b
    holdfast -s app.db var rm user/ada city
    """

    at = level_of(level, of_run, node, workflow)

    async def work() -> int:
        async with opened(ctx) as hold:
            return await (await variables_at(hold, scope, run=of_run, node=node, workflow=workflow)).clear(
                *dict.fromkeys(names),
                level=at,
                run=of_run,
                node=node,
                workflow=workflow,
            )

    removed = run(work())
    write_rows([{"scope": scope, "removed": removed}], output)
    if removed < len(set(names)):
        raise NoVariable(f"{len(set(names)) - removed} of them were not there", scope=scope, names=names)
