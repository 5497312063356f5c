"""`holdfast state history`."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from holdfast import History
from holdfast.cli.output import OutputOption, note, write_rows
from holdfast.cli.state.place import NamespaceOption, NoKey, ScopeArgument, named, state_at
from holdfast.cli.store import opened, run

COLUMNS = ("version", "at", "by", "value", "deleted")


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

    async def work() -> History:
        async with opened(ctx) as hold:
            state = state_at(hold, scope, namespace)
            found = await state.history(key, limit=limit)
            if not found.items and not await state.has(key):
                reach = "there never was" if found.complete else "there is none, nor was as far as the log reaches,"
                raise NoKey(f"{reach} {named(scope, key, namespace)}", scope=scope, key=key)
            return found

    found = run(work())
    write_rows([msgspec.structs.asdict(past) for past in found.items], output, columns=COLUMNS, none="no values")
    if not found.complete:
        note("there were earlier values: ask for more with --limit, unless the log no longer reaches them")
