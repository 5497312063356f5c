"""`holdfast sweep`."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from holdfast.cli.output import OutputOption, write_rows
from holdfast.cli.store import opened, run
from holdfast.errors import InvalidValue
from holdfast.model.duration import to_us


def sweep(
    ctx: typer.Context,
    older_than: Annotated[
        str | None,
        typer.Option("--older-than", metavar="TIME", help="Ended sessions kept so long: 12h, 7d; 30d without."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count the sessions.")] = False,
    output: OutputOption = None,
) -> None:
    """End the sessions whose time is over, and remove what nobody can see any more.

    Sessions that have expired, those that ended long ago, expired values, what deleted sessions left, and old log
    records. Other processes may go on working meanwhile.

    \b
    holdfast -s app.db sweep --dry-run
    holdfast -s app.db sweep --older-than 7d
    """

    if older_than is not None:
        _check_time(older_than)

    async def work() -> dict[str, Any]:
        async with opened(ctx) as hold:
            return msgspec.structs.asdict(await hold.sweep(older_than=older_than, dry_run=dry_run))

    write_rows([run(work())], output)


def _check_time(text: str) -> None:
    try:
        to_us(text, "older_than")
    except InvalidValue as problem:
        raise typer.BadParameter(
            f"{text!r} is no length of time, such as 12h or 7d", param_hint="--older-than"
        ) from problem
