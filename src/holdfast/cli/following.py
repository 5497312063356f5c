"""Following changes until something ends it: what `session tail` and `run tail` share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer
from msgspec import UNSET

from holdfast import Change, Changes
from holdfast.cli.output import Format, chosen, note, write_line, write_text
from holdfast.cli.printable import printable
from holdfast.cli.shown import shown
from holdfast.errors import InvalidValue
from holdfast.errors import shown as quoted
from holdfast.model.change import KINDS

WRITTEN = sorted(KINDS - {"memory", "module"})
"""The kinds of what commits write."""

CAUSES = ("trace_id", "request", "run", "node", "attempt", "answer")

AfterOption = Annotated[
    str,
    typer.Option(
        help="Tell what came after this version, or after the change with this cursor; beginning: all that the "
        "log has; now: only what is to come.",
        metavar="PLACE",
    ),
]
KindOption = Annotated[
    list[str] | None, typer.Option("--kind", "-k", help=f"Only changes of this kind: {', '.join(WRITTEN)}.")
]
LimitOption = Annotated[int | None, typer.Option("--limit", "-n", min=1, help="End after so many changes.")]


def format_of(output: Format | None) -> Format:
    """How a stream is printed. A usage error for an array, which has an end."""
    format = chosen(output)
    if format is Format.JSON:
        raise typer.BadParameter("a stream has no end to close an array at: use -o jsonl", param_hint="--output")
    return format


def kinds_of(kind: list[str] | None) -> set[str] | None:
    """The kinds that were named. Raises InvalidValue for one that there is not."""
    for name in kind or ():
        if name not in WRITTEN:
            raise InvalidValue(f"there is no kind {quoted(name)}; there are {', '.join(WRITTEN)}", path="kinds")
    return set(kind) if kind else None


async def follow(
    changes: Changes,
    format: Format,
    *,
    what: str,
    after: str,
    limit: int | None,
    shows: Callable[[Change], bool] = lambda change: True,
    ends: Callable[[Change], bool] = lambda change: False,
) -> None:
    """Print the changes that it shows, as they come, until one ends it or there were enough. For people the place to go
    on from stands at the end."""
    cursor: str | None = None
    left = limit
    try:
        async with changes:
            if format is Format.TABLE:
                note(f"following {what} {_from(after)}")
            async for change in changes:
                if shows(change):
                    _write(change, format)
                    cursor = change.cursor
                    left = None if left is None else left - 1
                if left == 0 or ends(change):
                    return
    finally:
        if cursor is not None and format is Format.TABLE:
            note(f"continue with --after {cursor}")


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
    if change.kind in ("run", "interaction") and isinstance(value, dict):
        return _of_run(change, value)
    if change.kind == "session" and isinstance(value, dict):
        value = {name: part for name, part in value.items() if name != "id" and not name.endswith("_us")}
    return f"{key} = {shown(value)}"


def _of_run(change: Change, value: dict[str, Any]) -> str:
    """Where a run, a node of it or a question is, and what it came to."""
    of_node = change.kind == "run" and change.namespace
    name = f"{change.key} node {change.namespace}" if of_node else str(change.key)
    question, given = value.get("question") or {}, value.get("given") or {}
    told = {"asks": question.get("prompt"), "answer": given.get("decision"), "value": given.get("value")}
    told |= {part: value.get(part) for part in ("pause_reason", "output", "error")}
    more = "".join(f"  {part.replace('_', ' ')}: {shown(one)}" for part, one in told.items() if one is not None)
    return f"{name} {value.get('status')}{more}"


def fields_of(change: Change) -> dict[str, Any]:
    """Everything a change says, and of its cause what is known: of a value that the log does not tell, nothing."""
    fields = {
        "seq": change.seq,
        "cursor": change.cursor,
        "at": change.at,
        "by": change.by,
        **{name: cause for name in CAUSES if (cause := getattr(change.cause, name)) is not None or name == "trace_id"},
        "scope": str(change.scope),
        "kind": change.kind,
        "op": change.op,
        "namespace": change.namespace,
        "key": change.key,
        "value": change.value,
    }
    return {name: value for name, value in fields.items() if value is not UNSET}
