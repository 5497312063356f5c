"""`holdfast run show` and `nodes`."""

from __future__ import annotations

from typing import Any

import typer

from holdfast.cli.held import holder_of_run
from holdfast.cli.inbox.question import SHORT, how_to_answer, short_of
from holdfast.cli.output import Format, OutputOption, chosen, note, write_line, write_rows, write_table, write_text
from holdfast.cli.run.record import IdArgument, SessionOption, fields_of, nodes_of, the_run
from holdfast.cli.store import opened, run

COLUMNS = ("id", "status", "attempt", "depends_on", "next_at", "output", "error")
WHOLE = ("id", "status")


def show_run(ctx: typer.Context, id: IdArgument, session: SessionOption = None, output: OutputOption = None) -> None:
    """Show a run: its record, who holds it, which nodes may begin, all of them, and what it asks people.

    \b
    holdfast -s app.db run show 0197a2c4-…
    holdfast -s app.db run show 0197a2c4-… -o json | jq .ready
    """

    async def work() -> tuple[dict[str, Any], list[str]]:
        async with opened(ctx) as hold:
            found = await the_run(hold, id, session)
            document = {
                "run": {**fields_of(found), "held": await holder_of_run(found)},
                "ready": found.ready_nodes(),
                "nodes": nodes_of(found),
                "questions": [short_of(question) for question in found.interactions.pending],
            }
            return document, [how_to_answer(ctx, question) for question in found.interactions.pending]

    document, answers = run(work())
    if chosen(output) is not Format.TABLE:
        return write_line(document)
    told = {**document["run"], "ready": document["ready"]}
    write_table([{"field": name, "value": value} for name, value in told.items() if value not in (None, [])])
    if document["nodes"]:
        write_text("\nnodes")
        write_rows(document["nodes"], Format.TABLE, columns=COLUMNS, whole=WHOLE)
    if document["questions"]:
        write_text("\nquestions")
        write_rows(document["questions"], Format.TABLE, columns=SHORT)
    for answer in answers:
        note(f"answer it: {answer}")


def show_nodes(ctx: typer.Context, id: IdArgument, session: SessionOption = None, output: OutputOption = None) -> None:
    """Show the nodes of a run: how far each came, its tries, what it waits for and what it came to.

    \b
    holdfast -s app.db run nodes 0197a2c4-…
    """

    async def work() -> list[dict[str, Any]]:
        async with opened(ctx) as hold:
            return nodes_of(await the_run(hold, id, session))

    write_rows(run(work()), output, columns=COLUMNS, whole=WHOLE, none="no nodes")
