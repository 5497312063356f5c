"""A question as the command line prints it."""

from __future__ import annotations

from typing import Any

import typer

from holdfast import Interaction, NotFound
from holdfast.cli.output import Format, chosen, write_rows, write_table
from holdfast.cli.where import command_line
from holdfast.hold import Holdfast
from holdfast.model.interaction import YES_OR_NO

FIELDS = ("id", "status", "kind", "prompt", "payload", "options", "schema", "default", "assignees", "run", "node",
    "session", "user", "asked_at", "due_at", "on_timeout", "escalate_to", "digest")  # fmt: skip


class NoQuestion(NotFound):
    """There is no such question, or no longer."""

    remedy = "`holdfast inbox list` shows those that wait."


def fields_of(question: Interaction) -> dict[str, Any]:
    """Everything a question says, and what came of it."""
    row = {name: value for name in FIELDS if (value := getattr(question, name)) not in (None, ())}
    answer = question.answer
    if answer is not None:
        row["decision"] = answer.decision
        row |= {name: value for name in ("value", "by", "note", "at") if (value := getattr(answer, name))}
    return row


def write_question(row: dict[str, Any], output: Format | None) -> None:
    """Print one: for people a line for each thing that is said of it."""
    if chosen(output) is Format.TABLE:
        write_table([{"field": name, "value": value} for name, value in row.items()], whole=("field",))
    else:
        write_rows([row], output)


SHORT = ("id", "kind", "prompt", "assignees", "options", "node", "due_at", "on_timeout")
"""What a run or a session tells of its open questions."""


def short_of(question: Interaction) -> dict[str, Any]:
    """What is asked of whom, and until when."""
    return {name: getattr(question, name) for name in SHORT}


def how_to_answer(ctx: typer.Context, question: Interaction) -> str:
    """The command that answers it."""
    words = ["inbox", "answer", question.id, *(["approved"] if question.kind in YES_OR_NO else ["answered", "VALUE"])]
    if question.assignees:
        words += ["--by", question.assignees[0]]
    return command_line(ctx, *words) + (" (or rejected)" if question.kind in YES_OR_NO else "")


async def the_question(hold: Holdfast, id: str) -> Interaction:
    """The question of that id. Raises NotFound."""
    found = await hold.interactions.get(id)
    if found is None:
        raise NoQuestion(f"question {id!r} does not exist", interaction=id)
    return found
