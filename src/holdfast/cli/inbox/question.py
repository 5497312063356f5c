"""A question as the command line prints it."""

from __future__ import annotations

from typing import Any

from holdfast import Interaction, NotFound
from holdfast.hold import Holdfast

FIELDS = ("id", "status", "kind", "prompt", "payload", "options", "schema", "default", "assignees", "run", "node",
    "session", "user", "asked_at", "due_at", "digest")  # fmt: skip


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


async def the_question(hold: Holdfast, id: str) -> Interaction:
    """The question of that id. Raises NotFound."""
    found = await hold.interactions.get(id)
    if found is None:
        raise NoQuestion(f"question {id!r} does not exist", interaction=id)
    return found
