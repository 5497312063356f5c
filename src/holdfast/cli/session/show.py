"""`holdfast session show`."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from holdfast.cli.held import holder_of
from holdfast.cli.inbox.question import SHORT, short_of
from holdfast.cli.output import Format, OutputOption, chosen, write_line, write_rows, write_table, write_text
from holdfast.cli.run.record import fields_of as run_fields
from holdfast.cli.session.record import budget_of, fields_of, the_session
from holdfast.cli.store import opened, run

RUN_COLUMNS = ("id", "workflow", "status", "pause_reason", "done", "nodes", "current_node", "updated_at")


def show_session(
    ctx: typer.Context,
    id: Annotated[str, typer.Argument(metavar="ID", help="The session's id.")],
    last: Annotated[
        int, typer.Option("--last", "-n", min=1, max=1000, help="How many runs, questions, messages and events.")
    ] = 10,
    output: OutputOption = None,
) -> None:
    """Show a session: its record, budget, state, runtime state, last runs, messages and events, what it asks people.

    \b
    holdfast -s app.db session show 0197a2c4-…
    holdfast -s app.db session show 0197a2c4-… -o json | jq .state
    """

    async def work() -> dict[str, Any]:
        async with opened(ctx) as hold:
            session = await the_session(hold, id)
            events = (await session.events(limit=last, order="newest")).items[::-1]
            return {
                "session": {**fields_of(session), "held": await holder_of(session)},
                "budget": budget_of(session),
                "state": (await session.state.snapshot()).values,
                "runtime": await session.runtime.all(),
                "runs": [run_fields(one) for one in (await session.runs.list(limit=last)).items],
                "questions": [
                    {**short_of(one), "run": one.run}
                    for one in (await hold.interactions.pending(session=id, limit=last)).items
                ],
                "messages": [msgspec.structs.asdict(message) for message in await session.messages.last(last)],
                "events": [msgspec.structs.asdict(event) for event in events],
            }

    document = run(work())
    if chosen(output) is not Format.TABLE:
        return write_line(document)
    _write_pages(document)


def _write_pages(document: dict[str, Any]) -> None:
    write_table([{"field": name, "value": value} for name, value in document["session"].items() if value])
    _write_page("budget", document["budget"], ("budget", "used", "reserved", "limit", "percent"))
    for name in ("state", "runtime"):
        _write_page(name, [{"key": key, "value": value} for key, value in document[name].items()], ("key", "value"))
    _write_page("runs", document["runs"], RUN_COLUMNS)
    _write_page("questions", document["questions"], (*SHORT[:-2], "run", "due_at", "on_timeout"))
    _write_page("messages", document["messages"], ("at", "role", "content", "metadata"))
    _write_page("events", document["events"], ("at", "type", "data"))


def _write_page(title: str, rows: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    if rows:
        write_text(f"\n{title}")
        write_rows(rows, Format.TABLE, columns=columns)
