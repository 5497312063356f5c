"""`holdfast inbox list`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from holdfast import Interaction
from holdfast.cli.inbox.question import fields_of
from holdfast.cli.output import Format, OutputOption, chosen, note, write_rows
from holdfast.cli.shown import shown
from holdfast.cli.store import opened, run
from holdfast.model.interaction import KINDS

COLUMNS = ("id", "kind", "prompt", "payload", "assignees", "run", "node", "due_at", "overdue", "on_timeout")
PAYLOAD_CHARACTERS_MAX = 60
"""What the table shows of a payload."""


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
    """List the questions that wait for an answer, the oldest first, and what happens if nobody answers in time.

    One that is overdue has not been closed yet; it takes no answer any more.

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
            now = datetime.now(UTC)
            return [fields_of(one) | _overdue(one, now) for one in page.items], page.next

    rows, more = run(work())
    if chosen(output) is Format.TABLE:
        rows = [row | {"payload": _short(row.get("payload"))} for row in rows]
    write_rows(rows, output, columns=COLUMNS, whole=("id",), none="nothing waits for an answer")
    if more is not None:
        note(f"there may be more: --cursor '{more}'")


def _overdue(question: Interaction, now: datetime) -> dict[str, Any]:
    return {"overdue": True} if question.due_at is not None and question.due_at <= now else {}


def _short(payload: Any) -> str:
    text = shown(payload)
    return text if len(text) <= PAYLOAD_CHARACTERS_MAX else text[: PAYLOAD_CHARACTERS_MAX - 1] + "…"
