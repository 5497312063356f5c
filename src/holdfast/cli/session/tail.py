"""`holdfast session tail`."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from msgspec import UNSET

from holdfast import Change
from holdfast.cli.output import Format, OutputOption, chosen, note, write_line, write_text
from holdfast.cli.printable import printable
from holdfast.cli.session.record import the_session
from holdfast.cli.shown import shown
from holdfast.cli.store import opened, run
from holdfast.model.change import KINDS


def tail_session(
    ctx: typer.Context,
    id: Annotated[str, typer.Argument(metavar="ID", help="The session's id.")],
    after: Annotated[
        str,
        typer.Option(
            help="Tell what came after this version, or after the change with this cursor; beginning: all that the "
            "log has; now: only what is to come.",
            metavar="PLACE",
        ),
    ] = "now",
    kind: Annotated[
        list[str] | None, typer.Option("--kind", "-k", help=f"Only changes of this kind: {', '.join(sorted(KINDS))}.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="End after so many changes.")] = None,
    output: OutputOption = None,
) -> None:
    """Follow the changes of a session as they are committed, by any process.

    Ends when the session is deleted, or with Ctrl-C; the cursor of the last change is where to go on.

    \b
    holdfast -s app.db session tail 0197a2c4-… --kind message
    holdfast -s app.db session tail 0197a2c4-… --after 42
    holdfast -s app.db session tail 0197a2c4-… --after 42.1.0.9f3c21aa07d4e6b8.1733
    """
    format = chosen(output)
    if format is Format.JSON:
        raise typer.BadParameter("a stream has no end to close an array at: use -o jsonl", param_hint="--output")

    async def work() -> None:
        cursor: str | None = None
        try:
            async with opened(ctx) as hold:
                session = await the_session(hold, id)
                left = limit
                async with session.changes(after=after, kinds=set(kind) if kind else None) as changes:
                    if format is Format.TABLE:
                        note(f"following session/{id} {_from(after)}")
                    async for change in changes:
                        _write(change, format)
                        cursor = change.cursor
                        left = None if left is None else left - 1
                        if left == 0:
                            return
        finally:
            if cursor is not None and format is Format.TABLE:
                note(f"continue with --after {cursor}")

    run(work())


def _write(change: Change, format: Format) -> None:
    if format is Format.JSONL:
        write_line(fields_of(change))
        return
    by = f"  by {change.by}" if change.by else ""
    at = change.at.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    write_text(printable(f"{at}  {change.seq:>6}  {change.kind:<7} {change.op:<6} {_said(change)}{by}"))


def _from(after: str) -> str:
    """Where it begins, in words."""
    if after in ("now", "beginning"):
        return "from now on" if after == "now" else "from the beginning"
    return f"after {'version' if after.isdecimal() else 'cursor'} {after}"


def _said(change: Change) -> str:
    """What changed, for people: without the times and ids that the store keeps for itself."""
    key, value = change.key or "", change.value
    if change.namespace:
        key = f"{change.namespace}:{key}"
    if change.op not in ("set", "append", "emit") or value is UNSET:
        return key
    if change.kind == "message" and isinstance(value, dict):
        more = f"  {shown(value['metadata'])}" if value.get("metadata") else ""
        return f"{value.get('role')}: {shown(value.get('content'))}{more}"
    if change.kind == "event" and isinstance(value, dict):
        return f"{value.get('type')} {shown(value['data'])}" if value.get("data") else str(value.get("type"))
    if change.kind == "session" and isinstance(value, dict):
        value = {name: part for name, part in value.items() if name != "id" and not name.endswith("_us")}
    return f"{key} = {shown(value)}"


def fields_of(change: Change) -> dict[str, Any]:
    """Everything a change says: of a value that the log does not tell, nothing."""
    fields = {
        "seq": change.seq,
        "cursor": change.cursor,
        "at": change.at,
        "by": change.by,
        "trace_id": change.cause.trace_id,
        "scope": str(change.scope),
        "kind": change.kind,
        "op": change.op,
        "namespace": change.namespace,
        "key": change.key,
        "value": change.value,
    }
    return {name: value for name, value in fields.items() if value is not UNSET}
