"""`holdfast session tail`."""

from __future__ import annotations

from typing import Annotated

import typer

from holdfast import NotFound
from holdfast.cli.following import AfterOption, KindOption, LimitOption, follow, format_of, kinds_of
from holdfast.cli.output import OutputOption
from holdfast.cli.session.record import the_session
from holdfast.cli.store import opened, run


def tail_session(
    ctx: typer.Context,
    id: Annotated[str, typer.Argument(metavar="ID", help="The session's id.")],
    after: AfterOption = "now",
    kind: KindOption = None,
    limit: LimitOption = None,
    output: OutputOption = None,
) -> None:
    """Follow the changes of a session as they are committed, by any process.

    Ends when the session is deleted, or with Ctrl-C; the cursor of the last change is where to go on.

    \b
    holdfast -s app.db session tail 0197a2c4-… --kind message
    holdfast -s app.db session tail 0197a2c4-… --after 42
    holdfast -s app.db session tail 0197a2c4-… --after 42.1.0.9f3c21aa07d4e6b8.1733
    """
    format, kinds = format_of(output), kinds_of(kind)

    async def work() -> None:
        async with opened(ctx) as hold:
            try:
                session = await the_session(hold, id)
            except NotFound as problem:
                if id.startswith("run/"):
                    problem.remedy = f"A run is followed with `holdfast run tail {id.removeprefix('run/')}`."
                raise
            changes = session.changes(after=after, kinds=kinds)
            await follow(changes, format, what=f"session/{id}", after=after, limit=limit)

    run(work())
