"""`holdfast state get`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from holdfast.cli.output import Format, OutputOption, chosen, write_document, write_rows, write_text
from holdfast.cli.state.place import NamespaceOption, NoKey, ScopeArgument, named, state_at
from holdfast.cli.store import opened, run


def get_state(
    ctx: typer.Context,
    scope: ScopeArgument,
    key: Annotated[str | None, typer.Argument(metavar="KEY", help="The key; every one if none is named.")] = None,
    namespace: NamespaceOption = "",
    raw: Annotated[bool, typer.Option("--raw", "-r", help="Print a text without its quotes.")] = False,
    output: OutputOption = None,
) -> None:
    """Show one value, or all of a scope's state.

    \b
    holdfast -s app.db state get user/ada
    holdfast -s app.db state get session/0197a2c4-… cart -o json
    """

    async def work() -> Any:
        async with opened(ctx) as hold:
            state = state_at(hold, scope, namespace)
            if key is None:
                return (await state.snapshot()).values
            value = await state.get(key)
            if value is None and not await state.has(key):
                raise NoKey(f"there is no {named(scope, key, namespace)}", scope=scope, key=key)
            return value

    found = run(work())
    if key is None and chosen(output) is Format.TABLE:
        write_rows([{"key": name, "value": value} for name, value in found.items()], output, none="no keys")
    elif raw and isinstance(found, str):
        write_text(found)
    else:
        write_document(found, output)
