"""What a command prints: a table for people, JSON for programs. Data goes to stdout and nothing else does.

On a terminal the default is a table, elsewhere one JSON document to the line. What is stored may hold anything, so
nothing of it reaches a terminal before control characters are written out: no stored text moves somebody's cursor.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

Row = Mapping[str, Any]

WIDTH = 200
"""Columns of a table that is not on a terminal."""

CELL_CHARACTERS_MAX = 400
"""What a table shows of one value."""


class Format(StrEnum):
    """How data is printed."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"


OutputOption = Annotated[
    Format | None,
    typer.Option("--output", "-o", help="How to print; a table on a terminal, else jsonl.", show_default=False),
]


def chosen(output: Format | None) -> Format:
    """The format asked for, or the one that fits where stdout goes."""
    return output or (Format.TABLE if sys.stdout.isatty() else Format.JSONL)


def write_rows(
    rows: Iterable[Row],
    output: Format | None,
    *,
    columns: Sequence[str] = (),
    whole: Sequence[str] = (),
    none: str = "",
) -> None:
    """Print rows: a table of these columns (all, if none are named), one array, or one document to the line.

    Where a table would be empty, `none` says so on stderr instead. For `whole` see `write_table`.
    """
    format = chosen(output)
    if format is Format.JSONL:
        for row in rows:
            write_line(row)
    elif format is Format.JSON:
        write_line(list(rows))
    elif (found := list(rows)) or not none:
        write_table(found, columns, whole=whole)
    else:
        note(none)


def write_document(document: Any, output: Format | None) -> None:
    """Print one value: indented for people, on one line for programs."""
    text = msgspec.json.encode(document)
    if chosen(output) is Format.TABLE:
        _write(printable(msgspec.json.format(text, indent=2).decode(), keep="\n").encode())
    else:
        _write(text)


def write_line(document: Any) -> None:
    """Print one JSON document on a line of its own, at once."""
    _write(msgspec.json.encode(document))


def write_text(text: str) -> None:
    """Print one line of text, as it is."""
    _write(text.encode())


def write_table(rows: Sequence[Row], columns: Sequence[str] = (), *, whole: Sequence[str] = ()) -> None:
    """Print a table: a column that no row fills is left out.

    Long values go on in the next line. If columns are named as `whole`, every row is one line instead: those columns
    are shown in full, the others are cut to what is left of the width.
    """
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
    sys.stdout.flush()
    console().print(table)


def _cell(value: Any, *, cut: bool) -> Text:
    text = shown(value)
    return Text(text, no_wrap=True, overflow="ellipsis") if cut else Text(text)


def console() -> Console:
    """Where tables and progress go."""
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else WIDTH, highlight=False)


def note(text: str) -> None:
    """Tell people something that is no data, on stderr."""
    print(printable(text), file=sys.stderr)


def shown(value: Any) -> str:
    """A value as a table shows it: short, on one line, without control characters."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
            value = ", ".join(value)
        else:
            value = msgspec.json.encode(value).decode()
    elif isinstance(value, int) and abs(value) >= 10_000:
        value = f"{value:,}"
    text = str(value)
    if len(text) > CELL_CHARACTERS_MAX:
        text = text[: CELL_CHARACTERS_MAX - 1] + "…"
    return printable(text)


def printable(text: str, *, keep: str = "") -> str:
    """The text with every control character, lone surrogate and invisible mark written out."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in keep else _escape(char) for char in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode()


def _write(line: bytes) -> None:
    sys.stdout.flush()
    out = sys.stdout.buffer
    out.write(line + b"\n")
    out.flush()
