"""`holdfast checkpoint list`."""

from __future__ import annotations

import typer

from holdfast import Scope
from holdfast.cli.checkpoint.shown import COLUMNS, WHOLE, fields_of
from holdfast.cli.output import OutputOption, Row, write_rows
from holdfast.cli.state.place import ScopeArgument
from holdfast.cli.store import opened, run


def list_checkpoints(ctx: typer.Context, scope: ScopeArgument, output: OutputOption = None) -> None:
    """List the checkpoints of a scope, newest first.

    \b
    holdfast -s app.db checkpoint list session/0197a2c4-…
    """

    async def work() -> list[Row]:
        async with opened(ctx) as hold:
            return [fields_of(found) for found in await hold.checkpoints(Scope.parse(scope))]

    write_rows(run(work()), output, columns=COLUMNS, whole=WHOLE, none="no checkpoints")
