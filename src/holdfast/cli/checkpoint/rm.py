"""`holdfast checkpoint rm`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from holdfast import NotFound
from holdfast.cli.output import OutputOption, write_rows
from holdfast.cli.store import opened, run


class NoCheckpoint(NotFound):
    """There is no such checkpoint."""

    remedy = "`holdfast checkpoint list SCOPE` lists those there are."


def remove_checkpoints(
    ctx: typer.Context,
    ids: Annotated[list[str], typer.Argument(metavar="ID", help="The checkpoints' ids.")],
    output: OutputOption = None,
) -> None:
    """Drop checkpoints. Others stay whole.

    Those that exist are dropped even if another does not (exit code 3).

    \b
    holdfast -s app.db checkpoint rm 0197a2c4-…
    """

    async def work() -> list[dict[str, Any]]:
        rows = []
        async with opened(ctx) as hold:
            for id in dict.fromkeys(ids):
                try:
                    await hold.drop_checkpoint(id)
                    rows.append({"id": id, "dropped": True})
                except NotFound:
                    rows.append({"id": id, "dropped": False})
        return rows

    rows = run(work())
    write_rows(rows, output)
    missing = [row["id"] for row in rows if not row["dropped"]]
    if missing:
        raise NoCheckpoint(f"no such checkpoint: {', '.join(missing)}", ids=missing)
