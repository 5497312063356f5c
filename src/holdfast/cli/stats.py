"""`holdfast stats`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated

import msgspec
import typer

from holdfast.cli.output import write_line, write_table, write_text
from holdfast.cli.store import opened, run
from holdfast.cli.where import where
from holdfast.model.stats import Stats

OF_THIS_PROCESS = frozenset({"methods", "verbs", "cache", "writer", "sweeper"})
"""What the process that asks has done itself tells nothing of the store."""


class StatsFormat(StrEnum):
    """How figures are printed."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    PROMETHEUS = "prometheus"


def stats(
    ctx: typer.Context,
    output: Annotated[
        StatsFormat | None,
        typer.Option("--output", "-o", help="How to print; a table on a terminal, else jsonl.", show_default=False),
    ] = None,
) -> None:
    """Show counts and bytes of the store.

    \b
    holdfast -s app.db stats
    holdfast -s app.db stats -o json | jq .kinds.message.bytes
    holdfast -s app.db stats -o prometheus > holdfast.prom
    """

    async def work() -> Stats:
        async with opened(ctx) as hold:
            return await hold.stats()

    stats = run(work())
    format = output or (StatsFormat.TABLE if sys.stdout.isatty() else StatsFormat.JSONL)
    if format is StatsFormat.TABLE:
        write_table([{"figure": name, "value": figure} for name, figure in _rows(stats)])
    elif format is StatsFormat.PROMETHEUS:
        write_text(stats.prometheus(space=where(ctx).space, process=False).removesuffix("\n"))
    else:
        document = msgspec.to_builtins(stats)
        write_line({name: figure for name, figure in document.items() if name not in OF_THIS_PROCESS})


def _rows(stats: Stats) -> Iterator[tuple[str, int | float | str]]:
    for name in ("scopes", "cells", "records", "bytes"):
        yield name, getattr(stats, name)
    for kind, figures in stats.kinds.items():
        yield f"cells of {kind}", figures.count
        yield f"bytes of {kind}", figures.bytes
    for name, figure in stats.store.items():
        yield name.replace("_", " "), figure
