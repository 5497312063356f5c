"""`holdfast stats`."""

from __future__ import annotations

import typer

from holdfast.cli.output import Format, OutputOption, chosen, write_line, write_table
from holdfast.cli.store import opened, run


def stats(ctx: typer.Context, output: OutputOption = None) -> None:
    """Show counts and bytes of the store.

    \b
    holdfast -s app.db stats
    holdfast -s app.db stats -o json | jq .bytes
    """

    async def work() -> dict[str, int | float | str]:
        async with opened(ctx) as hold:
            figures = await hold.stats()
        # What the writer of this very process did tells nothing of the store.
        return {name: figure for name, figure in figures.items() if not name.startswith("writer_")}

    figures = run(work())
    if chosen(output) is Format.TABLE:
        write_table([{"figure": name.replace("_", " "), "value": figure} for name, figure in figures.items()])
    else:
        write_line(figures)
