"""What the demo prints at its end: what was counted, and the three figures."""

from __future__ import annotations

import os
from collections import Counter

from rich.table import Table
from rich.text import Text

from holdfast.cli.demo.count import Count, Totals
from holdfast.cli.demo.proof import Proof
from holdfast.cli.printable import printable
from holdfast.cli.table import console

KINDS = 8
"""How many kinds of files have a line of their own."""

IDENTIFIERS = 10


def print_counts(proof: Proof) -> None:
    """The table: files, lines, words and bytes by kind of file, and the identifiers used most."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("kind")
    for name in ("files", "lines", "words", "bytes"):
        table.add_column(name, justify="right")
    for kind, totals in by_kind(proof.counts):
        _add(table, kind, totals)
    table.add_section()
    _add(table, "total", proof.totals)
    console().print()
    console().print(table)
    used = most_used(proof.counts)
    if used:
        console().print(Text(f"\nused most: {', '.join(f'{printable(name)} {times:,}' for name, times in used)}"))
    for outcome, number in Counter(count.outcome for count in proof.counts.values()).items():
        if outcome not in ("text", "binary"):
            console().print(Text(f"{number:,} {outcome}: counted as files, not read"))


def print_figures(proof: Proof) -> None:
    """The three figures, each with its evidence."""
    console().print()
    for number, figure in enumerate(proof.figures, start=1):
        verdict = Text("holds", "bold green") if figure.holds else Text("DOES NOT HOLD", "bold red")
        console().print(Text(f"{number}. {figure.name}: ") + verdict)
        console().print(Text(f"   {printable(figure.says)}"))


def by_kind(counts: dict[str, Count]) -> list[tuple[str, Totals]]:
    """Sums for each suffix, those with the most files first; the rest in one line."""
    sums: dict[str, Totals] = {}
    for count in counts.values():
        kind = os.path.splitext(count.path)[1].lower()[:12] or "(none)"
        kind = kind if count.outcome == "text" else f"{kind} ({count.outcome})"
        sums[kind] = sums.get(kind, Totals()).plus(count)
    ranked = sorted(sums.items(), key=lambda item: (-item[1].files, item[0]))
    rest = ranked[KINDS:]
    if len(rest) < 2:
        return ranked
    together = Totals(*(sum(getattr(totals, name) for _, totals in rest) for name in Totals.__struct_fields__))
    return [*ranked[:KINDS], (f"{len(rest)} others", together)]


def most_used(counts: dict[str, Count]) -> list[tuple[str, int]]:
    """The identifiers used most, summed over the ten of each file."""
    used: Counter[str] = Counter()
    for count in counts.values():
        used.update(count.identifiers)
    return sorted(used.items(), key=lambda item: (-item[1], item[0]))[:IDENTIFIERS]


def _add(table: Table, kind: str, totals: Totals) -> None:
    figures = (totals.files, totals.lines, totals.words, totals.bytes)
    table.add_row(Text(printable(kind)), *(f"{figure:,}" for figure in figures))
