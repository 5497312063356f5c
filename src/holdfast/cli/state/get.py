"""`holdfast state get`."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any

import typer

from holdfast import Conflict, Scope
from holdfast.cli.output import Format, OutputOption, chosen, note, write_document, write_rows, write_text
from holdfast.cli.state.place import NamespaceOption, NoKey, ScopeArgument, named, state_at
from holdfast.cli.store import opened, run
from holdfast.hold import Holdfast


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
                values = (await state.snapshot()).values
                if not values:
                    await _tell_where(hold, Scope.parse(scope))
                return values
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


async def _tell_where(hold: Holdfast, scope: Scope) -> None:
    """Of a run in a session: that its state is the session's."""
    if scope.kind != "run":
        return
    with suppress(Conflict):
        found = await hold.runs.get(scope.id)
        if found is not None and found.session is not None:
            note(f"the run {scope.id!r} is kept in session/{found.session}, and so is its state")
