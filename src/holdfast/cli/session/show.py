"""`holdfast session show`."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from holdfast.cli.held import holder_of
from holdfast.cli.output import Format, OutputOption, chosen, write_line, write_rows, write_table, write_text
from holdfast.cli.session.record import budget_of, fields_of, the_session
from holdfast.cli.store import opened, run


def show_session(
    ctx: typer.Context,
    id: Annotated[str, typer.Argument(metavar="ID", help="The session's id.")],
    last: Annotated[int, typer.Option("--last", "-n", min=1, max=1000, help="How many messages and events.")] = 10,
    output: OutputOption = None,
) -> None:
    """Show a session: its record, budget, state, runtime state, last messages and events.

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
    _write_page("messages", document["messages"], ("at", "role", "content", "metadata"))
    _write_page("events", document["events"], ("at", "type", "data"))


def _write_page(title: str, rows: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    if rows:
        write_text(f"\n{title}")
        write_rows(rows, Format.TABLE, columns=columns)
