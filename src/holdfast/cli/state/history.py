"""`holdfast state history`."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from holdfast.cli.output import OutputOption, note, write_rows
from holdfast.cli.state.place import NamespaceOption, ScopeArgument, state_at
from holdfast.cli.store import opened, run


def show_history(
    ctx: typer.Context,
    scope: ScopeArgument,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The key.")],
    namespace: NamespaceOption = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many at most.")] = 10,
    output: OutputOption = None,
) -> None:
    """Show earlier values of a key, newest first, as far as the log reaches.

    \b
    holdfast -s app.db state history user/ada name
    """

    async def work() -> None:
        async with opened(ctx) as hold:
            found = await state_at(hold, scope, namespace).history(key, limit=limit)
        columns = ("version", "at", "by", "value", "deleted")
        write_rows([msgspec.structs.asdict(past) for past in found.items], output, columns=columns, none="no values")
        if not found.complete:
            note("there were earlier values: ask for more with --limit, unless the log no longer reaches them")

    run(work())
