"""`holdfast inbox list`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from holdfast.cli.inbox.question import fields_of
from holdfast.cli.output import OutputOption, note, write_rows
from holdfast.cli.store import opened, run
from holdfast.model.interaction import KINDS

COLUMNS = ("id", "kind", "prompt", "assignees", "run", "node", "due_at")


def list_questions(
    ctx: typer.Context,
    assignee: Annotated[str | None, typer.Option(help="Only for this person to answer.")] = None,
    user: Annotated[str | None, typer.Option(help="Only of sessions and runs of this user.")] = None,
    session: Annotated[str | None, typer.Option(help="Only of this session.")] = None,
    of_run: Annotated[str | None, typer.Option("--run", help="Only of this run.")] = None,
    kind: Annotated[str | None, typer.Option(help=f"Only of this kind: {', '.join(KINDS)}.")] = None,
    due_before: Annotated[datetime | None, typer.Option(help="Only those that time out before then (UTC).")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many at most.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Continue where an earlier list ended.")] = None,
    output: OutputOption = None,
) -> None:
    """List the questions that wait for an answer, the oldest first.

    \b
    holdfast -s app.db inbox list --assignee bo
    """

    async def work() -> tuple[list[dict[str, Any]], str | None]:
        due = due_before.replace(tzinfo=UTC) if due_before is not None and due_before.tzinfo is None else due_before
        async with opened(ctx) as hold:
            page = await hold.interactions.pending(
                assignee=assignee,
                session_user=user,
                session=session,
                run=of_run,
                kind=kind,
                due_before=due,
                limit=limit,
                cursor=cursor,
            )
            return [fields_of(one) for one in page.items], page.next

    rows, more = run(work())
    write_rows(rows, output, columns=COLUMNS, whole=("id",), none="nothing waits for an answer")
    if more is not None:
        note(f"there may be more: --cursor '{more}'")
