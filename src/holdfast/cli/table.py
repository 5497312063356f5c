"""Tables, and the console they go to: what needs rich."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from holdfast.cli.shown import shown

WIDTH = 200
"""Columns of a table that is not on a terminal."""


def print_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, whole: Sequence[str]) -> None:
    """See `output.write_table`."""
    names = list(columns or dict.fromkeys(name for row in rows for name in row))
    names = [name for name in names if not rows or any(row.get(name) not in (None, "", []) for row in rows)]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        numbers = all(isinstance(row.get(name), int | float) for row in rows)
        table.add_column(
            name.replace("_", " "),
            justify="right" if numbers and rows else "left",
            overflow="fold",
            no_wrap=name in whole,
        )
    for row in rows:
        table.add_row(*(_cell(row.get(name), cut=bool(whole) and name not in whole) for name in names))
    console().print(table)


def _cell(value: Any, *, cut: bool) -> Text:
    text = shown(value)
    return Text(text, no_wrap=True, overflow="ellipsis") if cut else Text(text)


def console() -> Console:
    """Where tables and progress go."""
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else WIDTH, highlight=False)
