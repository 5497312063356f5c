"""A run as the command line prints it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from holdfast import NotFound, Run
from holdfast.cli.session.record import the_session
from holdfast.hold import Holdfast

IdArgument = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]
SessionOption = Annotated[
    str | None, typer.Option("--session", metavar="ID", help="The session it is in, where several have that id.")
]

FIELDS = (
    "id", "workflow", "session", "user", "status", "pause_reason", "resumable", "current_node", "version",
    "started_at", "updated_at", "ended_at", "input", "output", "error",
)  # fmt: skip


class NoRun(NotFound):
    """There is no such run."""

    remedy = "`holdfast run list` shows those there are."


async def the_run(hold: Holdfast, id: str, session: str | None) -> Run:
    """The run of that id, in that session if one is named. Raises NotFound; Conflict if several sessions have one."""
    if session is None:
        found, where = await hold.runs.get(id), ""
    else:
        found, where = await (await the_session(hold, session)).runs.get(id), f" in session/{session}"
    if found is None:
        raise NoRun(f"there is no run {id!r}{where}", run=id)
    return found


def fields_of(run: Run) -> dict[str, Any]:
    """Everything the record of a run says, and how many of its nodes are done."""
    nodes = run.nodes
    done = sum(node.status in ("completed", "failed", "skipped") for node in nodes.values())
    return {name: getattr(run, name) for name in FIELDS} | {"nodes": len(nodes), "done": done}


def nodes_of(run: Run) -> list[dict[str, Any]]:
    """A row for each node."""
    return [
        {
            "id": node.id,
            "status": node.status.value,
            "attempt": node.attempt,
            "depends_on": list(node.depends_on),
            "next_at": node.next_at,
            "started_at": node.started_at,
            "ended_at": node.ended_at,
            "input": node.input,
            "output": node.output,
            "error": node.error,
        }
        for node in run.nodes.values()
    ]
