"""`holdfast session fork`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from holdfast.cli.output import OutputOption, write_rows
from holdfast.cli.session.move import IdArgument
from holdfast.cli.session.record import fields_of, the_session
from holdfast.cli.store import opened, run


def fork_session(
    ctx: typer.Context,
    id: IdArgument,
    at: Annotated[
        str | None, typer.Option("--at", metavar="CHECKPOINT", help="As it was then; now if left out.")
    ] = None,
    new: Annotated[
        str | None, typer.Option("--id", metavar="NEW", help="The id of the fork; else it gets one.")
    ] = None,
    output: OutputOption = None,
) -> None:
    """Make a new session with the past of another one, which is left as it is.

    \b
    holdfast -s app.db session fork 0197a2c4-…
    holdfast -s app.db session fork 0197a2c4-… --at 0197a2d0-…
    """

    async def work() -> dict[str, Any]:
        async with opened(ctx) as hold:
            return fields_of(await (await the_session(hold, id)).fork(at=at, id=new))

    write_rows([run(work())], output, columns=("id", "status", "user", "metadata"))
