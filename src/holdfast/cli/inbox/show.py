"""`holdfast inbox show`."""

from __future__ import annotations

import contextlib
from typing import Annotated, Any

import typer

from holdfast.cli.inbox.question import fields_of, the_question, write_question
from holdfast.cli.output import OutputOption
from holdfast.cli.store import opened, run
from holdfast.errors import InteractionCancelled

WAITING = 7
"""The exit code that says that a person is waited for."""

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The question's id.")]


def show_question(
    ctx: typer.Context,
    id: IdArgument,
    wait: Annotated[str | None, typer.Option(metavar="TIME", help="Wait for the answer so long, such as 30s.")] = None,
    output: OutputOption = None,
) -> None:
    """Show a question and what came of it. While it waits for a person, the exit code is 7.

    \b
    holdfast -s app.db inbox show 5f0c… --wait 10m && echo answered
    """

    async def work() -> tuple[dict[str, Any], bool]:
        async with opened(ctx) as hold:
            question = await the_question(hold, id)
            if wait is not None and question.required:
                with contextlib.suppress(TimeoutError, InteractionCancelled):
                    await question.wait(timeout=wait)
            return fields_of(question), question.status == "pending"

    row, waits = run(work())
    write_question(row, output)
    if waits:
        raise typer.Exit(WAITING)
