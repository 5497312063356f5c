"""`holdfast checkpoint create`."""

from __future__ import annotations

from typing import Annotated

import typer

from holdfast import Scope
from holdfast.cli.checkpoint.shown import COLUMNS, fields_of
from holdfast.cli.output import OutputOption, write_rows
from holdfast.cli.state.place import ScopeArgument
from holdfast.cli.store import opened, run
from holdfast.model.checkpoint import Checkpoint


def create_checkpoint(
    ctx: typer.Context,
    scope: ScopeArgument,
    label: Annotated[str | None, typer.Option("--label", "-l", metavar="TEXT", help="What to call it.")] = None,
    output: OutputOption = None,
) -> None:
    """Keep what a session, or any other scope, is now: to be compared, restored and forked.

    \b
    holdfast -s app.db checkpoint create session/0197a2c4-… --label 'before paying'
    """

    async def work() -> Checkpoint:
        async with opened(ctx) as hold:
            return await hold.checkpoint(Scope.parse(scope), label=label)

    write_rows([fields_of(run(work()))], output, columns=COLUMNS)
