"""`holdfast session pause`, `resume` and `cancel`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from holdfast import Budget, Session
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


def resume_session(
    ctx: typer.Context,
    id: IdArgument,
    iterations: Annotated[int | None, typer.Option(min=0, help="How many iterations it may use in all.")] = None,
    tokens: Annotated[int | None, typer.Option(min=0, help="How many tokens.")] = None,
    cost: Annotated[str | None, typer.Option(metavar="DECIMAL", help="What it may cost.")] = None,
    tool_calls: Annotated[int | None, typer.Option(min=0, help="How many tool calls.")] = None,
    output: OutputOption = None,
) -> None:
    """Let a session go on that is paused, or that timed out and is given a higher budget.

    What is not given of the budget stays as it is. Any other session is left as it is (exit code 4).

    \b
    holdfast -s app.db session resume 0197a2c4-…
    holdfast -s app.db session resume 0197a2c4-… --iterations 200
    """
    limits = {"iterations": iterations, "tokens": tokens, "cost": cost, "tool_calls": tool_calls}
    given: dict[str, Any] = {name: limit for name, limit in limits.items() if limit is not None}
    budget = Budget(**given) if given else None
    _move(ctx, id, lambda session: session.resume(budget=budget), output)


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
