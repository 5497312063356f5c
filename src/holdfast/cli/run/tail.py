"""`holdfast run tail`."""

from __future__ import annotations

import typer

from holdfast import Change, Run, Scope
from holdfast.cli.following import AfterOption, KindOption, LimitOption, follow, format_of, kinds_of
from holdfast.cli.output import OutputOption, note
from holdfast.cli.run.record import IdArgument, SessionOption, the_run
from holdfast.cli.session.record import the_session
from holdfast.cli.store import opened, run
from holdfast.kernel.keys import escaped

ENDS = ("completed", "failed", "cancelled")


def tail_run(
    ctx: typer.Context,
    id: IdArgument,
    session: SessionOption = None,
    after: AfterOption = "now",
    kind: KindOption = None,
    limit: LimitOption = None,
    output: OutputOption = None,
) -> None:
    """Follow a run as it is committed, by any process: the run, its nodes, its questions and what is done in it.

    Ends when the run has ended, or with Ctrl-C; the cursor of the last change is where to go on.

    \b
    holdfast -s app.db run tail 0197a2c4-…
    holdfast -s app.db run tail 0197a2c4-… --after beginning -o jsonl
    """
    format, kinds = format_of(output), kinds_of(kind)

    async def work() -> None:
        async with opened(ctx) as hold:
            found = await the_run(hold, id, session)
            if found.ended_at is not None and _is_past(found, after):
                note(f"the run {id!r} has ended; --after beginning tells what it did")
                return
            if found.session is None:
                changes = hold.changes([Scope.run(id)], after=after if not after.isdecimal() else int(after))
            else:
                changes = (await the_session(hold, found.session)).changes(after=after)
            await follow(
                changes,
                format,
                what=f"the run {id!r}",
                after=after,
                limit=limit,
                shows=lambda change: _is_of(change, id) and (kinds is None or change.kind in kinds),
                ends=lambda change: _ends(change, id),
            )

    run(work())


def _is_past(found: Run, after: str) -> bool:
    """Whether nothing of a run that has ended comes after that."""
    place = after.partition(".")[0]
    return after == "now" or (place.isdecimal() and int(place) >= found.version)


def _is_of(change: Change, id: str) -> bool:
    """Whether it changes that run, a node, a question or a variable of it, or was done in it."""
    if change.cause.run == id or (change.kind == "run" and change.key == id):
        return True
    if change.kind == "run":  # told live, of a node of which nothing is kept
        return change.op == "emit" and isinstance(change.value, dict) and change.value.get("run") == id
    name = escaped(id)
    if change.kind == "interaction":
        return change.namespace in (id, name)
    own = change.namespace == f"run/{name}" or change.namespace.startswith(f"node/{name}/")
    return change.kind == "variable" and own


def _ends(change: Change, id: str) -> bool:
    """Whether it is the end of that run."""
    if change.kind != "run" or change.key != id or change.namespace:
        return False
    return change.op == "delete" or (isinstance(change.value, dict) and change.value.get("status") in ENDS)
