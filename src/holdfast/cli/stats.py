"""`holdfast stats`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated

import typer

from holdfast.cli.output import write_line, write_table, write_text
from holdfast.cli.store import opened, run

Figures = Mapping[str, int | float | str]


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
    holdfast -s app.db stats -o json | jq .bytes
    holdfast -s app.db stats -o prometheus > holdfast.prom
    """

    async def work() -> Figures:
        async with opened(ctx) as hold:
            figures = await hold.stats()
        # What the writer of this very process did tells nothing of the store.
        return {name: figure for name, figure in figures.items() if not name.startswith("writer_")}

    figures = run(work())
    format = output or (StatsFormat.TABLE if sys.stdout.isatty() else StatsFormat.JSONL)
    if format is StatsFormat.TABLE:
        write_table([{"figure": name.replace("_", " "), "value": figure} for name, figure in figures.items()])
    elif format is StatsFormat.PROMETHEUS:
        for line in exposition(figures):
            write_text(line)
    else:
        write_line(figures)


def exposition(figures: Figures) -> Iterator[str]:
    """The figures in Prometheus' text format: a gauge for each number, the texts as labels of one."""
    for name, figure in figures.items():
        if not isinstance(figure, str):
            yield f"# TYPE holdfast_{name} gauge"
            yield f"holdfast_{name} {figure}"
    texts = {name: figure for name, figure in figures.items() if isinstance(figure, str)}
    # A label is quoted as in JSON, as far as quotes, backslashes and line ends go.
    labels = [f"{name}={json.dumps(text, ensure_ascii=False)}" for name, text in texts.items()]
    yield "# TYPE holdfast_store_info gauge"
    yield f"holdfast_store_info{{{','.join(labels)}}} 1"
