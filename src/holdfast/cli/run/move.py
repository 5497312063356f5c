"""`holdfast run pause`, `resume` and `cancel`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from holdfast import Run
from holdfast.cli.output import OutputOption, write_rows
from holdfast.cli.run.record import IdArgument, SessionOption, the_run
from holdfast.cli.store import opened, run

ReasonOption = Annotated[str | None, typer.Option("--reason", "-r", metavar="TEXT", help="Why; it is kept.")]
NodeOption = Annotated[str | None, typer.Option("--node", help="And pause this node of it.")]


def pause_run(
    ctx: typer.Context,
    id: IdArgument,
    reason: ReasonOption = None,
    node: NodeOption = None,
    session: SessionOption = None,
    output: OutputOption = None,
) -> None:
    """Pause a run: nothing begins until it is resumed. One that is not pending or running is left (exit code 4).

    \b
    holdfast -s app.db run pause 0197a2c4-… --reason "by Bo" --node pay
    """
    _move(ctx, id, session, lambda found: found.pause(reason, node=node), output)


def resume_run(ctx: typer.Context, id: IdArgument, session: SessionOption = None, output: OutputOption = None) -> None:
    """Let a paused run go on: it waits for whoever takes it up. Any other is left as it is (exit code 4).

    \b
    holdfast -s app.db run resume 0197a2c4-…
    """
    _move(ctx, id, session, lambda found: found.resume(), output)


def cancel_run(ctx: typer.Context, id: IdArgument, session: SessionOption = None, output: OutputOption = None) -> None:
    """End a run as given up. One that has ended is left as it is (exit code 4).

    \b
    holdfast -s app.db run cancel 0197a2c4-…
    """
    _move(ctx, id, session, lambda found: found.cancel(), output)


def _move(ctx: typer.Context, id: str, session: str | None, make: Callable[[Run], Awaitable[Run]], output: Any) -> None:
    async def work() -> list[dict[str, Any]]:
        async with opened(ctx) as hold:
            moved = await make(await the_run(hold, id, session))
            return [{"id": moved.id, "status": moved.status.value, "version": moved.version}]

    write_rows(run(work()), output)
