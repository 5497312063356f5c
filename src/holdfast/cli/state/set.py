"""`holdfast state set`."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any, NoReturn

import typer

from holdfast import Conflict
from holdfast.cli.output import OutputOption, write_rows
from holdfast.cli.state.place import NamespaceOption, ScopeArgument, named, state_at
from holdfast.cli.store import opened, run


def set_state(
    ctx: typer.Context,
    scope: ScopeArgument,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The key.")],
    value: Annotated[str, typer.Argument(metavar="VALUE", help='The value in JSON; "-" reads it from stdin.')],
    text: Annotated[bool, typer.Option("--text", "-t", help="VALUE is text as it stands, not JSON.")] = False,
    namespace: NamespaceOption = "",
    if_version: Annotated[
        int | None,
        typer.Option(min=0, help="Only if nobody wrote the key after this version (0: only if it does not exist)."),
    ] = None,
    output: OutputOption = None,
) -> None:
    """Store one value; prints its version. Makes the store if its file is missing.

    \b
    holdfast -s app.db state set global/flags dark '{"on": true, "percent": 20}'
    holdfast -s app.db state set user/ada name --text 'Ada Lovelace'
    """
    if value == "-":
        value = _read_stdin()
    decoded = value if text else parse(value)

    async def work() -> int:
        async with opened(ctx, make=True) as hold:
            try:
                return await state_at(hold, scope, namespace).set(key, decoded, if_version=if_version)
            except Conflict as conflict:
                raise _lost(conflict, named(scope, key, namespace), if_version) from conflict

    version = run(work())
    write_rows([{"scope": scope, "key": key, "version": version}], output)


def _read_stdin() -> str:
    """All of it: UTF-8, whatever the locale says."""
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as problem:
        raise typer.BadParameter(f"what comes from stdin is no UTF-8 text: {problem}", param_hint="VALUE") from problem


def _lost(conflict: Conflict, name: str, if_version: int | None) -> Conflict:
    """The same in words of the command line."""
    found = conflict.found
    if found is None:
        return Conflict(f"{name} is not there any more", remedy="Leave --if-version out, or give it 0, to make it.")
    if if_version == 0:
        said = f"{name} exists already, at version {found.version}"
    else:
        said = f"{name} was written after version {if_version}: it is at version {found.version}"
    return Conflict(
        said, remedy=f"Read it again with `holdfast state get` and repeat with --if-version {found.version}."
    )


def parse(text: str) -> Any:
    """The value of a JSON text: no NaN, no name twice, integers of any size. A usage error for anything else."""
    try:
        return json.loads(text, parse_constant=_refuse, object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as problem:
        raise typer.BadParameter(
            f"not JSON ({problem}); quote it for the shell, or pass --text for plain text", param_hint="VALUE"
        ) from problem


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object names a key twice")
    return found
