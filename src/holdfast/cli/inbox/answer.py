"""`holdfast inbox answer`."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from holdfast.cli.inbox.question import fields_of, the_question, write_question
from holdfast.cli.inbox.show import IdArgument
from holdfast.cli.output import OutputOption
from holdfast.cli.state.set import parse
from holdfast.cli.store import opened, run


def answer_question(
    ctx: typer.Context,
    id: IdArgument,
    decision: Annotated[str, typer.Argument(metavar="DECISION", help="approved, rejected or answered.")],
    value: Annotated[
        str | None, typer.Argument(metavar="VALUE", help='The value in JSON; "-" reads it from stdin.')
    ] = None,
    text: Annotated[bool, typer.Option("--text", "-t", help="VALUE is text as it stands, not JSON.")] = False,
    by: Annotated[str | None, typer.Option(metavar="NAME", help="Who answers.")] = None,
    why: Annotated[str, typer.Option("--note", metavar="TEXT", help="What else there is to say.")] = "",
    digest: Annotated[str | None, typer.Option(help="Of what was shown: anything else is not answered.")] = None,
    output: OutputOption = None,
) -> None:
    """Answer a question, once. The same answer again is taken for the first (exit code 4 for another one).

    \b
    holdfast -s app.db inbox answer 5f0c… approved --by bo
    holdfast -s app.db inbox answer 5f0c… answered --text Kyoto
    """
    given: Any = None
    if value is not None:
        read = sys.stdin.buffer.read().decode().rstrip("\n") if value == "-" else value
        given = read if text else parse(read)

    async def work() -> dict[str, Any]:
        async with opened(ctx) as hold:
            question = await the_question(hold, id)
            await hold.interactions.answer(id, decision, value=given, by=by, note=why, digest=digest)
            return fields_of(await question.refresh())

    write_question(run(work()), output)
