"""`holdfast var set`."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from msgspec import UNSET

from holdfast.cli.output import OutputOption, write_rows
from holdfast.cli.state.set import parse
from holdfast.cli.store import opened, run
from holdfast.cli.var.place import (
    LevelOption,
    NodeOption,
    RunOption,
    ScopeArgument,
    WorkflowOption,
    level_of,
    variables_at,
)


def set_variable(
    ctx: typer.Context,
    scope: ScopeArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name.")],
    value: Annotated[
        str | None, typer.Argument(metavar="VALUE", help='The value in JSON; "-" reads it from stdin.')
    ] = None,
    text: Annotated[bool, typer.Option("--text", "-t", help="VALUE is text as it stands, not JSON.")] = False,
    type: Annotated[str | None, typer.Option(help="What it must be: string, number, object and so on.")] = None,
    env: Annotated[str | None, typer.Option(help="Let it come from this variable of the environment.")] = None,
    secret: Annotated[bool, typer.Option("--secret", help="Show it nowhere; needs an encrypted store.")] = False,
    level: LevelOption = None,
    of_run: RunOption = None,
    node: NodeOption = None,
    workflow: WorkflowOption = None,
    output: OutputOption = None,
) -> None:
    """Set a variable; prints its version. Makes the store if its file is missing.

    It is one of the scope, or with --run, --node or --workflow one of those.

    \b
    holdfast -s app.db var set user/ada city --text Kyoto
    holdfast -s app.db var set global/default limits '{"euros": 900}' --type object
    holdfast -s app.db var set session/0197a2c4-… token --secret --text - < token.txt
    """
    given: Any = UNSET
    if value is not None:
        read = sys.stdin.buffer.read().decode().rstrip("\n") if value == "-" else value
        given = read if text else parse(read)

    at = level_of(level, of_run, node, workflow)

    async def work() -> int:
        async with opened(ctx, make=True) as hold:
            return await (await variables_at(hold, scope, run=of_run, node=node, workflow=workflow)).set(
                name,
                given,
                level=at,
                type=type,  # type: ignore[arg-type]
                env=env,
                secret=secret,
                run=of_run,
                node=node,
                workflow=workflow,
            )

    write_rows([{"scope": scope, "name": name, "version": run(work())}], output)
