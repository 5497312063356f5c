"""`holdfast session rm`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from holdfast import NotFound
from holdfast.cli.output import OutputOption, write_rows
from holdfast.cli.store import opened, run


def remove_sessions(
    ctx: typer.Context,
    ids: Annotated[list[str], typer.Argument(metavar="ID", help="The sessions' ids.")],
    output: OutputOption = None,
) -> None:
    """Delete sessions, each with everything in it, at once. There is no way back.

    Those that exist are deleted even if another does not (exit code 3).

    \b
    holdfast -s app.db session rm 0197a2c4-…
    """

    async def work() -> list[dict[str, Any]]:
        async with opened(ctx) as hold:
            return [{"id": id, "deleted": await hold.sessions.delete(id)} for id in dict.fromkeys(ids)]

    rows = run(work())
    write_rows(rows, output)
    missing = [str(row["id"]) for row in rows if not row["deleted"]]
    if missing:
        raise NotFound(f"no such session: {', '.join(missing)}", ids=missing)
