"""`holdfast state diff`."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from holdfast import Difference
from holdfast.cli.output import OutputOption, note, write_rows
from holdfast.cli.state.place import NamespaceOption, ScopeArgument, state_at
from holdfast.cli.store import opened, run

COLUMNS = ("key", "change", "before", "after", "version", "at", "by")


def diff_state(
    ctx: typer.Context,
    scope: ScopeArgument,
    keys: Annotated[list[str] | None, typer.Argument(metavar="[KEY...]", help="Only these keys.")] = None,
    since: Annotated[
        int | None,
        typer.Option("--from", min=0, help="The earlier version; the oldest that the log reaches if left out."),
    ] = None,
    until: Annotated[int | None, typer.Option("--to", min=0, help="The later version; now if left out.")] = None,
    namespace: NamespaceOption = "",
    output: OutputOption = None,
) -> None:
    """Show which keys differ between two versions of a scope, with their values then and after.

    Versions are what `state set` and `state history` print: every commit to the scope takes the next one.

    \b
    holdfast -s app.db state diff user/ada --from 40 --to 42
    holdfast -s app.db state diff session/0197a2c4-… cart
    """

    async def work() -> None:
        async with opened(ctx) as hold:
            found = await state_at(hold, scope, namespace).diff(since=since, until=until)
        rows = [_fields(item) for item in found.items if not keys or item.key in keys]
        write_rows(rows, output, columns=COLUMNS, none="no difference")
        if any(not item.known for item in found.items):
            note("the log no longer reaches the earlier value of some keys: their change says set or deleted")
        note(f"{scope}: version {found.since} compared with version {found.until}")

    run(work())


def _fields(item: Difference) -> dict[str, Any]:
    return msgspec.structs.asdict(item)
