"""`holdfast session pause`, `resume` and `cancel`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from holdfast import Session
from holdfast.cli.output import OutputOption, write_rows
from holdfast.cli.session.record import the_session
from holdfast.cli.store import opened, run

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The session's id.")]
ReasonOption = Annotated[str | None, typer.Option("--reason", "-r", metavar="TEXT", help="Why; it is kept.")]


def pause_session(ctx: typer.Context, id: IdArgument, reason: ReasonOption = None, output: OutputOption = None) -> None:
    """Pause a session that is active. One that is not is left as it is (exit code 4).

    \b
    holdfast -s app.db session pause 0197a2c4-… --reason "waiting for Bo"
    """
    _move(ctx, id, lambda session: session.pause(reason), output)


def resume_session(ctx: typer.Context, id: IdArgument, output: OutputOption = None) -> None:
    """Let a session go on that is paused. One that is not is left as it is (exit code 4).

    \b
    holdfast -s app.db session resume 0197a2c4-…
    """
    _move(ctx, id, lambda session: session.resume(), output)


def cancel_session(
    ctx: typer.Context, id: IdArgument, reason: ReasonOption = None, output: OutputOption = None
) -> None:
    """End a session as given up. One that has ended is left as it is (exit code 4).

    \b
    holdfast -s app.db session cancel 0197a2c4-… --reason "by user"
    """
    _move(ctx, id, lambda session: session.cancel(reason), output)


def _move(ctx: typer.Context, id: str, make: Callable[[Session], Awaitable[Session]], output: Any) -> None:
    async def work() -> list[dict[str, Any]]:
        async with opened(ctx) as hold:
            moved = await make(await the_session(hold, id))
            return [{"id": moved.id, "status": moved.status.value, "version": moved.version}]

    write_rows(run(work()), output)
