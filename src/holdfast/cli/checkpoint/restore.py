"""`holdfast checkpoint restore`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from holdfast.cli.checkpoint.shown import IdArgument
from holdfast.cli.output import OutputOption, note, write_rows
from holdfast.cli.store import opened, run
from holdfast.cli.where import command_line
from holdfast.model.checkpoint import Included


def restore_checkpoint(
    ctx: typer.Context,
    id: IdArgument,
    user: Annotated[bool, typer.Option("--user", help="The state of the session's user too.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Take it from whoever holds it.")] = False,
    output: OutputOption = None,
) -> None:
    """Make a session, or any other scope, what a checkpoint shows. One that is held is left as it is (exit code 4).

    What it is now is kept first, by the checkpoint that is printed: restore that to undo it.

    \b
    holdfast -s app.db checkpoint restore 0197a2c4-…
    """
    include: set[Included] = {"session", "user"} if user else {"session"}

    async def work() -> dict[str, Any]:
        async with opened(ctx) as hold:
            before = await hold.restore(id, include=include, force=force)
            return {"restored": id, "scope": str(before.scope), "before": before.id}

    row = run(work())
    write_rows([row], output)
    note(f"to undo it: {command_line(ctx, 'checkpoint', 'restore', row['before'])}")
