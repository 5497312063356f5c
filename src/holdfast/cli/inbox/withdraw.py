"""`holdfast inbox cancel` and `reassign`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from holdfast.cli.inbox.question import fields_of, the_question, write_question
from holdfast.cli.inbox.show import IdArgument
from holdfast.cli.output import OutputOption
from holdfast.cli.store import opened, run


def cancel_question(ctx: typer.Context, id: IdArgument, output: OutputOption = None) -> None:
    """Withdraw a question: its run goes on without an answer. One that has an answer is left (exit code 4).

    \b
    holdfast -s app.db inbox cancel 5f0c…
    """

    async def work() -> dict[str, Any]:
        async with opened(ctx) as hold:
            await the_question(hold, id)
            return fields_of(await hold.interactions.cancel(id))

    write_question(run(work()), output)


def reassign_question(
    ctx: typer.Context,
    id: IdArgument,
    to: Annotated[list[str], typer.Argument(metavar="NAME", help="Who is to answer it from now on.")],
    output: OutputOption = None,
) -> None:
    """Give a question to others to answer, instead of whoever had it.

    \b
    holdfast -s app.db inbox reassign 5f0c… bo ada
    """

    async def work() -> dict[str, Any]:
        async with opened(ctx) as hold:
            await the_question(hold, id)
            return fields_of(await hold.interactions.reassign(id, to))

    write_question(run(work()), output)
