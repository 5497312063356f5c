"""What a command prints: a table for people, JSON for programs. Data goes to stdout and nothing else does.

On a terminal the default is a table, elsewhere one JSON document to the line. What is stored may hold anything, so
nothing of it reaches a terminal before control characters are written out: no stored text moves somebody's cursor.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import msgspec
import typer

from holdfast.cli.printable import printable

Row = Mapping[str, Any]


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
    # Imported here: rich takes longer to import than most commands to run, and JSON needs none of it.
    from holdfast.cli.table import print_table

    sys.stdout.flush()
    print_table(rows, columns, whole=whole)


def note(text: str) -> None:
    """Tell people something that is no data, on stderr."""
    print(printable(text), file=sys.stderr)


def _write(line: bytes) -> None:
    sys.stdout.flush()
    out = sys.stdout.buffer
    out.write(line + b"\n")
    out.flush()
