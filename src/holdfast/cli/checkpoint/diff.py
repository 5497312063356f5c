"""`holdfast checkpoint diff`."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from holdfast.cli.checkpoint.shown import IdArgument
from holdfast.cli.output import OutputOption, Row, write_rows
from holdfast.cli.store import opened, run

COLUMNS = ("op", "path", "value")


def diff_checkpoint(
    ctx: typer.Context,
    id: IdArgument,
    other: Annotated[
        str | None, typer.Argument(metavar="OTHER", help="Another one; what there is now if left out.")
    ] = None,
    output: OutputOption = None,
) -> None:
    """Show what makes a checkpoint become another one, or what there is now: a JSON Patch (RFC 6902) with -o json.

    \b
    holdfast -s app.db checkpoint diff 0197a2c4-…
    holdfast -s app.db checkpoint diff 0197a2c4-… 0197a2d0-… -o json
    """

    async def work() -> list[Row]:
        async with opened(ctx) as hold:
            return [msgspec.to_builtins(step) for step in await hold.diff(id, other)]

    write_rows(run(work()), output, columns=COLUMNS, none="no difference")
