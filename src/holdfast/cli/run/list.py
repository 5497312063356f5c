"""`holdfast run list` and `recover`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from holdfast import RunStatus
from holdfast.cli.output import OutputOption, note, write_rows
from holdfast.cli.run.record import fields_of
from holdfast.cli.store import opened, run

COLUMNS = ("id", "workflow", "session", "user", "status", "done", "nodes", "current_node", "updated_at")
STATUSES = ", ".join(RunStatus)
WHOLE = ("id", "status")

WorkflowOption = Annotated[str | None, typer.Option(help="Only runs of this workflow.")]
UserOption = Annotated[str | None, typer.Option(help="Only of this user.")]


def list_runs(
    ctx: typer.Context,
    session: Annotated[str | None, typer.Option(help="Only of this session.")] = None,
    user: UserOption = None,
    workflow: WorkflowOption = None,
    status: Annotated[str | None, typer.Option(help=f"Only with this status: {STATUSES}.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many at most.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Continue where an earlier list ended.")] = None,
    output: OutputOption = None,
) -> None:
    """List runs, newest first.

    \b
    holdfast -s app.db run list --status paused
    holdfast -s app.db run list --session 0197a2c4-… -o jsonl | jq .id
    """
    if status is not None and status not in [*RunStatus]:
        raise typer.BadParameter(f"{status!r} is none of {STATUSES}", param_hint="--status")

    async def work() -> tuple[list[dict[str, Any]], str | None]:
        async with opened(ctx) as hold:
            page = await hold.runs.list(
                session=session, user=user, workflow=workflow, status=status, limit=limit, cursor=cursor
            )
            return [fields_of(found) for found in page.items], page.next

    rows, more = run(work())
    write_rows(rows, output, columns=COLUMNS, whole=WHOLE, none="no runs")
    if more is not None:
        note(f"there may be more: --cursor '{more}'")


def recoverable_runs(
    ctx: typer.Context, workflow: WorkflowOption = None, user: UserOption = None, output: OutputOption = None
) -> None:
    """List the runs that somebody should take up: pending or running, and nobody works on them.

    Those whose worker is not heard of are told once it was listened for, for as long as its claim says.

    \b
    holdfast -s app.db run recover --workflow book
    """

    async def work() -> list[dict[str, Any]]:
        async with opened(ctx) as hold:
            return [fields_of(found) async for found in hold.runs.recoverable(workflow=workflow, user=user)]

    write_rows(run(work()), output, columns=COLUMNS, whole=WHOLE, none="no run is left alone")
