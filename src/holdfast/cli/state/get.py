"""`holdfast state get`."""

from __future__ import annotations

from typing import Annotated

import typer

from holdfast.cli.output import Format, OutputOption, chosen, write_document, write_rows, write_text
from holdfast.cli.state.place import NamespaceOption, NoKey, ScopeArgument, state_at
from holdfast.cli.store import opened, run


def get_state(
    ctx: typer.Context,
    scope: ScopeArgument,
    key: Annotated[str | None, typer.Argument(metavar="[KEY]", help="The key; every one if none is named.")] = None,
    namespace: NamespaceOption = "",
    raw: Annotated[bool, typer.Option("--raw", "-r", help="Print a text without its quotes.")] = False,
    output: OutputOption = None,
) -> None:
    """Show one value, or all of a scope's state.

    \b
    holdfast -s app.db state get user/ada
    holdfast -s app.db state get session/0197a2c4-… cart -o json
    """

    async def work() -> None:
        async with opened(ctx) as hold:
            state = state_at(hold, scope, namespace)
            if key is None:
                values = (await state.snapshot()).values
                if chosen(output) is Format.TABLE:
                    write_rows([{"key": key, "value": value} for key, value in values.items()], output, none="no keys")
                else:
                    write_document(values, output)
                return
            value = await state.get(key)
            if value is None and not await state.has(key):
                raise NoKey(f"{scope} has no key {key!r}", scope=scope, key=key)
            if raw and isinstance(value, str):
                write_text(value)
            else:
                write_document(value, output)

    run(work())
