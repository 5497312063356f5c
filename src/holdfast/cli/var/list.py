"""`holdfast var list`."""

from __future__ import annotations

from typing import Any

import typer

from holdfast.cli.output import OutputOption, write_rows
from holdfast.cli.store import opened, run
from holdfast.cli.var.place import (
    LevelOption,
    NodeOption,
    RevealOption,
    RunOption,
    ScopeArgument,
    WorkflowOption,
    fields_of,
    variables_at,
)


def list_variables(
    ctx: typer.Context,
    scope: ScopeArgument,
    level: LevelOption = None,
    of_run: RunOption = None,
    node: NodeOption = None,
    workflow: WorkflowOption = None,
    reveal: RevealOption = False,
    output: OutputOption = None,
) -> None:
    """List the variables that are seen from a scope, the nearest level first. Secrets are masked.

    \b
    holdfast -s app.db var list user/ada
    holdfast -s app.db var list session/0197a2c4-… --run r1
    """

    async def work() -> list[dict[str, Any]]:
        async with opened(ctx) as hold:
            found = await (await variables_at(hold, scope, run=of_run, node=node, workflow=workflow)).list(
                level=level,  # type: ignore[arg-type]
                reveal=reveal,
                run=of_run,
                node=node,
                workflow=workflow,
            )
            return [fields_of(one) for one in found]

    write_rows(run(work()), output, none="no variables")
