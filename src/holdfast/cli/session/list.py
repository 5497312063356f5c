"""`holdfast session list`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from holdfast import Holdfast, SessionStatus
from holdfast.cli.output import Format, OutputOption, Row, chosen, note, write_line, write_rows
from holdfast.cli.session.record import fields_of
from holdfast.cli.store import opened, run

COLUMNS = ("id", "status", "user", "app", "agent", "mode", "channel", "tags", "last_activity", "task")
STATUSES = ", ".join(SessionStatus)
WHOLE = ("id", "status", "last_activity")


class Order(StrEnum):
    """Which session comes first."""

    NEWEST = "newest"
    OLDEST = "oldest"
    RECENT = "recent"


def list_sessions(
    ctx: typer.Context,
    user: Annotated[str | None, typer.Option(help="Only sessions of this user.")] = None,
    app: Annotated[str | None, typer.Option(help="Only of this application.")] = None,
    agent: Annotated[str | None, typer.Option(help="Only of this agent.")] = None,
    mode: Annotated[str | None, typer.Option(help="Only in this mode.")] = None,
    channel: Annotated[str | None, typer.Option(help="Only of this channel.")] = None,
    status: Annotated[str | None, typer.Option(help=f"Only with this status: {STATUSES}.")] = None,
    tag: Annotated[str | None, typer.Option(help="Only with this tag.")] = None,
    created_after: Annotated[
        datetime | None, typer.Option(help="Only created after this time (UTC unless it names a zone).")
    ] = None,
    created_before: Annotated[datetime | None, typer.Option(help="Only created before this time.")] = None,
    updated_after: Annotated[
        datetime | None, typer.Option(help="Only whose record was changed after this time.")
    ] = None,
    updated_before: Annotated[datetime | None, typer.Option(help="Only changed before this time.")] = None,
    order: Annotated[
        Order, typer.Option(help="What comes first; recent: the last active, to the minute.")
    ] = Order.NEWEST,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many at most.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Continue where an earlier list ended.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every one, page by page.")] = False,
    output: OutputOption = None,
) -> None:
    """List sessions, newest first.

    \b
    holdfast -s app.db session list --user ada --status active
    holdfast -s app.db session list --all -o jsonl | jq .id
    """
    filters: dict[str, Any] = {
        "user": user,
        "app": app,
        "agent": agent,
        "mode": mode,
        "channel": channel,
        "status": _meant(status),
        "tag": tag,
        "created_after": _in_utc(created_after),
        "created_before": _in_utc(created_before),
        "updated_after": _in_utc(updated_after),
        "updated_before": _in_utc(updated_before),
        "order": order.value,
    }

    async def work() -> tuple[list[Row], str | None]:
        async with opened(ctx) as hold:
            if every:
                return await _all(hold, filters, cursor, output), None
            page = await hold.sessions.list(limit=limit, cursor=cursor, **filters)
            return [fields_of(found) for found in page.items], page.next

    rows, more = run(work())
    write_rows(rows, output, columns=COLUMNS, whole=WHOLE, none="no sessions")
    if more is not None:
        note(f"there may be more: --cursor '{more}'")


async def _all(hold: Holdfast, filters: Mapping[str, Any], cursor: str | None, output: Format | None) -> list[Row]:
    """Every session, written at once where each has a line of its own; else returned."""
    rows: list[Row] = []
    async for found in hold.sessions.iterate(cursor=cursor, **filters):
        if chosen(output) is Format.JSONL:
            write_line(fields_of(found))
        else:
            rows.append(fields_of(found))
    return rows


def _meant(status: str | None) -> SessionStatus | None:
    try:
        return None if status is None else SessionStatus(status)
    except ValueError as problem:
        raise typer.BadParameter(f"{status!r} is none of {STATUSES}", param_hint="--status") from problem


def _in_utc(at: datetime | None) -> datetime | None:
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at
